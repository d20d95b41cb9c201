//! A clock of the day that is set while it runs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::wait_for;
use crate::history;
use crate::load::Load;
use crate::shim::Shim;
use crate::stores::{Kind, on_both};

const DAY: i64 = 86_400;

on_both![a_clock_that_jumps_a_day_back_and_forth_loses_and_repeats_nothing];

async fn a_clock_that_jumps_a_day_back_and_forth_loses_and_repeats_nothing(kind: Kind) {
    let (shim, builder) = Shim::load(kind.builder("webhook: {tls: off}"));
    let rehearsal = builder.start().await;
    let mut answered = BTreeSet::new();
    for (number, days) in [0, 1, -1, 0].into_iter().enumerate() {
        shim.set_clock(days * DAY);
        let mut load = Load::begin(&rehearsal, &format!("jump-{number}"), 4);
        load.reach(60).await;
        let outcome = load.end().await;
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        answered.extend(outcome.answered);
        // What waits while the clock goes two days back is ahead of it by more than can be, and marked so.
        rehearsal.drained().await;
    }
    let rows = history::holds(&rehearsal, &answered).await;
    assert_eq!(rows.len(), answered.len());
    let at = |row: &Value| row["at"].as_str().expect("a time").to_owned();
    assert!(rows.is_sorted_by(|newer, older| at(newer) >= at(older)), "the list is in the order of its times");
    assert_eq!(rows.iter().map(|row| at(row)[..10].to_owned()).collect::<BTreeSet<_>>().len(), 3, "three days");
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), rows.len());
    assert_eq!(history::missed(&rehearsal).await, 0);
    wait_for("nothing late", || async {
        (rehearsal.metric("rehearsal_journal_lag_seconds", &[]).await < 0.5).then_some(())
    })
    .await;
    // A start on each side of the jump reads the same.
    shim.set_clock(-DAY);
    let rehearsal = rehearsal.restart().await;
    history::holds(&rehearsal, &answered).await;
}
