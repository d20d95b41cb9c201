//! Postgres: its partitions by day, and what only it does. Two connections write, a few read.

mod bulk;
mod connections;
mod copy;
mod insert;
pub(super) mod order;
pub(super) mod retention;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::time::timeout;
use tracing::debug;
use uuid::Uuid;

pub(super) use self::bulk::WORDS;
pub(super) use self::connections::Lent as Connection;
use self::connections::{Connections, Lent, is_refusal, within};
use super::bucket::Day;
use super::database::{Claim, Dialect, Statements};
use super::driver::row;
use super::error::{StoreError, said};
use super::key;
use super::schema::{self, Found, Migrated};
use super::settings::PostgresSettings;
use super::sql::{Insert, Row, Sql, Value};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The oldest whose partitions and statistics are good enough, as `server_version_num` has it.
const OLDEST: i32 = 140_000;

/// Pages are short, and several replicas share the server's connections.
const READERS: usize = 4;

/// How long the server may take to hear that all connections end. What has not been said by then, it finds out itself.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long whoever reads waits, for a connection and for the rows. A server that lives cuts a statement short before
/// (see [`reading_session`]); one that is frozen, or behind a network that swallows packets, does not.
const READ: Duration = Duration::from_secs(35);

/// A statement with more values than this is not kept prepared: its text is hardly ever the same again.
const KEPT: usize = 16;

/// The tables that are partitioned by day.
const BY_DAY: [&str; 5] =
    ["decisions", "decision_rules", "decision_repositories", "decision_candidates", "decision_agreements"];

/// Who makes or drops partitions holds this: "Rehearsal" in ASCII, as far as it fits.
pub(super) const PARTITIONS_LOCK: i64 = 0x5265_6865_6172_7361;

/// Who deletes holds this, one process at a time.
const RETENTION_LOCK: i64 = PARTITIONS_LOCK + 1;

#[derive(Debug, Clone)]
pub(super) struct Postgres {
    writer: Arc<Connections>,
    /// Stores what batches share, beside the writer.
    beside: Arc<Connections>,
    readers: Arc<Connections>,
    /// One that holds the right to delete, and one that deletes: beside the drain.
    upkeep: Arc<Connections>,
    settings: PostgresSettings,
    /// Days whose partitions were seen.
    days: Arc<Mutex<HashSet<Day>>>,
}

#[derive(Debug)]
pub(super) struct Transaction(Lent);

// === impl Postgres ===

impl Postgres {
    pub async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let database = Self::lazy(settings);
        let mut lent = database.writer.lend().await?;
        check_version(&mut lent.connection, settings).await?;
        migrate(&mut lent.connection, settings).await?;
        lent.give_back();
        Ok(database)
    }

    pub async fn migrate(settings: &PostgresSettings) -> Result<Migrated, StoreError> {
        let database = Self::lazy(settings);
        let mut lent = database.writer.lend().await?;
        check_version(&mut lent.connection, settings).await?;
        let from = find(&mut lent.connection).await?.version;
        migrate(&mut lent.connection, settings).await?;
        let to = find(&mut lent.connection).await?.version;
        lent.give_back();
        database.close().await;
        let to = to.ok_or_else(|| StoreError::broken("the schema has no number"))?;
        Ok(Migrated { place: settings.place(), from, to })
    }

    pub async fn open_for_reading(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let database = Self::lazy(settings);
        let mut lent = database.readers.lend().await?;
        check_version(&mut lent.connection, settings).await?;
        find(&mut lent.connection).await?.check_for_reading(&MIGRATIONS, || settings.place())?;
        lent.give_back();
        Ok(database)
    }

    fn lazy(settings: &PostgresSettings) -> Self {
        Self {
            writer: Connections::new(settings, 1, session),
            beside: Connections::new(settings, 1, session),
            readers: Connections::new(settings, READERS, reading_session),
            upkeep: Connections::new(settings, 2, session),
            settings: settings.clone(),
            days: Arc::default(),
        }
    }

    /// With a connection that may have been lost while it rested.
    async fn read(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        let mut lent = self.readers.lend().await?;
        let mut found = fetch(&mut lent.connection, sql.clone()).await;
        if lent.rested && matches!(found, Err(StoreError::Unavailable(_))) {
            lent.renew().await?;
            found = fetch(&mut lent.connection, sql).await;
        }
        let found = found?;
        lent.give_back();
        Ok(found)
    }

    pub async fn begin_beside(&self) -> Result<Transaction, StoreError> {
        begin_on(&self.beside).await
    }
}

impl Dialect for Postgres {
    type Transaction = Transaction;

    async fn fetch(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        let Ok(found) = timeout(READ, self.read(sql)).await else {
            let what = format!("the database does not answer: nothing came within {} s", READ.as_secs());
            return Err(StoreError::Unavailable(what.into()));
        };
        found
    }

    async fn begin(&self) -> Result<Transaction, StoreError> {
        begin_on(&self.writer).await
    }

    /// No hold is added beside it: whoever adds one waits for its end, which is near.
    async fn begin_upkeep(&self) -> Result<Transaction, StoreError> {
        let mut tx = begin_on(&self.upkeep).await?;
        tx.execute(Sql::new("SET LOCAL lock_timeout = '5s'")).await?;
        tx.execute(Sql::new("LOCK TABLE holds IN SHARE MODE")).await?;
        Ok(tx)
    }

    /// A lock of a session, which ends with it.
    async fn claim_retention(&self) -> Result<Option<Claim>, StoreError> {
        let mut lent = self.upkeep.lend().await?;
        if lent.rested {
            lent.renew().await?;
        }
        let mut sql = Sql::new("SELECT pg_try_advisory_lock(");
        sql.bind(RETENTION_LOCK).push(")");
        let is_ours = fetch(&mut lent.connection, sql).await?.first().map_or(Ok(false), |row| row.flag(0))?;
        Ok(is_ours.then_some(Claim { _connection: Some(lent) }))
    }

    async fn size(&self) -> Result<u64, StoreError> {
        let sql = Sql::new("SELECT pg_database_size(current_database())");
        self.fetch(sql).await?.first().map_or(Ok(0), |row| row.count(0))
    }

    async fn make_room(&self, days: &[Day]) -> Result<(), StoreError> {
        let missing = |days: &[Day]| -> Vec<Day> {
            let seen = self.days.lock().unwrap_or_else(PoisonError::into_inner);
            days.iter().copied().filter(|day| !seen.contains(day)).collect()
        };
        let wanted = missing(days);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        lock_partitions(&mut tx).await?;
        for table in BY_DAY {
            let there = partitions(&mut tx, table).await?;
            for &day in wanted.iter().filter(|day| !there.contains(&partition(table, **day))) {
                add_partition(&mut tx, table, day).await?;
            }
        }
        tx.commit().await?;
        self.days.lock().unwrap_or_else(PoisonError::into_inner).extend(wanted);
        Ok(())
    }

    fn check(&self, found: Found) -> Result<bool, StoreError> {
        found.check(&MIGRATIONS, || self.settings.place())
    }

    fn forget(&self) {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn close(&self) {
        let all = [&self.readers, &self.upkeep, &self.beside, &self.writer];
        if timeout(GOODBYE, join_all(all.map(|connections| connections.close()))).await.is_err() {
            debug!("the history did not hear that its connections end: they are dropped");
        }
    }
}

// === impl Transaction ===

impl Statements for Transaction {
    async fn fetch(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        fetch(&mut self.0.connection, sql).await
    }

    async fn execute(&mut self, sql: Sql) -> Result<(), StoreError> {
        within(query(sql).execute(&mut self.0.connection)).await?;
        Ok(())
    }

    async fn insert(&mut self, insert: Insert) -> Result<(), StoreError> {
        insert::insert(&mut self.0.connection, insert).await
    }

    /// One array, so that the text stays the same. It is unnested so that the plan does not look for the partition of
    /// each key: the ends say which they are.
    async fn stored_at(&mut self, keys: Vec<i64>) -> Result<Vec<Row>, StoreError> {
        let (Some(&first), Some(&last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(Vec::new()) };
        let text = "SELECT d.key, d.id FROM decisions d WHERE d.key >= $1 AND d.key <= $2 \
                    AND d.key = ANY (ARRAY(SELECT unnest($3::bigint[])))";
        let query = sqlx::query(text).bind(first).bind(last).bind(keys);
        rows(within(query.fetch_all(&mut self.0.connection)).await?)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        within(sqlx::raw_sql("COMMIT").execute(&mut self.0.connection)).await?;
        self.0.give_back();
        Ok(())
    }
}

impl Transaction {
    /// Those who hold this mode do not wait for each other.
    pub async fn exclude_upkeep(&mut self) -> Result<(), StoreError> {
        self.execute(Sql::new("LOCK TABLE holds IN ROW EXCLUSIVE MODE")).await
    }
}

/// `*` alone is special; `LIKE` has two other such characters, and one that takes their meaning.
pub(super) fn glob(column: &str, pattern: &str) -> Sql {
    let mut like = String::with_capacity(pattern.len() + 8);
    for character in pattern.chars() {
        match character {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', character]),
            _ => like.push(character),
        }
    }
    let mut sql = Sql::new(column);
    sql.push(" LIKE ").bind(like);
    sql
}

pub(super) fn of_uid(uid: Uuid) -> Sql {
    let mut sql = Sql::new("decisions d WHERE d.uid IS NOT NULL AND uuid_hash(d.uid) = uuid_hash(");
    sql.bind(uid).push(") AND d.uid = ").bind(uid);
    sql
}

/// `?` becomes `$1`, `$2`, ... No constant of a statement holds a question mark.
fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len() + 64);
    for (at, part) in text.split('?').enumerate() {
        if at > 0 {
            numbered.push('$');
            numbered.push_str(&at.to_string());
        }
        numbered.push_str(part);
    }
    numbered
}

async fn fetch(connection: &mut PgConnection, sql: Sql) -> Result<Vec<Row>, StoreError> {
    rows(within(query(sql).fetch_all(connection)).await?)
}

fn rows(found: Vec<PgRow>) -> Result<Vec<Row>, StoreError> {
    found.iter().map(|found| row(found, value)).collect()
}

fn query(sql: Sql) -> Query<'static, sqlx::Postgres, PgArguments> {
    // Every text is put together from constants of this module; what comes from outside is always bound.
    let query = sqlx::query(AssertSqlSafe(numbered(&sql.text))).persistent(sql.values.len() <= KEPT);
    sql.values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(value) => query.bind(value),
        Value::Bool(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Blob(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
    })
}

fn value(row: &PgRow, at: usize, kind: &str) -> Result<Option<Value>, sqlx::Error> {
    Ok(Some(match kind {
        "INT8" => Value::Int(row.try_get_unchecked(at)?),
        "INT4" => Value::Int(row.try_get_unchecked::<i32, _>(at)?.into()),
        "INT2" => Value::Int(row.try_get_unchecked::<i16, _>(at)?.into()),
        "BOOL" => Value::Bool(row.try_get_unchecked(at)?),
        "TEXT" | "NAME" => Value::Text(row.try_get_unchecked(at)?),
        "BYTEA" => Value::Blob(row.try_get_unchecked(at)?),
        "UUID" => Value::Uuid(row.try_get_unchecked(at)?),
        _ => return Ok(None),
    }))
}

/// Compiling a plan takes longer than any of ours runs; and a plan for any values reads every day's partition.
fn session(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("jit", "off"), ("plan_cache_mode", "force_custom_plan")])
}

fn reading_session(options: PgConnectOptions) -> PgConnectOptions {
    session(options).options([("default_transaction_read_only", "on"), ("statement_timeout", "30s")])
}

async fn begin_on(connections: &Arc<Connections>) -> Result<Transaction, StoreError> {
    let mut lent = connections.lend().await?;
    if let Err(error) = begin(&mut lent.connection).await {
        if !lent.rested {
            return Err(error);
        }
        debug!("the connection to the history was lost while it rested: {error}");
        lent.renew().await?;
        begin(&mut lent.connection).await?;
    }
    Ok(Transaction(lent))
}

async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    within(sqlx::raw_sql("BEGIN").execute(connection)).await?;
    Ok(())
}

async fn check_version(connection: &mut PgConnection, settings: &PostgresSettings) -> Result<(), StoreError> {
    let text = "SELECT current_setting('server_version_num')::integer, current_setting('server_version')";
    let (number, found): (i32, String) = within(sqlx::query_as(text).fetch_one(connection)).await?;
    if number < OLDEST { Err(StoreError::TooOld { place: settings.place(), found }) } else { Ok(()) }
}

/// Whoever else migrates waits, until the connection ends or all is done.
async fn migrate(connection: &mut PgConnection, settings: &PostgresSettings) -> Result<(), StoreError> {
    if check_schema(connection, settings).await? {
        let migrations = schema::lenient(&MIGRATIONS);
        migrations.run_direct(None, connection, false).await.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) if is_refusal(&error) => {
                StoreError::Refused { place: settings.place(), cause: said(error) }
            }
            error => schema::failed(error, settings.place()),
        })?;
    }
    Ok(())
}

/// That the database is ours, and not of a later version that this one does not work with. Whether there is anything
/// for this version to migrate.
async fn check_schema(connection: &mut PgConnection, settings: &PostgresSettings) -> Result<bool, StoreError> {
    find(connection).await?.check(&MIGRATIONS, || settings.place())
}

async fn find(connection: &mut PgConnection) -> Result<Found, StoreError> {
    let tables = "SELECT count(*), count(*) FILTER (WHERE tablename = '_sqlx_migrations'), \
                  count(*) FILTER (WHERE tablename = 'compatibility') \
                  FROM pg_tables WHERE schemaname = current_schema()";
    let (tables, migrations, compatibility): (i64, i64, i64) =
        within(sqlx::query_as(tables).fetch_one(&mut *connection)).await?;
    let numbers: (Option<i64>, Option<i64>) = match (migrations, compatibility) {
        (0, _) => (None, None),
        (_, 0) => within(sqlx::query_as(schema::VERSION).fetch_one(connection)).await?,
        _ => within(sqlx::query_as(schema::VERSIONS).fetch_one(connection)).await?,
    };
    Ok(Found { tables: tables > migrations, version: numbers.0, works_with: numbers.1 })
}

/// Held to the end of the transaction. Nobody is made to wait behind us for long.
pub(super) async fn lock_partitions(tx: &mut Transaction) -> Result<(), StoreError> {
    tx.execute(Sql::new("SET LOCAL lock_timeout = '5s'")).await?;
    let mut sql = Sql::new("SELECT pg_advisory_xact_lock(");
    sql.bind(PARTITIONS_LOCK).push(")");
    tx.execute(sql).await
}

/// The names of a table's partitions.
pub(super) async fn partitions(tx: &mut Transaction, table: &str) -> Result<HashSet<String>, StoreError> {
    let mut sql = Sql::new(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(",
    );
    sql.bind(table).push(")");
    tx.fetch(sql).await?.into_iter().map(|mut row| row.text(0)).collect()
}

/// `decisions_20261125`.
pub(super) fn partition(table: &str, Day(start): Day) -> String {
    let day = jiff::Timestamp::from_millisecond(start.0).unwrap_or_default();
    format!("{table}_{}", day.strftime("%Y%m%d"))
}

/// Made apart and attached: to make it in its place would lock the table against everyone.
async fn add_partition(tx: &mut Transaction, table: &str, day: Day) -> Result<(), StoreError> {
    let name = partition(table, day);
    tx.execute(Sql::new(&format!("CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))).await?;
    let (from, to) = (key::start(day.0), key::start(day.next().0));
    tx.execute(Sql::new(&format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})")))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::clock::Timestamp;

    #[test]
    fn values_are_numbered_in_their_order() {
        assert_eq!(numbered("SELECT ? WHERE a IN (?, ?)"), "SELECT $1 WHERE a IN ($2, $3)");
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }

    #[test]
    fn a_pattern_of_stars_alone_becomes_one_of_like() {
        assert_eq!(glob("m.text", r"*/100%_\*").values, [Value::Text(r"%/100\%\_\\%".to_owned())]);
    }

    #[test]
    fn a_partition_is_named_by_its_day() {
        let day = Day::of(Timestamp(1_790_000_000_123));
        assert_eq!(partition("decisions", day), "decisions_20260921");
    }
}
