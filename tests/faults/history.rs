//! What the history holds, row by row, and whether its figures say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{Rehearsal, wait_for};

/// All rows, once nothing waits in the journal.
pub async fn rows(rehearsal: &Rehearsal) -> Vec<Value> {
    rows_of(rehearsal, "").await
}

/// Those of a `&filter=value`.
pub async fn rows_of(rehearsal: &Rehearsal, filter: &str) -> Vec<Value> {
    rehearsal.drained().await;
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let mut page = rehearsal.get_json(&format!("/api/v1/decisions?limit=1000{filter}{after}")).await;
        rows.append(page["decisions"].as_array_mut().expect("a list"));
        let Some(next) = page["next"].as_str() else { return rows };
        after = format!("&after={next}");
    }
}

/// The ids of the reviews of `rows`; none may be there twice.
pub fn uids(rows: &[Value]) -> BTreeSet<String> {
    let uids: BTreeSet<String> = rows.iter().map(|row| row["uid"].as_str().expect("a uid").to_owned()).collect();
    assert_eq!(uids.len(), rows.len(), "a review is there twice");
    uids
}

/// Every one of `answered` is there, none twice, and the figures of every namespace count what is there.
pub async fn holds(rehearsal: &Rehearsal, answered: &BTreeSet<String>) -> Vec<Value> {
    holds_of(rehearsal, "", answered).await
}

/// Likewise among what a `&filter=value` leaves, which has to leave all that was answered.
pub async fn holds_of(rehearsal: &Rehearsal, filter: &str, answered: &BTreeSet<String>) -> Vec<Value> {
    let rows = rows_of(rehearsal, filter).await;
    let there = uids(&rows);
    let missing: Vec<_> = answered.difference(&there).collect();
    assert!(missing.is_empty(), "{} of {} answered reviews are missing: {missing:?}", missing.len(), answered.len());
    figures_are_those_of(rehearsal, filter, &rows).await;
    rows
}

/// The sum of what gaps miss, all of which have ended and are counted.
pub async fn missed(rehearsal: &Rehearsal) -> u64 {
    missed_of(rehearsal, "").await
}

/// Likewise of those that a `&filter=value` leaves.
pub async fn missed_of(rehearsal: &Rehearsal, filter: &str) -> u64 {
    let summary = wait_for("gaps with an end", || async {
        let summary = rehearsal.get_json(&format!("/api/v1/summary?dry_run=include{filter}")).await;
        let gaps = summary["gaps"].as_array().expect("a list");
        gaps.iter().all(|gap| gap["to"].is_string()).then_some(summary)
    })
    .await;
    summary["gaps"].as_array().expect("a list").iter().filter_map(|gap| gap["count"].as_u64()).sum()
}

type Counts = [u64; 5];

async fn figures_are_those_of(rehearsal: &Rehearsal, filter: &str, rows: &[Value]) {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for row in rows {
        let answered = |answer: &str| u64::from(row["answer"] == answer);
        let one = [
            1,
            answered("allowed"),
            answered("denied"),
            answered("failed"),
            u64::from(row["would_reject"].as_bool().expect("a bool")),
        ];
        for scope in [String::new(), format!("&namespace={}", row["namespace"].as_str().expect("a name"))] {
            let counted = counts.entry(scope).or_default();
            counted.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        }
    }
    for (scope, counted) in counts {
        // A clock may have been ahead when some were made.
        let path = format!("/api/v1/summary?dry_run=include&until=2100-01-01T00:00:00Z{filter}{scope}");
        let summary = rehearsal.get_json(&path).await;
        let figure = |name: &str| summary[name].as_u64().expect("a number");
        let figures: Counts = ["reviews", "allowed", "denied", "failed", "would_reject"].map(figure);
        assert_eq!(figures, counted, "the figures of {scope:?} against its rows");
    }
}
