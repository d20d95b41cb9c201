//! The journal over real files, with a disk that fails and hangs on demand, and a store that collects.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::drain::{self, Sink};
use super::files::{Disk, Files, SegmentFile};
use super::settings::{Durability, JournalSettings, OnFailure};
use super::shared::{Pace, hold};
use super::*;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Gap, Operation, Protocol, ReviewHash};
use crate::review::workload::Workload;

mod crash;
mod drains;
mod faults;

/// The wait for a condition that must come; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

const QUICK: Pace = Pace {
    tick: Duration::from_millis(5),
    quiet: Duration::from_millis(20),
    unjudged: Duration::from_millis(20),
    presence: Duration::from_millis(20),
    retry: Duration::from_millis(20),
};

// --- What is recorded ---

fn settings(dir: &Path) -> JournalSettings {
    JournalSettings {
        dir: dir.join("journal"),
        durability: Durability::Fsync,
        max_size: 4 << 30,
        max_wait: PATIENCE,
        on_failure: OnFailure::Answer,
    }
}

fn review(number: u8) -> Arc<ReviewRecord> {
    Arc::new(ReviewRecord {
        hash: ReviewHash([number; 32]),
        protocol: Protocol::ImageReview,
        api_version: "v1alpha1".to_owned(),
        operation: Operation::Create,
        subresource: None,
        group: None,
        kind: Some("Pod".to_owned()),
        namespace: Some("default".to_owned()),
        workload: Workload { kind: "Pods".to_owned(), name: "running docker.io/library/nginx".to_owned() },
        images: Vec::new(),
        annotations: BTreeMap::new(),
    })
}

fn decision(review: &ReviewRecord, at: i64) -> Decision {
    Decision {
        id: DecisionId::at(Timestamp(at)),
        at: Timestamp(at),
        cluster: "prod".to_owned(),
        review: review.hash,
        name: None,
        user: Some("jane".to_owned()),
        caller: None,
        uid: None,
        dry_run: false,
        answer: Answer::Allowed,
        code: 200,
        message: None,
        would_reject: false,
        verdicts: Vec::new(),
        candidates: Vec::new(),
        redacted: false,
        revision: "r1".to_owned(),
        duration_us: 1234,
        notes: Vec::new(),
    }
}

/// Records one decision of the review `number` at `at`.
async fn record(recorder: &Recorder, number: u8, at: i64) -> Result<DecisionId, NotRecorded> {
    let review = review(number);
    let decision = decision(&review, at);
    let id = decision.id;
    recorder.record(review, decision).await.map(|()| id)
}

// --- What is found ---

/// A store that keeps the first record of each id, as the real one does, and fails on demand.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Collection>>);

#[derive(Debug, Default)]
struct Collection {
    reviews: BTreeMap<ReviewHash, ReviewRecord>,
    decisions: BTreeMap<Uuid, Decision>,
    gaps: BTreeMap<Uuid, Gap>,
    unjudged: BTreeMap<Uuid, u64>,
    /// By their beginning: end and clusters, of the latest beat.
    presence: BTreeMap<Timestamp, (Timestamp, Vec<String>)>,
    batches: Vec<usize>,
    /// Decisions that came before their review.
    orphans: usize,
    failures: usize,
}

impl Sink for Collected {
    type Error = String;

    async fn apply(&self, records: &[Record]) -> Result<(), String> {
        let mut collection = hold(&self.0);
        if collection.failures > 0 {
            collection.failures -= 1;
            return Err("the database is gone".to_owned());
        }
        collection.batches.push(records.len());
        for record in records {
            collection.take(record.clone());
        }
        Ok(())
    }
}

impl Collection {
    fn take(&mut self, record: Record) {
        match record {
            Record::Review(review) => drop(self.reviews.insert(review.hash, review)),
            Record::Decision(decision) => {
                self.orphans += usize::from(!self.reviews.contains_key(&decision.review));
                self.decisions.entry(decision.id.0).or_insert(*decision);
            }
            Record::Gap(gap) => drop(self.gaps.insert(gap.id.0, gap)),
            Record::Unjudged { id, count, .. } => drop(self.unjudged.insert(id.0, count)),
            Record::Presence { clusters, from, to, .. } => drop(self.presence.insert(from, (to, clusters))),
            Record::Amendment(_) | Record::Object(_) => {}
        }
    }
}

impl Collected {
    fn ids(&self) -> Vec<DecisionId> {
        hold(&self.0).decisions.keys().copied().map(DecisionId).collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        hold(&self.0).gaps.values().cloned().collect()
    }

    /// Of all gaps together.
    fn missed(&self) -> u64 {
        self.gaps().iter().filter_map(|gap| gap.count).sum()
    }
}

/// A drain that runs until it is stopped.
struct Draining {
    sink: Collected,
    stop: oneshot::Sender<Infallible>,
    task: tokio::task::JoinHandle<()>,
}

impl Draining {
    fn of(recorder: &Recorder, sink: Collected) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(drain::run(recorder.clone(), sink.clone(), stopped));
        Self { sink, stop, task }
    }

    async fn stop(self) -> Collected {
        drop(self.stop);
        self.task.await.unwrap();
        self.sink
    }
}

/// All that a journal holds: opened, drained and closed.
async fn drained(settings: &JournalSettings) -> Collected {
    let recorder = Recorder::open_on(settings, QUICK, Disk).unwrap();
    let draining = Draining::of(&recorder, Collected::default());
    until("the drain runs", || recorder.shared().drains.load(Ordering::Acquire) == 1).await;
    assert_eq!(recorder.close(PATIENCE).await, 0);
    draining.stop().await
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("still waiting: {what}"));
}

fn segments(settings: &JournalSettings) -> Vec<PathBuf> {
    let numbers = segment::list(&settings.dir).unwrap();
    numbers.into_iter().map(|number| segment::path(&settings.dir, number)).collect()
}

fn damaged_files(settings: &JournalSettings) -> Vec<Vec<u8>> {
    let files = fs::read_dir(&settings.dir).unwrap().map(|file| file.unwrap().path());
    let damaged = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("damaged-"));
    damaged.map(|path| fs::read(path).unwrap()).collect()
}

// --- A disk that fails ---

#[derive(Debug, Clone, Default)]
struct Faulty(Arc<Faults>);

#[derive(Debug, Default)]
struct Faults {
    state: Mutex<FaultState>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct FaultState {
    /// How many of the next calls fail.
    creates: usize,
    appends: usize,
    syncs: usize,
    hang: bool,
    /// A call hangs now.
    hanging: bool,
}

#[derive(Debug)]
struct FaultyFile {
    file: File,
    faults: Arc<Faults>,
}

impl Faulty {
    fn set(&self, change: impl FnOnce(&mut FaultState)) {
        change(&mut hold(&self.0.state));
        self.0.released.notify_all();
    }

    fn hangs(&self) -> bool {
        hold(&self.0.state).hanging
    }
}

impl Faults {
    fn fail(&self, of: impl FnOnce(&mut FaultState) -> &mut usize, kind: io::ErrorKind) -> io::Result<()> {
        let mut state = hold(&self.state);
        let left = of(&mut state);
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err(kind.into())
    }

    fn hang(&self) {
        let mut state = hold(&self.state);
        while state.hang {
            state.hanging = true;
            state = self.released.wait(state).unwrap();
        }
        state.hanging = false;
    }
}

impl Files for Faulty {
    type File = FaultyFile;

    fn create(&self, path: &Path) -> io::Result<FaultyFile> {
        self.0.fail(|state| &mut state.creates, io::ErrorKind::ReadOnlyFilesystem)?;
        Ok(FaultyFile { file: Disk.create(path)?, faults: Arc::clone(&self.0) })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
}

impl SegmentFile for FaultyFile {
    /// A write that fails has written a part.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.faults.fail(|state| &mut state.appends, io::ErrorKind::StorageFull) {
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.hang();
        self.faults.fail(|state| &mut state.syncs, io::ErrorKind::Other)?;
        self.file.sync()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.file.cut(len)
    }
}

// --- Plain recording ---

#[test]
fn a_borrowed_record_is_the_same_json() {
    let review = review(1);
    let decision = decision(&review, 1_000);
    let borrowed = frame::encode(&entry::Borrowed::Review(&review)).unwrap();
    assert_eq!(borrowed, frame::encode(&Record::Review((*review).clone())).unwrap());
    let borrowed = frame::encode(&entry::Borrowed::Decision(&decision)).unwrap();
    assert_eq!(borrowed, frame::encode(&Record::Decision(Box::new(decision))).unwrap());
}

#[tokio::test]
async fn what_is_recorded_is_drained_once_with_its_review() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open(&settings).unwrap();
    let mut ids = Vec::new();
    for at in 0..50 {
        ids.push(record(&recorder, (at % 3) as u8, 1_000 + at).await.unwrap());
    }
    // 50 decisions and 3 reviews.
    assert_eq!(recorder.status().backlog_records, 53);
    assert_eq!(recorder.status().oldest, Some(Timestamp(1_000)));
    assert_eq!(recorder.status().drained_until, Some(Timestamp(1_000)));
    let draining = Draining::of(&recorder, Collected::default());
    until("all is drained", || recorder.status().backlog_records == 0).await;
    assert_eq!(recorder.status().oldest, None);
    assert_eq!(recorder.close(PATIENCE).await, 0);
    let sink = draining.stop().await;
    assert_eq!(sink.ids(), ids);
    assert_eq!(hold(&sink.0).reviews.len(), 3);
    assert_eq!(hold(&sink.0).orphans, 0);
    assert_eq!(sink.gaps(), []);
    assert_eq!(segments(&settings), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn many_at_once_share_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings(dir.path()), QUICK, faulty.clone()).unwrap();
    faulty.set(|state| state.hang = true);
    let first = tokio::spawn(record_owned(recorder.clone(), 1, 1));
    until("the first is being written", || faulty.hangs()).await;
    let others: Vec<_> = (2..100).map(|at| tokio::spawn(record_owned(recorder.clone(), 1, at))).collect();
    until("the others wait", || recorder.shared().queue.len() == 99).await;
    faulty.set(|state| state.hang = false);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    let mut registry = Registry::default();
    recorder.register_metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("rehearsal_journal_group_records_count 2\n"), "{text}");
    assert!(text.contains("rehearsal_journal_group_records_sum 99.0\n"), "{text}");
    assert!(text.contains("rehearsal_journal_backlog_records 100.0\n"), "{text}");
}

async fn record_owned(recorder: Recorder, number: u8, at: i64) -> Result<DecisionId, NotRecorded> {
    record(&recorder, number, at).await
}

#[tokio::test]
async fn each_segment_holds_its_reviews() {
    let dir = tempfile::tempdir().unwrap();
    // Segments of 2 KiB.
    let settings = JournalSettings { max_size: 16 << 10, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    for at in 0..12 {
        record(&recorder, 7, at).await.unwrap();
    }
    assert_eq!(recorder.close(PATIENCE).await, recorder.status().backlog_records);
    let segments = segments(&settings);
    assert!(segments.len() > 2, "{segments:?}");
    for segment in segments {
        let bytes = fs::read(segment).unwrap();
        let count = |tag: &str| bytes.windows(tag.len()).filter(|window| *window == tag.as_bytes()).count();
        assert_eq!(count(r#"{"record":"review""#), 1);
        assert!(count(r#"{"record":"decision""#) > 0);
    }
}

#[tokio::test]
async fn unjudged_reviews_are_journalled_in_time_and_at_close() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    for _ in 0..5 {
        recorder.unjudged("prod");
    }
    until("the counts are written", || recorder.status().backlog_records > 0).await;
    let slow = Pace { unjudged: Duration::from_secs(3600), ..QUICK };
    recorder.close(PATIENCE).await;
    let recorder = Recorder::open_on(&settings, slow, Disk).unwrap();
    recorder.unjudged("prod");
    recorder.unjudged("prod");
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!(hold(&sink.0).unjudged.values().sum::<u64>(), 7);
}

#[tokio::test]
async fn who_was_served_is_journalled_from_the_start_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let before = Timestamp::now();
    recorder.present(Uuid::now_v7(), ["local".to_owned()]);
    until("three beats are written", || recorder.status().backlog_records >= 3).await;
    record(&recorder, 1, 1).await.unwrap();
    recorder.unjudged("edge");
    until("the counts are written", || recorder.status().backlog_records >= 8).await;
    recorder.left();
    let left = Timestamp::now();
    recorder.close(PATIENCE).await;
    let presence = hold(&drained(&settings).await.0).presence.clone();
    assert_eq!(presence.len(), 1, "one span: {presence:?}");
    let (from, (to, clusters)) = presence.first_key_value().unwrap();
    assert!(before <= *from && from < to && *to <= left, "{presence:?}");
    assert!(left.0 - to.0 < 100, "the end is in it: {presence:?}");
    assert_eq!(clusters[..], ["edge", "local", "prod"]);
}

#[tokio::test]
async fn a_closed_recorder_refuses_and_a_dropped_one_closes() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open(&settings).unwrap();
    record(&recorder, 1, 1).await.unwrap();
    assert_eq!(recorder.close(PATIENCE).await, 2);
    assert_eq!(record(&recorder, 1, 2).await, Err(NotRecorded::Closed));
    drop(recorder);
    let recorder = Recorder::open(&settings).unwrap();
    let shared = Arc::downgrade(recorder.shared());
    drop(recorder);
    until("the threads have ended", || shared.strong_count() == 0).await;
    assert_eq!(drained(&settings).await.ids().len(), 1);
}
