//! The thread beside the writer: what must go on while the writer waits for a disk.
//!
//! It marks gaps on the disk and has their records written, journals the counts of unjudged reviews and that the process
//! is there, and has a drained segment left for a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Gap, Record};

use super::entry::{Entry, Kind, Written};
use super::error::JournalError;
use super::frame;
use super::shared::Shared;
use super::slots::{GapFile, Mark, SLOTS};

/// A drained segment is left once a restart would read this much of it again for nothing,
const ROLL_BYTES: u64 = 1 << 20;

/// or once it is this old, so that little stays on the disk of a quiet journal.
const ROLL_AGE: Duration = Duration::from_secs(60);

pub(super) struct Keeper {
    shared: Arc<Shared>,
    file: Option<GapFile>,
    slots: [Slot; SLOTS],
    counted_at: Instant,
}

#[derive(Debug, Clone)]
enum Slot {
    Free,
    /// It marks the gap that is open now.
    Open(DecisionId),
    /// It keeps a gap that has ended until its record is written.
    Ended(Arc<Written>),
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, file: None, slots: [const { Slot::Free }; SLOTS], counted_at: Instant::now() }
    }

    pub(super) fn run(mut self) {
        let mut has_closed = false;
        loop {
            let news = self.shared.gaps.watch(self.shared.pace.tick);
            if let Some((file, marks)) = news.file {
                self.adopt(file, marks);
            }
            self.clear();
            if news.writer_ended {
                break;
            }
            if has_closed {
                continue;
            }
            self.mark();
            self.end_gap(news.closing);
            self.journal_unjudged(news.closing);
            self.journal_presence(news.closing);
            if self.shared.shelf.wants_roll(ROLL_BYTES.min(self.shared.limits.segment), ROLL_AGE) {
                self.shared.queue.roll();
            }
            if news.closing {
                self.shared.queue.end();
                has_closed = true;
            }
        }
    }

    /// The marks that an earlier run left: one without an end is a gap up to now, of unknown size.
    fn adopt(&mut self, file: GapFile, marks: Vec<Mark>) {
        self.file = Some(file);
        for Mark { slot, gap } in marks {
            let gap = match gap.to {
                Some(_) => gap,
                None => Gap { to: Some(Timestamp::now().max(gap.from)), count: None, ..gap },
            };
            self.shared.gaps.found(gap.clone());
            self.journal_gap(slot, gap);
        }
    }

    /// Marks the open gap.
    fn mark(&mut self) {
        let Some(gap) = self.shared.gaps.current() else { return };
        if self.slot_of(gap.id).is_some() || self.file.is_none() {
            return;
        }
        if let Some(slot) = self.free_slot() {
            self.slots[slot] = Slot::Open(gap.id);
            self.put(|file| file.write(slot, &gap));
        }
    }

    /// Ends the open gap, once the journal can be written and nothing was missed for a moment.
    fn end_gap(&mut self, is_closing: bool) {
        let shared = &self.shared;
        let is_full = shared.gaps.is_full() && !shared.queue.has_room();
        if is_full || shared.health.fault().is_some() || self.file.is_none() {
            return;
        }
        let Some(open) = shared.gaps.current() else { return };
        let Some(slot) = self.slot_of(open.id).or_else(|| self.free_slot()) else { return };
        let quiet = if is_closing { Duration::ZERO } else { shared.pace.quiet };
        match shared.gaps.end(quiet) {
            Some(gap) if gap.count == Some(0) => {
                self.slots[slot] = Slot::Free;
                self.put(|file| file.clear(slot));
            }
            Some(gap) => self.journal_gap(slot, gap),
            None => {}
        }
    }

    /// The mark gets its end first: whatever happens from here on, the record says the same.
    fn journal_gap(&mut self, slot: usize, gap: Gap) {
        self.put(|file| file.write(slot, &gap));
        tracing::warn!(from = %gap.from, count = ?gap.count, reason = gap.reason, "the history has a gap");
        self.shared.metrics.gaps.inc();
        let written = Arc::new(Written::default());
        self.slots[slot] = Slot::Ended(Arc::clone(&written));
        self.push(&Record::Gap(gap), Kind::Gap(written));
    }

    /// Frees the slots of gaps whose records are written.
    fn clear(&mut self) {
        for slot in 0..SLOTS {
            if matches!(&self.slots[slot], Slot::Ended(written) if written.is()) {
                self.slots[slot] = Slot::Free;
                self.put(|file| file.clear(slot));
            }
        }
    }

    fn journal_unjudged(&mut self, is_closing: bool) {
        let is_due = self.counted_at.elapsed() >= self.shared.pace.unjudged;
        // Until then the counts add up here, where they take no more room.
        if !is_closing && (!is_due || !self.can_write()) {
            return;
        }
        self.counted_at = Instant::now();
        for record in self.shared.unjudged.take() {
            if let Record::Unjudged { cluster, .. } = &record {
                self.shared.presence.serves(cluster);
            }
            self.push(&record, Kind::Own);
        }
    }

    fn journal_presence(&self, is_closing: bool) {
        let (now, at) = (Timestamp::now(), Instant::now());
        let presence = &self.shared.presence;
        presence.look(now, at);
        // A beat says all that those before it said: what cannot be written now need not be kept.
        let records = if is_closing {
            presence.end(at)
        } else if self.can_write() {
            presence.due(at)
        } else {
            Vec::new()
        };
        for record in records {
            self.push(&record, Kind::Own);
        }
    }

    /// Whether the recorder's own word can be written: the disk takes it, and it does not go past `max_size`.
    fn can_write(&self) -> bool {
        self.shared.health.refusal().is_none() && self.shared.queue.is_within(self.shared.limits.max_size)
    }

    fn push(&self, record: &Record, kind: Kind) {
        let frame = frame::encode(record).expect("what it says is short");
        // Refused only after the end, when a slot still holds the gap for the next start.
        if self.shared.queue.push(Entry { frame, kind }).is_err() {
            tracing::warn!("the journal has ended before a gap, a count or a beat was written");
        }
    }

    fn put(&self, write: impl FnOnce(&GapFile) -> Result<(), JournalError>) {
        if let Some(Err(error)) = self.file.as_ref().map(write) {
            tracing::warn!(%error, "a gap could not be marked: a crash before its record is written would hide it");
        }
    }

    fn slot_of(&self, id: DecisionId) -> Option<usize> {
        self.slots.iter().position(|slot| matches!(slot, Slot::Open(open) if *open == id))
    }

    fn free_slot(&self) -> Option<usize> {
        self.slots.iter().position(|slot| matches!(slot, Slot::Free))
    }
}
