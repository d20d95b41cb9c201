use std::fs;
use std::os::unix::fs::PermissionsExt;

use sqlx::{Connection as _, SqliteConnection};

use super::history::History;
use super::{HISTORY, Kind, REPLICA, TestStore};
use crate::review::clock::Timestamp;
use crate::store::read::Filter;
use crate::store::settings::StoreSettings;
use crate::store::{Sql, Store, StoreError};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

async fn error(directory: &tempfile::TempDir) -> StoreError {
    let settings = StoreSettings::Sqlite(directory.path().to_owned());
    Store::open(&settings, &HISTORY, REPLICA).await.expect_err("it must not open")
}

pub async fn execute(directory: &tempfile::TempDir, sql: &str) {
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("history.sqlite").display());
    let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn the_file_is_private_durable_and_migrated_once() {
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    let mode = fs::metadata(test.directory().path().join("history.sqlite")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pragma = async |name: &str| {
        let sql = crate::store::sql::Sql::new(&format!("PRAGMA {name}"));
        let mut tx = test.store.database.begin().await.expect("a transaction");
        super::line(&tx.fetch(sql).await.expect("rows")[0])
    };
    assert_eq!(pragma("journal_mode").await, "wal");
    assert_eq!(pragma("synchronous").await, "2");
    assert_eq!(pragma("auto_vacuum").await, "2");
    let migrations = test.dump("SELECT version, installed_on FROM _sqlx_migrations").await;
    let again = test.again(&HISTORY).await;
    again.close().await;
    assert_eq!(test.dump("SELECT version, installed_on FROM _sqlx_migrations").await, migrations);
}

#[tokio::test]
async fn a_reopened_history_is_whole() {
    let history = History::new(1, 50, 1, NOW);
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    test.store.close().await;
    let again = test.again(&HISTORY).await;
    let page = again.decisions(&Filter::default(), 100, None).await.expect("a page");
    assert_eq!(page.decisions, history.decisions);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history.sqlite");
    fs::write(&path, "dear diary, it rained all day").expect("written");
    let found = error(&directory).await;
    assert!(matches!(found, StoreError::NotOurs { .. }), "{found}");
    assert!(found.to_string().contains(&path.display().to_string()));
    assert_eq!(fs::read(&path).expect("read"), b"dear diary, it rained all day");

    let directory = tempfile::tempdir().expect("a directory");
    execute(&directory, "CREATE TABLE recipes (name TEXT)").await;
    let found = error(&directory).await;
    assert!(matches!(found, StoreError::NotOurs { .. }), "{found}");
}

#[tokio::test]
async fn another_writer_makes_it_busy_not_broken() {
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    let history = History::new(2, 5, 1, NOW);
    let other = test.again(&HISTORY).await;
    let held = other.database.begin().await.expect("the lock");
    let found = test.store.apply_at(&history.records, NOW).await.expect_err("the other one writes");
    assert!(matches!(found, StoreError::Busy(_)), "{found}");
    drop(held);
    test.store.apply_at(&history.records, NOW).await.expect("now it is free");
}

#[tokio::test]
async fn a_transaction_that_sqlite_itself_rolled_back_blocks_no_other() {
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    // As SQLite does when the disk is full, behind sqlx's back.
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("ROLLBACK")).await.expect("rolled back");
    drop(tx);
    let history = History::new(2, 5, 1, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("the next one begins");
}

/// SQLite copies its log inside of a commit otherwise, which holds the writer.
#[tokio::test]
async fn the_log_is_copied_beside_the_writer() {
    let test = TestStore::new(Kind::Sqlite, &HISTORY).await;
    let size = |name: &str| fs::metadata(test.directory().path().join(name)).map_or(0, |file| file.len());
    let history = History::new(3, 3_000, 24, NOW);
    for records in history.records.chunks(10) {
        test.store.apply_at(records, NOW).await.expect("a batch");
        if size("history.sqlite") > 500_000 {
            break;
        }
    }
    let (file, log) = (size("history.sqlite"), size("history.sqlite-wal"));
    assert!(file > 500_000 && (16 << 20..48 << 20).contains(&log), "{file} bytes, {log} in the log");
}

/// Every batch changes rows of evidence in place, as it does those of figures.
#[tokio::test]
async fn evidence_has_room_in_its_pages_on_postgres() {
    let test = TestStore::new(Kind::Postgres, &HISTORY).await;
    let options = "SELECT array_to_string(reloptions, ',') FROM pg_class \
                   WHERE relname IN ('workload_judged', 'workload_against')";
    assert_eq!(test.dump(options).await, ["fillfactor=50", "fillfactor=50"]);
}
