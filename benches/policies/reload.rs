//! Reviews while ten thousand rules are loaded anew.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::rules::yaml;
use crate::harness::{Rehearsal, wait_for};
use crate::support::Run;
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Target, percentile};
use crate::support::table::{Table, number};

/// A rate that leaves both cores half of their time.
const RATE: f64 = 1_000.0;
const CONNECTIONS: usize = 64;

pub fn measure(run: &Run, runtime: &Runtime) {
    if !run.wants("reload") {
        return;
    }
    let config = |round: usize| {
        format!("webhook: {{tls: off}}\n{}      - {{id: round-{round}, deny: {{tag: never}}}}\n", yaml(10_000))
    };
    let rehearsal = runtime.block_on(Rehearsal::builder().config(&config(0)).start());
    let (path, written) = (rehearsal.dir().join("rehearsal.yaml"), rehearsal.dir().join("next.yaml"));
    let begins = std::fs::read_to_string(&path).expect("a configuration");
    let bodies = reviews::of_about(3_000);
    let mut load = Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, &bodies);
    let (mut round, mut refused) = (0, 0);
    let mut took = Vec::new();
    let span = if run.smoke { Duration::from_secs(1) } else { run.span * 2 };
    let mut p99 = |load: &mut Load| {
        let mut outcome = load.open(CONNECTIONS, RATE, span);
        refused += outcome.refused;
        percentile(&mut outcome.latencies, 0.99) * 1e3
    };
    let load = std::cell::RefCell::new(&mut load);
    let p99 = std::cell::RefCell::new(&mut p99);
    let reloading = || {
        round += 1;
        let text = begins.replace("round-0", &format!("round-{round}"));
        let wanted = round as f64;
        let begun = Instant::now();
        std::fs::write(&written, text).and_then(|()| std::fs::rename(&written, &path)).expect("written");
        let figure = p99.borrow_mut()(&mut load.borrow_mut());
        runtime.block_on(wait_for("the new revision", || async {
            let done = rehearsal.metric("rehearsal_reloads_total", &["result=\"changed\""]).await;
            (done >= wanted).then_some(())
        }));
        took.push(begun.elapsed().as_secs_f64());
        figure
    };
    let pairs = run.pairs(reloading, || p99.borrow_mut()(&mut load.borrow_mut()));
    let mut table = Table::of_pairs("p99 at 1,000 reviews/s, while 10,000 rules are loaded anew", "no reload");
    table.push_pairs("p99", "ms", &pairs, Target::AtMost(1.2));
    table.print();
    println!("{refused} requests failed; each window of {} s has one reload", number(span.as_secs_f64()));
    assert_eq!(refused, 0, "no request fails");
}
