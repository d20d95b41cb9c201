//! From the journal to the store.
//!
//! The drain reads behind the writer, only what counts as written, a batch at a time, and forgets a batch only when the
//! store has it: a store that is slow or gone makes the journal longer and nothing else. Its position is in memory. After
//! a restart it reads what is there again, which the store takes once (every record has an id), and a segment of which
//! everything is in the store is deleted whole.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::review::decision::Record;

use super::Recorder;
use super::damage::{Damage, Part, Walk};
use super::entry;
use super::frame::{self, Step};
use super::segment;
use super::shared::Shared;
use super::shelf::{Position, Span};

/// Where the cost of a transaction no longer shows in that of a row (at 100 rows it is more than half of it), and where
/// most of them add to figures that the batch has in hand anyway.
pub const MAX_RECORDS: usize = 2_000;

/// Two thousand usual records; fewer large ones, so that a batch in memory stays small.
const MAX_BYTES: u64 = 2 << 20;

/// At low rates a transaction waits this long for company: a page is never further behind for it than a reload takes.
const GATHER: Duration = Duration::from_millis(50);

/// The first and the longest wait before a batch is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// At most one line a second about a store that is gone.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// After so long at one batch the drain says so: a store that hangs gives no error.
const HANGS: Duration = Duration::from_secs(10);

/// Where records go: the store.
pub trait Sink: Send + Sync {
    type Error: Display + Send;

    /// All of `records` or none, and each id once however often it comes.
    fn apply(&self, records: &[Record]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// It has been at one batch for so long, and still is.
    fn hangs(&self, _for: Duration) {}
}

/// Drains until the recorder is closed and empty, or until `stop`.
pub async fn run<S: Sink>(recorder: Recorder, sink: S, stop: impl Future<Output = ()>) {
    let mut drain =
        Drain { shared: Arc::clone(recorder.shared()), sink, said: None, is_away: false, backoff: BACKOFF.0 };
    let running = Running::begin(Arc::clone(recorder.shared()));
    // The recorder goes first, or it would never be dropped, and so closed, by its other owners.
    drop(recorder);
    tokio::select! {
        () = drain.run() => {}
        () = stop => {}
    }
    drop(running);
}

struct Drain<S> {
    shared: Arc<Shared>,
    sink: S,
    said: Option<Instant>,
    /// The last that was said of the store is that it does not take a batch.
    is_away: bool,
    backoff: Duration,
}

/// Counts a drain while it runs.
struct Running(Arc<Shared>);

/// What goes to the store at once.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    bytes: u64,
    /// How far each segment is read, and how many records that were.
    read: Vec<(Position, u64)>,
}

// === impl Drain ===

impl<S: Sink> Drain<S> {
    async fn run(&mut self) {
        loop {
            if self.shared.shelf.unread(None).is_none() {
                self.delete_finished().await;
                if self.shared.has_ended() && self.shared.shelf.unread(None).is_none() {
                    return;
                }
                self.shared.shelf.grown.notified().await;
                continue;
            }
            if self.shared.shelf.backlog().records < MAX_RECORDS as u64 && !self.shared.is_closing() {
                tokio::time::sleep(GATHER).await;
            }
            let shared = Arc::clone(&self.shared);
            let read = tokio::task::spawn_blocking(move || Batch::read(&shared)).await;
            match read.expect("reading does not panic") {
                Ok(batch) => self.apply(batch).await,
                Err(error) => self.pause("the journal cannot be read", &error).await,
            }
        }
    }

    async fn apply(&mut self, batch: Batch) {
        while let Err(error) = self.try_apply(&batch.records).await {
            self.shared.metrics.drain_failures.inc();
            self.is_away = true;
            self.pause("the store does not take decisions: they stay in the journal", &error).await;
        }
        self.backoff = BACKOFF.0;
        self.shared.metrics.drained.inc_by(batch.records.len() as u64);
        for record in &batch.records {
            if let Record::Gap(gap) = record {
                self.shared.gaps.stored(gap.id);
            }
        }
        for (position, records) in batch.read {
            self.shared.shelf.drained_to(position, records);
        }
        if std::mem::take(&mut self.is_away) {
            let backlog = self.shared.shelf.backlog().records;
            tracing::info!(backlog, "the store takes decisions again: {backlog} more records wait in the journal");
        }
        self.delete_finished().await;
    }

    /// Never cut short here: what a batch that hangs has come to, only its end says.
    async fn try_apply(&mut self, records: &[Record]) -> Result<(), S::Error> {
        let mut applied = pin!(self.sink.apply(records));
        if let Ok(applied) = timeout(HANGS, &mut applied).await {
            return applied;
        }
        let backlog = self.shared.shelf.backlog().records;
        tracing::warn!(backlog, "the store has not answered for {} s: decisions stay in the journal", HANGS.as_secs());
        self.is_away = true;
        self.sink.hangs(HANGS);
        applied.await
    }

    async fn pause(&mut self, what: &str, error: &impl Display) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            let backlog = self.shared.shelf.backlog().records;
            tracing::warn!(%error, backlog, "{what}");
            self.said = Some(Instant::now());
        }
        tokio::time::sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
    }

    async fn delete_finished(&mut self) {
        let finished = self.shared.shelf.finished();
        if finished.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let deleted = tokio::task::spawn_blocking(move || delete(&shared, &finished)).await;
        if let Err(error) = deleted.expect("deleting does not panic") {
            self.pause("a drained segment of the journal cannot be deleted", &error).await;
        }
        self.shared.shelf.drained.notify_waiters();
    }
}

fn delete(shared: &Shared, finished: &[u64]) -> io::Result<()> {
    for &number in finished {
        match fs::remove_file(segment::path(&shared.settings.dir, number)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        shared.shelf.deleted(number);
    }
    Ok(())
}

// === impl Running ===

impl Running {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.drains.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.drains.fetch_sub(1, Ordering::AcqRel);
        self.0.shelf.drained.notify_waiters();
    }
}

// === impl Batch ===

impl Batch {
    fn read(shared: &Shared) -> io::Result<Self> {
        let mut batch = Self::default();
        while !batch.is_full() {
            let after = batch.read.last().map(|(position, _)| *position);
            let Some(span) = shared.shelf.unread(after) else { break };
            match batch.read_span(shared, span) {
                Ok(()) => {}
                Err(error) if batch.read.is_empty() => return Err(error),
                // What was read comes first; then this is met again.
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }

    fn read_span(&mut self, shared: &Shared, span: Span) -> io::Result<()> {
        let Some(bytes) = read(shared, span)? else {
            let damage = Damage { segment: span.segment, offset: span.from, bytes: &[] };
            self.damaged(shared, &damage, &[]);
            self.advance(span, span.to, 0);
            return Ok(());
        };
        let is_whole = bytes.len() as u64 == span.to - span.from;
        let (mut at, mut records) = (0, 0);
        for part in Walk::new(&bytes, 0) {
            match part {
                Part::Payload(payload) => {
                    (at, records) = (payload.end, records + 1);
                    self.bytes += payload.len() as u64;
                    match entry::parse(&bytes[payload.clone()]) {
                        Ok(record) => self.records.push(record),
                        Err(_) => self.unknown(shared, span, &bytes, payload),
                    }
                }
                // The end of what was read, in the middle of a record.
                Part::Damaged(_) if !is_whole => break,
                Part::Damaged(part) => {
                    at = part.end;
                    self.unknown(shared, span, &bytes, part);
                }
            }
            if self.is_full() {
                break;
            }
        }
        self.advance(span, span.from + at as u64, records);
        Ok(())
    }

    fn advance(&mut self, span: Span, offset: u64, records: u64) {
        self.read.push((Position { segment: span.segment, offset }, records));
    }

    /// A part of `bytes`, which were read from `span`, that is no record that we know.
    fn unknown(&mut self, shared: &Shared, span: Span, bytes: &[u8], part: std::ops::Range<usize>) {
        let damage = Damage { segment: span.segment, offset: span.from + part.start as u64, bytes: &bytes[part] };
        let whole = fs::read(segment::path(&shared.settings.dir, span.segment)).unwrap_or_default();
        self.damaged(shared, &damage, &whole);
    }

    fn damaged(&mut self, shared: &Shared, damage: &Damage<'_>, whole: &[u8]) {
        shared.damages.found(&shared.settings.dir, damage);
        self.records.push(Record::Gap(damage.gap(whole)));
    }
}

/// The beginning of `span`, or all of it where its first record is long or damaged. `None`: the file is gone.
fn read(shared: &Shared, span: Span) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(segment::path(&shared.settings.dir, span.segment)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = span.to - span.from;
    let bytes = read_exact(&file, span.from, len.min(MAX_BYTES))?;
    if (bytes.len() as u64) < len && frame::step(&bytes, 0) == Step::Bad {
        return read_exact(&file, span.from, len).map(Some);
    }
    Ok(Some(bytes))
}

fn read_exact(file: &File, from: u64, len: u64) -> io::Result<Vec<u8>> {
    // A segment that somebody cut short reads as zeros, which are no record.
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
