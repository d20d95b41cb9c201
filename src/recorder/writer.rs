//! The one thread that writes segments.
//!
//! It takes all that has come, writes it with one call, syncs once, and lets everybody go on who waited for it: the
//! slower the disk, the larger the group. Nobody else touches the segments' files, so there is no lock around them.

use std::sync::Arc;
use std::time::Instant;

use super::entry::{Borrowed, Entry, Kind, Pending};
use super::error::{JournalError, NotRecorded};
use super::files::Files;
use super::frame;
use super::queue::Work;
use super::recovery::recover;
use super::segment::Segment;
use super::settings::Durability;
use super::shared::{Shared, hold};
use crate::review::clock::Timestamp;

/// Records kept in memory while the journal fails, amendments of a webhook that is answered late above all. Some
/// 10 MB; past it they are dropped and counted in the gap.
const MAX_HELD: usize = 10_000;

/// A buffer that one large group has grown is given back past this.
const KEPT_BUFFER: usize = 4 << 20;

pub(super) struct Writer<D: Files> {
    shared: Arc<Shared>,
    files: D,
    /// `None` while the journal fails.
    segment: Option<Segment<D::File>>,
    /// The directory is ours and read.
    is_open: bool,
    /// The number of the next segment.
    next: u64,
    /// What must not be lost, of groups that could not be written.
    held: Vec<Entry>,
    failure: Option<Failure>,
    buffer: Vec<u8>,
}

/// The journal cannot be written.
#[derive(Debug, Clone)]
struct Failure {
    /// For whoever waits.
    text: String,
    /// For the history.
    reason: String,
    retry_at: Instant,
}

/// Says that the writer has ended, however it did.
struct Ending(Arc<Shared>);

impl<D: Files> Writer<D> {
    pub(super) fn new(shared: Arc<Shared>, files: D) -> Self {
        Self {
            shared,
            files,
            segment: None,
            is_open: false,
            next: 1,
            held: Vec::new(),
            failure: None,
            buffer: Vec::new(),
        }
    }

    /// Takes the directory, reads what is there and begins a segment.
    pub(super) fn open(&mut self) -> Result<(), JournalError> {
        if !self.is_open {
            let recovered = recover(&self.shared.settings.dir, &self.shared.damages)?;
            recovered.tell(&self.shared.gaps);
            recovered.shelve(&self.shared.shelf);
            self.next = recovered.next;
            self.shared.metrics.torn.inc_by(recovered.torn);
            self.shared.opened(recovered.lock);
            self.shared.gaps.opened(recovered.gap_file, recovered.marks);
            self.is_open = true;
        }
        self.begin_segment()
    }

    /// It has failed from the start; it will be tried again.
    pub(super) fn fail_from_start(&mut self, error: &JournalError) {
        self.declare_failed(error);
    }

    pub(super) fn run(mut self) {
        let ending = Ending(Arc::clone(&self.shared));
        let mut spare = Vec::new();
        loop {
            match self.shared.queue.take(std::mem::take(&mut spare), self.retry_at()) {
                Work::Group(group) => spare = self.commit(group),
                Work::Roll => self.roll(),
                Work::Nothing => {}
                Work::Ended => break,
            }
            if self.retry_at().is_some_and(|at| at <= Instant::now()) {
                self.retry();
            }
        }
        self.end();
        drop(ending);
    }

    /// Writes `group` and answers everybody in it. Gives the vector back, empty.
    fn commit(&mut self, mut group: Vec<Entry>) -> Vec<Entry> {
        // Whoever gave up is counted in the gap already.
        group.retain(Entry::claim);
        if !self.held.is_empty() {
            self.held.append(&mut group);
            std::mem::swap(&mut self.held, &mut group);
        }
        if self.failure.is_none() && !group.is_empty() {
            self.shared.health.write_begins();
            if let Err(error) = self.write(&group) {
                self.declare_failed(&error);
            }
            self.shared.health.write_ends();
        }
        match self.failure.clone() {
            None => group.drain(..).for_each(Entry::written),
            Some(failure) => group.drain(..).for_each(|entry| self.lose(entry, &failure)),
        }
        self.shared.queue.finished();
        group
    }

    fn write(&mut self, group: &[Entry]) -> Result<(), JournalError> {
        let is_full = self.segment.as_ref().is_none_or(|segment| segment.good >= self.shared.limits.segment);
        if is_full {
            self.begin_segment()?;
        }
        let Err(error) = self.append(group) else { return Ok(()) };
        // What the kernel holds of that file after an error is unknown, and a second fsync would lie. So the group is
        // written again from memory, to a new file.
        self.shared.metrics.failures.inc();
        tracing::warn!(%error, "a write to the journal failed: trying it again in a new segment");
        self.abandon_segment();
        self.begin_segment()?;
        self.append(group)
    }

    fn append(&mut self, group: &[Entry]) -> Result<(), JournalError> {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        let records = self.compose(group);
        let segment = self.segment.as_mut().expect("a segment was begun before");
        segment.append(&self.buffer)?;
        if self.shared.settings.durability == Durability::Fsync {
            let begun = Instant::now();
            segment.sync()?;
            self.shared.metrics.fsync.observe(begun.elapsed().as_secs_f64());
        }
        segment.settle();
        self.shared.metrics.group.observe(group.len() as f64);
        let oldest = group.iter().filter_map(Entry::decided_at).min();
        self.shared.shelf.grew(segment.number, segment.good, records, oldest);
        Ok(())
    }

    /// Puts the frames of `group` into the buffer, each review only where the segment has it not yet. How many.
    fn compose(&mut self, group: &[Entry]) -> u64 {
        let mut reviews = hold(self.shared.shelf.reviews());
        let mut records = group.len() as u64;
        let mut sender = None;
        for entry in group {
            if let Kind::Decision(pending) = &entry.kind {
                if sender.replace(&pending.cluster) != Some(&pending.cluster) {
                    self.shared.presence.serves(&pending.cluster);
                }
                if reviews.insert(pending.review.hash) {
                    records += 1;
                    put_review(&mut self.buffer, pending);
                }
            }
            self.buffer.extend_from_slice(&entry.frame);
        }
        records
    }

    /// The journal is drained up to here: a new segment lets the drain delete this one.
    fn roll(&mut self) {
        if self.segment.is_none() {
            return;
        }
        self.shared.health.write_begins();
        if let Err(error) = self.begin_segment() {
            self.declare_failed(&error);
        }
        self.shared.health.write_ends();
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        // A number is tried once: a file that a failed try has left there would be in the way for good.
        let number = self.next;
        self.next += 1;
        let segment = Segment::create(&self.files, &self.shared.settings.dir, number)?;
        self.shared.shelf.begun(segment.number, segment.good);
        if let Some(left) = self.segment.replace(segment) {
            self.shared.shelf.sealed(left.number);
        }
        Ok(())
    }

    /// Leaves a segment of which a write failed. What counts in it stays.
    fn abandon_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        if let Err(error) = segment.cut() {
            tracing::warn!(%error, "what failed to be written to the journal could not be cut off");
        }
        self.shared.shelf.sealed(segment.number);
    }

    fn declare_failed(&mut self, error: &JournalError) {
        self.abandon_segment();
        if !self.shared.health.has_failed() {
            tracing::error!(%error, "the journal cannot be written: decisions are not recorded, the history has a gap");
            self.shared.gaps.begin(Timestamp::now(), &error.reason());
        }
        self.shared.metrics.failures.inc();
        self.shared.health.failed(error.to_string());
        let retry_at = Instant::now() + self.shared.pace.retry;
        self.failure = Some(Failure { text: error.to_string(), reason: error.reason(), retry_at });
    }

    fn retry(&mut self) {
        if let Err(error) = self.open() {
            self.declare_failed(&error);
            return;
        }
        self.failure = None;
        self.shared.health.recovered();
        tracing::info!("the journal can be written again");
        self.commit(Vec::new());
    }

    /// An entry that could not be written.
    fn lose(&mut self, entry: Entry, failure: &Failure) {
        match entry.kind {
            Kind::Decision(pending) => {
                self.shared.gaps.miss(pending.at, Some(&pending.cluster), &failure.reason);
                self.shared.metrics.missed(&NotRecorded::Failed(String::new()));
                pending.failed(NotRecorded::Failed(failure.text.clone()));
            }
            Kind::Kept(at) if self.held.len() >= MAX_HELD => {
                self.shared.gaps.miss(at, None, &failure.reason);
                self.shared.metrics.dropped.inc();
            }
            Kind::Sample => drop(self.shared.metrics.dropped.inc()),
            Kind::Kept(_) | Kind::Gap(_) | Kind::Own => self.held.push(entry),
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.retry_at)
    }

    fn end(&mut self) {
        if self.failure.is_some() {
            self.retry();
        }
        let Some(segment) = &self.segment else {
            tracing::error!(records = self.held.len(), "the journal could not be written to its end");
            return;
        };
        if self.shared.settings.durability == Durability::Process
            && let Err(error) = segment.sync()
        {
            tracing::warn!(%error, "the journal's last records may not survive a crash of the machine");
        }
        self.shared.shelf.sealed(segment.number);
    }
}

fn put_review(buffer: &mut Vec<u8>, pending: &Pending) {
    match &pending.review_frame {
        Some(frame) => buffer.extend_from_slice(frame),
        // The segment that had it has been left since the decision was sent.
        None => {
            let review = Borrowed::Review(&pending.review);
            buffer.extend(frame::encode(&review).expect("it was short enough before"));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.failed("its writer has stopped: restart rehearsal".to_owned());
        }
        self.0.writer_ended();
    }
}
