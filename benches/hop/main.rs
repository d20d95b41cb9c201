//! The hop itself, over the real binary: what it lets through, what it adds, what it holds, how soon it is there.
//!
//! `cargo bench --bench hop -- [PAIRS] [FILTER..]`: only what holds every filter in its name, such as `throughput`,
//! `latency`, `memory`, `goodput`, `startup`, `TLS`, `20 KB`.

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod latency;
mod overload;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod throughput;

use support::Run;
use support::bare;

fn main() {
    bare::serve_if_asked();
    let (run, runtime) = (Run::from_args(), bare::runtime());
    throughput::measure(&run, &runtime);
    latency::measure(&run, &runtime);
    overload::measure(&run, &runtime);
    startup::measure(&run);
}
