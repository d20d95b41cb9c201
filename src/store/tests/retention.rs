//! What is deleted when, and what is not.

mod beside;
mod kinds;
mod locks;
mod size;

use std::collections::BTreeSet;

use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Decision, Record};
use crate::store::bucket::Day;
use crate::store::hold::Holds;
use crate::store::read::{DryRuns, Filter};
use crate::store::settings::RetentionSettings;
use crate::store::{StoreError, Swept};

on_both![
    each_decision_goes_when_it_is_due_and_not_before,
    nothing_of_a_hold_goes_until_it_has_ended,
    a_hold_that_is_added_stops_a_sweep_at_once,
    late_decisions_go_with_the_next_sweep,
    a_sweep_that_is_cut_off_goes_on_where_it_was,
    what_a_decision_refers_to_stays_as_long_as_it,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);
const DAY: i64 = 86_400_000;
const KEPT: RetentionSettings = RetentionSettings::DEFAULT;

fn later(days: i64) -> Timestamp {
    Timestamp(NOW.0 + days * DAY)
}

/// The start of the day on which something is due that is kept for so many.
fn cutoff(now: Timestamp, days: i64) -> Timestamp {
    Day::of(Timestamp(now.0 - days * DAY)).0
}

fn is_notable(decision: &Decision) -> bool {
    let exempted = decision.verdicts.iter().flat_map(|verdict| &verdict.violations).any(|one| one.exempted.is_some());
    decision.answer != Answer::Allowed || decision.would_reject || exempted
}

/// Whether the defaults keep it.
fn is_kept(decision: &Decision, now: Timestamp) -> bool {
    let days = if is_notable(decision) { 400 } else { 90 };
    decision.at >= cutoff(now, days) && (!decision.dry_run || decision.at >= cutoff(now, 7))
}

/// Days ago, around which something is due by then or later.
const DAYS: [i64; 9] = [389, 386, 300, 172, 100, 89, 49, 7, 0];

/// A history of some days of more than a year: on Postgres each has its partitions.
fn of_some_days(seed: u64, count: usize) -> History {
    let mut all = History { records: Vec::new(), decisions: Vec::new() };
    for (number, days) in DAYS.into_iter().enumerate() {
        let some = History::new(seed * 100 + number as u64, count / DAYS.len(), 20, later(-days));
        all.records.extend(some.records);
        all.decisions.extend(some.decisions);
    }
    all
}

/// All of it stored.
async fn stored(kind: Kind, seed: u64, count: usize) -> (TestStore, History) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = of_some_days(seed, count);
    for records in history.records.chunks(400) {
        test.store.apply_at(records, NOW).await.expect("a batch");
    }
    (test, history)
}

async fn sweep(test: &TestStore, now: Timestamp) -> Swept {
    let mut swept = Swept::default();
    let done = test.store.sweep_at(&KEPT, &mut swept, now).await.expect("a sweep");
    assert_eq!(done, Some(()), "nobody else is at it");
    swept
}

fn expected(history: &History, kept: impl Fn(&Decision) -> bool) -> BTreeSet<DecisionId> {
    let decisions = history.decisions.iter().map(|stored| &stored.decision);
    decisions.filter(|decision| kept(decision)).map(|decision| decision.id).collect()
}

async fn found(test: &TestStore) -> BTreeSet<DecisionId> {
    let page = test.store.decisions(&Filter::default(), 10_000, None).await.expect("a page");
    page.decisions.iter().map(|stored| stored.decision.id).collect()
}

/// Rows that belong to decisions which are not there.
async fn orphans(test: &TestStore) -> Vec<String> {
    let mut all = Vec::new();
    for table in
        ["decision_rules", "decision_repositories", "decision_candidates", "decision_agreements", "displaced_ids"]
    {
        let of_none = "x WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.key = x.key)";
        all.extend(test.dump(&format!("SELECT '{table}', x.* FROM {table} {of_none}")).await);
    }
    all
}

/// Rows of decisions that are kept, by their decisions.
async fn causes(test: &TestStore) -> Vec<String> {
    let mut all = Vec::new();
    let tables = [
        ("decision_rules", "rule"),
        ("decision_repositories", "repository"),
        ("decision_candidates", "cell"),
        ("decision_agreements", "cell"),
    ];
    for (table, what) in tables {
        let text = format!("SELECT d.id, '{table}', x.{what} FROM {table} x JOIN decisions d ON d.key = x.key");
        all.extend(test.dump(&text).await);
    }
    all.sort();
    all
}

async fn each_decision_goes_when_it_is_due_and_not_before(kind: Kind) {
    let (test, history) = stored(kind, 31, 900).await;
    let rows = causes(&test).await;
    assert_eq!(test.store.horizons().await.expect("horizons"), Default::default());
    for days in [0, 1, 2, 41, 300, 391] {
        let now = later(days);
        let before = found(&test).await.len();
        let swept = sweep(&test, now).await;
        let kept = expected(&history, |decision| is_kept(decision, now));
        assert_eq!(found(&test).await, kept, "{days} days later");
        let counted = ["decisions", "notable decisions", "dry runs"].map(|kind| swept.deleted.get(kind).unwrap_or(&0));
        assert_eq!(counted.into_iter().sum::<u64>(), (before - kept.len()) as u64, "{swept:?}");
        assert_eq!(orphans(&test).await, Vec::<String>::new());
        let ids: BTreeSet<String> = kept.iter().map(id_text).collect();
        let of_kept = rows.iter().filter(|row| ids.contains(row.split_once('|').expect("columns").0));
        assert_eq!(causes(&test).await, of_kept.cloned().collect::<Vec<_>>(), "{days} days later");
        // Nothing is due a second time.
        assert!(sweep(&test, now).await.deleted.is_empty());
    }
    let horizons = test.store.horizons().await.expect("horizons");
    let now = later(391);
    assert!(horizons.recountable_since(DryRuns::Exclude).is_some_and(|since| since <= cutoff(now, 90)), "{horizons:?}");
    assert!(horizons.notable.is_some_and(|since| since <= cutoff(now, 400)), "{horizons:?}");
    assert_eq!(horizons.for_size, None);
}

/// As [`TestStore::dump`] has what is stored of it: its last 8 bytes.
fn id_text(id: &DecisionId) -> String {
    format!("{:02x?}", &id.0.as_bytes()[8..])
}

async fn nothing_of_a_hold_goes_until_it_has_ended(kind: Kind) {
    let (test, history) = stored(kind, 32, 900).await;
    let holds = Holds::open(&test.settings).await.expect("holds");
    // One in the middle of a day, one of days that plain decisions have left already, one of years.
    let held = [(later(-200), Timestamp(later(-170).0 + 5_000_000)), (later(-388), later(-385))];
    let mut ids = Vec::new();
    for (from, to) in held {
        ids.push(holds.add(from, to, "a test").await.expect("a hold").id);
    }
    let is_held = |decision: &Decision| held.iter().any(|(from, to)| (*from..=*to).contains(&decision.at));
    for days in [0, 30, 700] {
        let now = later(days);
        sweep(&test, now).await;
        let kept = expected(&history, |decision| is_held(decision) || is_kept(decision, now));
        assert_eq!(found(&test).await, kept, "{days} days later");
        assert_eq!(orphans(&test).await, Vec::<String>::new());
    }
    let widths = "SELECT count(*) FROM rollup_totals WHERE width = 15";
    assert_ne!(test.dump(widths).await, ["0"], "a hold keeps its figures, too");
    let of_first: Vec<_> = holds.list().await.expect("holds");
    assert_eq!(of_first.iter().map(|hold| hold.id).collect::<Vec<_>>(), ids);
    let ended = holds.end(ids[0]).await.expect("an end").expect("there is one");
    assert!(ended.ended_at.is_some());
    assert_eq!(holds.end(ids[0]).await.expect("the same end"), Some(ended));
    assert_eq!(holds.end(99).await.expect("no hold"), None);
    sweep(&test, later(700)).await;
    let second = |decision: &Decision| (held[1].0..=held[1].1).contains(&decision.at);
    assert_eq!(found(&test).await, expected(&history, second));
    holds.end(ids[1]).await.expect("an end");
    sweep(&test, later(700)).await;
    assert_eq!(found(&test).await, BTreeSet::new());
    assert_eq!(test.count("reviews").await, "0");
}

async fn a_hold_that_is_added_stops_a_sweep_at_once(kind: Kind) {
    for seed in 3_300..3_320 {
        if a_hold_stops_a_sweep(kind, seed).await {
            return;
        }
    }
    panic!("each sweep had ended before the hold was there");
}

/// Whether it had not ended before.
async fn a_hold_stops_a_sweep(kind: Kind, seed: u64) -> bool {
    let (test, history) = stored(kind, seed, 1_200).await;
    let holds = Holds::open(&test.settings).await.expect("holds");
    let now = later(500);
    let (store, mut swept) = (test.store.clone(), Swept::default());
    let sweeping = tokio::spawn(async move { store.sweep_at(&KEPT, &mut swept, now).await });
    while found(&test).await.len() == history.decisions.len() {
        tokio::task::yield_now().await;
    }
    holds.add(later(-390), now, "all").await.expect("a hold");
    let then = found(&test).await;
    let ended = sweeping.await.expect("no panic");
    assert!(matches!(ended, Err(StoreError::Busy(_)) | Ok(Some(()))), "{ended:?}");
    assert_eq!(found(&test).await, then, "what was there when the hold was there");
    ended.is_err()
}

async fn late_decisions_go_with_the_next_sweep(kind: Kind) {
    let (test, first) = stored(kind, 34, 300).await;
    let now = later(0);
    sweep(&test, now).await;
    let late = of_some_days(35, 300);
    for records in late.records.chunks(100) {
        test.store.apply_at(records, now).await.expect("a batch");
    }
    sweep(&test, now).await;
    let mut kept = expected(&first, |decision| is_kept(decision, now));
    kept.extend(expected(&late, |decision| is_kept(decision, now)));
    assert_eq!(found(&test).await, kept);
    assert_eq!(orphans(&test).await, Vec::<String>::new());
    let old = format!("SELECT count(*) FROM rollup_totals WHERE width = 15 AND bucket < {}", cutoff(now, 8).0);
    assert_eq!(test.dump(&old).await, ["0"]);
}

async fn a_sweep_that_is_cut_off_goes_on_where_it_was(kind: Kind) {
    let (test, history) = stored(kind, 36, 900).await;
    let now = later(100);
    let mut patience = std::time::Duration::from_millis(1);
    loop {
        let mut swept = Swept::default();
        match tokio::time::timeout(patience, test.store.sweep_at(&KEPT, &mut swept, now)).await {
            Ok(done) => break assert_eq!(done.expect("a sweep"), Some(())),
            Err(_) => patience = patience.mul_f64(1.3),
        }
        let there = found(&test).await;
        let kept = expected(&history, |decision| is_kept(decision, now));
        assert!(kept.is_subset(&there), "nothing goes that is not due");
        assert_eq!(orphans(&test).await, Vec::<String>::new());
    }
    assert_eq!(found(&test).await, expected(&history, |decision| is_kept(decision, now)));
    if kind == Kind::Postgres {
        let copies = "SELECT relname::text FROM pg_class WHERE relname LIKE '%_kept'";
        assert_eq!(test.dump(copies).await, Vec::<String>::new());
    }
}

async fn what_a_decision_refers_to_stays_as_long_as_it(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = of_some_days(37, 600);
    // Each day's at that day, so that most reviews are last needed long ago.
    let mut records = history.records.clone();
    let at = |record: &Record| match record {
        Record::Decision(decision) => Some(decision.at),
        _ => None,
    };
    records.sort_by_key(|record| at(record).unwrap_or(Timestamp(0)));
    let reviews = records.iter().take_while(|record| at(record).is_none()).count();
    let (others, decisions) = records.split_at(reviews);
    for records in decisions.chunks(20) {
        let batch: Vec<Record> = others.iter().chain(records).cloned().collect();
        let now = records.iter().filter_map(at).max().expect("a time");
        test.store.apply_at(&batch, now).await.expect("a batch");
    }
    for days in [0, 50, 110, 300] {
        let now = later(days);
        sweep(&test, now).await;
        let kept = expected(&history, |decision| is_kept(decision, now));
        // The list joins both.
        assert_eq!(found(&test).await, kept, "{days} days later");
        assert_eq!(test.count("decisions").await, kept.len().to_string());
        let unneeded = format!(
            "SELECT count(*) FROM reviews WHERE last_day < {} AND last_notable_day < {}",
            cutoff(now, 90).0,
            cutoff(now, 400).0
        );
        assert_eq!(test.dump(&unneeded).await, ["0"], "{days} days later");
    }
    sweep(&test, later(401)).await;
    for table in ["decisions", "reviews", "review_images", "outcomes", "decision_rules", "decision_repositories"] {
        assert_eq!(test.count(table).await, "0", "{table}");
    }
}
