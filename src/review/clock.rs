//! One reading of the clock gives a decision its time and its id, so that both order alike.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// Milliseconds since the Unix epoch, UTC. Negative before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A day in milliseconds. UTC has no longer or shorter ones.
pub const DAY: i64 = 86_400_000;

/// A UUIDv7 whose first 48 bits are the decision's [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub Uuid);

// === impl Timestamp ===

impl Timestamp {
    pub fn now() -> Self {
        Self::of(SystemTime::now())
    }

    fn of(time: SystemTime) -> Self {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Self(millis)
    }

    /// The day in UTC of the last millisecond before: `2026-12-01` of its end.
    pub fn last_day(self) -> String {
        let before = Self(self.0.saturating_sub(1)).to_string();
        before.split('T').next().unwrap_or(&before).to_owned()
    }

    /// Since the Unix epoch, as metrics give it.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, as the API gives it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

// === impl DecisionId ===

impl DecisionId {
    /// The id of a decision made at `at`. Clocks before 1970 count as 1970: a UUIDv7 has no earlier time.
    pub fn at(at: Timestamp) -> Self {
        let millis = u64::try_from(at.0).unwrap_or(0);
        // Not from the system: that is a call into the kernel for each, and an id is no secret.
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
