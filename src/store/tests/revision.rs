//! The texts of revisions, and what was in force before which.

use uuid::Uuid;

use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;
use crate::review::said::Said;
use crate::store::{Drained, Heartbeat, Sql, Store, StoredRevision};

on_both![
    a_text_is_kept_once_and_joins_the_name_that_decisions_gave,
    what_was_in_force_before_is_of_replicas_of_the_same_clusters,
];

async fn a_text_is_kept_once_and_joins_the_name_that_decisions_gave(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    assert_eq!(store.revision("bbbb").await.expect("read"), None);
    let mut tx = store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("INSERT INTO revisions (name) VALUES ('aaaa'), ('bbbb')")).await.expect("names");
    tx.commit().await.expect("names");
    for (id, text, at) in [("bbbb", "{}", 10), ("cccc", "[]", 20), ("bbbb", "\"another\"", 30)] {
        store.keep_revision(id, text, &[Timestamp(at)]).await.expect("kept");
    }
    let stored = |id: &str, at: Option<i64>, text: Option<&str>| StoredRevision {
        id: id.to_owned(),
        loaded_at: at.map(Timestamp),
        text: text.map(str::to_owned),
    };
    assert_eq!(store.revision("bbbb").await.expect("read"), Some(stored("bbbb", Some(10), Some("{}"))));
    assert_eq!(store.revision("aaaa").await.expect("read"), Some(stored("aaaa", None, None)));
    let listed = store.revisions().await.expect("read");
    assert_eq!(listed, [stored("cccc", Some(20), None), stored("bbbb", Some(10), None), stored("aaaa", None, None)]);
}

async fn what_was_in_force_before_is_of_replicas_of_the_same_clusters(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let load = async |store: &Store, cluster: &str, id: &str, at: i64| {
        let heartbeat = Heartbeat {
            seen_at: Timestamp(at),
            started_at: Timestamp(0),
            drained: Drained::Unknown,
            version: "0",
            revision: id.to_owned(),
            clusters: vec![cluster.to_owned()],
            said: Said::default(),
        };
        store.beat(&heartbeat).await.expect("a heartbeat");
        store.keep_revision(id, "{}", &[Timestamp(at)]).await.expect("kept");
    };
    let other = Store::open(&test.settings, &HISTORY, Uuid::from_u128(2)).await.expect("a store");
    load(&test.store, "east", "E1", 10).await;
    load(&other, "west", "W1", 20).await;
    load(&test.store, "east", "E2", 30).await;
    load(&other, "west", "W2", 40).await;
    let before = async |id: &str| test.store.revision_before(id).await.expect("a read");
    assert_eq!((before("E2").await.as_deref(), before("W2").await.as_deref()), (Some("E1"), Some("W1")));
    assert_eq!((before("E1").await, before("W1").await), (None, None));
    // The first load of E2 is still the one at 30 once its row is gone.
    load(&test.store, "east", "E3", 50).await;
    load(&test.store, "east", "E2", 60).await;
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("DELETE FROM revision_loads WHERE at = 30")).await.expect("no row");
    tx.commit().await.expect("a commit");
    assert_eq!(before("E2").await.as_deref(), Some("E1"));
    assert_eq!(before("E3").await.as_deref(), Some("E1"), "of what is left");
}
