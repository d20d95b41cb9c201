//! What is sent to the writer: everything that came while it wrote is its next group.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::review::clock::Timestamp;

use super::entry::{Entry, Kind};
use super::error::NotRecorded;
use super::shared::{Limits, hold};

/// Twenty times the default of 512 reviews in flight, for amendments and samples beside them.
const MAX_ENTRIES: usize = 10_000;

/// What memory may hold while a disk hangs. One entry is always let in, whatever its size.
const MAX_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limits: Limits,
    /// Bytes of the segments on the disk.
    on_disk: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    bytes: usize,
    /// What the writer has taken and not finished.
    in_hand: InHand,
    /// The writer sleeps: a wake-up is a system call that is not wasted on one that runs.
    writer_waits: bool,
    roll: bool,
    stage: Stage,
}

#[derive(Debug, Default)]
struct InHand {
    entries: usize,
    bytes: usize,
    oldest: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// Only the recorder itself still writes.
    Closing,
    /// What is in here is the last.
    Ended,
}

/// An entry that was not let in.
#[derive(Debug)]
pub(super) struct Refused {
    pub entry: Entry,
    pub why: NotRecorded,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Work {
    Group(Vec<Entry>),
    /// Begin a new segment: the current one is drained.
    Roll,
    /// The wait ended.
    Nothing,
    Ended,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(limits: Limits, on_disk: Arc<AtomicU64>) -> Self {
        let state = State {
            entries: Vec::new(),
            bytes: 0,
            in_hand: InHand::default(),
            writer_waits: false,
            roll: false,
            stage: Stage::Open,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), limits, on_disk }
    }

    pub(super) fn push(&self, entry: Entry) -> Result<(), Box<Refused>> {
        let mut state = hold(&self.state);
        if let Err(why) = state.admit(&entry, self.on_disk(), &self.limits) {
            return Err(Box::new(Refused { entry, why }));
        }
        state.bytes += entry.len();
        state.entries.push(entry);
        if state.writer_waits {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// For the writer: waits for work, at most until `until`. `spare` is a vector to reuse.
    pub(super) fn take(&self, spare: Vec<Entry>, until: Option<Instant>) -> Work {
        let mut state = hold(&self.state);
        loop {
            if !state.entries.is_empty() {
                return Work::Group(state.take(spare));
            }
            if state.stage == Stage::Ended {
                return Work::Ended;
            }
            if std::mem::take(&mut state.roll) {
                return Work::Roll;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Work::Nothing;
            }
            state.writer_waits = true;
            state = match left {
                Some(left) => self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.writer_waits = false;
        }
    }

    /// For the writer: what it took is written or given up.
    pub(super) fn finished(&self) {
        hold(&self.state).in_hand = InHand::default();
    }

    pub(super) fn roll(&self) {
        hold(&self.state).roll = true;
        self.filled.notify_one();
    }

    /// No decision, amendment or sample is let in any more.
    pub(super) fn close(&self) {
        let mut state = hold(&self.state);
        if state.stage == Stage::Open {
            state.stage = Stage::Closing;
        }
    }

    /// Nothing is let in any more; the writer writes what is here and ends.
    pub(super) fn end(&self) {
        hold(&self.state).stage = Stage::Ended;
        self.filled.notify_one();
    }

    /// The time of the earliest decision that is sent and not yet written.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let state = hold(&self.state);
        state.entries.iter().filter_map(Entry::decided_at).chain(state.in_hand.oldest).min()
    }

    /// Entries that are sent and not yet written.
    pub(super) fn len(&self) -> usize {
        let state = hold(&self.state);
        state.entries.len() + state.in_hand.entries
    }

    /// Whether decisions could be let in again without being refused at once.
    pub(super) fn has_room(&self) -> bool {
        let state = hold(&self.state);
        // A sixteenth free: else every drained segment would end one gap and begin the next.
        self.on_disk() + state.held() + self.limits.decisions / 16 <= self.limits.decisions
    }

    /// Whether all that is written and waits takes less than `bytes`.
    pub(super) fn is_within(&self, bytes: u64) -> bool {
        self.on_disk() + hold(&self.state).held() < bytes
    }

    fn on_disk(&self) -> u64 {
        self.on_disk.load(Ordering::Acquire)
    }
}

// === impl State ===

impl State {
    fn admit(&self, entry: &Entry, on_disk: u64, limits: &Limits) -> Result<(), NotRecorded> {
        let (needs_open, bound) = match entry.kind {
            Kind::Decision(_) => (true, limits.decisions),
            Kind::Kept(_) => (true, limits.amendments),
            Kind::Sample => (true, limits.samples),
            Kind::Gap(_) | Kind::Own => (false, u64::MAX),
        };
        if self.stage == Stage::Ended || needs_open && self.stage != Stage::Open {
            return Err(NotRecorded::Closed);
        }
        if (on_disk + self.held()).saturating_add(entry.len() as u64) > bound {
            return Err(NotRecorded::Full(limits.max_size));
        }
        let crowded = self.entries.len() >= MAX_ENTRIES || self.bytes + entry.len() > MAX_BYTES;
        if needs_open && crowded && !self.entries.is_empty() {
            return Err(NotRecorded::Busy);
        }
        Ok(())
    }

    /// Bytes that were let in and are not yet written.
    fn held(&self) -> u64 {
        (self.bytes + self.in_hand.bytes) as u64
    }

    fn take(&mut self, spare: Vec<Entry>) -> Vec<Entry> {
        let oldest = self.entries.iter().filter_map(Entry::decided_at).min();
        self.in_hand = InHand { entries: self.entries.len(), bytes: std::mem::take(&mut self.bytes), oldest };
        std::mem::replace(&mut self.entries, spare)
    }
}
