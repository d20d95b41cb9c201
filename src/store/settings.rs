//! Which database keeps the history, and what of it for how long.

mod postgres;

use std::path::PathBuf;
use std::time::Duration;

pub use self::postgres::{PasswordError, PostgresSettings, PostgresUrl, Protection, UrlMistake, password};

pub use crate::review::decision::Objects;

/// The database's file in the data directory.
pub const SQLITE_FILE: &str = "history.sqlite";

#[derive(Debug, Clone, PartialEq)]
pub enum StoreSettings {
    /// A file [`SQLITE_FILE`] in this directory.
    Sqlite(PathBuf),
    Postgres(PostgresSettings),
}

/// How long what is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionSettings {
    /// Decisions that are not notable: allowed, and no would-be rejection.
    pub decisions: Duration,
    pub notable: Duration,
    pub dry_run: Duration,
    /// Gaps, presence, counts of what was not judged, the access log.
    pub events: Duration,
    /// Days of the figures. (Quarter hours are kept for 8 days, hours for 90.)
    pub rollups: Duration,
    /// Bytes of the whole database; past it the oldest plain decisions go first.
    pub max_size: Option<u64>,
}

/// What of reviews is kept beside the decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct HistorySettings {
    pub objects: Objects,
    /// Repositories kept by name, a new one past that falls into `other`; and references counted by themselves.
    pub max_names: u64,
    pub retention: RetentionSettings,
}

// === impl StoreSettings ===

impl StoreSettings {
    /// Fit for people: no secret is in it.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("SQLite in {}", directory.display()),
            Self::Postgres(settings) => format!("Postgres, {}", settings.place()),
        }
    }

    /// The database's file, where there is none. (A server's database that is not there cannot be opened.)
    pub fn absent(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(directory) => Some(directory.join(SQLITE_FILE)).filter(|file| !file.exists()),
            Self::Postgres(_) => None,
        }
    }
}

// === impl RetentionSettings ===

impl RetentionSettings {
    const fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    pub const DEFAULT: Self = Self {
        decisions: Self::days(90),
        notable: Self::days(400),
        dry_run: Self::days(7),
        events: Self::days(730),
        rollups: Self::days(730),
        max_size: None,
    };
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
