//! What can go wrong with the history.

use std::path::PathBuf;

use sqlx::postgres::PgDatabaseError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One of the kinds that say what a later try may bring.
type Kind = fn(Cause) -> StoreError;

/// `place` is the file, or the host and the name of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{place} is not a database of Rehearsal ({problem}): move it away, or name another in the configuration")]
    NotOurs { place: String, problem: &'static str },
    #[error("{} cannot be written ({cause}): give this user the right to write it and its directory", .path.display())]
    ReadOnly { path: PathBuf, cause: std::io::Error },
    #[error(
        "{place} was written by a newer Rehearsal: its schema {found} needs one that knows {wanted}, this one knows \
         {known}. Run that version, or a later one"
    )]
    Newer { place: String, found: i64, wanted: i64, known: i64 },
    #[error("{place} is PostgreSQL {found}: Rehearsal needs 14 or newer")]
    TooOld { place: String, found: String },
    #[error(
        "{place} does not let this user in: {cause}. Check the user and the password file, and what the server allows"
    )]
    Refused { place: String, cause: Cause },
    #[error(
        "{place} cannot be opened: {cause}. Create it, owned by the user of `store.url`: CREATE DATABASE .. OWNER .. \
         ENCODING 'UTF8' TEMPLATE template0; or name another in `store.url`"
    )]
    NoDatabase { place: String, cause: Cause },
    #[error(
        "{place} cannot be connected to safely: {cause}. Check `store.ca`, the host in `store.url` and its `sslmode`, and \
         the server's certificate"
    )]
    Untrusted { place: String, cause: Cause },
    #[error("{place} cannot be opened: {cause}")]
    Open { place: String, cause: Cause },
    #[error(
        "the schema of {place} cannot be brought up to date: {cause}. Mend that, then run `rehearsal migrate` again"
    )]
    Migrate { place: String, cause: Cause },
    #[error("the history has decisions already: a made-up one needs one without, name another in the configuration")]
    NotEmpty,
    /// Someone else holds it, or changed what was remembered of it: the same call later may succeed.
    #[error("the history is busy: {0}")]
    Busy(#[source] Cause),
    /// The disk is full, the connection is gone: the same call later may succeed.
    #[error("the history cannot be reached: {0}")]
    Unavailable(#[source] Cause),
    /// A file without the right to write it, a server that follows another: the same call later may succeed.
    #[error("the history can be read but not written: {0}")]
    OnlyRead(#[source] Cause),
    /// Damage, or a defect of ours: the same call would fail again.
    #[error("the history cannot be used: {0}")]
    Broken(#[source] Cause),
}

// === impl StoreError ===

impl StoreError {
    pub(super) fn broken(what: impl Into<Cause>) -> Self {
        Self::Broken(what.into())
    }

    pub(super) fn busy(what: impl Into<Cause>) -> Self {
        Self::Busy(what.into())
    }

    pub(super) fn open(place: String, cause: impl Into<Cause>) -> Self {
        Self::Open { place, cause: cause.into() }
    }

    pub(super) fn migrate(place: String, cause: impl Into<Cause>) -> Self {
        Self::Migrate { place, cause: cause.into() }
    }

    /// Whether the history is of a version that this one does not work with.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }

    /// Whether a later try may find another answer without anybody's doing.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_) | Self::OnlyRead(_))
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
        let kind = match &error {
            sqlx::Error::Database(cause) => {
                let is_postgres = cause.try_downcast_ref::<PgDatabaseError>().is_some();
                match cause.code() {
                    Some(code) if is_postgres => of_sqlstate(&code),
                    Some(code) => code.parse().map_or(Self::Broken as Kind, of_sqlite_code),
                    None => Self::Broken,
                }
            }
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            _ => Self::Broken,
        };
        kind(said(error))
    }
}

/// What a Postgres server says, without the line of its own source that sqlx adds.
pub(super) fn said(error: sqlx::Error) -> Cause {
    let postgres = error.as_database_error().and_then(|cause| cause.try_downcast_ref::<PgDatabaseError>());
    match postgres.map(|cause| cause.message().to_owned()) {
        Some(message) => message.into(),
        None => error.into(),
    }
}

/// <https://www.sqlite.org/rescode.html>: the low byte is the kind.
fn of_sqlite_code(code: i32) -> Kind {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const OUT_OF_MEMORY: i32 = 7;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    match code & 0xff {
        BUSY | LOCKED => StoreError::Busy,
        READ_ONLY => StoreError::OnlyRead,
        OUT_OF_MEMORY | IO | FULL | CANNOT_OPEN => StoreError::Unavailable,
        _ => StoreError::Broken,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>: the first two characters are the class.
fn of_sqlstate(code: &str) -> Kind {
    // Written by another replica in the meantime; a day's partition that retention took away; a lock or a statement
    // that took too long; a conflict of transactions; a deadlock.
    const PASSING: [&str; 6] = ["23505", "23514", "55P03", "57014", "40001", "40P01"];
    // The connection; resources; an operator's intervention; a failure of the system.
    const UNAVAILABLE: [&str; 4] = ["08", "53", "57", "58"];
    const ONLY_READ: &str = "25006";
    if PASSING.contains(&code) {
        StoreError::Busy
    } else if code == ONLY_READ {
        StoreError::OnlyRead
    } else if UNAVAILABLE.iter().any(|class| code.starts_with(class)) {
        StoreError::Unavailable
    } else {
        StoreError::Broken
    }
}
