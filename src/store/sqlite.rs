//! SQLite: the file, its connections, and what only it does.
//!
//! One connection writes, a few read; in WAL mode neither waits for the other. A transaction begins IMMEDIATE, so that
//! waiting for another process's lock happens at its start and never halfway.

mod log;
pub(super) mod ranges;
pub(super) mod retention;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use uuid::Uuid;

use self::log::Log;
use super::bucket::Day;
use super::database::{Claim, Dialect, Statements, Words};
use super::driver::row;
use super::error::StoreError;
use super::key;
use super::read::Range;
use super::schema::{self, Found, Migrated};
use super::sql::{Insert, Row, Sql, Value};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process (a backup, the `sqlite3` shell) before it is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two tries where SQLite itself does not wait: what it waits for takes a few milliseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Pages are short; more readers than this only take cache from each other.
const READERS: u32 = 4;

/// SQLite allows 32,766 values in a statement; a few hundred rows already share out the cost of one.
const MAX_VALUES: usize = 8_000;

/// Keys looked up in one statement.
const LOOKED_UP: usize = 1_000;

/// The log is cut back to this once it has been copied into the database.
const LOG_BYTES: &str = "67108864";

/// In KiB, and negative for that: pages that a batch changes in many places of the indexes stay in memory until its end.
const WRITER_CACHE: &str = "-16384";

#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    log: Log,
    path: PathBuf,
}

/// Who may write while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Writers,
    Nobody,
}

/// Where what is sorted goes. For an index of a large table it does not fit memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sorted {
    Memory,
    Files,
}

#[derive(Debug)]
pub(super) struct Transaction {
    tx: sqlx::Transaction<'static, sqlx::Sqlite>,
    log: Log,
}

// === impl Sqlite ===

impl Sqlite {
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(super::settings::SQLITE_FILE);
        let writer = writer(directory, &path).await?;
        if let Err(error) = make_ready(&writer, &path).await {
            writer.close().await;
            return Err(error);
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .connect_lazy_with(options(&path).read_only(true).pragma("query_only", "on"));
        let log = Log::new(writer.clone(), &path);
        Ok(Self { writer, readers, log, path })
    }

    pub async fn migrate(directory: &Path) -> Result<Migrated, StoreError> {
        let path = directory.join(super::settings::SQLITE_FILE);
        let writer = writer(directory, &path).await?;
        let from = find(&writer, &path).await?.version;
        migrate(&writer, &path).await?;
        let to = find(&writer, &path).await?.version;
        writer.close().await;
        let to = to.ok_or_else(|| StoreError::broken("the schema has no number"))?;
        Ok(Migrated { place: place(&path), from, to })
    }

    /// For reading alone, while others write; or, where the directory cannot be written and the log not be shared, as a
    /// file that nobody writes.
    pub async fn open_for_reading(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(super::settings::SQLITE_FILE);
        match Self::open_as(&path, Beside::Writers).await {
            Err(StoreError::Open { .. } | StoreError::Unavailable(_) | StoreError::OnlyRead(_)) => {
                Self::open_as(&path, Beside::Nobody).await
            }
            opened => opened,
        }
    }

    async fn open_as(path: &Path, beside: Beside) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let options = options.immutable(beside == Beside::Nobody);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("temp_store", "memory"))
            .await
            .map_err(|error| StoreError::open(place(path), error))?;
        find(&readers, path).await?.check_for_reading(&MIGRATIONS, || place(path))?;
        let log = Log::new(readers.clone(), path);
        Ok(Self { writer: readers.clone(), readers, log, path: path.to_owned() })
    }
}

impl Sqlite {
    /// As [`Database::drop_indexes`](super::database::Database::drop_indexes).
    pub async fn drop_indexes(&self) -> Result<Vec<String>, StoreError> {
        let indexes = "SELECT sql, 'DROP INDEX ' || name FROM sqlite_master \
                       WHERE type = 'index' AND tbl_name = 'decisions' AND sql IS NOT NULL";
        let indexes: Vec<(String, String)> = sqlx::query_as(indexes).fetch_all(&self.writer).await?;
        for (_, drop) in &indexes {
            sqlx::query(AssertSqlSafe(drop.as_str())).execute(&self.writer).await?;
        }
        Ok(indexes.into_iter().map(|(make, _)| make).collect())
    }

    pub async fn make_indexes(&self, indexes: &[String]) -> Result<(), StoreError> {
        sort_in(&self.writer, Sorted::Files).await?;
        for text in indexes {
            sqlx::query(AssertSqlSafe(text.as_str())).persistent(false).execute(&self.writer).await?;
        }
        sort_in(&self.writer, Sorted::Memory).await
    }
}

impl Dialect for Sqlite {
    type Transaction = Transaction;

    async fn fetch(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        let rows = query(sql).fetch_all(&self.readers).await?;
        rows.iter().map(|found| row(found, value)).collect()
    }

    async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction { tx: self.writer.begin_with("BEGIN IMMEDIATE").await?, log: self.log.clone() })
    }

    /// All days are in one table.
    async fn make_room(&self, _: &[Day]) -> Result<(), StoreError> {
        Ok(())
    }

    /// There is one writer: who waits for it gets it in turn.
    async fn begin_upkeep(&self) -> Result<Transaction, StoreError> {
        self.begin().await
    }

    /// The data directory has one process that serves, and that has one task for it.
    async fn claim_retention(&self) -> Result<Option<Claim>, StoreError> {
        Ok(Some(Claim { _connection: None }))
    }

    async fn size(&self) -> Result<u64, StoreError> {
        let text = "SELECT (p.page_count - f.freelist_count) * s.page_size \
                    FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s";
        self.fetch(Sql::new(text)).await?.first().map_or(Ok(0), |row| row.count(0))
    }

    fn check(&self, found: Found) -> Result<bool, StoreError> {
        found.check(&MIGRATIONS, || place(&self.path))
    }

    fn forget(&self) {}

    async fn close(&self) {
        self.readers.close().await;
        self.log.close().await;
        self.writer.close().await;
    }
}

// === impl Transaction ===

impl Statements for Transaction {
    async fn fetch(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        let rows = query(sql).fetch_all(&mut *self.tx).await?;
        rows.iter().map(|found| row(found, value)).collect()
    }

    async fn execute(&mut self, sql: Sql) -> Result<(), StoreError> {
        query(sql).execute(&mut *self.tx).await?;
        Ok(())
    }

    async fn insert(&mut self, insert: Insert) -> Result<(), StoreError> {
        let Insert { table, columns, values, conflict } = insert;
        let rows = values.len() / columns.len();
        let most = MAX_VALUES / columns.len();
        let mut values = values.into_iter();
        let mut left = rows;
        while left > 0 {
            let rows = left.min(most);
            let text = insert_text(table, columns, rows, conflict);
            let chunk = Sql { text, values: values.by_ref().take(rows * columns.len()).collect() };
            // A full chunk has the same text each time; of the others there are too many to keep prepared.
            query(chunk).persistent(rows == most).execute(&mut *self.tx).await?;
            left -= rows;
        }
        Ok(())
    }

    async fn stored_at(&mut self, keys: Vec<i64>) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for keys in keys.chunks(LOOKED_UP) {
            let mut sql = Sql::new("SELECT key, id FROM decisions WHERE key IN ");
            sql.list(keys.iter().copied());
            found.extend(self.fetch(sql).await?);
        }
        Ok(found)
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await?;
        self.log.committed();
        Ok(())
    }
}

pub(super) const WORDS: Words = Words {
    bytes: |integer| format!("unhex(format('%016x', {integer}))"),
    digits: |integer| format!("format('%05x', {integer})"),
    random_uuid: "randomblob(16)",
};

/// A test of `column` against a pattern in which only `*` is special; it stands for any run of characters.
pub(super) fn glob(column: &str, pattern: &str) -> Sql {
    let mut escaped = String::with_capacity(pattern.len() + 8);
    for character in pattern.chars() {
        match character {
            '?' | '[' => escaped.extend(['[', character, ']']),
            _ => escaped.push(character),
        }
    }
    let mut sql = Sql::new(column);
    sql.push(" GLOB ").bind(escaped);
    sql
}

/// In each part of the index that the range touches: by the first bytes, which are all that it holds, and then by all of
/// them.
pub(super) fn of_uid(uid: Uuid, range: Range) -> Sql {
    let bytes = uid.as_bytes().as_slice();
    let mut sql = Sql::new("decisions d WHERE d.uid IS NOT NULL AND (d.key >> 44) IN (");
    sql.push("WITH RECURSIVE parts(part) AS (SELECT max((SELECT min(key) FROM decisions), ");
    sql.bind(range.since.map_or(i64::MIN, key::start));
    sql.push(") >> 44 UNION ALL SELECT part + 1 FROM parts WHERE part < min((SELECT max(key) FROM decisions), ");
    sql.bind(range.until.map_or(i64::MAX, key::start));
    sql.push(") >> 44) SELECT part FROM parts) AND substr(d.uid, 1, 3) = ");
    sql.bind(&bytes[..3]).push(" AND d.uid = ").bind(bytes);
    sql
}

fn insert_text(table: &str, columns: &[&str], rows: usize, conflict: &str) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    let mut text = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
    text.reserve(rows * (row.len() + 1) + conflict.len() + 1);
    for at in 0..rows {
        text.push_str(if at == 0 { "" } else { "," });
        text.push_str(&row);
    }
    text.push(' ');
    text.push_str(conflict);
    text
}

fn query(sql: Sql) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(sql.values.len(), 0);
    for value in sql.values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(value),
            Value::Bool(value) => arguments.add(i64::from(value)),
            Value::Uuid(value) => arguments.add(value.as_bytes().to_vec()),
            Value::Text(value) => arguments.add(value),
            Value::Blob(value) => arguments.add(value),
        };
        added.expect("numbers, texts and bytes are all that SQLite has");
    }
    // Every text is put together from constants of this module; what comes from outside is always bound.
    sqlx::query_with(AssertSqlSafe(sql.text), arguments)
}

fn value(row: &SqliteRow, at: usize, kind: &str) -> Result<Option<Value>, sqlx::Error> {
    Ok(Some(match kind {
        "INTEGER" => Value::Int(row.try_get_unchecked(at)?),
        "TEXT" => Value::Text(row.try_get_unchecked(at)?),
        "BLOB" => Value::Blob(row.try_get_unchecked(at)?),
        _ => return Ok(None),
    }))
}

/// The one connection that writes; its file is there.
///
/// Where two turn a new file into one with a log, SQLite does not wait for [`BUSY_TIMEOUT`]: each holds a lock that the
/// other wants, so one of them is told at once that it is busy, and has to let go and begin again.
async fn writer(directory: &Path, path: &Path) -> Result<SqlitePool, StoreError> {
    prepare_file(directory, path)?;
    let begun = Instant::now();
    loop {
        let error = match connect_writer(path).await {
            Ok(writer) => return Ok(writer),
            Err(error) => StoreError::from(error),
        };
        match error {
            StoreError::Busy(_) if begun.elapsed() < BUSY_TIMEOUT => tokio::time::sleep(BETWEEN_TRIES).await,
            StoreError::Busy(cause) | StoreError::Unavailable(cause) | StoreError::Broken(cause) => {
                return Err(StoreError::open(place(path), cause));
            }
            other => return Err(other),
        }
    }
}

async fn connect_writer(path: &Path) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        // On a full disk SQLite itself rolls back. sqlx's own ROLLBACK then fails, it goes on counting the
        // transaction, and no other could begin on this connection: it is replaced.
        .before_acquire(|connection, _| {
            let is_fresh = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_fresh) })
        })
        .connect_with(
            options(path)
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("journal_size_limit", LOG_BYTES)
                .pragma("wal_autocheckpoint", log::MOST)
                .pragma("cache_size", WRITER_CACHE),
        )
        .await
}

/// Statements have thousands of places for values, and making a history or an index takes what it takes: how long each
/// took is not logged, as on Postgres.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .pragma("temp_store", "memory")
        // The thread that reads and the task that takes the rows wait for each other less often.
        .row_buffer_size(1_024)
        .disable_statement_logging()
}

/// The directory and the file exist, readable by this user only; the file is empty or a database.
fn prepare_file(directory: &Path, path: &Path) -> Result<(), StoreError> {
    let read_only = |cause| StoreError::ReadOnly { path: path.to_owned(), cause };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(read_only)?;
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(
            |cause| match cause.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => read_only(cause),
                _ => StoreError::open(place(path), cause),
            },
        )?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(read_only)?;
    check_header(&mut file, path)
}

fn check_header(file: &mut File, path: &Path) -> Result<(), StoreError> {
    const HEADER: &[u8] = b"SQLite format 3\0";
    let mut found = Vec::new();
    file.take(HEADER.len() as u64).read_to_end(&mut found).map_err(|cause| StoreError::open(place(path), cause))?;
    match found.as_slice() {
        [] | HEADER => Ok(()),
        _ => Err(StoreError::NotOurs { place: place(path), problem: "it is not an SQLite file" }),
    }
}

async fn make_ready(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    check_writable(writer).await?;
    migrate(writer, path).await
}

/// A connection opens well over a log that it cannot write, and says so only when it has something to write. Another
/// fault may pass before that.
async fn check_writable(writer: &SqlitePool) -> Result<(), StoreError> {
    match writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::from) {
        Ok(tx) => Ok(tx.rollback().await?),
        Err(error @ StoreError::OnlyRead(_)) => Err(error),
        Err(_) => Ok(()),
    }
}

/// All of it in one transaction: whoever else migrates waits, and finds nothing to do.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    if check_schema(writer, path).await? {
        sort_in(writer, Sorted::Files).await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let migrations = schema::lenient(&MIGRATIONS);
        migrations.run_direct(None, &mut *tx, false).await.map_err(|error| schema::failed(error, place(path)))?;
        tx.commit().await?;
        sort_in(writer, Sorted::Memory).await?;
    }
    Ok(())
}

/// Outside of a transaction.
async fn sort_in(writer: &SqlitePool, sorted: Sorted) -> Result<(), StoreError> {
    let (store, cache) = match sorted {
        Sorted::Memory => ("memory", WRITER_CACHE),
        Sorted::Files => ("file", "-131072"),
    };
    for text in [format!("PRAGMA temp_store = {store}"), format!("PRAGMA cache_size = {cache}")] {
        sqlx::query(AssertSqlSafe(text)).persistent(false).execute(writer).await?;
    }
    Ok(())
}

/// That the file is ours, and not of a later version that this one does not work with. Whether there is anything for
/// this version to migrate.
async fn check_schema(pool: &SqlitePool, path: &Path) -> Result<bool, StoreError> {
    find(pool, path).await?.check(&MIGRATIONS, || place(path))
}

async fn find(pool: &SqlitePool, path: &Path) -> Result<Found, StoreError> {
    let opening = |error: sqlx::Error| match StoreError::from(error) {
        StoreError::Broken(cause) => StoreError::open(place(path), cause),
        other => other,
    };
    let tables = "SELECT count(*), count(CASE WHEN name = '_sqlx_migrations' THEN 1 END), \
                  count(CASE WHEN name = 'compatibility' THEN 1 END) FROM sqlite_master \
                  WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let (tables, migrations, compatibility): (i64, i64, i64) =
        sqlx::query_as(tables).fetch_one(pool).await.map_err(opening)?;
    let numbers: (Option<i64>, Option<i64>) = match (migrations, compatibility) {
        (0, _) => (None, None),
        (_, 0) => sqlx::query_as(schema::VERSION).fetch_one(pool).await.map_err(opening)?,
        _ => sqlx::query_as(schema::VERSIONS).fetch_one(pool).await.map_err(opening)?,
    };
    Ok(Found { tables: tables > migrations, version: numbers.0, works_with: numbers.1 })
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    /// Found when several processes began with a new directory at once: now and then one was told that the file is locked.
    #[tokio::test]
    async fn a_new_file_that_many_make_at_once_is_opened_by_all() {
        for _ in 0..100 {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("history.sqlite");
            let opened = join_all((0..8).map(|_| writer(directory.path(), &path))).await;
            for writer in opened {
                writer.expect("opened").close().await;
            }
        }
    }
}
