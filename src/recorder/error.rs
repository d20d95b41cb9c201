//! What goes wrong with the journal, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The journal cannot be opened or written. Names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(
        "the journal {} is held by {holder}: stop that one, or give this one a data directory of its own",
        dir.display()
    )]
    Held { dir: PathBuf, holder: Holder },
    #[error("cannot {action} {}: {source}; {}", path.display(), advice(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} has format {found}, and this version of rehearsal reads format {known}: start the version that wrote it, \
         or let that one drain it first",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
}

/// Who has the lock on a journal, as far as its lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    Process(u32),
    Unknown,
}

/// A decision that is not in the journal. It is counted in the open gap, with the one exception of `Unsure`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    #[error("the journal's disk did not take it within {} ms", .0.as_millis())]
    Late(Duration),
    /// Being written when the wait ended: it is recorded, and in no gap, if that write comes back well.
    #[error("the journal's disk has not confirmed it within {} ms", .0.as_millis())]
    Unsure(Duration),
    #[error("the journal cannot be written: {0}")]
    Failed(String),
    #[error("the journal has reached its max_size of {0} bytes")]
    Full(u64),
    /// More decisions wait in memory than are allowed to.
    #[error("the journal's disk is slower than the reviews come")]
    Busy,
    #[error("its record is over 16 MiB")]
    TooLarge,
    #[error("the journal is closed")]
    Closed,
}

// === impl NotRecorded ===

impl NotRecorded {
    /// For the history and as a label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Late(_) | Self::Unsure(_) => "the journal's disk did not answer in time",
            Self::Failed(_) => "the journal could not be written",
            Self::Full(_) => "the journal was full",
            Self::Busy => "the journal's disk was too slow",
            Self::TooLarge => "a record was too large",
            Self::Closed => "the journal was closed",
        }
    }
}

// === impl JournalError ===

impl JournalError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// For the history, where no path belongs.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Held { .. } => "the journal was held by another process".to_owned(),
            Self::Newer { .. } => "the journal was written by a newer version".to_owned(),
            Self::Io { source, .. } => {
                let text = source.to_string().to_lowercase();
                // The system's number helps nobody there.
                let text = text.split(" (os error").next().unwrap_or(&text);
                format!("the journal could not be written: {text}")
            }
        }
    }
}

/// What a person can do about `error`.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
        io::ErrorKind::PermissionDenied => "make the directory writable for the user that rehearsal runs as",
        io::ErrorKind::ReadOnlyFilesystem => "mount its disk writable, or set data_dir to one that is",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "move what stands in its place out of the way",
        _ => "see to its disk; the system's log may say more",
    }
}

// === impl Holder ===

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}
