use std::collections::{BTreeMap, BTreeSet};

use super::agreements::recount_agreements;
use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Decision, Exempted, Mode, ObjectSample, PolicyVerdict, Record, Verdict};
use crate::store::bucket::Width;
use crate::store::key;
use crate::store::reach::Reach;
use crate::store::read::{Filter, StoredDecision};
use crate::store::recount::recount;
use crate::store::settings::{HistorySettings, Objects};
use crate::store::sql::{Row, Sql};
use uuid::Uuid;

on_both![
    decisions_come_out_as_they_went_in_with_their_amendments,
    a_batch_sent_again_changes_nothing,
    every_figure_can_be_recounted_from_the_rows,
    a_recount_by_the_database_finds_the_same_figures,
    a_lost_review_loses_no_decision,
    decisions_that_agree_in_time_and_first_bits_are_all_there,
    an_id_that_does_not_hold_its_time_is_found,
    one_object_is_kept_of_a_review_and_day
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

async fn apply(test: &TestStore, records: &[Record], size: usize) {
    for batch in records.chunks(size) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
}

async fn all(test: &TestStore) -> Vec<StoredDecision> {
    let page = test.store.decisions(&Filter::default(), u16::MAX, None).await.expect("a page");
    assert_eq!(page.next, None);
    page.decisions
}

async fn decisions_come_out_as_they_went_in_with_their_amendments(kind: Kind) {
    let history = History::new(1, 600, 48, NOW);
    for size in [1, 7, 100, 10_000] {
        let test = TestStore::new(kind, &HISTORY).await;
        apply(&test, &history.records, size).await;
        assert_eq!(all(&test).await, history.decisions, "in batches of {size}");
        assert_eq!(test.count("pending_amendments").await, "0");
        for stored in history.decisions.iter().step_by(50) {
            let found = test.store.decision(stored.decision.id, &Reach::Everything).await.expect("a read");
            assert_eq!(found.as_ref(), Some(stored));
        }
        assert_eq!(test.store.decision(DecisionId::at(NOW), &Reach::Everything).await.expect("a read"), None);
    }
}

async fn a_batch_sent_again_changes_nothing(kind: Kind) {
    let history = History::new(2, 300, 24, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    apply(&test, &history.records, 90).await;
    let (decisions, figures) = (all(&test).await, test.figures().await);
    apply(&test, &history.records, 61).await;
    let twice: Vec<Record> = history.records.iter().chain(&history.records).cloned().collect();
    apply(&test, &twice, usize::MAX).await;
    // A process that starts again remembers nothing.
    let reopened = test.again(&HISTORY).await;
    reopened.apply_at(&twice, NOW).await.expect("a batch");
    assert_eq!(all(&test).await, decisions);
    assert_eq!(test.figures().await, figures);

    let other = TestStore::new(kind, &HISTORY).await;
    apply(&other, &twice, usize::MAX).await;
    assert_eq!(all(&other).await, decisions, "twice in one batch");
    for table in
        ["decision_rules", "decision_candidates", "decision_agreements", "decision_exemptions", "outcome_agreements"]
    {
        assert_eq!(other.count(table).await, test.count(table).await);
    }
}

async fn every_figure_can_be_recounted_from_the_rows(kind: Kind) {
    let history = History::new(3, 800, 100, NOW);
    let test = TestStore::new(kind, &HistorySettings { max_names: 2, ..HISTORY }).await;
    apply(&test, &history.records, 37).await;
    let assigned: BTreeMap<String, String> = test
        .dump("SELECT m.text, r.name FROM images m JOIN repositories r ON r.id = m.repository")
        .await
        .iter()
        .map(|line| line.rsplit_once('|').map(|(text, name)| (text.to_owned(), name.to_owned())).expect("two"))
        .collect();
    assert!(assigned.values().any(|name| name == "other"), "{assigned:?}");
    assert_eq!(test.count("repositories").await, "3");

    let mut recount = BTreeMap::new();
    for stored in all(&test).await {
        recount_decision(&mut recount, &stored, &assigned);
    }
    let place = "c.name || '|' || coalesce(n.name, '*') || '|' || t.width || '|' || t.bucket || '|' || CAST(t.dry_run AS INTEGER)";
    let join = "JOIN clusters c ON c.id = t.cluster LEFT JOIN namespaces n ON n.id = t.namespace";
    let mut stored = BTreeSet::new();
    for (select, table, names) in [
        ("'total|' || PLACE || '|', t.reviews, t.allowed, t.denied, t.failed, t.would_reject", "rollup_totals", ""),
        (
            "'rule|' || PLACE || '|' || p.name || '/' || r.name, t.reviews, t.denied, t.would_reject, t.standing, 0",
            "rollup_rules",
            "JOIN rules r ON r.id = t.rule JOIN policies p ON p.id = r.policy",
        ),
        (
            "'repository|' || PLACE || '|' || r.name, t.reviews, t.denied, t.would_reject, 0, 0",
            "rollup_repositories",
            "JOIN repositories r ON r.id = t.repository",
        ),
        (
            "'candidate|' || PLACE || '|' || a.name || '|' || (t.cell % 25), t.reviews, 0, 0, 0, 0",
            "rollup_candidates",
            // What was pending is counted elsewhere by now.
            "JOIN candidates a ON a.id = t.cell / 25 WHERE t.reviews <> 0",
        ),
        (
            "'agreement|' || PLACE || '|' || w.name || '|' || coalesce(l.name, '') || '|' || (t.cell % 25), \
             t.reviews, 0, 0, 0, 0",
            "rollup_agreements",
            PAIR,
        ),
        (
            "'disagreement|' || PLACE || '|' || w.name || '|' || coalesce(l.name, '') || '|' || (t.cell % 25) || '|' || \
             coalesce(p.name || '/' || r.name, '') || '|' || coalesce(m.name, ''), t.reviews, 0, 0, 0, 0",
            "rollup_disagreements",
            &format!(
                "LEFT JOIN rules r ON r.id = t.rule LEFT JOIN policies p ON p.id = r.policy \
                 LEFT JOIN repositories m ON m.id = t.repository {PAIR}"
            ),
        ),
    ] {
        let select = select.replace("PLACE", place);
        stored.extend(test.dump(&format!("SELECT {select} FROM {table} t {join} {names}")).await);
    }
    let workload = "c.name || '|' || n.name || '|' || w.kind || '/' || w.name";
    let join = "JOIN workloads w ON w.id = t.workload JOIN namespaces n ON n.id = w.namespace \
                JOIN clusters c ON c.id = n.cluster";
    for select in [
        format!(
            "SELECT 'workload|' || {workload} || '|' || CAST(t.dry_run AS INTEGER), first_at, last_at, reviews, denied, \
             would_reject FROM workload_totals t {join}"
        ),
        format!(
            "SELECT 'workload rule|' || {workload} || '|' || CAST(t.dry_run AS INTEGER) || '|' || p.name || '/' || r.name || '|' \
             || t.day || '|' || first_at || '|' || last_at, reviews, denied, would_reject, standing, 0 \
             FROM workload_rules t {join} JOIN rules r ON r.id = t.rule JOIN policies p ON p.id = r.policy"
        ),
    ] {
        stored.extend(test.dump(&select).await);
    }
    let version = "JOIN versions v ON v.id = t.version JOIN policies p ON p.id = v.policy";
    for select in [
        format!(
            "SELECT 'judged|' || {workload} || '|' || p.name || '@' || v.name, t.first_key, t.last_key, 0, 0, 0 \
             FROM workload_judged t {join} {version}"
        ),
        format!(
            "SELECT 'against|' || {workload} || '|' || p.name || '@' || v.name || '/' || r.name, t.last_key, \
             t.exempted_key, 0, 0, 0 FROM workload_against t {join} {version} JOIN rules r ON r.id = t.rule"
        ),
    ] {
        stored.extend(test.dump(&select).await);
    }
    let keys = keys(&test).await;
    for stored in all(&test).await {
        recount_evidence(&mut recount, &stored, keys[&stored.decision.id.to_string()]);
    }
    let recount: BTreeSet<String> =
        recount.into_iter().map(|(key, counts)| format!("{key}|{}", counts.map(|n| n.to_string()).join("|"))).collect();
    let recount = with_first_and_last(recount, &all(&test).await);
    let missing: Vec<&String> = recount.difference(&stored).take(5).collect();
    let extra: Vec<&String> = stored.difference(&recount).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}, extra {extra:#?}");
}

async fn a_recount_by_the_database_finds_the_same_figures(kind: Kind) {
    let history = History::new(8, 800, 100, NOW);
    let test = TestStore::new(kind, &HistorySettings { max_names: 2, ..HISTORY }).await;
    apply(&test, &history.records, 37).await;
    let unjudged = Record::Unjudged { id: DecisionId::at(NOW), cluster: "lab".to_owned(), bucket: NOW, count: 7 };
    apply(&test, &[unjudged], 1).await;
    let written = nonzero(test.figures().await);
    recount(&test.store.database, 1, |_| Width::Quarter).await.expect("a recount");
    assert_eq!(nonzero(test.figures().await), written);
}

/// Without the rows in which a late verdict took back all that was counted.
pub fn nonzero(mut figures: Vec<String>) -> Vec<String> {
    // All but the totals have a subject, too, and one has three.
    let key = |line: &String| match line.split_once('|') {
        Some(("rollup_totals", _)) => 7,
        Some(("rollup_disagreements", _)) => 10,
        _ => 8,
    };
    let is_counted =
        |line: &String| !line.starts_with("rollup") || line.split('|').skip(key(line)).any(|count| count != "0");
    figures.retain(is_counted);
    figures
}

type Counts = BTreeMap<String, [i64; 5]>;

/// Written apart from the store's own counting: by names, one decision at a time.
fn recount_decision(counts: &mut Counts, stored: &StoredDecision, assigned: &BTreeMap<String, String>) {
    let (decision, review) = (&stored.decision, &stored.review);
    let dry = i64::from(decision.dry_run);
    let number = |yes: bool| i64::from(yes);
    let namespace = review.namespace.clone().unwrap_or_default();
    for (minutes, place) in [15, 60, 1_440].into_iter().flat_map(|m| [(m, "*"), (m, namespace.as_str())]) {
        let bucket = decision.at.0 - decision.at.0 % (minutes * 60_000);
        let base = format!("{}|{place}|{minutes}|{bucket}|{dry}", decision.cluster);
        let mut add = |key: String, one: [i64; 5]| {
            let sum = counts.entry(key).or_default();
            (0..5).for_each(|at| sum[at] += one[at]);
        };
        let answered = |answer| number(decision.answer == answer);
        add(
            format!("total|{base}|"),
            [
                1,
                answered(Answer::Allowed),
                answered(Answer::Denied),
                answered(Answer::Failed),
                number(decision.would_reject),
            ],
        );
        for (rule, [brought, denied, rejected, standing]) in recount_rules(decision) {
            add(format!("rule|{base}|{rule}"), [brought, denied, rejected, standing, false].map(number));
        }
        for (name, [denied, rejected]) in recount_repositories(stored, assigned) {
            add(format!("repository|{base}|{name}"), [1, number(denied), number(rejected), 0, 0]);
        }
        for (name, cell) in recount_candidates(decision) {
            add(format!("candidate|{base}|{name}|{cell}"), [1, 0, 0, 0, 0]);
        }
        for (pair, cell, rules) in recount_agreements(decision) {
            add(format!("agreement|{base}|{pair}|{cell}"), [1, 0, 0, 0, 0]);
            // Deny beside allow; of a webhook, beside none, too.
            if [5, 1, 16].contains(&cell) {
                rules
                    .iter()
                    .for_each(|rule| add(format!("disagreement|{base}|{pair}|{cell}|{rule}|"), [1, 0, 0, 0, 0]));
                for name in recount_repositories(stored, assigned).into_keys() {
                    add(format!("disagreement|{base}|{pair}|{cell}||{name}"), [1, 0, 0, 0, 0]);
                }
            }
        }
    }
}

/// The key of each decision, by its id.
async fn keys(test: &TestStore) -> BTreeMap<String, i64> {
    let rows = test.store.database.fetch(Sql::new("SELECT key, id FROM decisions")).await.expect("rows");
    let pair = |row: &Row| {
        let key = row.int(0).expect("a key");
        (row.id_at(key, 1).expect("an id").to_string(), key)
    };
    rows.iter().map(pair).collect()
}

/// Which version judged which workload at which keys, and which rule stood against it: likewise apart.
fn recount_evidence(ends: &mut Counts, stored: &StoredDecision, key: i64) {
    let (decision, review) = (&stored.decision, &stored.review);
    if decision.dry_run {
        return;
    }
    let workload = format!(
        "{}|{}|{}/{}",
        decision.cluster,
        review.namespace.clone().unwrap_or_default(),
        review.workload.kind,
        review.workload.name
    );
    for verdict in &decision.verdicts {
        if verdict.verdict != Verdict::Allow && verdict.verdict != Verdict::Deny {
            continue;
        }
        let version = format!("{workload}|{}@{}", verdict.policy, verdict.version.clone().unwrap_or_default());
        let span = ends.entry(format!("judged|{version}")).or_insert([key, key, 0, 0, 0]);
        *span = [span[0].min(key), span[1].max(key), 0, 0, 0];
        for violation in verdict.violations.iter().chain(&verdict.standing) {
            let by_exemption = matches!(violation.exempted, Some(Exempted::Exemption { .. }));
            let last = ends.entry(format!("against|{version}/{}", violation.rule)).or_default();
            let at = usize::from(by_exemption);
            last[at] = last[at].max(key);
        }
    }
}

/// The names of a cell's pair. What was pending is counted elsewhere by now.
const PAIR: &str = "JOIN agreements a ON a.id = t.cell / 25 JOIN policies w ON w.id = a.webhook \
                    LEFT JOIN policies l ON l.id = a.local WHERE t.reviews <> 0";

pub fn number(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Allow => 0,
        Verdict::Deny => 1,
        Verdict::Error => 2,
        Verdict::None => 3,
        Verdict::Pending => 4,
    }
}

/// What is exempted as a whole stands against nothing.
pub fn effective(verdict: &PolicyVerdict) -> Verdict {
    let exempted = verdict.violations.iter().filter(|violation| violation.exempted.is_some()).count();
    let all_exempted = exempted > 0 && exempted == verdict.violations.len();
    if all_exempted { Verdict::Allow } else { verdict.verdict }
}

/// The candidate's name, and five times what is said in force and what by it.
fn recount_candidates(decision: &Decision) -> Vec<(&str, i64)> {
    let live: Vec<(&str, Verdict)> =
        decision.verdicts.iter().map(|one| (one.policy.as_str(), effective(one))).collect();
    let any = |wanted| live.iter().any(|(_, said)| *said == wanted);
    let order = [Verdict::Deny, Verdict::Pending, Verdict::Error, Verdict::Allow];
    let together = order.into_iter().find(|wanted| any(*wanted)).unwrap_or(Verdict::None);
    let cell = |candidate: &'_ PolicyVerdict| {
        let same = live.iter().find(|(name, _)| *name == candidate.policy).map(|(_, said)| *said);
        number(same.unwrap_or(together)) * 5 + number(effective(candidate))
    };
    decision.candidates.iter().map(|candidate| (candidate.policy.as_str(), cell(candidate))).collect()
}

fn recount_rules(decision: &Decision) -> BTreeMap<String, [bool; 4]> {
    let mut rules: BTreeMap<String, [bool; 4]> = BTreeMap::new();
    for verdict in &decision.verdicts {
        for violation in &verdict.violations {
            let rule = rules.entry(format!("{}/{}", verdict.policy, violation.rule)).or_default();
            rule[0] = true;
            if violation.exempted.is_some() {
                continue;
            }
            if decision.answer == Answer::Denied && violation.mode == Mode::Enforce {
                rule[1] = true;
            }
            if decision.would_reject && violation.mode != Mode::Enforce && verdict.verdict == Verdict::Deny {
                rule[2] = true;
            }
        }
        for violation in &verdict.standing {
            rules.entry(format!("{}/{}", verdict.policy, violation.rule)).or_default()[3] = true;
        }
    }
    rules
}

fn recount_repositories(stored: &StoredDecision, assigned: &BTreeMap<String, String>) -> BTreeMap<String, [bool; 2]> {
    let mut repositories: BTreeMap<String, [bool; 2]> = BTreeMap::new();
    for image in &stored.review.images {
        let Some(name) = assigned.get(&image.text) else { continue };
        let blamed = repositories.entry(name.clone()).or_default();
        let of_image = stored.decision.verdicts.iter().flat_map(|verdict| &verdict.violations);
        let acting = of_image.filter(|violation| violation.exempted.is_none());
        for violation in acting.filter(|violation| violation.image.as_ref() == Some(&image.text)) {
            let enforced = violation.mode == Mode::Enforce;
            blamed[0] |= enforced && stored.decision.answer == Answer::Denied;
            blamed[1] |= !enforced && stored.decision.would_reject;
        }
    }
    repositories
}

/// Adds the rows of workloads, whose first and last times are no sums.
fn with_first_and_last(mut lines: BTreeSet<String>, decisions: &[StoredDecision]) -> BTreeSet<String> {
    let mut groups: BTreeMap<String, Vec<(i64, [bool; 4])>> = BTreeMap::new();
    for StoredDecision { decision, review } in decisions {
        let workload = format!(
            "{}|{}|{}/{}|{}",
            decision.cluster,
            review.namespace.as_deref().unwrap_or(""),
            review.workload.kind,
            review.workload.name,
            i64::from(decision.dry_run)
        );
        let denied = decision.answer == Answer::Denied;
        let seen = (decision.at.0, [true, denied, decision.would_reject, false]);
        groups.entry(format!("workload|{workload}")).or_default().push(seen);
        for (rule, counts) in recount_rules(decision) {
            let day = decision.at.0 - decision.at.0 % 86_400_000;
            let key = format!("workload rule|{workload}|{rule}|{day}");
            groups.entry(key).or_default().push((decision.at.0, counts));
        }
    }
    for (key, seen) in groups {
        let first = seen.iter().map(|(at, _)| at).min().expect("one");
        let last = seen.iter().map(|(at, _)| at).max().expect("one");
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| seen.iter().filter(|(_, counts)| counts[n]).count());
        let of_rule = key.starts_with("workload rule");
        let counts = if of_rule { format!("{a}|{b}|{c}|{d}|0") } else { format!("{a}|{b}|{c}") };
        lines.insert(format!("{key}|{first}|{last}|{counts}"));
    }
    lines
}

async fn a_lost_review_loses_no_decision(kind: Kind) {
    let history = History::new(4, 20, 1, NOW);
    let decisions: Vec<Record> =
        history.records.iter().filter(|record| matches!(record, Record::Decision(_))).cloned().collect();
    let test = TestStore::new(kind, &HISTORY).await;
    let applied = test.store.apply_at(&decisions, NOW).await.expect("a batch");
    assert_eq!((applied.decisions, applied.lost_reviews), (20, 20));
    let stored = all(&test).await;
    assert!(stored.iter().all(|one| one.decision.notes.iter().any(|note| note.contains("is lost"))));
}

async fn decisions_that_agree_in_time_and_first_bits_are_all_there(kind: Kind) {
    let history = History::new(5, 40, 1, NOW);
    let (reviews, others): (Vec<Record>, Vec<Record>) =
        history.records.into_iter().partition(|record| matches!(record, Record::Review(_)));
    let shared = DecisionId::at(NOW).0.as_u128() & !0xffff;
    let decisions: Vec<Record> = others
        .into_iter()
        .filter_map(|record| if let Record::Decision(decision) = record { Some(decision) } else { None })
        .enumerate()
        .map(|(at, mut decision)| {
            decision.at = NOW;
            decision.id = DecisionId(Uuid::from_u128(shared | at as u128));
            Record::Decision(decision)
        })
        .collect();
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&reviews, NOW).await.expect("a batch");
    apply(&test, &decisions, 9).await;
    apply(&test, &decisions, 11).await;
    assert_eq!(all(&test).await.len(), 40);
    for record in &decisions {
        let Record::Decision(decision) = record else { unreachable!() };
        let found = test.store.decision(decision.id, &Reach::Everything).await.expect("a read").expect("a decision");
        assert_eq!((found.decision.id, found.decision.at), (decision.id, NOW));
    }
}

async fn an_id_that_does_not_hold_its_time_is_found(kind: Kind) {
    let history = History::new(6, 1, 1, NOW);
    let mut records = history.records;
    for record in &mut records {
        if let Record::Decision(decision) = record {
            decision.id = DecisionId(Uuid::from_u128(42));
            decision.at = Timestamp(NOW.0 - 5);
        }
    }
    let test = TestStore::new(kind, &HISTORY).await;
    apply(&test, &records, 100).await;
    let found = test
        .store
        .decision(DecisionId(Uuid::from_u128(42)), &Reach::Everything)
        .await
        .expect("a read")
        .expect("a decision");
    assert_eq!(found.decision.at, Timestamp(NOW.0 - 5));
    assert_eq!(key::time_of(found.decision.id), None);
}

async fn one_object_is_kept_of_a_review_and_day(kind: Kind) {
    let history = History::new(7, 60, 1, NOW);
    let mut records = history.records.clone();
    for StoredDecision { decision, .. } in &history.decisions {
        records.push(Record::Object(ObjectSample {
            decision: decision.id,
            at: decision.at,
            cluster: decision.cluster.clone(),
            review: decision.review,
            object: format!("{{\"of\":\"{}\"}}", decision.id),
        }));
    }
    let kinds: BTreeSet<_> =
        history.decisions.iter().map(|one| (one.decision.review, one.decision.cluster.clone())).collect();
    for (objects, expected) in [(Objects::Sample, kinds.len()), (Objects::All, 60), (Objects::None, 0)] {
        let test = TestStore::new(kind, &HistorySettings { objects, ..HISTORY }).await;
        apply(&test, &records, 50).await;
        apply(&test, &records, 1_000).await;
        assert_eq!(test.count("objects").await, expected.to_string(), "{objects:?}");
        for StoredDecision { decision, .. } in &history.decisions {
            let object = test.store.object(decision.id, &Reach::Everything).await.expect("a read");
            assert_eq!(object.is_some(), objects != Objects::None);
        }
    }
}
