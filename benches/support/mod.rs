//! What the benches share: fair comparisons, and tables of them.
//!
//! A figure of one run on one machine says little: the machine has other things to do. So two things are measured
//! alternately, in pairs, and what counts is the ratio within each pair. The interval given is the one that holds the
//! median of the ratios with at least 95 %, whatever their distribution (order statistics).
//!
//! ```ignore
//! let run = Run::from_args();
//! let pairs = run.pairs(|| ours(), || theirs());
//! let mut table = Table::of_pairs("Throughput", "bare hyper");
//! table.push_pairs("3 KB", "req/s", &pairs, Target::AtLeast(0.70));
//! table.print();
//! ```
#![allow(dead_code, reason = "each bench uses its own part of the support")]

pub mod bare;
pub mod load;
pub mod reviews;
pub mod statistics;
pub mod table;

use std::process::Command;
use std::time::Duration;

use crate::harness::process::memory;
use statistics::Pairs;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Run {
    pairs: usize,
    /// Of one measurement.
    pub span: Duration,
    /// It only has to work: `cargo test` runs each bench once so.
    pub smoke: bool,
    filters: Vec<String>,
}

/// Fewer give no interval of 95 % that leaves out a stray pair on either side.
const PAIRS: usize = 12;

// === impl Run ===

impl Run {
    /// `cargo bench --bench NAME -- [PAIRS] [FILTER..]`; without `--bench`, which `cargo bench` passes, a smoke run.
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let smoke = !args.iter().any(|arg| arg == "--bench");
        let words: Vec<String> = args.into_iter().filter(|arg| !arg.starts_with("--")).collect();
        let (numbers, filters): (Vec<String>, Vec<String>) =
            words.into_iter().partition(|word| word.parse::<usize>().is_ok());
        if smoke {
            println!("a smoke run: it has to work, and its figures say nothing (`cargo bench` measures)");
        }
        let pairs = numbers.iter().find_map(|number| number.parse().ok()).unwrap_or(PAIRS);
        Self {
            pairs: if smoke { 1 } else { pairs },
            span: if smoke { Duration::from_millis(50) } else { Duration::from_secs(2) },
            smoke,
            filters: if smoke { Vec::new() } else { filters },
        }
    }

    /// Whether `name` is to be measured: it holds every filter of the command line.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.iter().all(|filter| name.contains(filter.as_str()))
    }

    /// Measures both alternately, each first in every other pair, after one pair that warms up and is not counted.
    pub fn pairs(&self, mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> Pairs {
        if !self.smoke {
            theirs();
            ours();
        }
        let mut pairs = Pairs::default();
        for at in 0..self.pairs {
            let (one, other) = if at % 2 == 0 {
                let one = ours();
                (one, theirs())
            } else {
                let other = theirs();
                (ours(), other)
            };
            pairs.push(one, other);
        }
        pairs
    }

    /// The orders in which `things` are measured, one for each round: each is first in its turn.
    pub fn orders(&self, things: usize) -> impl Iterator<Item = Vec<usize>> + use<> {
        (0..self.pairs).map(move |round| (0..things).map(|at| (at + round) % things).collect())
    }

    /// Measures one thing alone, as often as pairs are.
    pub fn alone(&self, mut measure: impl FnMut() -> f64) -> Vec<f64> {
        (0..self.pairs).map(|_| measure()).collect()
    }
}

/// As [`memory`], in megabytes.
pub fn megabytes(pid: u32, name: &str) -> f64 {
    memory(pid, name) as f64 / 1e6
}

/// Seconds of processor time that the process `pid` and its threads have used, in user space and in the kernel.
pub fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    ticks / ticks_per_second()
}

fn ticks_per_second() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output().expect("getconf, of libc-bin");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}
