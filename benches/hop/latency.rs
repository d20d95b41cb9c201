//! What one review at a time waits for us: over a call of the webhook itself, and for the disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::Rehearsal;
use crate::support::Run;
use crate::support::bare::{Role, Served};
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Estimate, Target, percentile};
use crate::support::table::{Table, number};
use tokio::runtime::Runtime;

/// What is measured once in each round, in seconds.
#[derive(Debug, Default)]
struct Rounds {
    direct: Vec<f64>,
    bare: Vec<f64>,
    process: Vec<f64>,
    fsync: Vec<f64>,
    disk: Vec<f64>,
}

/// About what one decision takes in the journal.
const RECORD: usize = 700;

pub fn measure(run: &Run, runtime: &Runtime) {
    let mut table = Table::new(
        "Added p50 of one review at a time, forwarded in plain HTTP/1.1",
        [
            "measure",
            "direct",
            "bare hop adds",
            "process adds",
            "ratio [95 %]",
            "target",
            "fsync adds to that",
            "disk",
            "ratio [95 %]",
            "target",
            "met",
        ],
    );
    for (name, bytes) in [("3 KB", 3_000), ("20 KB", 20_000)] {
        if !run.wants(&format!("latency, {name}")) {
            continue;
        }
        // Of a process of its own, as a real webhook is.
        let backend = Served::start(Role::Judge { after: Duration::ZERO }, None);
        let hop = Served::start(Role::Hop { to: backend.url.clone() }, None);
        let process = runtime.block_on(start("process", &backend.url));
        let fsync = runtime.block_on(start("fsync", &backend.url));
        let bodies = reviews::of_about(bytes);
        let urls = [&backend.url, &hop.url, process.webhook_url(), fsync.webhook_url()];
        let mut loads = urls.map(|url| Load::new(runtime.handle(), url, None, Speaks::Http1, &bodies));
        let mut rounds = Rounds::default();
        let mut disk = Disk::beside(fsync.dir());
        for load in &mut loads {
            median(load, run.span);
        }
        for order in run.orders(5) {
            for at in order {
                let (list, figure) = match at {
                    0 => (&mut rounds.direct, median(&mut loads[0], run.span)),
                    1 => (&mut rounds.bare, median(&mut loads[1], run.span)),
                    2 => (&mut rounds.process, median(&mut loads[2], run.span)),
                    3 => (&mut rounds.fsync, median(&mut loads[3], run.span)),
                    _ => (&mut rounds.disk, disk.median(run.span / 4)),
                };
                list.push(figure);
            }
        }
        table.push(rounds.row(name));
    }
    table.print();
}

fn median(load: &mut Load, span: Duration) -> f64 {
    let outcome = load.closed(1, span / 4);
    assert_eq!(outcome.refused, 0, "every answer is a 200; the first other: {:?}", outcome.refusal);
    percentile(&mut outcome.latencies.clone(), 0.5)
}

async fn start(durability: &str, backend: &str) -> Rehearsal {
    let config = format!(
        "webhook: {{tls: off}}
journal: {{durability: {durability}}}
policies:
  - name: images
    rules:
      - {{id: no-latest, deny: {{tag: latest}}}}
      - {{id: ours, allow: {{registry: [registry.acmecorp.com, docker.io]}}}}
  - {{name: real, mode: enforce, webhook: {{url: '{backend}/', speaks: admission-review}}}}"
    );
    Rehearsal::builder().config(&config).start().await
}

/// The disk under the journal, written as the journal writes it.
struct Disk(File);

// === impl Disk ===

impl Disk {
    fn beside(dir: &std::path::Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("raw")).expect("the bench's directory");
        Self(file)
    }

    /// Of appending a record and confirming it.
    fn median(&mut self, span: Duration) -> f64 {
        let (begun, mut took) = (Instant::now(), Vec::new());
        while begun.elapsed() < span {
            let before = Instant::now();
            self.0.write_all(&[b'x'; RECORD]).and_then(|()| self.0.sync_data()).expect("a disk");
            took.push(before.elapsed().as_secs_f64());
        }
        percentile(&mut took, 0.5)
    }
}

// === impl Rounds ===

impl Rounds {
    fn row(&self, name: &str) -> Vec<String> {
        let each =
            |figure: &dyn Fn(usize) -> f64| Estimate::of(&(0..self.direct.len()).map(figure).collect::<Vec<f64>>());
        let (added, over) = (Target::AtMost(2.0), Target::AtMost(1.5));
        let hop = each(&|at| (self.process[at] - self.direct[at]) / (self.bare[at] - self.direct[at]));
        let disk = each(&|at| (self.fsync[at] - self.process[at]) / self.disk[at]);
        let micros = |figure: Estimate| format!("{} us", number(figure.median * 1e6));
        let ratio = |ratio: Estimate| {
            format!("{} [{}, {}]", number(ratio.median), number(ratio.interval.0), number(ratio.interval.1))
        };
        vec![
            name.to_owned(),
            micros(each(&|at| self.direct[at])),
            micros(each(&|at| self.bare[at] - self.direct[at])),
            micros(each(&|at| self.process[at] - self.direct[at])),
            ratio(hop),
            added.to_string(),
            micros(each(&|at| self.fsync[at] - self.process[at])),
            micros(each(&|at| self.disk[at])),
            ratio(disk),
            over.to_string(),
            if hop.meets(added) && disk.meets(over) { "yes" } else { "NO" }.to_owned(),
        ]
    }
}
