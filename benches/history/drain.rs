//! Decisions stored a second, against the fastest plain insert of the same rows into the same tables and indexes: in
//! batches as large, without roll-ups, on Postgres by COPY. And eight drains on one Postgres: against one and COPY, and
//! against eight on the same server that have nothing in common.

use std::path::PathBuf;
use std::time::Instant;

use crate::harness::postgres::{self, Server};
use crate::histories::{Halves, History, open};
use crate::support::Run;
use crate::support::statistics::Target;
use crate::support::table::Table;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use sqlx::{TypeInfo as _, ValueRef as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Of one measurement, after as many that fill names, reviews and caches.
const DECISIONS: usize = 40_000;

const DRAINS: usize = 8;

const TABLES: [&str; 3] = ["decisions", "decision_rules", "decision_repositories"];

pub fn measure(run: &Run, runtime: &Runtime) {
    let decisions = if run.smoke { 600 } else { DECISIONS };
    let mut table = Table::of_pairs("Drain", "plain");
    if run.wants("drain, SQLite") {
        let halves = Halves::new(decisions, 1);
        let plain = runtime.block_on(PlainSqlite::of(&halves));
        let pairs = run.pairs(
            || runtime.block_on(async { drained(&History::sqlite().await, &halves).await }),
            || runtime.block_on(plain.rate(decisions)),
        );
        table.push_pairs("SQLite", "decisions/s", &pairs, Target::AtLeast(0.7));
    }
    if run.wants("drain, Postgres") {
        let (server, halves) = (postgres::shared(), vec![Halves::new(decisions, 1)]);
        let plain = runtime.block_on(PlainPostgres::of(server, &halves));
        let pairs = run.pairs(
            || runtime.block_on(async { drained(&History::postgres(server).await, &halves[0]).await }),
            || runtime.block_on(plain.rate(server, &halves, 1)),
        );
        table.push_pairs("Postgres", "decisions/s", &pairs, Target::AtLeast(0.7));
    }
    table.print();
    if run.wants("eight drains, Postgres") {
        let server = postgres::shared();
        let halves: Vec<Halves> = (1..=DRAINS as u64).map(|seed| Halves::new(decisions / DRAINS, seed)).collect();
        let plain = runtime.block_on(PlainPostgres::of(server, &halves));
        let pairs = run.pairs(
            || runtime.block_on(eight(server, &halves, Histories::One)),
            || {
                runtime.block_on(async {
                    let one = drained(&History::postgres(server).await, &halves[0]).await;
                    plain.rate(server, &halves, DRAINS).await.min(one * DRAINS as f64)
                })
            },
        );
        let mut table = Table::of_pairs("Eight drains on one Postgres", "the lesser of 8 x one and plain by eight");
        table.push_pairs("eight drains", "decisions/s", &pairs, Target::AtLeast(0.9));
        table.print();
        let pairs = run.pairs(
            || runtime.block_on(eight(server, &halves, Histories::One)),
            || runtime.block_on(eight(server, &halves, Histories::Eight)),
        );
        let mut table = Table::of_pairs("Eight drains on one history", "a history for each");
        table.push_pairs("eight drains", "decisions/s", &pairs, Target::AtLeast(0.9));
        table.print();
    }
}

/// The rate of one drain into an empty history.
async fn drained(history: &History, halves: &Halves) -> f64 {
    history.apply(&halves.warm).await;
    rate(halves.decisions(), history.apply(&halves.measured)).await
}

/// What eight drains store into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Histories {
    One,
    /// One for each: what they cost each other there is the server's time alone.
    Eight,
}

/// The rate of eight drains at once.
async fn eight(server: &Server, halves: &[Halves], into: Histories) -> f64 {
    let mut histories = vec![History::postgres(server).await];
    let mut drains = Vec::new();
    for (number, halves) in halves.iter().enumerate() {
        if number == histories.len() && into == Histories::Eight {
            histories.push(History::postgres(server).await);
        }
        let history = histories.last().expect("the first");
        let store = open(&history.settings, Uuid::from_u128(100 + number as u128)).await;
        for batch in &halves.warm {
            store.apply(batch).await.expect("a batch");
        }
        drains.push((store, halves.measured.clone()));
    }
    let decisions = halves.iter().map(Halves::decisions).sum();
    rate(decisions, async {
        let running = drains.into_iter().map(|(store, batches)| {
            tokio::spawn(async move {
                for batch in &batches {
                    store.apply(batch).await.expect("a batch");
                }
            })
        });
        for drain in running.collect::<Vec<_>>() {
            drain.await.expect("a drain");
        }
    })
    .await
}

async fn rate(decisions: usize, work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    decisions as f64 / began.elapsed().as_secs_f64()
}

/// Statements of one batch, as few as can be, with their values.
type Statements = Vec<(String, Vec<Value>)>;

/// The same rows by plain inserts, into a copy of the same history.
struct PlainSqlite {
    /// The file before the first of them.
    before: PathBuf,
    rows: Vec<Statements>,
    directory: TempDir,
}

// === impl PlainSqlite ===

impl PlainSqlite {
    async fn of(halves: &Halves) -> Self {
        let (history, directory) = (History::sqlite().await, tempfile::tempdir().expect("a directory"));
        history.apply(&halves.warm).await;
        let mut from = SqliteConnection::connect(&history.url).await.expect("a connection");
        let before = directory.path().join("before.sqlite");
        let copy = format!("VACUUM INTO '{}'", before.display());
        sqlx::query(AssertSqlSafe(copy)).execute(&mut from).await.expect("a copy");
        let last = "SELECT coalesce(max(id), 0) FROM batches";
        let (last,): (i64,) = sqlx::query_as(last).fetch_one(&mut from).await.expect("a number");
        history.apply(&halves.measured).await;
        let rows = sqlite_rows(&mut from, last).await;
        Self { before, rows, directory }
    }

    async fn rate(&self, decisions: usize) -> f64 {
        let path = self.directory.path().join("plain.sqlite");
        std::fs::copy(&self.before, &path).expect("a copy");
        let options = SqliteConnectOptions::new().filename(&path);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        // As the store's own connection; and its log is copied as rarely.
        let options = options.pragma("cache_size", "-16384").pragma("wal_autocheckpoint", "4096");
        let mut to = options.connect().await.expect("a connection");
        let rows = self.rows.clone();
        let rate = rate(decisions, async {
            for batch in rows {
                let mut tx = to.begin().await.expect("a transaction");
                for (text, values) in batch {
                    let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), bind);
                    query.execute(&mut *tx).await.expect("rows");
                }
                tx.commit().await.expect("a commit");
            }
        })
        .await;
        // Its log goes with the connection, so that the next copy does not find it.
        to.close().await.expect("closed");
        rate
    }
}

#[derive(Clone)]
enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

type SqliteQuery = Query<'static, sqlx::Sqlite, SqliteArguments>;

fn bind(query: SqliteQuery, value: Value) -> SqliteQuery {
    match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Blob(value) => query.bind(value),
    }
}

/// Those of each batch after `last`.
async fn sqlite_rows(from: &mut SqliteConnection, last: i64) -> Vec<Statements> {
    let batches: Vec<(i64, i64, i64)> =
        sqlx::query_as("SELECT id, first_key, last_key FROM batches WHERE id > ? ORDER BY id")
            .bind(last)
            .fetch_all(&mut *from)
            .await
            .expect("batches");
    let mut all = Vec::new();
    for (_, first, to) in batches {
        let mut statements = Vec::new();
        for table in TABLES {
            let columns = "SELECT group_concat(name) FROM pragma_table_info(?)";
            let (columns,): (String,) =
                sqlx::query_as(columns).bind(table).fetch_one(&mut *from).await.expect("columns");
            let text = format!("SELECT {columns} FROM {table} WHERE key BETWEEN {first} AND {to}");
            let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *from).await.expect("rows");
            let width = columns.split(',').count();
            for rows in rows.chunks(8_000 / width) {
                let row = format!("({})", vec!["?"; width].join(","));
                let text = format!("INSERT INTO {table} ({columns}) VALUES {}", vec![row; rows.len()].join(","));
                statements.push((text, rows.iter().flat_map(values).collect()));
            }
        }
        all.push(statements);
    }
    all
}

fn values(row: &sqlx::sqlite::SqliteRow) -> Vec<Value> {
    (0..row.len())
        .map(|at| {
            let raw = row.try_get_raw(at).expect("a column");
            let kind = raw.type_info().into_owned();
            match kind.name() {
                _ if raw.is_null() => Value::Null,
                "INTEGER" => Value::Int(row.get_unchecked(at)),
                "TEXT" => Value::Text(row.get_unchecked(at)),
                _ => Value::Blob(row.get_unchecked(at)),
            }
        })
        .collect()
}

/// What COPY makes of the rows of one batch, for each table.
type Copied = [Vec<u8>; 3];

/// The same rows by COPY, into a database with the same rows before.
struct PlainPostgres(Vec<Copied>);

// === impl PlainPostgres ===

impl PlainPostgres {
    async fn of(server: &Server, halves: &[Halves]) -> Self {
        let history = History::postgres(server).await;
        warm(&history, halves).await;
        let mut from = PgConnection::connect(&history.url).await.expect("a connection");
        let last = "SELECT coalesce(max(id), 0) FROM batches";
        let (last,): (i32,) = sqlx::query_as(last).fetch_one(&mut from).await.expect("a number");
        for halves in halves {
            history.apply(&halves.measured).await;
        }
        Self(copied(&mut from, last).await)
    }

    /// By so many connections at once.
    async fn rate(&self, server: &Server, halves: &[Halves], connections: usize) -> f64 {
        let plain = History::postgres(server).await;
        warm(&plain, halves).await;
        let mut parts = Vec::new();
        for batches in self.0.chunks(self.0.len().div_ceil(connections)) {
            let to = PgConnection::connect(&plain.url).await.expect("a connection");
            parts.push((to, batches.to_vec()));
        }
        let decisions = halves.iter().map(Halves::decisions).sum();
        rate(decisions, async {
            let running = parts.into_iter().map(|(to, batches)| tokio::spawn(copy_in(to, batches)));
            for copy in running.collect::<Vec<_>>() {
                copy.await.expect("a copy");
            }
        })
        .await
    }
}

/// What is there before, with the partitions of its days: what is measured is of the same ones and of today's.
async fn warm(history: &History, halves: &[Halves]) {
    for halves in halves {
        history.apply(&halves.warm).await;
    }
}

/// The rows of each batch after `last`. Batches of several drains overlap in their keys.
async fn copied(from: &mut PgConnection, last: i32) -> Vec<Copied> {
    let batches = "SELECT id, first_key, last_key FROM batches WHERE id > $1 ORDER BY id";
    let batches: Vec<(i32, i64, i64)> =
        sqlx::query_as(batches).bind(last).fetch_all(&mut *from).await.expect("batches");
    let mut all = Vec::new();
    for (batch, first, to) in batches {
        let mut of_tables = [const { Vec::new() }; 3];
        for (table, rows) in TABLES.iter().zip(&mut of_tables) {
            let of_batch = format!("SELECT key FROM decisions WHERE key BETWEEN {first} AND {to} AND batch = {batch}");
            let text = format!(
                "COPY (SELECT * FROM {table} WHERE key BETWEEN {first} AND {to} AND key IN ({of_batch})) TO STDOUT"
            );
            let mut stream = from.copy_out_raw(&text).await.expect("a copy");
            while let Some(part) = futures_util::StreamExt::next(&mut stream).await {
                rows.extend_from_slice(&part.expect("rows"));
            }
        }
        all.push(of_tables);
    }
    all
}

async fn copy_in(mut to: PgConnection, batches: Vec<Copied>) {
    for of_tables in &batches {
        sqlx::query("BEGIN").execute(&mut to).await.expect("a transaction");
        for (table, rows) in TABLES.iter().zip(of_tables) {
            let mut copy = to.copy_in_raw(&format!("COPY {table} FROM STDIN")).await.expect("a copy");
            copy.send(rows.as_slice()).await.expect("rows");
            copy.finish().await.expect("rows");
        }
        sqlx::query("COMMIT").execute(&mut to).await.expect("a commit");
    }
}
