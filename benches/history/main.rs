//! The history: what a decision takes of it, how fast it takes decisions, how long pages read it and writes wait for its
//! upkeep, what it holds in memory while it cannot be written.
//!
//! `cargo bench --bench history -- [PAIRS] [FILTER..]`: only what holds every filter in its name, such as `storage`,
//! `drain`, `eight`, `pages`, `ingest`, `upkeep`, `outage`, `SQLite`, `Postgres`.

mod drain;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod histories;
mod ingest;
mod made;
mod outage;
mod pages;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;

use std::cell::LazyCell;

use made::Made;
use support::Run;
use support::bare;

fn main() {
    bare::serve_if_asked();
    let (run, runtime) = (Run::from_args(), bare::runtime());
    storage::measure(&run, &runtime);
    drain::measure(&run, &runtime);
    // Read by one and then added to by the other: to make them takes the most time of all.
    let made = LazyCell::new(|| Made::on_sqlite(&run));
    pages::measure(&run, &runtime, &made);
    ingest::measure(&run, &runtime, &made);
    drop(made);
    upkeep::measure(&run, &runtime);
    outage::measure(&run, &runtime);
}
