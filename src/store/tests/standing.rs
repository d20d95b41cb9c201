//! What replicas say of themselves, and the schema while several of them bring it up to date.

use uuid::Uuid;

use super::{HISTORY, Kind, TestStore, database, on_both, postgres};
use crate::review::clock::{DAY, Timestamp};
use crate::review::decision::Protocol;
use crate::review::said::{CertificateEnd, Said, SeenOfCluster};
use crate::store::fleet::Replica;
use crate::store::read::Standing;
use crate::store::settings::StoreSettings;
use crate::store::{Drained, Heartbeat, Migrated, Sql, Store, StoreError};

on_both![
    a_heartbeat_is_one_row_and_the_last_one_counts,
    what_a_replica_says_in_words_to_come_hides_neither_it_nor_the_others,
    a_replica_that_stopped_in_order_last_week_is_not_read,
    a_newer_schema_stops_heartbeats,
    migrations_at_once_wait_for_each_other,
    migrations_that_ended_before_the_first_begin_again,
];

/// Soon after the heartbeats of these tests.
const NOW: Timestamp = Timestamp(30_000);

fn heartbeat(seconds: i64, drained: Drained) -> Heartbeat {
    Heartbeat {
        seen_at: Timestamp(seconds * 1_000),
        started_at: Timestamp(1_000),
        drained,
        version: "0.1.0",
        revision: "r1".to_owned(),
        clusters: vec!["lab".to_owned(), "prod".to_owned()],
        said: said(),
    }
}

fn said() -> Said {
    let end = CertificateEnd { end: Timestamp(9_000), role: "server".to_owned(), name: "localhost".to_owned() };
    let lab = SeenOfCluster { protocols: vec![Protocol::ImageReview], unproven: 3 };
    Said { certificates: vec![end], clusters: [("lab".to_owned(), lab)].into() }
}

async fn a_heartbeat_is_one_row_and_the_last_one_counts(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    assert!(test.store.served_last().await.expect("read").is_empty());
    for seconds in [10, 25] {
        let drained = Drained::Until(Timestamp(seconds * 1_000 - 5));
        test.store.beat(&heartbeat(seconds, drained)).await.expect("written");
    }
    let rows = "SELECT id, seen_at, started_at, drained_until, version, revision, clusters FROM replicas";
    assert_eq!(test.dump(rows).await, [r#"1|25000|1000|24995|0.1.0|r1|["lab","prod"]"#]);
    // What it stores carries the number of that row.
    test.store.apply(&[]).await.expect("an empty batch");
    assert_eq!(test.count("replicas").await, "1");
    assert_eq!(test.store.served_last().await.expect("read"), ["lab", "prod"]);
    let found = |has_stopped| Replica {
        standing: Standing {
            replica: super::REPLICA,
            clusters: vec!["lab".to_owned(), "prod".to_owned()],
            heard_at: Timestamp(25_000),
            stored_until: Some(Timestamp(if has_stopped { i64::MAX } else { 24_995 })),
        },
        started_at: Timestamp(1_000),
        has_stopped,
        version: "0.1.0".to_owned(),
        revision: "r1".to_owned(),
        said: Some(said()),
    };
    assert_eq!(test.store.replicas(NOW).await.expect("read"), [found(false)]);
    test.store.emptied().await.expect("written");
    assert_eq!(test.store.replicas(NOW).await.expect("read"), [found(true)]);
    // Of a version that does not say it; and one that never said anything is none.
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("UPDATE replicas SET said = NULL")).await.expect("written");
    tx.commit().await.expect("committed");
    assert_eq!(test.store.replicas(NOW).await.expect("read"), [Replica { said: None, ..found(true) }]);
    assert_eq!(test.dump("SELECT drained_until FROM replicas").await, [i64::MAX.to_string()]);
}

async fn what_a_replica_says_in_words_to_come_hides_neither_it_nor_the_others(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.beat(&heartbeat(25, Drained::Unknown)).await.expect("written");
    let to_come = r#"{"certificates": [], "clusters": {"lab": {"protocols": ["PolicyReview"], "unproven": 0}}}"#;
    let mut update = Sql::new("UPDATE replicas SET said = ");
    update.bind(to_come);
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(update).await.expect("written");
    tx.commit().await.expect("committed");
    let found = test.store.replicas(NOW).await.expect("read");
    let found: Vec<_> = found.into_iter().map(|replica| (replica.version, replica.said)).collect();
    assert_eq!(found, [("0.1.0".to_owned(), None)]);
}

async fn a_replica_that_stopped_in_order_last_week_is_not_read(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let number = async |now: i64| test.store.replicas(Timestamp(now)).await.expect("read").len();
    let (now, week) = (25_000, 7 * DAY);
    test.store.beat(&heartbeat(25, Drained::Wholly)).await.expect("written");
    assert_eq!([number(now).await, number(now + DAY - 1).await, number(now + week).await], [1, 1, 0]);
    // One that is silent with decisions of its own is told of for ever.
    test.store.beat(&heartbeat(25, Drained::Until(Timestamp(20_000)))).await.expect("written");
    assert_eq!(number(now + week).await, 1);
}

async fn a_newer_schema_stops_heartbeats(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("INSERT INTO compatibility (schema, works_with) VALUES (99, 99)")).await.expect("written");
    tx.commit().await.expect("committed");
    let found = test.store.beat(&heartbeat(10, Drained::Wholly)).await.expect_err("it is too old");
    assert!(matches!(found, StoreError::Newer { wanted: 99, .. }), "{found}");
    assert_eq!(test.count("replicas").await, "0");
}

#[tokio::test]
async fn others_are_those_that_may_have_decided_what_is_not_stored() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let own = super::REPLICA;
    test.store.beat(&heartbeat(100, Drained::Until(Timestamp(90_000)))).await.expect("written");
    let ids = [2, 3, 4].map(Uuid::from_u128);
    let drained = [Drained::Until(Timestamp(80_000)), Drained::Wholly, Drained::Until(Timestamp(70_000))];
    for (id, drained) in ids.into_iter().zip(drained) {
        let other = Store::open(&test.settings, &HISTORY, id).await.expect("a store");
        other.beat(&heartbeat(100, drained)).await.expect("written");
    }
    // One that never said anything: only its journal was drained.
    let orphan = Store::open(&test.settings, &HISTORY, Uuid::from_u128(5)).await.expect("a store");
    orphan.apply(&[]).await.expect("a batch");
    orphan.emptied().await.expect("written");
    let standing = |id: Uuid, until: i64| Standing {
        replica: id,
        clusters: vec!["lab".to_owned(), "prod".to_owned()],
        heard_at: Timestamp(100_000),
        stored_until: Some(Timestamp(until)),
    };
    let expected = [standing(ids[2], 70_000), standing(ids[0], 80_000)];
    assert_eq!(test.store.others(own).await.expect("a read"), expected);
    let orphan = Store::open(&test.settings, &HISTORY, ids[2]).await.expect("a store");
    orphan.emptied().await.expect("written");
    assert_eq!(test.store.others(own).await.expect("a read"), expected[1..]);
    assert_eq!(test.store.others(ids[0]).await.expect("a read"), [standing(own, 90_000)]);
}

async fn migrations_at_once_wait_for_each_other(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = match kind {
        Kind::Sqlite => StoreSettings::Sqlite(directory.path().to_owned()),
        Kind::Postgres => StoreSettings::Postgres(database(&directory)),
    };
    let once = async || Store::migrate(&settings).await.expect("migrated");
    let (one, two, three, four) = tokio::join!(once(), once(), once(), once());
    for migrated in [one, two, three, four] {
        assert!(migrated.to >= 4, "{migrated:?}");
    }
    let Migrated { from, to, .. } = once().await;
    assert_eq!(from, Some(to));
}

/// Found when several replicas made a new database: one saw the others' table of migrations, and nothing in it.
async fn migrations_that_ended_before_the_first_begin_again(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let table = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                 installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
                 checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)";
    let settings = match kind {
        Kind::Sqlite => {
            super::opening::execute(&directory, &table.replace("BYTEA", "BLOB")).await;
            StoreSettings::Sqlite(directory.path().to_owned())
        }
        Kind::Postgres => {
            let server = postgres::shared();
            let name = server.database();
            server.psql(&name, table);
            let url = server.url(&name).parse().expect("a URL");
            StoreSettings::Postgres(crate::store::settings::PostgresSettings { url, ..database(&directory) })
        }
    };
    let migrated = Store::migrate(&settings).await.expect("migrated");
    assert_eq!(migrated.from, None);
}
