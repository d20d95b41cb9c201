//! How decisions reach the disk.

use std::path::PathBuf;
use std::time::Duration;

/// The journal's folder in a data directory.
pub const JOURNAL: &str = "journal";

/// The least of `max_size`, in bytes: beside a drained segment that is not left yet and the reserve, 1 MiB each, it holds
/// the largest decision and its review, which may be 16 MiB each, and an object sample, which ends at half.
pub const LEAST_MAX_SIZE: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq)]
pub struct JournalSettings {
    /// [`JOURNAL`] in the data directory.
    pub dir: PathBuf,
    pub durability: Durability,
    /// Bytes.
    pub max_size: u64,
    /// The longest that an answer waits for the disk.
    pub max_wait: Duration,
    pub on_failure: OnFailure,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The answer waits for the fsync: it survives a crash of the machine.
    #[default]
    Fsync,
    /// It waits for the write: it survives a crash of the process.
    Process,
}

/// What happens to an answer that cannot be recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It goes out, and a gap is counted.
    #[default]
    Answer,
    /// 503.
    Refuse,
}
