//! The texts of revisions.

use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;
use crate::store::{Sql, StoredRevision};

on_both![a_text_is_kept_once_and_joins_the_name_that_decisions_gave];

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
