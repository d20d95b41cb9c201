//! The same policy by a real OPA, asked as a webhook is.

use tokio::runtime::Runtime;

use super::rego::whitelist;
use crate::harness::peers::Opa;
use crate::harness::{Rehearsal, fixtures};
use crate::support::Run;
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::Target;
use crate::support::table::Table;

const CONNECTIONS: usize = 64;

pub fn measure(run: &Run, runtime: &Runtime) {
    let mut table = Table::of_pairs("The whitelist in Rego, the same 512 pods, the whole way", "OPA");
    for (size, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        if !run.wants(&format!("OPA, {size}")) {
            continue;
        }
        let modules = [whitelist(), fixtures().join("opa/matches.rego")];
        let Some(opa) = runtime.block_on(Opa::start(&modules.each_ref().map(|path| path.as_path()))) else { return };
        let config = format!(
            "webhook: {{tls: off}}\npolicies: [{{name: whitelist, rego: {{files: ['{}'], entrypoint: data.admission.deny}}}}]",
            whitelist().display()
        );
        let rehearsal = runtime.block_on(Rehearsal::builder().config(&config).start());
        let bodies = reviews::of_about(bytes);
        let load = |url: &str| Load::new(runtime.handle(), url, None, Speaks::Http1, &bodies);
        let mut ours = load(rehearsal.webhook_url());
        let mut theirs = load(&opa.url).at("/v0/data/admission/deny");
        // All pods are seen once before, one after the other.
        for load in [&mut ours, &mut theirs] {
            load.each_once(1);
        }
        let rate = |load: &mut Load| {
            let outcome = load.closed(CONNECTIONS, run.span);
            assert_eq!(outcome.refused, 0, "every answer is a 200; the first other: {:?}", outcome.refusal);
            outcome.rate
        };
        let pairs = run.pairs(|| rate(&mut ours), || rate(&mut theirs));
        table.push_pairs(size, "req/s", &pairs, Target::AtLeast(5.0));
    }
    table.print();
}
