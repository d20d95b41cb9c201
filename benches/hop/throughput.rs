//! Reviews a second: forwarded against a bare pass-through hop, answered alone against a bare server.

use std::time::Duration;

use crate::harness::{Rehearsal, fixtures};
use crate::support::bare::{self, Role, Served, Tls};
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::Target;
use crate::support::table::{self, Table};
use crate::support::{Run, processor_seconds};
use tokio::runtime::Runtime;

/// As many as keep both cores busy through an fsync; no more than the reviews that are admitted at once.
const CONNECTIONS: usize = 64;

const RULES: &str = "
  - name: images
    rules:
      - {id: no-latest, deny: {tag: latest}}
      - {id: ours, allow: {registry: [registry.acmecorp.com, docker.io]}}
      - {id: digest, require: digest, namespaces: prod-*}";

/// One of the two that are compared: its load, and what it has cost.
struct Side {
    load: Load,
    pid: u32,
    answered: u64,
    processor_seconds: f64,
}

/// What both sides of a row have in common.
struct Traffic<'a> {
    run: &'a Run,
    runtime: &'a Runtime,
    bytes: usize,
    tls: Option<Tls>,
    speaks: Speaks,
}

/// Rates, and the processor time behind them.
struct Tables {
    rates: Table,
    costs: Table,
}

pub fn measure(run: &Run, runtime: &Runtime) {
    let mut tables = Tables {
        rates: Table::of_pairs("Throughput, history on, default durability", "bare hyper"),
        costs: Table::new("Processor time of the process for each request", ["measure", "ours", "bare hyper"]),
    };
    for (size, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        for (transport, over, target) in
            [("plain", None, 0.70), ("TLS", Some(Speaks::Http1), 0.60), ("TLS, HTTP/2", Some(Speaks::Http2), 0.60)]
        {
            let (tls, speaks) = (over.map(|_| Tls::new()), over.unwrap_or(Speaks::Http1));
            let traffic = Traffic { run, runtime, bytes, tls, speaks };
            let name = format!("forwarding {size}, {transport}");
            if run.wants(&format!("throughput, {name}")) {
                traffic.forwarded(&name, RULES, Target::AtLeast(target), &mut tables);
            }
        }
    }
    for (size, bytes, target) in [("3 KB", 3_000, 0.55), ("20 KB", 20_000, 0.35)] {
        let traffic = Traffic { run, runtime, bytes, tls: None, speaks: Speaks::Http1 };
        let name = format!("forwarding {size} beside Rego that sees objects, plain");
        if run.wants(&format!("throughput, {name}")) {
            traffic.forwarded(&name, &whitelist(), Target::AtLeast(target), &mut tables);
        }
    }
    for (size, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        let traffic = Traffic { run, runtime, bytes, tls: None, speaks: Speaks::Http1 };
        let name = format!("answering alone {size}, plain");
        if run.wants(&format!("throughput, {name}")) {
            traffic.answered(&name, Target::AtLeast(0.55), &mut tables);
        }
    }
    tables.rates.print();
    tables.costs.print();
}

// === impl Traffic ===

impl Traffic<'_> {
    fn forwarded(&self, name: &str, local: &str, target: Target, tables: &mut Tables) {
        let judge = Role::Judge { after: Duration::ZERO };
        let backend = self.runtime.block_on(bare::spawn(judge, self.tls.clone()));
        let policies = format!("policies:{local}\n{}", webhook(&backend, self.tls.is_some()));
        let rehearsal = self.runtime.block_on(start(&policies, self.tls.as_ref()));
        let hop = Served::start(Role::Hop { to: backend }, self.tls.as_ref());
        self.compare(name, &rehearsal, &hop, target, tables);
    }

    fn answered(&self, name: &str, target: Target, tables: &mut Tables) {
        let rehearsal = self.runtime.block_on(start(&format!("policies:{RULES}\n"), self.tls.as_ref()));
        let server = Served::start(Role::Constant, self.tls.as_ref());
        self.compare(name, &rehearsal, &server, target, tables);
    }

    fn compare(&self, name: &str, rehearsal: &Rehearsal, bare: &Served, target: Target, tables: &mut Tables) {
        let bodies = reviews::of_about(self.bytes);
        let side = |url: &str, pid| {
            let ca = self.tls.as_ref().map(|tls| tls.ca_pem.as_str());
            let load = Load::new(self.runtime.handle(), url, ca, self.speaks, &bodies);
            Side { load, pid, answered: 0, processor_seconds: 0.0 }
        };
        let (mut ours, mut theirs) = (side(rehearsal.webhook_url(), rehearsal.pid()), side(&bare.url, bare.pid()));
        let pairs = self.run.pairs(|| ours.rate(self.run.span), || theirs.rate(self.run.span));
        tables.rates.push_pairs(name, "req/s", &pairs, target);
        tables.costs.push(vec![name.to_owned(), ours.cost(), theirs.cost()]);
    }
}

// === impl Side ===

impl Side {
    fn rate(&mut self, span: Duration) -> f64 {
        let before = processor_seconds(self.pid);
        let outcome = self.load.closed(CONNECTIONS, span);
        assert_eq!(outcome.refused, 0, "every answer is a 200; the first other: {:?}", outcome.refusal);
        self.answered += outcome.good;
        self.processor_seconds += processor_seconds(self.pid) - before;
        outcome.rate
    }

    fn cost(&self) -> String {
        format!("{} us", table::number(self.processor_seconds * 1e6 / self.answered as f64))
    }
}

// === the process ===

/// The mission's policy, which is given the whole object.
fn whitelist() -> String {
    let file = fixtures().join("examples/container-image-whitelist.rego");
    format!("\n  - {{name: whitelist, rego: {{files: ['{}'], entrypoint: data.admission.deny}}}}", file.display())
}

fn webhook(url: &str, is_tls: bool) -> String {
    let ca = if is_tls { ", ca: ca.crt" } else { "" };
    format!("  - {{name: real, mode: enforce, webhook: {{url: '{url}/', speaks: admission-review{ca}}}}}\n")
}

async fn start(policies: &str, tls: Option<&Tls>) -> Rehearsal {
    let listener = match tls {
        Some(_) => "webhook: {tls: {certificate: tls.crt, key: tls.key}}",
        None => "webhook: {tls: off}",
    };
    let mut builder = Rehearsal::builder();
    if let Some(tls) = tls {
        builder = builder
            .file("tls.crt", &tls.certificate_pem)
            .file("tls.key", &tls.key_pem)
            .file("ca.crt", &tls.ca_pem)
            .trust(&tls.ca_pem);
    }
    builder.config(&format!("{listener}\n{policies}")).start().await
}
