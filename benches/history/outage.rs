//! Resident memory while Postgres is gone for a million reviews, and that all of them are stored afterwards.

use std::fs;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::harness::Rehearsal;
use crate::harness::postgres::{PASSWORD, Server};
use crate::support::Run;
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Estimate, Target};
use crate::support::table::Table;

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
    let before = resident(rehearsal.pid());
    server.stop();
    let mut during = 0;
    while during < reviews {
        during += ask(&mut load, run.span);
    }
    answered += during;
    let growth = resident(rehearsal.pid()) - before;
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
    let config = format!(
        "webhook: {{tls: off}}\nstore: {{url: '{}', password_file: password}}\n\
         policies:\n  - name: images\n    rules: [{{id: no-latest, deny: {{tag: latest}}}}]",
        server.url(database)
    );
    Rehearsal::builder().file("password", PASSWORD).config(&config).start().await
}

/// Waits until that many are in the history.
async fn stored(rehearsal: &Rehearsal, count: u64) {
    loop {
        let response = rehearsal.get("/api/v1/summary").await;
        let summary = serde_json::from_slice::<serde_json::Value>(&response.body).unwrap_or_default();
        if summary["figures"]["reviews"].as_u64() == Some(count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Megabytes.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024.0 / 1e6
}
