//! What stays when more comes than can be served: memory, and answers that are of use.

use std::time::Duration;

use crate::harness::Rehearsal;
use crate::support::bare::{Role, Served};
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Estimate, Target};
use crate::support::table::Table;
use crate::support::{Run, megabytes};
use tokio::runtime::Runtime;

/// The webhook takes this long and as many at once as are let through to it, so that it, and nothing else, bounds what can
/// be served: about 1,600 reviews a second.
const THINKS: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 32;

/// Reviews a second, of a large cluster in a busy minute.
const STEADY: f64 = 2_000.0;

pub fn measure(run: &Run, runtime: &Runtime) {
    let bodies = reviews::of_about(3_000);
    if run.wants("memory") {
        memory(run, runtime, &bodies);
    }
    if run.wants("goodput") {
        goodput(run, runtime, &bodies);
    }
}

fn memory(run: &Run, runtime: &Runtime, bodies: &[bytes::Bytes]) {
    let (mut rest, mut steady) = (Vec::new(), Vec::new());
    let rounds = if run.smoke { 1 } else { 3 };
    for _ in 0..rounds {
        let backend = Served::start(Role::Judge { after: Duration::ZERO }, None);
        let rehearsal = runtime.block_on(start(&backend.url, 64, 512));
        rest.push(megabytes(rehearsal.pid(), "VmRSS"));
        let mut load = Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, bodies);
        // A minute: long enough for caches to fill and a few segments of the journal to come and go.
        let outcome = load.open(64, STEADY, run.span * 30);
        assert!(outcome.refused == 0 && outcome.rate > 0.0, "{} refused: {:?}", outcome.refused, outcome.refusal);
        steady.push(megabytes(rehearsal.pid(), "VmHWM"));
    }
    let mut table = Table::of_figures("Resident memory, SQLite, default durability");
    table.push_figure("at rest", "MB", &Estimate::of(&rest), Target::AtMost(25.0));
    table.push_figure("most, in a minute of 2,000 reviews/s", "MB", &Estimate::of(&steady), Target::AtMost(60.0));
    table.print();
}

fn goodput(run: &Run, runtime: &Runtime, bodies: &[bytes::Bytes]) {
    let backend = Served::start(Role::Judge { after: THINKS }, None);
    let rehearsal = runtime.block_on(start(&backend.url, AT_ONCE, 2 * AT_ONCE));
    let url = rehearsal.webhook_url();
    let mut peak = Load::new(runtime.handle(), url, None, Speaks::Http1, bodies);
    let mut over = Load::new(runtime.handle(), url, None, Speaks::Http1, bodies);
    let most = peak.closed(AT_ONCE, run.span).rate;
    let pairs =
        run.pairs(|| over.open(16 * AT_ONCE, 3.0 * most, run.span).rate, || peak.closed(AT_ONCE, run.span).rate);
    let mut table = Table::of_pairs("Answers that are of use (200s), offered three times what can be served", "peak");
    table.push_pairs("goodput", "req/s", &pairs, Target::AtLeast(0.9));
    table.print();
}

async fn start(backend: &str, at_once: usize, in_flight: usize) -> Rehearsal {
    let config = format!(
        "webhook: {{tls: off, limits: {{max_in_flight: {in_flight}}}}}
policies:
  - name: images
    rules: [{{id: no-latest, deny: {{tag: latest}}}}]
  - name: real
    mode: enforce
    webhook: {{url: '{backend}/', speaks: admission-review, max_in_flight: {at_once}}}"
    );
    Rehearsal::builder().config(&config).start().await
}
