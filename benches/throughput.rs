//! Reviews a second: forwarded against a bare pass-through hop, answered alone against a bare server.
//!
//! `cargo bench --bench throughput -- [PAIRS] [FILTER..]`, where a filter is a part of a row's name (`TLS`, `20 KB`).

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::time::Duration;

use harness::Rehearsal;
use support::Run;
use support::bare::{self, Role, Served, Tls};
use support::load::{Load, Speaks};
use support::reviews;
use support::statistics::Target;
use support::table::Table;
use tokio::runtime::Runtime;

/// As many as keep both cores busy through an fsync; no more than the reviews that are admitted at once.
const CONNECTIONS: usize = 64;

const RULES: &str = "
  - name: images
    rules:
      - {id: no-latest, deny: {tag: latest}}
      - {id: ours, allow: {registry: [registry.acmecorp.com, docker.io]}}
      - {id: digest, require: digest, namespaces: prod-*}";

fn main() {
    bare::serve_if_asked();
    let (run, runtime) = (Run::from_args(), bare::runtime());
    let mut table = Table::of_pairs("Throughput, history on, default durability", "bare hyper");
    for (size, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        for (transport, speaks, target) in
            [("plain", None, 0.70), ("TLS", Some(Speaks::Http1), 0.60), ("TLS, HTTP/2", Some(Speaks::Http2), 0.60)]
        {
            let name = format!("forwarding {size}, {transport}");
            if run.wants(&name) {
                let tls = speaks.map(|_| Tls::new());
                let speaks = speaks.unwrap_or(Speaks::Http1);
                forwarding(&run, &runtime, &name, bytes, tls, speaks, target, &mut table);
            }
        }
    }
    for (size, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        let name = format!("answering alone {size}, plain");
        if run.wants(&name) {
            answering(&run, &runtime, &name, bytes, &mut table);
        }
    }
    table.print();
}

#[expect(clippy::too_many_arguments, reason = "one row of a table")]
fn forwarding(
    run: &Run,
    runtime: &Runtime,
    name: &str,
    bytes: usize,
    tls: Option<Tls>,
    speaks: Speaks,
    target: f64,
    table: &mut Table,
) {
    let bodies = reviews::of_about(bytes);
    let backend = runtime.block_on(bare::spawn(Role::Judge { after: Duration::ZERO }, tls.clone()));
    let policies = format!("policies:{RULES}\n{}", webhook(&backend, tls.is_some()));
    let rehearsal = runtime.block_on(start(&policies, tls.as_ref()));
    let hop = Served::start(Role::Hop { to: backend }, tls.as_ref());
    let ca = tls.as_ref().map(|tls| tls.ca_pem.as_str());
    let mut ours = Load::new(runtime.handle(), rehearsal.webhook_url(), ca, speaks, &bodies);
    let mut theirs = Load::new(runtime.handle(), &hop.url, ca, speaks, &bodies);
    let pairs = run.pairs(|| all_good(&mut ours, run.span), || all_good(&mut theirs, run.span));
    table.push_pairs(name, "req/s", &pairs, Target::AtLeast(target));
}

fn answering(run: &Run, runtime: &Runtime, name: &str, bytes: usize, table: &mut Table) {
    let bodies = reviews::of_about(bytes);
    let rehearsal = runtime.block_on(start(&format!("policies:{RULES}\n"), None));
    let server = Served::start(Role::Constant, None);
    let mut ours = Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, &bodies);
    let mut theirs = Load::new(runtime.handle(), &server.url, None, Speaks::Http1, &bodies);
    let pairs = run.pairs(|| all_good(&mut ours, run.span), || all_good(&mut theirs, run.span));
    table.push_pairs(name, "req/s", &pairs, Target::AtLeast(0.55));
}

fn all_good(load: &mut Load, span: Duration) -> f64 {
    let outcome = load.closed(CONNECTIONS, span);
    assert_eq!(outcome.refused, 0, "every answer is a 200");
    outcome.rate
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
