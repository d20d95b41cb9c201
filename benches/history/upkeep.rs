//! How long a write waits while what is due is deleted: SQLite has one writer, and each step of a sweep holds it.

use std::time::{Duration, Instant};

use rehearsal::review::clock::Timestamp;
use rehearsal::review::said::Said;
use rehearsal::store::settings::RetentionSettings;
use rehearsal::store::synthetic::Scale;
use rehearsal::store::{Drained, Heartbeat, Store, Swept, Synthetic};
use tokio::runtime::Runtime;

use crate::histories::History;
use crate::support::Run;
use crate::support::statistics::{Estimate, Target, percentile};
use crate::support::table::Table;

/// Over 120 days, of which 90 are kept.
const DECISIONS: u64 = 400_000;
const DAYS: u16 = 120;

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(2);

/// In milliseconds, of one sweep.
struct Measured {
    step: f64,
    /// p50, p99 and the longest.
    waits: [f64; 3],
    writes: usize,
    deleted: u64,
}

pub fn measure(run: &Run, runtime: &Runtime) {
    if !run.wants("upkeep, SQLite") {
        return;
    }
    let mut all = Vec::new();
    run.alone(|| {
        let measured = runtime.block_on(sweep(if run.smoke { 2_000 } else { DECISIONS }));
        println!("{} rows deleted, {} writes beside that", measured.deleted, measured.writes);
        let step = measured.step;
        all.push(measured);
        step
    });
    let of = |figure: fn(&Measured) -> f64| Estimate::of(&all.iter().map(figure).collect::<Vec<_>>());
    let mut table =
        Table::of_figures("Upkeep on SQLite: how long the writer is held, and a small write takes beside it");
    table.push_figure("longest step", "ms", &of(|one| one.step), Target::AtMost(50.0));
    table.push_figure("write, p50", "ms", &of(|one| one.waits[0]), Target::AtMost(50.0));
    table.push_figure("write, p99", "ms", &of(|one| one.waits[1]), Target::AtMost(50.0));
    table.push_figure("write, longest", "ms", &of(|one| one.waits[2]), Target::AtMost(50.0));
    table.print();
}

async fn sweep(decisions: u64) -> Measured {
    let history = History::sqlite().await;
    let wanted = Synthetic { decisions, days: DAYS, seed: 1, scale: Scale::default() };
    history.store.generate(wanted, |_| {}).await.expect("a history");
    let store = history.store.clone();
    let sweeping = tokio::spawn(async move {
        let mut swept = Swept::default();
        store.sweep(&RetentionSettings::DEFAULT, &mut swept).await.expect("a sweep");
        swept
    });
    let mut waits = Vec::new();
    while !sweeping.is_finished() {
        let begun = Instant::now();
        beat(&history.store).await;
        waits.push(begun.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(PAUSE).await;
    }
    let swept = sweeping.await.expect("no panic");
    Measured {
        step: swept.longest.as_secs_f64() * 1_000.0,
        waits: [0.5, 0.99, 1.0].map(|part| percentile(&mut waits, part)),
        writes: waits.len(),
        deleted: swept.deleted.values().sum(),
    }
}

async fn beat(store: &Store) {
    let now = Timestamp::now();
    let heartbeat = Heartbeat {
        seen_at: now,
        started_at: now,
        drained: Drained::Until(now),
        version: "0.0.0",
        revision: "none".to_owned(),
        clusters: Vec::new(),
        said: Said::default(),
    };
    store.beat(&heartbeat).await.expect("a heartbeat");
}
