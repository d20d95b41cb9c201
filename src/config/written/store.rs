//! The history as a person writes it: where it is, and how long it is kept.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::settings::{Objects, PostgresUrl, RetentionSettings};

use super::super::form::{Size, Written};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Store {
    File(Sqlite),
    Server(Postgres),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sqlite {
    Sqlite,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://USER@HOST:PORT/DATABASE`, or `postgres://USER@/DATABASE?host=/DIRECTORY` of a Unix socket. Never with
    /// a password. `sslmode` is `verify-full` where it is not given (on this machine and without `ca`: `prefer`).
    #[schemars(required)]
    pub url: Option<Written<PostgresUrl>>,
    /// A file that holds the user's password. Read again for each connection.
    pub password_file: Option<Written<PathBuf>>,
    /// PEM file of CAs that the server's certificate may come from, beside the system's.
    pub ca: Option<Written<PathBuf>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// Objects kept, secrets redacted: one for each image view, workload and day, every one, or none.
    pub objects: Objects,
    /// Repositories kept by name, a new one past that falls into `other`; and references counted by themselves.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_names: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Decisions that are not notable: allowed, and neither a would-be rejection nor exempted from one.
    pub decisions: Written<Duration>,
    /// Notable decisions: denied, failed, and would-be rejections.
    pub notable: Written<Duration>,
    /// Decisions on dry runs.
    pub dry_run: Written<Duration>,
    /// Gaps, ceilings, when which replica was there, and who did what with the report.
    pub events: Written<Duration>,
    /// The figures of days, which outlive the decisions that they count.
    pub rollups: Written<Duration>,
    /// Of the whole database. Over that, the oldest decisions that are not notable go before their time.
    pub max_size: Option<Written<Size>>,
}

// === impl Store ===

impl Default for Store {
    fn default() -> Self {
        Self::File(Sqlite::Sqlite)
    }
}

// === impl History ===

impl Default for History {
    fn default() -> Self {
        Self { objects: Objects::default(), max_names: 200_000 }
    }
}

// === impl Retention ===

impl Default for Retention {
    fn default() -> Self {
        let RetentionSettings { decisions, notable, dry_run, events, rollups, max_size } = RetentionSettings::DEFAULT;
        Self {
            decisions: Written(decisions),
            notable: Written(notable),
            dry_run: Written(dry_run),
            events: Written(events),
            rollups: Written(rollups),
            max_size: max_size.map(|bytes| Written(Size(bytes))),
        }
    }
}
