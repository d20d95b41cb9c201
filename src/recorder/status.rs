//! How the journal is, for `/metrics`, `/readyz` and `complete_until`.

use crate::review::clock::Timestamp;
use crate::review::decision::Gap;

#[derive(Debug, Clone, PartialEq)]
pub struct JournalStatus {
    /// Why decisions are not recorded at this moment, in a sentence that names the file.
    pub failed: Option<String>,
    /// Records that are written and not yet in the store.
    pub backlog_records: u64,
    pub backlog_bytes: u64,
    /// Bytes of all segments, drained parts of them included.
    pub size: u64,
    /// The time of the oldest decision that is not yet in the store.
    pub oldest: Option<Timestamp>,
    /// Every recorded decision before this time is in the store. Decisions still being made are not known here. `None`
    /// while the journal of earlier runs cannot be read: what it holds may be of any time.
    pub drained_until: Option<Timestamp>,
    pub open_gap: Option<Gap>,
    /// Gaps that have ended and are not yet in the store.
    pub ended_gaps: Vec<Gap>,
    /// Writes that a crash tore and that were cut off at the start.
    pub torn: u64,
    /// Parts that could not be read and are kept aside.
    pub damaged: u64,
}
