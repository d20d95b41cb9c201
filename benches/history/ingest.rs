//! Decisions stored a second by a large history, against a small one.

use std::cell::LazyCell;
use std::path::PathBuf;
use std::time::Instant;

use rehearsal::store::settings::StoreSettings;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::histories::{batches, decisions_in, open};
use crate::made::Made;
use crate::support::Run;
use crate::support::statistics::Target;
use crate::support::table::Table;

/// Of one measurement.
const DECISIONS: usize = 20_000;

pub fn measure(run: &Run, runtime: &Runtime, made: &LazyCell<Made, impl FnOnce() -> Made>) {
    if !run.wants("ingest, SQLite") {
        return;
    }
    let [small, large] = made.folders.each_ref().map(|folder| {
        let settings = StoreSettings::Sqlite(PathBuf::from(folder));
        runtime.block_on(open(&settings, Uuid::from_u128(1)))
    });
    let decisions = if run.smoke { 100 } else { DECISIONS };
    let rate = |store: &rehearsal::store::Store| {
        let batches = batches(decisions, fastrand::u64(..));
        let count = decisions_in(&batches);
        let began = Instant::now();
        runtime.block_on(async {
            for batch in &batches {
                store.apply(batch).await.expect("a batch");
            }
        });
        count as f64 / began.elapsed().as_secs_f64()
    };
    let pairs = run.pairs(|| rate(&large), || rate(&small));
    let [few, many] = made.sizes;
    let mut table = Table::of_pairs(&format!("Ingest, SQLite: {many} decisions against {few}"), "small");
    table.push_pairs("ingest", "decisions/s", &pairs, Target::AtLeast(0.9));
    table.print();
}
