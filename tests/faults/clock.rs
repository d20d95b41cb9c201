//! A clock of the day that is set while it runs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::wait_for;
use crate::history;
use crate::load::Load;
use crate::shim::Shim;
use crate::stores::{Kind, on_both};

const DAY: i64 = 86_400;

on_both![
    a_clock_that_jumps_a_day_back_and_forth_loses_and_repeats_nothing,
    a_clock_that_is_days_behind_for_a_moment_makes_no_gap_before_the_first_start,
];

async fn a_clock_that_is_days_behind_for_a_moment_makes_no_gap_before_the_first_start(kind: Kind) {
    let (shim, builder) = Shim::load(kind.builder("webhook: {tls: off}"));
    let rehearsal = builder.start().await;
    for (number, days) in [0, -8, 0].into_iter().enumerate() {
        shim.set_clock(days * DAY);
        // Longer than a few rounds of whoever journals the presence.
        let mut load = Load::begin(&rehearsal, &format!("moment-{number}"), 4);
        load.reach(400).await;
        assert!(load.end().await.refused.is_empty());
        rehearsal.drained().await;
    }
    // Its last word is stored too.
    let rehearsal = rehearsal.restart().await;
    rehearsal.drained().await;
    let since = jiff::Timestamp::now() - jiff::Span::new().hours(10 * 24);
    let summary = rehearsal.get_json(&format!("/api/v1/summary?since={since}")).await;
    let gaps = summary["gaps"].as_array().expect("a list");
    // Between the two processes nobody was there.
    let before = |gap: &&Value| jiff::Timestamp::now().duration_since(time(&gap["from"])).as_hours() > 1;
    assert_eq!(gaps.iter().filter(before).count(), 0, "{summary}");
    assert!(gaps.len() <= 1, "{summary}");
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}

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
