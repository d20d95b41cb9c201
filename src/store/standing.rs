//! How far each replica has stored its decisions: what it says of itself in its row of `replicas`.
//!
//! # Invariants
//!
//! 1. All that a replica decided before its row's `drained_until`, by its own clock, is stored. It is said after it is
//!    so, and whatever the replica decides later is later than that.
//! 2. [`ALL`] is said only by whoever holds the lock on the replica's data directory, once its journal is empty: at an
//!    orderly stop, or after `journal drain`. Whoever starts on that directory takes it back before its first decision,
//!    where the history can be reached.
//! 3. A row without `seen_at` is of a replica that has not yet said anything.

use uuid::Uuid;

use super::database::Database;
use super::error::StoreError;
use super::read::Standing;
use super::sql::{Row, Sql, Value};
use crate::review::clock::Timestamp;
use crate::review::said::Said;

/// `drained_until` of one that has stored all that it decided, and decides nothing any more.
pub(super) const ALL: i64 = i64::MAX;

/// `drained_until` of one that cannot read its journal: what that holds may be of any time.
const UNKNOWN: i64 = 0;

/// The columns that a replica writes of itself, beside its id.
const COLUMNS: [&str; 7] = ["seen_at", "started_at", "drained_until", "version", "revision", "clusters", "said"];

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    pub seen_at: Timestamp,
    /// When its process began.
    pub started_at: Timestamp,
    pub drained: Drained,
    pub version: &'static str,
    /// Of its policies.
    pub revision: String,
    pub clusters: Vec<String>,
    pub said: Said,
}

/// Which of its decisions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    Until(Timestamp),
    /// Nobody knows: its journal cannot be read.
    Unknown,
    /// All of them: it has stopped, and its journal is empty.
    Wholly,
}

/// Those that `replica` said last to serve.
pub(super) async fn clusters(database: &Database, replica: Uuid) -> Result<Vec<String>, StoreError> {
    let mut sql = Sql::new("SELECT clusters FROM replicas WHERE clusters IS NOT NULL AND replica = ");
    sql.bind(replica);
    match database.fetch(sql).await?.first_mut() {
        Some(row) => Ok(serde_json::from_str(&row.text(0)?)?),
        None => Ok(Vec::new()),
    }
}

/// In a transaction of its own. Answers when the process began that wrote the last one before it, if there was one.
pub(super) async fn beat(
    database: &Database,
    replica: Uuid,
    heartbeat: &Heartbeat,
) -> Result<Option<Timestamp>, StoreError> {
    let mut tx = database.begin().await?;
    database.check_schema(&mut tx).await?;
    let mut last = Sql::new("SELECT started_at FROM replicas WHERE replica = ");
    last.bind(replica);
    let last = tx.fetch(last).await?.first().map(|row| row.opt_int(0)).transpose()?.flatten();
    // Not an upsert: on Postgres each would take a number from the sequence of ids, every 15 s for years.
    let mut update = Sql::new("UPDATE replicas SET ");
    for (at, (column, value)) in COLUMNS.into_iter().zip(heartbeat.values()?).enumerate() {
        update.push(if at == 0 { "" } else { ", " }).push(column).push(" = ").bind(value);
    }
    update.push(" WHERE replica = ").bind(replica).push(" RETURNING id");
    if tx.fetch(update).await?.is_empty() {
        let mut insert = Sql::new("INSERT INTO replicas (replica, ");
        insert.push(&COLUMNS.join(", ")).push(") ");
        insert.values([[Value::from(replica)].into_iter().chain(heartbeat.values()?)]);
        tx.execute(insert).await?;
    }
    tx.commit().await?;
    Ok(last.map(Timestamp))
}

/// The journal of `replica` is empty, and nobody writes it.
pub(super) async fn emptied(database: &Database, replica: Uuid) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    database.check_schema(&mut tx).await?;
    let mut update = Sql::new("UPDATE replicas SET drained_until = ");
    update.bind(ALL).push(" WHERE seen_at IS NOT NULL AND replica = ").bind(replica);
    tx.execute(update).await?;
    tx.commit().await
}

/// Of every replica but `own` that may hold decisions which are not stored; the one that is furthest behind first.
pub(super) async fn others(database: &Database, own: Uuid) -> Result<Vec<Standing>, StoreError> {
    // A file is of one directory, and of the one journal in it.
    if matches!(database, Database::Sqlite(_)) {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(
        "SELECT replica, clusters, seen_at, drained_until FROM replicas WHERE seen_at IS NOT NULL AND drained_until < ",
    );
    sql.bind(ALL).push(" AND replica <> ").bind(own).push(" ORDER BY drained_until, id");
    database.fetch(sql).await?.into_iter().map(standing).collect()
}

/// Of the columns `replica, clusters, seen_at, drained_until`.
pub(super) fn standing(mut row: Row) -> Result<Standing, StoreError> {
    let clusters = row.opt_text(1)?.unwrap_or_else(|| "[]".to_owned());
    Ok(Standing {
        replica: row.uuid(0)?,
        clusters: serde_json::from_str(&clusters)?,
        heard_at: Timestamp(row.int(2)?),
        stored_until: Some(row.int(3)?).filter(|until| *until != UNKNOWN).map(Timestamp),
    })
}

// === impl Heartbeat ===

impl Heartbeat {
    fn values(&self) -> Result<[Value; COLUMNS.len()], StoreError> {
        let drained_until = match self.drained {
            Drained::Until(until) => until.0,
            Drained::Unknown => UNKNOWN,
            Drained::Wholly => ALL,
        };
        Ok([
            self.seen_at.0.into(),
            self.started_at.0.into(),
            drained_until.into(),
            self.version.into(),
            self.revision.as_str().into(),
            serde_json::to_string(&self.clusters)?.into(),
            serde_json::to_string(&self.said)?.into(),
        ])
    }
}
