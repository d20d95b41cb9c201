//! The namespaces of a history.

use std::collections::{BTreeMap, BTreeSet};

use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;

on_both![every_namespace_is_there_with_its_reviews_and_workloads];

async fn every_namespace_is_there_with_its_reviews_and_workloads(kind: Kind) {
    let now = Timestamp::now();
    let history = History::new(71, 300, 5, now);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply(&history.records).await.expect("a batch");
    let mut expected: BTreeMap<(String, String), (u64, BTreeSet<String>)> = BTreeMap::new();
    for stored in history.decisions.iter().filter(|stored| !stored.decision.dry_run) {
        let namespace = stored.review.namespace.clone().unwrap_or_default();
        let counts = expected.entry((stored.decision.cluster.clone(), namespace)).or_default();
        counts.0 += 1;
        counts.1.insert(format!("{:?}", stored.review.workload));
    }
    let found = test.store.reviewed_namespaces().await.expect("a read");
    let row = |((cluster, name), (reviews, workloads)): (_, (u64, BTreeSet<String>))| {
        (cluster, name, reviews, workloads.len())
    };
    let expected: Vec<_> = expected.into_iter().map(row).collect();
    let found: Vec<_> = found
        .into_iter()
        .map(|one| (one.cluster, one.name, one.reviews, usize::try_from(one.workloads).expect("a few")))
        .collect();
    assert_eq!(found, expected);
    let rules = test.store.known_rules().await.expect("a read");
    assert!(rules.contains(&("images".to_owned(), "no-latest".to_owned())), "{rules:?}");
}
