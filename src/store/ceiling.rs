//! Ceilings: how the replicas of a history hear of each other's, and the record of all that there were.
//!
//! # Invariants
//!
//! 1. A row is added once, by whoever has it first, and never changed but for its lift, which is written once. So it does
//!    not matter who writes what again, or in which order.
//! 2. It is deleted as other events are, long after it has ended.

use super::database::Database;
use super::error::StoreError;
use super::reach::Reach;
use super::read::Range;
use super::settings::StoreSettings;
use super::sql::{Insert, Row, Sql};
use crate::policy::ceiling::{Ceiling, Lift};
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;

/// The ceilings of a history, apart from the rest of it: for a process beside those that serve.
#[derive(Debug)]
pub struct SharedCeilings {
    database: Database,
}

const COLUMNS: [&str; 12] = [
    "id",
    "most",
    "policy",
    "namespace",
    "webhooks",
    "ticket",
    "reason",
    "by_whom",
    "from_at",
    "to_at",
    "lifted_at",
    "lifted_by",
];

/// Those that a list has, the newest: many years of nights.
const LISTED: i64 = 1_000;

// === impl SharedCeilings ===

impl SharedCeilings {
    /// Creates what is missing and brings the schema up to date.
    pub async fn open(store: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(store).await? })
    }

    /// Opens what is there for reading alone.
    pub async fn open_for_reading(store: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open_for_reading(store).await? })
    }

    pub async fn keep(&self, ceiling: &Ceiling) -> Result<(), StoreError> {
        keep(&self.database, ceiling).await
    }

    /// Those that have not ended by themselves at `now`, lifted ones too.
    pub async fn current(&self, now: Timestamp) -> Result<Vec<Ceiling>, StoreError> {
        current(&self.database, now).await
    }

    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// In a transaction of its own. Of one that is there, only a lift is new.
pub(super) async fn keep(database: &Database, ceiling: &Ceiling) -> Result<(), StoreError> {
    let Ceiling { id, most, policy, namespace, include_webhooks, ticket, reason, by, from, until, lifted } = ceiling;
    // Not behind a long batch: the others are to hear of it within seconds.
    let mut tx = database.begin_soon().await?;
    database.check_schema(&mut tx).await?;
    let mut insert = Insert::into(
        "ceilings",
        &COLUMNS,
        "ON CONFLICT (id) DO UPDATE SET lifted_at = excluded.lifted_at, lifted_by = excluded.lifted_by \
         WHERE ceilings.lifted_at IS NULL AND excluded.lifted_at IS NOT NULL",
    );
    insert.row([
        (*id).into(),
        most.as_str().into(),
        policy.as_deref().into(),
        namespace.as_deref().into(),
        (*include_webhooks).into(),
        ticket.as_str().into(),
        reason.as_deref().into(),
        by.as_str().into(),
        from.0.into(),
        until.0.into(),
        lifted.as_ref().map(|lift| lift.at.0).into(),
        lifted.as_ref().map(|lift| lift.by.as_str()).into(),
    ]);
    tx.insert(insert).await?;
    tx.commit().await
}

/// Those that have not ended by themselves at `now`, lifted ones too.
pub(super) async fn current(database: &Database, now: Timestamp) -> Result<Vec<Ceiling>, StoreError> {
    let mut sql = select(" WHERE to_at > ");
    sql.bind(now.0).push(" ORDER BY id");
    database.fetch(sql).await?.into_iter().map(ceiling).collect()
}

/// The newest first.
pub(super) async fn list(database: &Database, reach: &Reach) -> Result<Vec<Ceiling>, StoreError> {
    let mut sql = select(" ORDER BY from_at DESC, id DESC LIMIT ");
    sql.bind(LISTED);
    in_reach(database.fetch(sql).await?, reach)
}

/// Those that were in force in the range; oldest first.
pub(super) async fn within(database: &Database, range: Range, reach: &Reach) -> Result<Vec<Ceiling>, StoreError> {
    let mut sql = select(" WHERE from_at < ");
    sql.bind(range.until.map_or(i64::MAX, |until| until.0));
    let since = range.since.map_or(i64::MIN, |since| since.0);
    sql.push(" AND to_at > ").bind(since);
    sql.push(" AND (lifted_at IS NULL OR lifted_at > ").bind(since).push(") ORDER BY from_at, id LIMIT ").bind(LISTED);
    in_reach(database.fetch(sql).await?, reach)
}

fn in_reach(rows: Vec<Row>, reach: &Reach) -> Result<Vec<Ceiling>, StoreError> {
    let mut ceilings = rows.into_iter().map(ceiling).collect::<Result<Vec<_>, _>>()?;
    ceilings.retain(|ceiling| reach.is_under(ceiling.namespace.as_deref()));
    Ok(ceilings)
}

/// All columns of those that are `chosen`.
fn select(chosen: &str) -> Sql {
    Sql::new(&format!("SELECT {} FROM ceilings{chosen}", COLUMNS.join(", ")))
}

fn ceiling(mut row: Row) -> Result<Ceiling, StoreError> {
    let most = match row.text(1)?.as_str() {
        "audit" => Mode::Audit,
        "warn" => Mode::Warn,
        other => return Err(StoreError::broken(format!("a ceiling is of the mode {other:?}"))),
    };
    let lifted_at = row.opt_int(10)?.map(Timestamp);
    let lifted_by = row.opt_text(11)?;
    Ok(Ceiling {
        id: row.id(0)?,
        most,
        policy: row.opt_text(2)?,
        namespace: row.opt_text(3)?,
        include_webhooks: row.flag(4)?,
        ticket: row.text(5)?,
        reason: row.opt_text(6)?,
        by: row.text(7)?,
        from: Timestamp(row.int(8)?),
        until: Timestamp(row.int(9)?),
        lifted: lifted_at.map(|at| Lift { at, by: lifted_by.unwrap_or_default() }),
    })
}
