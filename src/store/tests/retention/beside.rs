//! Retention beside everything else that goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::sql::Sql;

on_both![a_drain_goes_on_beside_a_sweep];

async fn a_drain_goes_on_beside_a_sweep(kind: Kind) {
    let (test, history) = stored(kind, 61, 1_000).await;
    let now = later(50);
    // Late ones, into the very days that are being deleted.
    let late = of_some_days(62, 1_000);
    let batches = with_their_verdicts(&late);
    let beside = sweep_beside(&test, now, batches).await;
    assert!(beside > 0, "batches got their turn");
    let mut kept = expected(&history, |decision| is_kept(decision, now));
    kept.extend(expected(&late, |decision| is_kept(decision, now)));
    let there = found(&test).await;
    let wrong: Vec<_> = there.symmetric_difference(&kept).map(|id| (id, there.contains(id))).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:?}", wrong.len(), kept.len());
    assert_eq!(orphans(&test).await, Vec::<String>::new());
    let reviews = test.dump("SELECT CAST(sum(reviews) AS BIGINT) FROM workload_totals").await;
    let all = history.decisions.len() + late.decisions.len();
    assert_eq!(reviews, [all.to_string()], "each was counted once");
}

/// On Postgres others write what a sweep is about to delete.
#[tokio::test]
async fn late_verdicts_beside_a_sweep_leave_no_rows_of_what_is_gone() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let history = of_some_days(66, 1_200);
    let (verdicts, others): (Vec<Record>, Vec<Record>) =
        history.records.iter().cloned().partition(|record| matches!(record, Record::Amendment(_)));
    for records in others.chunks(400) {
        test.store.apply_at(records, NOW).await.expect("a batch");
    }
    assert!(verdicts.len() > 20, "{} verdicts", verdicts.len());
    sweep_beside(&test, later(50), verdicts.chunks(2).map(<[Record]>::to_vec).collect()).await;
    assert_eq!(orphans(&test).await, Vec::<String>::new());
    let counted = test.dump("SELECT CAST(sum(reviews) AS BIGINT) FROM workload_totals").await;
    assert_eq!(counted, [history.decisions.len().to_string()], "each was counted once");
}

/// Sweeps while the batches are stored, and once more after them. How many were stored beside the first. To who stores
/// them all are late: what is of now is nowhere near what is due, unless two clocks are days apart.
async fn sweep_beside(test: &TestStore, now: Timestamp, batches: Vec<Vec<Record>>) -> u32 {
    let ended = Arc::new(AtomicBool::new(false));
    let (store, seen) = (test.store.clone(), Arc::clone(&ended));
    let drain = tokio::spawn(async move {
        let mut beside = 0;
        for records in batches {
            while let Err(error) = store.apply_at(&records, later(1)).await {
                assert!(error.passes(), "{error}");
            }
            beside += u32::from(!seen.load(Ordering::Acquire));
        }
        beside
    });
    sweep_until_done(test, now).await;
    ended.store(true, Ordering::Release);
    let beside = drain.await.expect("no panic");
    sweep_until_done(test, now).await;
    beside
}

async fn sweep_until_done(test: &TestStore, now: Timestamp) {
    let mut swept = Swept::default();
    while let Err(error) = test.store.sweep_at(&KEPT, &mut swept, now).await {
        assert!(error.passes(), "{error}");
    }
}

/// Batches in each of which a decision has all its verdicts: one that comes months late may find it gone.
fn with_their_verdicts(history: &History) -> Vec<Vec<Record>> {
    let mut of_decisions: BTreeMap<DecisionId, Vec<Record>> = BTreeMap::new();
    let mut others = Vec::new();
    for record in &history.records {
        match record {
            Record::Decision(decision) => of_decisions.entry(decision.id).or_default().push(record.clone()),
            Record::Amendment(late) => of_decisions.entry(late.decision).or_default().push(record.clone()),
            _ => others.push(record.clone()),
        }
    }
    let of_decisions: Vec<Vec<Record>> = of_decisions.into_values().collect();
    let batches = of_decisions.chunks(8).map(<[Vec<Record>]>::concat);
    [others].into_iter().chain(batches).collect()
}

/// Two hundred thousand rows, as a day or two of a large cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_on_sqlite_takes_as_many_rows_as_are_quick() {
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    let history = History::new(63, 1_000, 24, later(-100));
    for records in history.records.chunks(500) {
        test.store.apply_at(records, NOW).await.expect("a batch");
    }
    let columns = "batch, cluster, namespace, workload, name, by_user, uid, uid_text, dry_run, review, outcome, answer, \
                   code, message, would_reject, redacted, revision, duration_us, durations, notes, caller, clock_suspect";
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 200) \
         INSERT OR IGNORE INTO decisions (key, id, {columns}) \
         SELECT key + n.n * 4097, randomblob(16), {columns} FROM decisions, n"
    )))
    .await
    .expect("many rows");
    tx.commit().await.expect("committed");
    let many: u64 = test.count("decisions").await.parse().expect("a count");
    assert!(many > 190_000, "{many}");

    let ended = Arc::new(AtomicBool::new(false));
    let (store, seen) = (test.store.clone(), Arc::clone(&ended));
    let others = History::new(64, 2_000, 1, NOW);
    let drain = tokio::spawn(async move {
        let mut longest = std::time::Duration::ZERO;
        let mut batches = 0;
        for records in others.records.chunks(5).cycle() {
            if seen.load(Ordering::Acquire) {
                break;
            }
            let begun = std::time::Instant::now();
            store.apply_at(records, NOW).await.expect("a batch");
            longest = longest.max(begun.elapsed());
            batches += 1;
        }
        (batches, longest)
    });
    let mut swept = Swept::default();
    let begun = std::time::Instant::now();
    test.store.sweep_at(&KEPT, &mut swept, later(-1)).await.expect("a sweep");
    let took = begun.elapsed();
    ended.store(true, Ordering::Release);
    let (batches, longest) = drain.await.expect("no panic");
    let gone: u64 = swept.deleted["decisions"] + swept.deleted["dry runs"];
    assert!(gone > 50_000, "{swept:?}");
    assert!(batches > 20, "{batches} batches had their turn in {took:?}");
    // No time by the clock, which would say more of the machine.
    assert!(longest * 5 < took, "a batch waited {longest:?} of the sweep's {took:?}");
}

#[tokio::test]
async fn one_process_at_a_time_deletes() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let other = test.again(&HISTORY).await;
    let claim = test.store.database.claim_retention().await.expect("an answer").expect("nobody has it");
    let mut swept = Swept::default();
    assert_eq!(other.sweep_at(&KEPT, &mut swept, NOW).await.expect("an answer"), None);
    drop(claim);
    // The server sees the end of a connection a moment later.
    while other.sweep_at(&KEPT, &mut swept, NOW).await.expect("an answer").is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_stays_keeps_a_day_and_nobody_waits_for_long() {
    let (test, history) = stored(Kind::Postgres, 65, 300).await;
    let now = later(2);
    let mut reader = test.store.database.begin().await.expect("a transaction");
    reader.fetch(Sql::new("SELECT count(*) FROM decisions")).await.expect("a count");
    let others = test.again(&HISTORY).await;
    let begun = std::time::Instant::now();
    let page = async {
        let mut longest = std::time::Duration::ZERO;
        while begun.elapsed().as_secs() < 4 {
            let asked = std::time::Instant::now();
            others.decisions(&Filter::default(), 10, None).await.expect("a page");
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        longest
    };
    let mut swept = Swept::default();
    let (done, longest) = tokio::join!(test.store.sweep_at(&KEPT, &mut swept, now), page);
    assert!(matches!(done, Err(StoreError::Busy(_))), "{done:?}");
    assert!(longest.as_secs() < 2 && longest * 2 < begun.elapsed(), "the longest page took {longest:?}");
    drop(reader);
    sweep_until_done(&test, now).await;
    assert_eq!(found(&test).await, expected(&history, |decision| is_kept(decision, now)));
}
