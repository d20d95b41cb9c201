//! What can go wrong with the history.

use std::path::{Path, PathBuf};

type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{} is not a database of Rehearsal ({problem}): move it away, or set data_dir to another directory",
        .path.display()
    )]
    NotOurs { path: PathBuf, problem: &'static str },
    #[error("{} cannot be written ({cause}): give this user the right to write it and its directory", .path.display())]
    ReadOnly { path: PathBuf, cause: std::io::Error },
    #[error(
        "{} was written by a newer Rehearsal (its schema is {found}, this one knows {known}): run that one, or a later one",
        .path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} cannot be opened: {cause}", .path.display())]
    Open { path: PathBuf, cause: Cause },
    #[error("the schema of {} cannot be brought up to date: {cause}", .path.display())]
    Migrate { path: PathBuf, cause: Cause },
    /// Someone else holds it: the same call later may succeed.
    #[error("the history is busy: {0}")]
    Busy(#[source] Cause),
    /// The disk is full, the connection is gone: the same call later may succeed.
    #[error("the history cannot be reached: {0}")]
    Unavailable(#[source] Cause),
    /// Damage, or a defect of ours: the same call would fail again.
    #[error("the history cannot be used: {0}")]
    Broken(#[source] Cause),
}

// === impl StoreError ===

impl StoreError {
    pub(super) fn broken(what: impl Into<Cause>) -> Self {
        Self::Broken(what.into())
    }

    pub(super) fn open(path: &Path, cause: impl Into<Cause>) -> Self {
        Self::Open { path: path.to_owned(), cause: cause.into() }
    }
}

/// What is stored as JSON was written by us.
impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::broken(error)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause) => match cause.code().and_then(|code| code.parse::<i32>().ok()) {
                Some(code) => of_sqlite_code(code, error),
                None => Self::broken(error),
            },
            sqlx::Error::PoolTimedOut => Self::Busy(error.into()),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error.into())
            }
            _ => Self::broken(error),
        }
    }
}

/// <https://www.sqlite.org/rescode.html>: the low byte is the kind.
fn of_sqlite_code(code: i32, error: sqlx::Error) -> StoreError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const OUT_OF_MEMORY: i32 = 7;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    match code & 0xff {
        BUSY | LOCKED => StoreError::Busy(error.into()),
        OUT_OF_MEMORY | READ_ONLY | IO | FULL | CANNOT_OPEN => StoreError::Unavailable(error.into()),
        _ => StoreError::broken(error),
    }
}
