//! Which database keeps the history.

use std::path::PathBuf;

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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// One for each image view, workload and day.
    #[default]
    Sample,
    All,
    None,
}
