//! What several replicas do to one history, and what a clock that jumped does.

use uuid::Uuid;

use super::batches::nonzero;
use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both, postgres};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Decision, Record, ReviewHash, ReviewRecord};
use crate::review::said::Said;
use crate::store::reach::Reach;
use crate::store::read::{Filter, Range};
use crate::store::settings::{PostgresSettings, StoreSettings};
use crate::store::{Drained, Heartbeat, Sql, Store, StoreError};

on_both![
    a_time_that_cannot_be_becomes_that_of_the_drain,
    what_a_decision_refers_to_is_needed_from_then_on,
    a_row_that_was_deleted_behind_the_memory_is_written_again,
    no_replica_running_is_a_gap,
    presence_at_a_time_that_cannot_be_is_none,
    two_replicas_add_to_one_history,
    a_verdict_that_is_stored_twice_at_once_counts_once,
    a_newer_schema_stops_what_is_written,
    a_name_with_a_nul_is_stored_and_found,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);
const DAY: i64 = 86_400_000;

fn decisions(history: &mut History) -> impl Iterator<Item = &mut Decision> {
    history.records.iter_mut().filter_map(|record| match record {
        Record::Decision(decision) => Some(&mut **decision),
        _ => None,
    })
}

async fn a_time_that_cannot_be_becomes_that_of_the_drain(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut history = History::new(1, 3, 1, NOW);
    let times = [NOW.0 + DAY + 1, NOW.0 - 401 * DAY, NOW.0 - 399 * DAY].map(Timestamp);
    for (decision, at) in decisions(&mut history).zip(times) {
        decision.at = at;
        decision.id = DecisionId::at(at);
    }
    let applied = test.store.apply_at(&history.records, NOW).await.expect("a batch");
    assert_eq!((applied.decisions, applied.clock_suspects), (3, 2));
    // Sent again later, when one of the times can be: neither twice nor elsewhere.
    let later = Timestamp(NOW.0 + 10_000);
    let again = test.store.apply_at(&history.records, later).await.expect("a batch");
    assert_eq!((again.decisions, again.clock_suspects), (0, 0));
    let ids: Vec<DecisionId> = decisions(&mut history).map(|decision| decision.id).collect();
    for (id, expected) in ids.iter().zip([NOW, NOW, times[2]]) {
        let found = test.store.decision(*id, &Reach::Everything).await.expect("a read").expect("a decision").decision;
        assert_eq!(found.at, expected);
        assert_eq!(found.notes.iter().any(|note| note.contains("which cannot be")), expected == NOW, "{found:?}");
    }
    assert_eq!(test.dump("SELECT count(*) FROM decisions WHERE clock_suspect").await, ["2"]);
}

async fn what_a_decision_refers_to_is_needed_from_then_on(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut history = History::new(2, 40, 1, NOW);
    for decision in decisions(&mut history) {
        decision.would_reject = decision.dry_run;
    }
    let today = NOW.0 - NOW.0 % DAY;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let unfit = "SELECT count(*) FROM decisions d JOIN reviews v ON v.id = d.review JOIN outcomes o ON o.id = d.outcome \
                 WHERE v.last_day <> TODAY OR o.last_day <> TODAY \
                 OR ((d.answer <> 0 OR d.would_reject) AND (v.last_notable_day <> TODAY OR o.last_notable_day <> TODAY))";
    assert_eq!(test.dump(&unfit.replace("TODAY", &today.to_string())).await, ["0"]);

    // Another day, the same reviews: from memory, and without.
    for (days, store) in [(3, test.store.clone()), (5, test.again(&HISTORY).await)] {
        let then = Timestamp(NOW.0 + days * DAY);
        for decision in decisions(&mut history) {
            decision.at = then;
            decision.id = DecisionId::at(then);
        }
        store.apply_at(&history.records, then).await.expect("a batch");
        let today = (today + days * DAY).to_string();
        let lower = format!(
            "SELECT count(*) FROM reviews v WHERE last_day <> {today} AND EXISTS \
                             (SELECT 1 FROM decisions d WHERE d.review = v.id)"
        );
        assert_eq!(test.dump(&lower).await, ["0"]);
    }
}

async fn a_row_that_was_deleted_behind_the_memory_is_written_again(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut history = History::new(3, 30, 1, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let mut tx = test.store.database.begin().await.expect("a transaction");
    for table in ["reviews", "outcomes"] {
        tx.execute(Sql::new(&format!("DELETE FROM {table}"))).await.expect("deleted");
    }
    tx.commit().await.expect("committed");
    let then = Timestamp(NOW.0 + 100 * DAY);
    for decision in decisions(&mut history) {
        decision.at = then;
        decision.id = DecisionId::at(then);
    }
    let found = test.store.apply_at(&history.records, then).await.expect_err("its memory is wrong");
    assert!(matches!(found, StoreError::Busy(_)), "{found}");
    let applied = test.store.apply_at(&history.records, then).await.expect("a batch");
    assert_eq!((applied.decisions, applied.lost_reviews), (30, 0));
}

async fn no_replica_running_is_a_gap(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let presence = |replica: u128, from: i64, to: i64| Record::Presence {
        replica: Uuid::from_u128(replica),
        clusters: vec!["lab".to_owned(), "prod".to_owned()],
        from: Timestamp(from),
        to: Timestamp(to),
    };
    let records =
        [presence(1, 0, 15_000), presence(1, 0, 30_000), presence(2, 20_000, 90_000), presence(1, 100_000, 200_000)];
    test.store.apply_at(&records, Timestamp(200_000)).await.expect("a batch");
    test.store.apply_at(&records[..1], Timestamp(200_000)).await.expect("a batch");
    let found = async |until: i64, cluster: Option<&str>| {
        let range = Range { since: Some(Timestamp(0)), until: Some(Timestamp(until)) };
        let gaps = test.store.gaps(range, cluster, &Reach::Everything).await.expect("gaps");
        gaps.into_iter().map(|gap| (gap.cluster, gap.from.0, gap.to.map(|to| to.0))).collect::<Vec<_>>()
    };
    let lab = || Some("lab".to_owned());
    assert_eq!(found(200_000, Some("lab")).await, [(lab(), 90_000, Some(100_000))]);
    assert_eq!(found(80_000, None).await, []);
    assert_eq!(found(900_000, Some("lab")).await, [(lab(), 90_000, Some(100_000)), (lab(), 200_000, None)]);
    assert_eq!(found(200_000, None).await.len(), 2);
    let silent = async |served: &[String]| test.store.silent_clusters(served).await.expect("a number");
    assert_eq!((silent(&[]).await, silent(&["lab".to_owned()]).await), (2, 1));

    // One that runs has not stored what it says of later: nobody knows yet. Its word ends with it.
    let now = Timestamp::now();
    let beat = async |seen_at: Timestamp| {
        let (drained, clusters) = (Drained::Until(Timestamp(95_000)), vec!["lab".to_owned()]);
        let started_at = Timestamp(0);
        let heartbeat = Heartbeat {
            seen_at,
            started_at,
            drained,
            version: "0",
            revision: "r".to_owned(),
            clusters,
            said: Said::default(),
        };
        test.store.beat(&heartbeat).await.expect("written");
    };
    beat(now).await;
    assert_eq!((found(900_000, Some("lab")).await, silent(&[]).await), (vec![], 0));
    beat(Timestamp(now.0 - 3_600_000)).await;
    assert_eq!(found(900_000, Some("lab")).await.len(), 2);
}

async fn presence_at_a_time_that_cannot_be_is_none(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let presence = |from: i64, to: i64| Record::Presence {
        replica: Uuid::from_u128(1),
        clusters: vec!["lab".to_owned()],
        from: Timestamp(NOW.0 + from),
        to: Timestamp(NOW.0 + to),
    };
    let (ancient, future) = (-800 * DAY, 2 * DAY);
    let records = [presence(ancient, ancient + 10_000), presence(-10_000, 0), presence(future, future)];
    test.store.apply_at(&records, NOW).await.expect("a batch");
    assert_eq!(test.dump("SELECT to_at FROM presence").await, [NOW.0.to_string()]);
    // It was there for longer than anything is kept.
    test.store.apply_at(&[presence(ancient, 5_000)], NOW).await.expect("a batch");
    assert_eq!(test.count("presence").await, "2");
}

async fn two_replicas_add_to_one_history(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let other = Store::open(&test.settings, &HISTORY, Uuid::from_u128(2)).await.expect("a store");
    let history = History::new(4, 600, 30, NOW);
    let (left, right) = history.records.split_at(history.records.len() / 2);
    let write = async |store: &Store, records: &[Record]| {
        for batch in records.chunks(25) {
            while let Err(error) = store.apply_at(batch, NOW).await {
                assert!(error.passes(), "{error}");
            }
        }
    };
    tokio::join!(write(&test.store, left), write(&other, right));
    write(&other, left).await;
    let page = test.store.decisions(&Filter::default(), 1_000, None).await.expect("a page");
    assert_eq!(page.decisions.len(), 600);
    assert_eq!(
        test.dump("SELECT CAST(sum(reviews) AS BIGINT), count(DISTINCT replica) FROM workload_totals").await,
        ["600|2"]
    );
    assert_eq!(
        test.dump("SELECT CAST(sum(decisions) AS BIGINT), count(DISTINCT replica) FROM batches").await,
        ["600|2"]
    );
}

/// As where a commit was lost on its way back: the connection before may still be at it.
async fn a_verdict_that_is_stored_twice_at_once_counts_once(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let again = test.again(&HISTORY).await;
    let history = History::new(8, 200, 1, NOW);
    let (verdicts, others): (Vec<Record>, Vec<Record>) =
        history.records.into_iter().partition(|record| matches!(record, Record::Amendment(_)));
    test.store.apply_at(&others, NOW).await.expect("a batch");
    let once = TestStore::new(kind, &HISTORY).await;
    once.store.apply_at(&others, NOW).await.expect("a batch");
    let expected = once.store.apply_at(&verdicts, NOW).await.expect("a batch").amendments;
    let mut counted = 0;
    for verdicts in verdicts.chunks(1) {
        let (one, other) = tokio::join!(test.store.apply_at(verdicts, NOW), again.apply_at(verdicts, NOW));
        counted += one.expect("a batch").amendments + other.expect("a batch").amendments;
    }
    assert!(expected > 10, "{expected} verdicts");
    assert_eq!(counted, expected);
    assert_eq!(nonzero(test.figures().await), nonzero(once.figures().await));
}

async fn a_newer_schema_stops_what_is_written(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = History::new(5, 5, 1, NOW);
    let later = |works_with: i64| async move {
        [
            format!("INSERT INTO compatibility (schema, works_with) VALUES ({}, {works_with})", 900 + works_with),
            format!(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES ({}, 'later', TRUE, 'x', 0)",
                900 + works_with
            ),
        ]
    };
    let run = async |statements: [String; 2]| {
        let mut tx = test.store.database.begin().await.expect("a transaction");
        for statement in statements {
            tx.execute(Sql::new(&statement)).await.expect("a statement");
        }
        tx.commit().await.expect("committed");
    };
    let known: i64 = test.dump("SELECT max(version) FROM _sqlx_migrations").await[0].parse().expect("a number");
    run(later(known).await).await;
    test.store.apply_at(&history.records, NOW).await.expect("a schema that works with this version");
    test.again(&HISTORY).await.close().await;
    run(later(known + 1).await).await;
    let found = test.store.apply_at(&history.records, NOW).await.expect_err("a schema that does not");
    let numbers = match found {
        StoreError::Newer { found, wanted, known, .. } => (found, wanted, known),
        other => panic!("{other}"),
    };
    assert_eq!(numbers, (901 + known, 1 + known, known));
    let found = Store::open(&test.settings, &HISTORY, super::REPLICA).await.expect_err("a schema that does not");
    assert!(matches!(found, StoreError::Newer { .. }), "{found}");
}

async fn a_name_with_a_nul_is_stored_and_found(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut history = History::new(6, 20, 1, NOW);
    for record in &mut history.records {
        match record {
            Record::Decision(decision) => {
                decision.name = Some("a\0b".to_owned());
                decision.user = Some("c\0d".to_owned());
            }
            Record::Review(review) => review.images.iter_mut().for_each(|image| image.text.push('\0')),
            _ => {}
        }
    }
    for _ in 0..2 {
        test.store.apply_at(&history.records, NOW).await.expect("a batch");
    }
    let page = test.store.decisions(&Filter::default(), 100, None).await.expect("a page");
    assert!(page.decisions.iter().all(|one| one.decision.name.as_deref() == Some("a\u{fffd}b")));
    assert_eq!(page.decisions.len(), 20);
}

#[tokio::test]
async fn the_partitions_of_the_next_days_are_there_before_them() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    test.store.apply_at(&[], NOW).await.expect("an empty batch");
    let found = test
        .dump("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'decisions'::regclass ORDER BY 1")
        .await;
    assert_eq!(found, ["decisions_20260921", "decisions_20260922", "decisions_20260923"]);
}

#[tokio::test]
async fn what_a_server_refuses_is_said_without_the_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let right = super::database(&directory);
    let open = async |settings: PostgresSettings| {
        let found = Store::open(&StoreSettings::Postgres(settings), &HISTORY, super::REPLICA).await;
        found.expect_err("it must not open").to_string()
    };
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "hunter2\n").expect("a password file");
    let found = open(PostgresSettings { password_file: Some(wrong), ..right.clone() }).await;
    assert!(found.contains("password authentication failed") && found.contains("127.0.0.1"), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
    let found = open(PostgresSettings { password_file: Some("/nowhere".into()), ..right.clone() }).await;
    assert!(found.contains("/nowhere cannot be read"), "{found}");
    let found =
        open(PostgresSettings { url: postgres::shared().url("nothing").parse().expect("a URL"), ..right.clone() })
            .await;
    assert!(found.contains("\"nothing\" does not exist"), "{found}");
    let server = postgres::shared();
    let name = server.database();
    server.psql(&name, "CREATE TABLE recipes (name TEXT)");
    let found = open(PostgresSettings { url: server.url(&name).parse().expect("a URL"), ..right }).await;
    assert!(found.contains("another application's tables"), "{found}");
}

/// What decisions share waited for the end of every batch that stored it too, so that drains took turns.
#[tokio::test]
async fn a_drain_does_not_wait_for_another_that_stores_the_same_review() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let history = History::new(23, 30, 1, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let open = |replica: u128| Store::open(&test.settings, &HISTORY, Uuid::from_u128(replica));
    let (other, holder) = (open(2).await.expect("a store"), open(3).await.expect("a store"));

    let mut held = holder.database.begin().await.expect("a transaction");
    held.fetch(Sql::new("SELECT 1 FROM rollup_totals FOR UPDATE")).await.expect("its figures are held");
    let (store, batch) = (test.store.clone(), with_other_reviews(&history));
    let waiting = tokio::spawn(async move { store.apply_at(&batch, NOW).await });
    test.somebody_waits().await;
    let batch = with_other_reviews(&history);
    let applied = tokio::time::timeout(std::time::Duration::from_secs(30), other.apply_at(&batch, NOW)).await;
    assert_eq!(applied.expect("it does not wait").expect("a batch").decisions, 30);
    drop(held);
    assert_eq!(waiting.await.expect("it ran").expect("a batch").decisions, 30);
}

/// The same decisions once more, of reviews that are not stored yet.
fn with_other_reviews(history: &History) -> Vec<Record> {
    let other = |hash: ReviewHash| ReviewHash(hash.0.map(|byte| !byte));
    let again = |record: &Record| match record {
        Record::Review(review) => Some(Record::Review(ReviewRecord { hash: other(review.hash), ..review.clone() })),
        Record::Decision(decision) => {
            let (id, review) = (DecisionId::at(decision.at), other(decision.review));
            Some(Record::Decision(Box::new(Decision { id, review, ..(**decision).clone() })))
        }
        _ => None,
    };
    history.records.iter().filter_map(again).collect()
}
