//! Bytes that a decision takes with its indexes, and what each column and index costs.
//!
//! The target is held against everything in the database. What of it is a decision's own (its row, those of the rules
//! that it violates and the repositories to blame, and all their indexes) is shown beside it: what decisions share
//! (reviews, outcomes, names) and the figures do not grow with it. `STORED=2000000` says how many decisions are stored.

use crate::harness::postgres;
use crate::histories::{History, batches};
use crate::support::Run;
use crate::support::statistics::{Estimate, Target};
use crate::support::table::{Table, number};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tokio::runtime::Runtime;

/// Enough that what is there once does not show.
const DECISIONS: usize = 200_000;

pub fn measure(run: &Run, runtime: &Runtime) {
    let [on_sqlite, on_postgres] = ["storage, SQLite", "storage, Postgres"].map(|name| run.wants(name));
    if !on_sqlite && !on_postgres {
        return;
    }
    let decisions = if run.smoke { 300 } else { stored() };
    let batches = batches(decisions, 1);
    let mut totals = Table::of_figures("Stored bytes for each decision: everything in the database");
    let mut own = Table::new("Of that, its own rows and their indexes", ["measure", "bytes"]);
    let mut parts: Vec<Table> = Vec::new();
    if on_sqlite {
        let cost = runtime.block_on(async {
            let history = History::sqlite().await;
            history.apply(&batches).await;
            sqlite(&history, decisions).await
        });
        totals.push_figure("SQLite", "B", &Estimate::of(&[cost.total]), Target::AtMost(180.0));
        own.push(vec!["SQLite".to_owned(), number(cost.own())]);
        parts.extend(cost.tables("SQLite"));
    }
    if on_postgres {
        let server = postgres::shared();
        let cost = runtime.block_on(async {
            let history = History::postgres(server).await;
            history.apply(&batches).await;
            postgres(&history, decisions).await
        });
        totals.push_figure("Postgres", "B", &Estimate::of(&[cost.total]), Target::AtMost(320.0));
        own.push(vec!["Postgres".to_owned(), number(cost.own())]);
        parts.extend(cost.tables("Postgres"));
    }
    totals.print();
    own.print();
    parts.iter().for_each(Table::print);
}

fn stored() -> usize {
    std::env::var("STORED").map_or(DECISIONS, |text| text.parse().expect("a number"))
}

/// All in bytes for each decision.
struct Cost {
    total: f64,
    /// Tables and indexes.
    objects: Vec<(String, f64)>,
    /// Of the row of a decision.
    columns: Vec<(String, f64)>,
}

// === impl Cost ===

impl Cost {
    /// Without what decisions share.
    fn own(&self) -> f64 {
        let own = self.objects.iter().filter(|(name, _)| name.starts_with("decision"));
        own.map(|(_, bytes)| bytes).sum()
    }

    fn tables(&self, database: &str) -> [Table; 2] {
        let table = |title: &str, rows: &[(String, f64)]| {
            let mut table = Table::new(&format!("{database}: {title}"), ["what", "bytes for each decision"]);
            for (what, bytes) in rows.iter().filter(|(_, bytes)| *bytes >= 0.05) {
                table.push(vec![what.clone(), number(*bytes)]);
            }
            table
        };
        [table("tables and indexes", &self.objects), table("columns of a decision's row", &self.columns)]
    }
}

async fn sqlite(history: &History, decisions: usize) -> Cost {
    let mut connection = SqliteConnection::connect(&history.url).await.expect("a connection");
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("a checkpoint");
    let objects: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC")
            .fetch_all(&mut connection)
            .await
            .expect("dbstat");
    let names: Vec<(String,)> = sqlx::query_as("SELECT name FROM pragma_table_info('decisions')")
        .fetch_all(&mut connection)
        .await
        .expect("columns");
    let mut columns = Vec::new();
    for (name,) in names {
        // A byte of the row's header says what follows.
        let text = format!(
            "SELECT 1.0 + avg(CASE typeof({name}) WHEN 'null' THEN 0 WHEN 'integer' THEN CASE \
             WHEN {name} IN (0, 1) THEN 0 WHEN abs({name}) < 128 THEN 1 WHEN abs({name}) < 32768 THEN 2 \
             WHEN abs({name}) < 8388608 THEN 3 WHEN abs({name}) < 2147483648 THEN 4 \
             WHEN abs({name}) < 140737488355328 THEN 6 ELSE 8 END ELSE length(CAST({name} AS BLOB)) END) FROM decisions"
        );
        let (bytes,): (f64,) = sqlx::query_as(AssertSqlSafe(text)).fetch_one(&mut connection).await.expect("a mean");
        columns.push((name, bytes));
    }
    cost(objects, columns, decisions)
}

async fn postgres(history: &History, decisions: usize) -> Cost {
    let mut connection = PgConnection::connect(&history.url).await.expect("a connection");
    // Partitions by the name of what they are a part of.
    let objects = "WITH RECURSIVE parts(oid, name) AS (\
         SELECT c.oid, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'i', 'I') AND NOT c.relispartition \
         UNION ALL SELECT i.inhrelid, p.name FROM pg_inherits i JOIN parts p ON p.oid = i.inhparent) \
         SELECT name, sum(pg_table_size(oid))::bigint FROM parts GROUP BY name ORDER BY 2 DESC";
    let objects: Vec<(String, i64)> = sqlx::query_as(objects).fetch_all(&mut connection).await.expect("sizes");
    let names =
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'decisions'::regclass AND attnum > 0 ORDER BY attnum";
    let names: Vec<(String,)> = sqlx::query_as(names).fetch_all(&mut connection).await.expect("columns");
    let mut columns = Vec::new();
    for (name,) in names {
        let text = format!("SELECT coalesce(sum(pg_column_size({name})), 0)::float8 / count(*) FROM decisions");
        let (bytes,): (f64,) = sqlx::query_as(AssertSqlSafe(text)).fetch_one(&mut connection).await.expect("a mean");
        columns.push((name, bytes));
    }
    cost(objects, columns, decisions)
}

fn cost(objects: Vec<(String, i64)>, columns: Vec<(String, f64)>, decisions: usize) -> Cost {
    let each = |bytes: i64| bytes as f64 / decisions as f64;
    Cost {
        total: each(objects.iter().map(|(_, bytes)| bytes).sum()),
        objects: objects.into_iter().map(|(name, bytes)| (name, each(bytes))).collect(),
        columns,
    }
}
