//! The journal: records a second against a raw append and fdatasync of groups of the same size, and how long a start
//! takes that finds a million of them.
//!
//! `cargo bench --bench journal -- [PAIRS] [FILTER..]`, where a filter is a part of a row's name.

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::Rehearsal;
use harness::reviews::fixture;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rehearsal::recorder::Recorder;
use rehearsal::recorder::settings::{Durability, JournalSettings, OnFailure};
use rehearsal::review::clock::{DecisionId, Timestamp};
use rehearsal::review::decision::{Decision, ReviewRecord};
use rehearsal::review::decode::decode;
use serde_json::json;
use support::Run;
use support::bare;
use support::statistics::{Estimate, Target};
use support::table::Table;
use tokio::runtime::Runtime;

/// Reviews in flight by default: the most that wait for one group.
const IN_FLIGHT: usize = 512;

/// What one review comes to in the journal.
#[derive(Clone)]
struct Sample {
    review: Arc<ReviewRecord>,
    decision: Decision,
}

/// How the records of one measurement were written.
#[derive(Debug, Clone, Copy)]
struct Groups {
    /// Records of one write and fdatasync.
    records: f64,
    /// Bytes of one record.
    bytes: f64,
}

fn main() {
    let (run, runtime) = (Run::from_args(), bare::runtime());
    let mut rates = Table::of_pairs("Journal, fsync durability", "raw append + fdatasync");
    for in_flight in [8, 64, IN_FLIGHT] {
        let name = format!("records, {in_flight} in flight");
        if run.wants(&name) {
            records(&run, &runtime, &name, in_flight, &mut rates);
        }
    }
    rates.print();
    let mut starts = Table::of_figures("Start-up");
    let name = "to ready, 1,000,000 records to recover";
    if run.wants(name) {
        recovery(&run, &runtime, name, &mut starts);
    }
    starts.print();
}

fn records(run: &Run, runtime: &Runtime, name: &str, in_flight: usize, table: &mut Table) {
    // On the disk of the build, not in memory as `/tmp` may be.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let sample = Sample::of_a_pod();
    let groups = Cell::new(Groups { records: in_flight as f64, bytes: 700.0 });
    let ours = || {
        let (rate, seen) = runtime.block_on(journalled(dir.path(), &sample, in_flight, Until::Elapsed(run.span)));
        groups.set(seen);
        rate
    };
    let pairs = run.pairs(ours, || raw(dir.path(), groups.get(), run.span));
    let group = format!("{name}, groups of {:.0}", groups.get().records);
    table.push_pairs(&group, "records/s", &pairs, Target::AtLeast(0.8));
}

fn recovery(run: &Run, runtime: &Runtime, name: &str, table: &mut Table) {
    let records = if run.smoke { 2_000 } else { 1_000_000 };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    runtime.block_on(journalled(dir.path(), &Sample::of_a_pod(), IN_FLIGHT, Until::Recorded(records)));
    let seconds = run.alone(|| {
        runtime.block_on(async {
            let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            copy_synced(&dir.path().join("journal"), &data.path().join("journal"));
            let config = format!("data_dir: '{}'\nwebhook: {{tls: off}}", data.path().display());
            let builder = Rehearsal::builder().config(&config);
            let begun = Instant::now();
            let rehearsal = builder.start().await;
            assert_eq!(rehearsal.get("/readyz").await.status, 200);
            begun.elapsed().as_secs_f64()
        })
    });
    table.push_figure(name, "s", &Estimate::of(&seconds), Target::AtMost(5.0));
}

/// A copy that is on the disk: nothing of it is still written while the start is measured.
fn copy_synced(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the bench's directory is writable");
    for entry in fs::read_dir(from).expect("written before") {
        let entry = entry.expect("readable");
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy).expect("room for a copy");
        File::open(&copy).and_then(|copy| copy.sync_all()).expect("a disk that works");
    }
    File::open(to).and_then(|folder| folder.sync_all()).expect("a disk that works");
}

/// When a measurement ends.
#[derive(Clone, Copy)]
enum Until {
    Elapsed(Duration),
    Recorded(u64),
}

/// Records a second, and in which groups. The journal is made anew.
async fn journalled(dir: &Path, sample: &Sample, in_flight: usize, until: Until) -> (f64, Groups) {
    let settings = JournalSettings {
        dir: dir.join("journal"),
        durability: Durability::Fsync,
        max_size: 64 << 30,
        max_wait: Duration::from_secs(30),
        on_failure: OnFailure::Refuse,
    };
    if settings.dir.exists() {
        fs::remove_dir_all(&settings.dir).expect("ours");
    }
    let recorder = Recorder::open(&settings).expect("a directory of its own");
    let (stop, recorded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (recorder, sample) = (recorder.clone(), sample.clone());
            let (stop, recorded) = (Arc::clone(&stop), Arc::clone(&recorded));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let decision = sample.decision();
                    recorder.record(Arc::clone(&sample.review), decision).await.expect("a disk that works");
                    recorded.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let is_over = || match until {
        Until::Elapsed(span) => begun.elapsed() >= span,
        Until::Recorded(records) => recorded.load(Ordering::Relaxed) >= records,
    };
    while !is_over() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (count, elapsed) = (recorded.load(Ordering::Relaxed) as f64, begun.elapsed());
    for task in tasks {
        task.await.expect("no panic");
    }
    let mut registry = Registry::default();
    recorder.register_metrics(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes every text");
    let metric = |name: &str| harness::http::metric(&text, name, &[]);
    let records = metric("rehearsal_journal_group_records_sum");
    let groups = Groups {
        records: records / metric("rehearsal_journal_group_records_count"),
        bytes: recorder.status().size as f64 / records,
    };
    recorder.close(Duration::from_secs(10)).await;
    (count / elapsed.as_secs_f64(), groups)
}

/// Records a second of a loop that appends as much as a group is and has the disk confirm it: to one file after the
/// other, of the size of a segment.
fn raw(dir: &Path, groups: Groups, span: Duration) -> f64 {
    const SEGMENT: usize = 16 << 20;
    let group = vec![b'x'; (groups.records * groups.bytes) as usize];
    let path = dir.join("raw");
    let create = || -> File {
        // A new file each time: one that is there already has its blocks.
        let _ = fs::remove_file(&path);
        OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).expect("ours")
    };
    let (mut file, mut written, mut records) = (create(), 0, 0.0);
    let begun = Instant::now();
    while begun.elapsed() < span {
        if written >= SEGMENT {
            (file, written) = (create(), 0);
        }
        file.write_all(&group).and_then(|()| file.sync_data()).expect("a disk that works");
        written += group.len();
        records += groups.records;
    }
    records / begun.elapsed().as_secs_f64()
}

// === impl Sample ===

impl Sample {
    /// A pod that a real API server sent, with what two policies say of it.
    fn of_a_pod() -> Self {
        let review = decode(&fixture("002-admission-v1-create-pod.json")).expect("a review").record;
        let verdict = |policy: &str, verdict: &str| {
            json!({
                "policy": policy, "version": "4f5f0c2b9a3d4e61", "mode": "audit", "verdict": verdict, "violations": [],
                "standing": [], "omitted": 0, "error": null, "duration_us": 12
            })
        };
        let now = Timestamp::now();
        let decision = serde_json::from_value(json!({
            "id": DecisionId::at(now), "at": now, "cluster": "default", "review": review.hash, "name": "web-7d9c5f-x2x9q",
            "user": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "3d0cef2f-2da2-4fcf-9257-f39145515a60", "dry_run": false, "answer": "allowed", "code": 200,
            "message": null, "would_reject": false,
            "verdicts": [verdict("images", "allow"), verdict("gatekeeper", "allow")],
            "redacted": false, "revision": "9f2c61d07b7e4f01", "duration_us": 1240
        }));
        Self { review, decision: decision.expect("a decision") }
    }

    fn decision(&self) -> Decision {
        let at = Timestamp::now();
        Decision { id: DecisionId::at(at), at, ..self.decision.clone() }
    }
}
