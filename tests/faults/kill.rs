//! A process that is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history;
use crate::load::Load;
use crate::stores::{Kind, on_both};

const ROUNDS: usize = 200;

/// Enough for some hundred answers: several groups of the journal and several batches of the drain.
const LONGEST: u64 = 250;

on_both![killed_two_hundred_times_under_load_it_has_each_answered_review_once];

async fn killed_two_hundred_times_under_load_it_has_each_answered_review_once(kind: Kind) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rehearsal = kind.builder("webhook: {tls: off}").start().await;
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut load = Load::begin(&rehearsal, &format!("r{round}"), 8);
        // A start says first that it is there: over Postgres the answers begin a moment later. Some are killed before.
        if !round.is_multiple_of(4) {
            load.reach(1).await;
        }
        // Not a wait for something: where the kill falls is the point.
        tokio::time::sleep(Duration::from_millis(random.u64(0..LONGEST))).await;
        rehearsal.kill9();
        answered.extend(load.end().await.answered);
        rehearsal = rehearsal.restart().await;
    }
    assert!(answered.len() > ROUNDS * 5, "{} answers are no load (seed {seed})", answered.len());
    let rows = history::holds(&rehearsal, &answered).await;
    println!("{ROUNDS} kills, {} answered, {} in the history (seed {seed})", answered.len(), rows.len());
}
