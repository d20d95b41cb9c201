//! One evaluation for each view.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn one_key_is_evaluated_once_even_at_the_same_time() {
    let memo = Memo::default();
    let evaluations = AtomicUsize::new(0);
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                memo.recall(None, &[7; 32], || {
                    evaluations.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    Finding { judged: true, ..Finding::default() }
                })
            });
        }
    });
    assert_eq!(evaluations.load(Ordering::SeqCst), 1);
}

#[test]
fn a_repeat_shares_its_finding_and_clusters_do_only_where_no_rule_names_one() {
    let shared = compiled(&[no_latest()]);
    let review = pod("a", &["nginx"]);
    assert!(Arc::ptr_eq(&shared.judge("east", &review), &shared.judge("west", &pod("a", &["nginx"]))));
    let east = scoped(ScopeSettings { clusters: texts(&["east"]), ..ScopeSettings::default() });
    let apart = compiled(&[east]);
    for _ in 0..2 {
        assert!(apart.judge("east", &review).judged);
        assert!(!apart.judge("west", &review).judged);
    }
    assert!(Arc::ptr_eq(&apart.judge("east", &review), &apart.judge("east", &review)));
}
