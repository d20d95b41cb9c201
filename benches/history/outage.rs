//! Resident memory while Postgres is gone for a million reviews, and that all of them are stored afterwards.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::harness::Rehearsal;
use crate::harness::postgres::Server;
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Estimate, Target};
use crate::support::table::Table;
use crate::support::{Run, megabytes};

const REVIEWS: u64 = 1_000_000;
const CONNECTIONS: usize = 64;

pub fn measure(run: &Run, runtime: &Runtime) {
    if !run.wants("outage, Postgres") {
        return;
    }
    let reviews = if run.smoke { 100 } else { REVIEWS };
    let server = Server::start(&[]);
    let database = server.database();
    let rehearsal = runtime.block_on(start(&server, &database));
    let bodies = reviews::of_about(3_000);
    let mut load = Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, &bodies);
    let mut answered = ask(&mut load, run.span);
    runtime.block_on(stored(&rehearsal, answered));
    let before = megabytes(rehearsal.pid(), "VmRSS");
    server.stop();
    let mut during = 0;
    while during < reviews {
        during += ask(&mut load, run.span);
    }
    answered += during;
    let growth = megabytes(rehearsal.pid(), "VmRSS") - before;
    server.run();
    runtime.block_on(stored(&rehearsal, answered));
    assert_eq!(server.psql(&database, "SELECT count(*) FROM decisions"), answered.to_string(), "each once");
    let mut table = Table::of_figures(&format!("Resident memory with Postgres gone for {during} reviews"));
    table.push_figure("growth", "MB", &Estimate::of(&[growth]), Target::AtMost(8.0));
    table.print();
}

/// How many were answered.
fn ask(load: &mut Load, span: Duration) -> u64 {
    let outcome = load.closed(CONNECTIONS, span);
    assert_eq!(outcome.refused, 0, "every answer is a 200");
    outcome.latencies.len() as u64
}

async fn start(server: &Server, database: &str) -> Rehearsal {
    let config = "webhook: {tls: off}\npolicies: [{name: images, rules: [{id: no-latest, deny: {tag: latest}}]}]";
    Rehearsal::builder().config(config).on_postgres(&server.url(database)).start().await
}

/// Waits until that many are in the history.
///
/// # Panics
/// Where they come more slowly than any drain does.
async fn stored(rehearsal: &Rehearsal, count: u64) {
    let (begun, patience) = (Instant::now(), Duration::from_secs(60 + count / 500));
    loop {
        // While the database is still gone there is no summary, but a page that says so.
        let response = rehearsal.get("/api/v1/summary").await;
        let summary = serde_json::from_slice::<serde_json::Value>(&response.body).unwrap_or_default();
        if summary["reviews"].as_u64() == Some(count) {
            return;
        }
        assert!(begun.elapsed() < patience, "{count} answered, in the history after {patience:?}: {summary}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
