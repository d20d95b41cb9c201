//! Decisions stored a second, against the fastest plain insert of the same rows into the same tables and indexes: in
//! batches as large, without roll-ups, on Postgres by COPY. And eight drains on one Postgres against one.

use std::time::Instant;

use crate::harness::postgres::{self, Server};
use crate::histories::{History, batches, decisions_in, open};
use crate::support::Run;
use crate::support::statistics::Target;
use crate::support::table::Table;
use rehearsal::review::decision::Record;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use sqlx::{TypeInfo as _, ValueRef as _};
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
        let pairs = run.pairs_of(|| sqlite(runtime, decisions));
        table.push_pairs("SQLite", "decisions/s", &pairs, Target::AtLeast(0.7));
    }
    if run.wants("drain, Postgres") {
        let pairs = run.pairs_of(|| on_postgres(runtime, postgres::shared(), decisions));
        table.push_pairs("Postgres", "decisions/s", &pairs, Target::AtLeast(0.7));
    }
    table.print();
    if run.wants("eight drains, Postgres") {
        let mut table = Table::of_pairs("Eight drains on one Postgres", "the lesser of 8 x one and plain by eight");
        let pairs = run.pairs_of(|| eight(runtime, postgres::shared(), decisions));
        table.push_pairs("eight drains", "decisions/s", &pairs, Target::AtLeast(0.9));
        table.print();
    }
}

/// Rates of ours and of the plain insert of what ours stored.
fn sqlite(runtime: &Runtime, decisions: usize) -> (f64, f64) {
    runtime.block_on(async {
        let batches = batches(2 * decisions, 1);
        let (warm, measured) = batches.split_at(batches.len() / 2);
        let decisions = decisions_in(measured);
        let ours = History::sqlite().await;
        ours.apply(warm).await;
        let mut from = SqliteConnection::connect(&ours.url).await.expect("a connection");
        let plain = copy_of(&mut from).await;
        let (last,): (i64,) =
            sqlx::query_as("SELECT max(id) FROM batches").fetch_one(&mut from).await.expect("a batch");
        let rate = rate(decisions, ours.apply(measured)).await;
        let options: SqliteConnectOptions = plain.url.parse().expect("a URL");
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let mut to = options.connect().await.expect("a connection");
        let rows = sqlite_rows(&mut from, last).await;
        let began = Instant::now();
        for batch in rows {
            let mut tx = to.begin().await.expect("a transaction");
            for (text, values) in batch {
                let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), bind);
                query.execute(&mut *tx).await.expect("rows");
            }
            tx.commit().await.expect("a commit");
        }
        (rate, decisions as f64 / began.elapsed().as_secs_f64())
    })
}

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

/// The same history in another file: the state that both begin with.
async fn copy_of(connection: &mut SqliteConnection) -> History {
    let copy = History::sqlite().await;
    let path = copy.url.trim_start_matches("sqlite://");
    copy.store.close().await;
    std::fs::remove_file(path).expect("a file");
    sqlx::query(AssertSqlSafe(format!("VACUUM INTO '{path}'"))).execute(connection).await.expect("a copy");
    copy
}

/// Statements of each batch after `last`, as few as can be.
async fn sqlite_rows(from: &mut SqliteConnection, last: i64) -> Vec<Vec<(String, Vec<Value>)>> {
    let batches: Vec<(i64, i64, i64)> = sqlx::query_as("SELECT id, first_key, last_key FROM batches WHERE id > ?")
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

fn on_postgres(runtime: &Runtime, server: &Server, decisions: usize) -> (f64, f64) {
    runtime.block_on(async {
        let batches = batches(2 * decisions, 1);
        let (warm, measured) = batches.split_at(batches.len() / 2);
        let decisions = decisions_in(measured);
        let (ours, plain) = (History::postgres(server).await, History::postgres(server).await);
        // Both have the same names and the same rows before.
        ours.apply(warm).await;
        plain.apply(warm).await;
        let mut from = PgConnection::connect(&ours.url).await.expect("a connection");
        let last = last_batch(&mut from).await;
        let rate = rate(decisions, ours.apply(measured)).await;
        let rows = postgres_rows(&mut from, last).await;
        let mut to = PgConnection::connect(&plain.url).await.expect("a connection");
        let began = Instant::now();
        copy_in(&mut to, &rows).await;
        (rate, decisions as f64 / began.elapsed().as_secs_f64())
    })
}

async fn last_batch(from: &mut PgConnection) -> i32 {
    let (last,): (i32,) = sqlx::query_as("SELECT max(id) FROM batches").fetch_one(from).await.expect("a batch");
    last
}

/// Of each batch after `last`, what COPY makes of the rows of each table.
async fn postgres_rows(from: &mut PgConnection, last: i32) -> Vec<[Vec<u8>; 3]> {
    let batches: Vec<(i64, i64)> = sqlx::query_as("SELECT first_key, last_key FROM batches WHERE id > $1 ORDER BY id")
        .bind(last)
        .fetch_all(&mut *from)
        .await
        .expect("batches");
    let mut all = Vec::new();
    for (first, to) in batches {
        let mut of_tables = [const { Vec::new() }; 3];
        for (table, rows) in TABLES.iter().zip(&mut of_tables) {
            let text = format!("COPY (SELECT * FROM {table} WHERE key BETWEEN {first} AND {to}) TO STDOUT");
            let mut stream = from.copy_out_raw(&text).await.expect("a copy");
            while let Some(part) = futures_util::StreamExt::next(&mut stream).await {
                rows.extend_from_slice(&part.expect("rows"));
            }
        }
        all.push(of_tables);
    }
    all
}

async fn copy_in(to: &mut PgConnection, batches: &[[Vec<u8>; 3]]) {
    for of_tables in batches {
        sqlx::query("BEGIN").execute(&mut *to).await.expect("a transaction");
        for (table, rows) in TABLES.iter().zip(of_tables) {
            let mut copy = to.copy_in_raw(&format!("COPY {table} FROM STDIN")).await.expect("a copy");
            copy.send(rows.as_slice()).await.expect("rows");
            copy.finish().await.expect("rows");
        }
        sqlx::query("COMMIT").execute(&mut *to).await.expect("a commit");
    }
}

/// The rate of eight drains at once, and the lesser of eight times one and of eight plain inserts at once.
fn eight(runtime: &Runtime, server: &Server, decisions: usize) -> (f64, f64) {
    runtime.block_on(async {
        let each = decisions / DRAINS;
        let one = {
            let history = History::postgres(server).await;
            let (warm, measured) = halves(2 * each, 1);
            history.apply(&warm).await;
            rate(decisions_in(&measured), history.apply(&measured)).await
        };
        let history = History::postgres(server).await;
        let mut drains = Vec::new();
        for number in 0..DRAINS {
            let store = open(&history.settings, Uuid::from_u128(100 + number as u128)).await;
            let (warm, measured) = halves(2 * each, 1 + number as u64);
            for batch in &warm {
                store.apply(batch).await.expect("a batch");
            }
            drains.push((store, measured));
        }
        let mut from = PgConnection::connect(&history.url).await.expect("a connection");
        let last = last_batch(&mut from).await;
        let all = drains.iter().map(|(_, batches)| decisions_in(batches)).sum();
        let together = rate(all, async {
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
        .await;
        let rows = postgres_rows(&mut from, last).await;
        let limit = plain_by_eight(server, rows, all).await;
        (together, limit.min(one * DRAINS as f64))
    })
}

/// What the server takes at most from eight.
async fn plain_by_eight(server: &Server, rows: Vec<[Vec<u8>; 3]>, decisions: usize) -> f64 {
    let plain = History::postgres(server).await;
    // A batch of nothing makes the partitions.
    plain.apply(&halves(2, 1).0).await;
    let parts: Vec<Vec<[Vec<u8>; 3]>> =
        rows.chunks(rows.len().div_ceil(DRAINS)).map(<[[Vec<u8>; 3]]>::to_vec).collect();
    rate(decisions, async {
        let running = parts.into_iter().map(|part| {
            let url = plain.url.clone();
            tokio::spawn(async move {
                let mut to = PgConnection::connect(&url).await.expect("a connection");
                copy_in(&mut to, &part).await;
            })
        });
        for copy in running.collect::<Vec<_>>() {
            copy.await.expect("a copy");
        }
    })
    .await
}

fn halves(decisions: usize, seed: u64) -> (Vec<Vec<Record>>, Vec<Vec<Record>>) {
    let mut warm = batches(decisions, seed);
    let measured = warm.split_off(warm.len() / 2);
    (warm, measured)
}

async fn rate(decisions: usize, work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    decisions as f64 / began.elapsed().as_secs_f64()
}
