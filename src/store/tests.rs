//! Over real SQLite files and a real PostgreSQL server: every test of what both do runs on both.

mod access;
mod agreements;
mod batches;
mod ceilings;
mod census;
mod figures;
mod history;
mod inventories;
mod lists;
mod opening;
mod pages;
mod places;
pub(crate) mod plans;
#[expect(dead_code, reason = "the tests of the whole binary use more of it")]
#[path = "../../tests/harness/postgres.rs"]
mod postgres;
mod reach;
mod retention;
mod revision;
mod shared;
mod standing;
mod synthetic;
mod ticket;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::Store;
use super::recount::FIGURES;
use super::settings::{HistorySettings, Objects, PostgresSettings, RetentionSettings, StoreSettings};
use super::sql::{Row, Sql, Value};

/// Tests of one body on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::store::tests::Kind::Sqlite).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::store::tests::Kind::Postgres).await; })*
        }
    };
}
use on_both;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// A store in a directory that goes with it, or in a database of its own.
struct TestStore {
    store: Store,
    settings: StoreSettings,
    directory: TempDir,
}

const HISTORY: HistorySettings =
    HistorySettings { objects: Objects::Sample, max_names: 200_000, retention: RetentionSettings::DEFAULT };

const REPLICA: Uuid = Uuid::from_u128(1);

// === impl TestStore ===

impl TestStore {
    async fn new(kind: Kind, history: &HistorySettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = match kind {
            Kind::Sqlite => StoreSettings::Sqlite(directory.path().to_owned()),
            Kind::Postgres => StoreSettings::Postgres(database(&directory)),
        };
        let store = Store::open(&settings, history, REPLICA).await.expect("a store");
        Self { store, settings, directory }
    }

    /// The same history, as another start of a replica opens it.
    async fn again(&self, history: &HistorySettings) -> Store {
        Store::open(&self.settings, history, REPLICA).await.expect("a store")
    }

    fn directory(&self) -> &TempDir {
        &self.directory
    }

    /// Rows as text, each column by `|`.
    async fn dump(&self, sql: &str) -> Vec<String> {
        let rows = self.store.database.fetch(Sql::new(sql)).await.expect("rows");
        rows.iter().map(line).collect()
    }

    /// Until somebody waits for a lock of this database, a Postgres.
    async fn somebody_waits(&self) {
        let waiting = "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                       WHERE NOT l.granted AND a.datname = current_database() LIMIT 1";
        let wait = async {
            while self.dump(waiting).await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("somebody waits for a lock");
    }

    async fn count(&self, table: &str) -> String {
        self.dump(&format!("SELECT count(*) FROM {table}")).await.remove(0)
    }

    /// Everything in the tables of figures.
    async fn figures(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in FIGURES {
            all.extend(self.dump(&format!("SELECT '{table}', t.* FROM {table} t")).await);
        }
        all.sort();
        all
    }
}

/// A new database on the server that all tests share.
fn database(directory: &TempDir) -> PostgresSettings {
    let server = postgres::shared();
    let password_file = directory.path().join("password");
    fs::write(&password_file, postgres::PASSWORD).expect("a password file");
    PostgresSettings {
        url: server.url(&server.database()).parse().expect("a URL"),
        password_file: Some(password_file),
        ca: None,
    }
}

fn line(row: &Row) -> String {
    let column = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Bool(yes) => i64::from(*yes).to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:02x?}"),
        Value::Uuid(uuid) => uuid.to_string(),
    };
    row.0.iter().map(column).collect::<Vec<_>>().join("|")
}
