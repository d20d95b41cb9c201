//! Over real SQLite files.

mod batches;
mod figures;
mod history;
mod lists;
mod opening;

use tempfile::TempDir;

use super::Store;
use super::settings::{HistorySettings, Objects, RetentionSettings, StoreSettings};
use super::sql::{Row, Sql, Value};

/// A store in a directory that goes with it.
struct TestStore {
    store: Store,
    directory: TempDir,
}

const HISTORY: HistorySettings =
    HistorySettings { objects: Objects::Sample, max_names: 200_000, retention: RetentionSettings::DEFAULT };

// === impl TestStore ===

impl TestStore {
    async fn new(history: &HistorySettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = open(&directory, history).await;
        Self { store, directory }
    }

    /// Rows as text, each column by `|`.
    async fn dump(&self, sql: &str) -> Vec<String> {
        let rows = self.store.database.fetch(Sql::new(sql)).await.expect("rows");
        rows.iter().map(line).collect()
    }

    async fn count(&self, table: &str) -> String {
        self.dump(&format!("SELECT count(*) FROM {table}")).await.remove(0)
    }

    /// Everything in the tables of figures.
    async fn figures(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in ["rollup_totals", "rollup_rules", "rollup_repositories", "workload_totals", "workload_rules"] {
            all.extend(self.dump(&format!("SELECT '{table}', * FROM {table}")).await);
        }
        all
    }
}

async fn open(directory: &TempDir, history: &HistorySettings) -> Store {
    Store::open(&StoreSettings::Sqlite(directory.path().to_owned()), history).await.expect("a store")
}

fn line(row: &Row) -> String {
    let column = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:02x?}"),
    };
    row.0.iter().map(column).collect::<Vec<_>>().join("|")
}
