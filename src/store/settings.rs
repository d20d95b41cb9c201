//! Which database keeps the history.

use std::path::PathBuf;

pub use crate::review::decision::Objects;

/// The database's file in the data directory.
pub const SQLITE_FILE: &str = "history.sqlite";

#[derive(Debug, Clone, PartialEq)]
pub enum StoreSettings {
    /// A file [`SQLITE_FILE`] in this directory.
    Sqlite(PathBuf),
}

/// What of reviews is kept beside the decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct HistorySettings {
    pub objects: Objects,
    /// Repositories kept by name; a new one past that falls into `other`.
    pub max_names: u64,
}
