//! What waits in memory to be written, and who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::review::clock::Timestamp;
use crate::review::decision::{Decision, Record, ReviewRecord};

use super::error::NotRecorded;

/// A [`Record`] that is borrowed: the same JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Borrowed<'a> {
    Review(&'a ReviewRecord),
    Decision(&'a Decision),
}

/// How a decision begins, which most records are.
pub(super) const DECISION: &[u8] = br#"{"record":"decision","#;

/// The record that `payload` is. A decision is read at once: to find out a record's kind first takes twice as long.
pub(super) fn parse(payload: &[u8]) -> serde_json::Result<Record> {
    if payload.starts_with(DECISION) {
        return serde_json::from_slice(payload).map(Record::Decision);
    }
    serde_json::from_slice(payload)
}

/// One record, serialised by whoever sends it, so that the writer only copies.
#[derive(Debug)]
pub(super) struct Entry {
    pub frame: Vec<u8>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Decision(Pending),
    /// Nobody waits for it; lost, it leaves a decision of this time incomplete.
    Kept(Timestamp),
    /// Lost, it loses no decision.
    Sample,
    Gap(Arc<Written>),
    /// The recorder's own word: a count of unjudged reviews, a beat of its presence.
    Own,
}

/// A decision that an answer waits for.
#[derive(Debug)]
pub(super) struct Pending {
    pub at: Timestamp,
    pub cluster: String,
    pub review: Arc<ReviewRecord>,
    /// Absent when the segment held the review already when the decision was sent.
    pub review_frame: Option<Vec<u8>>,
    claim: Arc<Claim>,
    answer: oneshot::Sender<Result<(), NotRecorded>>,
}

/// The answer's side of a [`Pending`].
#[derive(Debug)]
pub(super) struct Ticket {
    claim: Arc<Claim>,
    answer: oneshot::Receiver<Result<(), NotRecorded>>,
}

/// What became of a [`Ticket`]'s wait.
#[derive(Debug)]
pub(super) enum Waited {
    /// By the writer, which has counted a failure in the gap.
    Answered(Result<(), NotRecorded>),
    /// The wait ended first and the writer will pass over it: the waiter counts it in the gap.
    Abandoned,
    /// The wait ended while it was being written: the writer counts it if that fails.
    BeingWritten,
}

/// Who decides about a decision whose wait may end at any time: exactly one side, by one atomic step.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

const WAITING: u8 = 0;
const CLAIMED: u8 = 1;
const ABANDONED: u8 = 2;

/// Set once a record counts as written.
#[derive(Debug, Default)]
pub(super) struct Written(AtomicBool);

// === impl Entry ===

impl Entry {
    /// What it may take in a segment.
    pub(super) fn len(&self) -> usize {
        let review = match &self.kind {
            Kind::Decision(pending) => pending.review_frame.as_ref().map_or(0, Vec::len),
            _ => 0,
        };
        self.frame.len() + review
    }

    /// The time of the decision in it, if it is one.
    pub(super) fn decided_at(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Decision(pending) => Some(pending.at),
            _ => None,
        }
    }

    /// Called by the writer before it writes: false when nobody waits any more and it is counted as missed.
    pub(super) fn claim(&self) -> bool {
        match &self.kind {
            Kind::Decision(pending) => pending.claim.step_to(CLAIMED),
            _ => true,
        }
    }

    /// It counts as written.
    pub(super) fn written(self) {
        match self.kind {
            // The waiter may have left.
            Kind::Decision(pending) => drop(pending.answer.send(Ok(()))),
            Kind::Gap(written) => written.0.store(true, Ordering::Release),
            Kind::Kept(_) | Kind::Sample | Kind::Own => {}
        }
    }
}

// === impl Pending ===

impl Pending {
    pub(super) fn new(
        at: Timestamp,
        cluster: String,
        review: Arc<ReviewRecord>,
        review_frame: Option<Vec<u8>>,
    ) -> (Self, Ticket) {
        let claim = Arc::new(Claim::default());
        let (answer, answered) = oneshot::channel();
        let ticket = Ticket { claim: Arc::clone(&claim), answer: answered };
        (Self { at, cluster, review, review_frame, claim, answer }, ticket)
    }

    /// It was claimed and could not be written.
    pub(super) fn failed(self, why: NotRecorded) {
        // The waiter may have left.
        drop(self.answer.send(Err(why)));
    }
}

// === impl Ticket ===

impl Ticket {
    pub(super) async fn wait(self, longest: Duration) -> Waited {
        match tokio::time::timeout(longest, self.answer).await {
            Ok(Ok(result)) => Waited::Answered(result),
            // The writer is gone, or late: either way nobody has claimed it, or somebody has and is at it.
            Ok(Err(_)) | Err(_) if self.claim.step_to(ABANDONED) => Waited::Abandoned,
            Ok(Err(_)) | Err(_) => Waited::BeingWritten,
        }
    }
}

// === impl Claim ===

impl Claim {
    fn step_to(&self, next: u8) -> bool {
        self.0.compare_exchange(WAITING, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

// === impl Written ===

impl Written {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
