//! What is written and what of it is drained: the writer adds, the drain takes off.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::review::clock::Timestamp;
use crate::review::decision::ReviewHash;

use super::segment::HEADER_LEN;
use super::shared::hold;

/// Enough for the times of a backlog of an hour at one group a second; past it neighbours are merged, and the oldest
/// time that they give is too old rather than too young.
const MAX_TIMES: usize = 4096;

#[derive(Debug)]
pub(super) struct Shelf {
    state: Mutex<State>,
    /// Bytes of all segments: kept outside of the lock for whoever sends a record.
    size: Arc<AtomicU64>,
    /// Reviews that the current segment holds.
    reviews: Mutex<HashSet<ReviewHash>>,
    /// There is more to drain, or a segment to delete.
    pub grown: Notify,
    /// The drain has come further.
    pub drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<u64, Shelved>,
    times: VecDeque<Time>,
}

#[derive(Debug)]
struct Shelved {
    /// Bytes from the file's beginning that count.
    good: u64,
    /// Up to where it is drained.
    drained: u64,
    /// Records between the two.
    left: u64,
    /// No longer written.
    sealed: bool,
    born: Instant,
}

/// No decision before this position is older than `oldest`.
#[derive(Debug)]
struct Time {
    until: Position,
    oldest: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// What the drain is to read next, of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub segment: u64,
    pub from: u64,
    pub to: u64,
}

/// What is not yet in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    pub records: u64,
    pub bytes: u64,
    pub oldest: Option<Timestamp>,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(size: Arc<AtomicU64>) -> Self {
        Self { state: Mutex::default(), size, reviews: Mutex::default(), grown: Notify::new(), drained: Notify::new() }
    }

    /// A segment of an earlier run: whole, and never written again.
    pub(super) fn recovered(&self, number: u64, good: u64, records: u64, oldest: Option<Timestamp>) {
        let mut state = hold(&self.state);
        state.segments.insert(number, Shelved { sealed: true, left: records, ..Shelved::new(good) });
        self.size.fetch_add(good, Ordering::AcqRel);
        state.time(Position { segment: number, offset: good }, oldest);
    }

    /// The segment `number` is written from here on.
    pub(super) fn begun(&self, number: u64, good: u64) {
        hold(&self.reviews).clear();
        hold(&self.state).segments.insert(number, Shelved::new(good));
        self.size.fetch_add(good, Ordering::AcqRel);
    }

    /// The segment `number` is no longer written.
    pub(super) fn sealed(&self, number: u64) {
        if let Some(segment) = hold(&self.state).segments.get_mut(&number) {
            segment.sealed = true;
        }
        self.grown.notify_one();
    }

    /// A group was written at the end of the segment `number`.
    pub(super) fn grew(&self, number: u64, good: u64, records: u64, oldest: Option<Timestamp>) {
        let mut state = hold(&self.state);
        if let Some(segment) = state.segments.get_mut(&number) {
            self.size.fetch_add(good - segment.good, Ordering::AcqRel);
            segment.good = good;
            segment.left += records;
        }
        state.time(Position { segment: number, offset: good }, oldest);
        drop(state);
        self.grown.notify_one();
    }

    /// The reviews of the current segment, for the writer.
    pub(super) fn reviews(&self) -> &Mutex<HashSet<ReviewHash>> {
        &self.reviews
    }

    /// Whether the current segment holds the review, as far as known: a new segment may begin at any time.
    pub(super) fn holds(&self, review: &ReviewHash) -> bool {
        hold(&self.reviews).contains(review)
    }

    /// The first span after `after` that is not drained.
    pub(super) fn unread(&self, after: Option<Position>) -> Option<Span> {
        let state = hold(&self.state);
        state.segments.iter().find_map(|(&segment, shelved)| {
            let from = match after {
                Some(after) if after.segment > segment => return None,
                Some(after) if after.segment == segment => after.offset.max(shelved.drained),
                _ => shelved.drained,
            };
            (from < shelved.good).then_some(Span { segment, from, to: shelved.good })
        })
    }

    /// Everything before `position` is in the store, the last `records` of it from its segment.
    pub(super) fn drained_to(&self, position: Position, records: u64) {
        let mut state = hold(&self.state);
        for (&number, segment) in state.segments.range_mut(..=position.segment) {
            let until = if number == position.segment { position.offset } else { segment.good };
            segment.drained = segment.drained.max(until.min(segment.good));
            // A part that cannot be read is drained without its records ever being seen.
            let all = segment.drained == segment.good;
            segment.left = if all { 0 } else { segment.left.saturating_sub(records) };
        }
        while state.times.front().is_some_and(|time| time.until <= position) {
            state.times.pop_front();
        }
        drop(state);
        self.drained.notify_waiters();
    }

    /// Segments of which nothing is needed any more.
    pub(super) fn finished(&self) -> Vec<u64> {
        let state = hold(&self.state);
        let finished = state.segments.iter().filter(|(_, segment)| segment.sealed && segment.drained == segment.good);
        finished.map(|(&number, _)| number).collect()
    }

    pub(super) fn deleted(&self, number: u64) {
        if let Some(segment) = hold(&self.state).segments.remove(&number) {
            self.size.fetch_sub(segment.good, Ordering::AcqRel);
        }
    }

    /// Whether the current segment is drained and worth a new one, so that a restart need not read it again.
    pub(super) fn wants_roll(&self, bytes: u64, age: Duration) -> bool {
        let state = hold(&self.state);
        state.segments.last_key_value().is_some_and(|(_, last)| {
            let is_drained = !last.sealed && last.drained == last.good && last.good > HEADER_LEN as u64;
            is_drained && (last.good >= bytes || last.born.elapsed() >= age)
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(super) fn is_empty(&self) -> bool {
        hold(&self.state).segments.is_empty()
    }

    pub(super) fn backlog(&self) -> Backlog {
        let state = hold(&self.state);
        let (mut records, mut bytes) = (0, 0);
        for segment in state.segments.values() {
            records += segment.left;
            bytes += segment.good - segment.drained;
        }
        Backlog { records, bytes, oldest: state.times.iter().map(|time| time.oldest).min() }
    }
}

// === impl State ===

impl State {
    fn time(&mut self, until: Position, oldest: Option<Timestamp>) {
        let Some(oldest) = oldest else { return };
        let merged = if self.times.len() < MAX_TIMES { None } else { self.times.pop_back() };
        let oldest = merged.map_or(oldest, |last| last.oldest.min(oldest));
        self.times.push_back(Time { until, oldest });
    }
}

// === impl Shelved ===

impl Shelved {
    fn new(good: u64) -> Self {
        Self { good, drained: HEADER_LEN as u64, left: 0, sealed: false, born: Instant::now() }
    }
}
