//! Which database keeps the history, and what of it for how long.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::StoreError;

/// The database's file in the data directory.
pub const SQLITE_FILE: &str = "history.sqlite";

#[derive(Debug, Clone, PartialEq)]
pub enum StoreSettings {
    /// A file [`SQLITE_FILE`] in this directory.
    Sqlite(PathBuf),
    Postgres(PostgresSettings),
}

/// A database that several replicas share.
#[derive(Debug, Clone, PartialEq)]
pub struct PostgresSettings {
    /// `postgres://user@host/database`, without a password.
    pub url: String,
    /// Read again for each connection: a password may change at any time.
    pub password_file: Option<PathBuf>,
    /// Whom the server's certificate must come from, PEM; otherwise the system's.
    pub ca: Option<PathBuf>,
}

/// How long what is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionSettings {
    /// Decisions that are not notable: allowed, and no would-be rejection.
    pub decisions: Duration,
    pub notable: Duration,
    pub dry_run: Duration,
    /// Gaps, presence, counts of what was not judged.
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
    /// Repositories kept by name; a new one past that falls into `other`.
    pub max_names: u64,
    pub retention: RetentionSettings,
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

// === impl PostgresSettings ===

impl PostgresSettings {
    /// Host and database, as far as they may be shown.
    pub fn place(&self) -> String {
        match self.url.parse::<PgConnectOptions>() {
            Ok(options) => format!(
                "the database {} on {}",
                options.get_database().unwrap_or_else(|| options.get_username()),
                options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string()),
            ),
            Err(_) => "the database".to_owned(),
        }
    }

    /// With the password as the file holds it now.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        let refused = |cause: String| StoreError::Refused { place: self.place(), cause: cause.into() };
        let mut options: PgConnectOptions = self.url.parse().map_err(StoreError::from)?;
        if let Some(path) = &self.password_file {
            let password = std::fs::read_to_string(path)
                .map_err(|error| refused(format!("{} cannot be read ({error})", path.display())))?;
            options = options.password(password.trim_end_matches(['\r', '\n']));
        }
        if let Some(ca) = &self.ca {
            options = options.ssl_root_cert(ca);
        }
        let is_local = options.get_socket().is_some()
            || ["localhost", "127.0.0.1", "::1"].contains(&options.get_host())
            || options.get_host().starts_with('/');
        if matches!(options.get_ssl_mode(), PgSslMode::Prefer) && (self.ca.is_some() || !is_local) {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        Ok(options.application_name("rehearsal"))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// One for each image view, workload and day.
    #[default]
    Sample,
    All,
    None,
}
