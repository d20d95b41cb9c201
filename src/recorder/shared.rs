//! What the handle, the threads and the drain have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::review::clock::Timestamp;
use crate::review::decision::{Decision, ReviewRecord};

use super::damage::Damages;
use super::entry::Borrowed;
use super::error::NotRecorded;
use super::frame;
use super::gaps::Gaps;
use super::health::Health;
use super::lock::DirLock;
use super::metrics::Metrics;
use super::presence::Presence;
use super::queue::Queue;
use super::settings::JournalSettings;
use super::shelf::Shelf;
use super::status::JournalStatus;
use super::unjudged::Unjudged;

#[derive(Debug)]
pub(super) struct Shared {
    pub settings: JournalSettings,
    pub limits: Limits,
    pub pace: Pace,
    pub queue: Queue,
    pub shelf: Shelf,
    pub health: Health,
    pub gaps: Gaps,
    pub unjudged: Unjudged,
    pub presence: Presence,
    pub damages: Damages,
    pub metrics: Metrics,
    pub lock: Mutex<Option<DirLock>>,
    pub is_read: AtomicBool,
    /// Drains that run.
    pub drains: AtomicUsize,
    pub is_closing: AtomicBool,
    /// The writer has written its last.
    pub has_ended: AtomicBool,
    /// Closed when both threads have ended.
    pub threads: watch::Receiver<()>,
}

/// Shares of `max_size`, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub max_size: u64,
    /// A segment is left when it has come to this.
    pub segment: u64,
    pub decisions: u64,
    pub amendments: u64,
    pub samples: u64,
}

/// How often the recorder looks after things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The keeper's round.
    pub tick: Duration,
    /// A gap ends when nothing was missed for this long: a disk that stutters makes one gap, not hundreds.
    pub quiet: Duration,
    /// A crash loses the counts of unjudged reviews of at most this long.
    pub unjudged: Duration,
    /// A crash leaves at most this long unsaid to have been served.
    pub presence: Duration,
    /// A failed journal is tried again this often.
    pub retry: Duration,
}

/// A segment is read whole at recovery, and the last one again after a crash, so it is small; large enough that a new
/// file, at two or three fsyncs, comes every few seconds at most.
const MAX_SEGMENT: u64 = 16 << 20;

/// What of `max_size` decisions leave free for what must still be written: ends of gaps, counts, late verdicts.
const RESERVE: u64 = 1 << 20;

// === impl Shared ===

impl Shared {
    pub(super) fn new(settings: &JournalSettings, pace: Pace) -> (Arc<Self>, watch::Sender<()>) {
        let limits = Limits::of(settings.max_size);
        let size = Arc::new(AtomicU64::new(0));
        let (sender, threads) = watch::channel(());
        let shared = Self {
            settings: settings.clone(),
            limits,
            pace,
            queue: Queue::new(limits, Arc::clone(&size)),
            shelf: Shelf::new(size),
            health: Health::new(settings.max_wait),
            gaps: Gaps::default(),
            unjudged: Unjudged::default(),
            presence: Presence::new(pace.presence),
            damages: Damages::default(),
            metrics: Metrics::default(),
            lock: Mutex::default(),
            is_read: AtomicBool::new(false),
            drains: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            threads,
        };
        (Arc::new(shared), sender)
    }

    /// The frames of a decision and, unless the current segment holds it, of its review.
    pub(super) fn frames(&self, review: &ReviewRecord, decision: &Decision) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let decision = frame::encode(&Borrowed::Decision(decision)).ok()?;
        if self.shelf.holds(&review.hash) {
            return Some((decision, None));
        }
        Some((decision, Some(frame::encode(&Borrowed::Review(review)).ok()?)))
    }

    /// Counts a decision that is in no segment and will not be.
    pub(super) fn missed(&self, at: Timestamp, cluster: &str, why: NotRecorded) -> NotRecorded {
        self.metrics.missed(&why);
        self.count_missed(at, Some(cluster), &why);
        why
    }

    /// Counts it in the open gap, and says it in the log when that is the first for which the journal has no room.
    pub(super) fn count_missed(&self, at: Timestamp, cluster: Option<&str>, why: &NotRecorded) {
        let NotRecorded::Full(max_size) = why else { return self.gaps.miss(at, cluster, why.reason()) };
        if self.gaps.miss_of_full(at, cluster, why.reason()) {
            tracing::error!(
                max_size,
                backlog = self.shelf.backlog().records,
                "the journal has reached its max_size: decisions are not recorded, the history has a gap; see to the store, \
                 which does not take what waits, or raise journal.max_size"
            );
        }
    }

    /// Why decisions are not recorded, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        let full = || "the journal has reached its max_size: is the store reachable?".to_owned();
        self.health.fault().or_else(|| self.gaps.is_full().then(full))
    }

    pub(super) fn status(&self) -> JournalStatus {
        // First: what is written after it is later than it.
        let now = Timestamp::now();
        let waiting = self.queue.oldest();
        let backlog = self.shelf.backlog();
        let oldest = backlog.oldest.into_iter().chain(waiting).min();
        JournalStatus {
            failed: self.fault(),
            backlog_records: backlog.records,
            backlog_bytes: backlog.bytes,
            size: self.shelf.size(),
            oldest,
            drained_until: self.is_read().then(|| oldest.map_or(now, |oldest| oldest.min(now))),
            open_gap: self.gaps.current(),
            ended_gaps: self.gaps.ended(),
            torn: self.metrics.torn.get(),
            damaged: self.damages.count(),
        }
    }

    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.queue.close();
        self.gaps.close();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// The directory is ours and its segments are on the shelf.
    pub(super) fn opened(&self, lock: DirLock) {
        *hold(&self.lock) = Some(lock);
        self.is_read.store(true, Ordering::Release);
    }

    fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    pub(super) fn writer_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.gaps.writer_ended();
        self.shelf.grown.notify_one();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

// === impl Limits ===

impl Limits {
    pub(super) fn of(max_size: u64) -> Self {
        // An eighth, so that a small journal too frees space while it is drained.
        let segment = MAX_SEGMENT.min(max_size / 8);
        let decisions = max_size - RESERVE.min(max_size / 8);
        // Half: examples never crowd out decisions.
        Self { max_size, segment, decisions, amendments: max_size, samples: max_size / 2 }
    }
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            quiet: Duration::from_secs(1),
            unjudged: Duration::from_secs(10),
            presence: Duration::from_secs(15),
            retry: Duration::from_secs(1),
        }
    }
}

/// A lock that a panic elsewhere does not take away: what it guards is whole between any two statements.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
