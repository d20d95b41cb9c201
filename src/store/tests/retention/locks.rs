//! Who waits for whom on Postgres, where a drain and a sweep meet on the same rows.

use std::time::Duration;

use super::*;
use crate::store::sql::{Sql, Value};

#[tokio::test]
async fn a_late_batch_and_a_step_of_a_sweep_wait_for_each_other() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let others = test.again(&HISTORY).await;
    let (late, today) = (History::new(71, 20, 1, later(-2)), History::new(72, 20, 1, NOW));
    let step = test.store.database.begin_upkeep().await.expect("a step");
    others.apply_at(&today.records, NOW).await.expect("what is of today waits for nobody");
    let mut batch = std::pin::pin!(others.apply_at(&late.records, NOW));
    tokio::select! {
        stored = &mut batch => panic!("it did not wait: {stored:?}"),
        () = test.somebody_waits() => {}
    }
    step.commit().await.expect("committed");
    assert_eq!(batch.await.expect("a batch").decisions, 20);
}

/// What a verdict changed while the sweep waited for the row, goes with the row.
#[tokio::test]
async fn a_decision_that_is_amended_while_it_is_deleted_leaves_nothing() {
    let (test, _) = stored(Kind::Postgres, 73, 900).await;
    let all_but_dry_runs = RetentionSettings { dry_run: Duration::from_secs(3_650 * 86_400), ..KEPT };
    test.store.sweep_at(&all_but_dry_runs, &mut Swept::default(), NOW).await.expect("a sweep");

    let mut verdict = test.store.database.begin().await.expect("a transaction");
    let of_another = "SELECT x.rule, d.outcome FROM decision_rules x JOIN decisions d ON d.key = x.key LIMIT 1";
    let of_another = verdict.fetch(Sql::new(of_another)).await.expect("rows").remove(0);
    let (rule, outcome) = (of_another.int(0).expect("a rule"), of_another.int(1).expect("an outcome"));
    let mut due = Sql::new("SELECT d.key FROM decisions d WHERE d.dry_run AND d.key < ");
    due.bind(crate::store::key::start(later(-40)));
    due.push(" AND d.candidates IS NULL AND NOT EXISTS (SELECT 1 FROM decision_rules x WHERE x.key = d.key)");
    due.push(" LIMIT 1 FOR UPDATE OF d");
    let key = verdict.fetch(due).await.expect("rows")[0].int(0).expect("a key");

    let mut swept = Swept::default();
    let mut sweep = std::pin::pin!(test.store.sweep_at(&KEPT, &mut swept, NOW));
    tokio::select! {
        done = &mut sweep => panic!("it did not wait: {done:?}"),
        () = test.somebody_waits() => {}
    }
    let mut amend = Sql::new("UPDATE decisions SET outcome = ");
    amend.bind(outcome).push(" WHERE key = ").bind(key);
    verdict.execute(amend).await.expect("amended");
    let mut violated = Sql::new("INSERT INTO decision_rules (rule, key, to_blame) ");
    violated.values([[Value::Int(rule), Value::Int(key), Value::Bool(false)]]);
    verdict.execute(violated).await.expect("inserted");
    verdict.commit().await.expect("committed");
    assert_eq!(sweep.await.expect("a sweep"), Some(()));
    assert_eq!(test.dump(&format!("SELECT key FROM decisions WHERE key = {key}")).await, Vec::<String>::new());
    assert_eq!(orphans(&test).await, Vec::<String>::new());
}
