//! Which times can be. A clock that jumped must not put decisions where retention has already been, nor where no day's
//! room is made.

use std::time::Duration;

use crate::review::clock::Timestamp;

/// How far ahead of ours another clock may be.
const AHEAD: i64 = 24 * 3_600_000;

/// What is this old may be where retention is at work: that begins a day back, and its clock may be ahead of ours.
const LATE: i64 = 12 * 3_600_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    now: Timestamp,
    earliest: Timestamp,
    latest: Timestamp,
}

// === impl Window ===

impl Window {
    /// From as long ago as anything is kept.
    pub fn new(now: Timestamp, longest: Duration) -> Self {
        let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        let earliest = Timestamp(now.0.saturating_sub(longest));
        Self { now, earliest, latest: Timestamp(now.0.saturating_add(AHEAD)) }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn possible(&self, at: Timestamp) -> Option<Timestamp> {
        (self.earliest..=self.latest).contains(&at).then_some(at)
    }

    /// Whether retention may be where a row of that time goes.
    pub fn is_late(&self, at: Timestamp) -> bool {
        self.now.0.saturating_sub(at.0) > LATE
    }

    /// What a decision says of its time that cannot be.
    pub fn note(&self, at: Timestamp) -> String {
        format!("The clock said {at} when it was made, which cannot be: it stands at the time at which it was stored.")
    }
}
