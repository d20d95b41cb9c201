//! Holds: spans in which nothing is deleted, whatever its age.
//!
//! Invariants: once a hold is added, nothing of its span is deleted until it is ended; what is deleted is deleted in a
//! transaction that has read the holds and that no hold is added beside. An ended hold stays as a row, and what it kept
//! is looked at again.

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::horizon;
use super::key;
use super::settings::StoreSettings;
use super::sql::{Row, Sql};
use crate::review::clock::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: i64,
    /// Both ends are in it.
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
    pub added_at: Timestamp,
    /// `None` while it holds.
    pub ended_at: Option<Timestamp>,
}

/// The holds of a history, apart from the rest of it: for a process beside the one that serves.
#[derive(Debug)]
pub struct Holds {
    database: Database,
}

const COLUMNS: &str = "id, from_at, to_at, reason, added_at, ended_at";

// === impl Holds ===

impl Holds {
    /// Creates what is missing and brings the schema up to date.
    pub async fn open(store: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(store).await? })
    }

    pub async fn add(&self, from: Timestamp, to: Timestamp, reason: &str) -> Result<Hold, StoreError> {
        let added_at = Timestamp::now();
        let mut tx = self.database.begin().await?;
        self.database.check_schema(&mut tx).await?;
        let mut sql = Sql::new("INSERT INTO holds (from_at, to_at, reason, added_at) VALUES (");
        sql.bind(from.0).push(", ").bind(to.0).push(", ").bind(reason).push(", ").bind(added_at.0);
        sql.push(") RETURNING id");
        let rows = tx.fetch(sql).await?;
        let id = rows.first().ok_or_else(|| StoreError::broken("a hold got no number"))?.int(0)?;
        tx.commit().await?;
        Ok(Hold { id, from, to, reason: reason.to_owned(), added_at, ended_at: None })
    }

    /// Those that hold, then those that have ended; each by number.
    pub async fn list(&self) -> Result<Vec<Hold>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM holds ORDER BY (ended_at IS NOT NULL), id");
        self.database.fetch(Sql::new(&text)).await?.into_iter().map(hold).collect()
    }

    /// As it is now; ended before, it is left as it was. `None`: there is no such hold.
    pub async fn end(&self, id: i64) -> Result<Option<Hold>, StoreError> {
        let now = Timestamp::now();
        let mut tx = self.database.begin().await?;
        self.database.check_schema(&mut tx).await?;
        let mut sql = Sql::new("UPDATE holds SET ended_at = ");
        sql.bind(now.0).push(" WHERE ended_at IS NULL AND id = ").bind(id);
        sql.push(&format!(" RETURNING {COLUMNS}"));
        if let Some(row) = tx.fetch(sql).await?.pop() {
            let ended = hold(row)?;
            // What it kept may be due for long.
            horizon::lower(&mut tx, ended.from).await?;
            tx.commit().await?;
            return Ok(Some(ended));
        }
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM holds WHERE id = "));
        sql.bind(id);
        tx.fetch(sql).await?.pop().map(hold).transpose()
    }

    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Those that hold now.
pub(super) async fn active(tx: &mut Transaction) -> Result<Vec<Hold>, StoreError> {
    let text = format!("SELECT {COLUMNS} FROM holds WHERE ended_at IS NULL ORDER BY id");
    tx.fetch(Sql::new(&text)).await?.into_iter().map(hold).collect()
}

/// ` AND NOT (..)` for each hold: rows that are of the time `column`, and of the `length` ms after it.
pub(super) fn unheld(holds: &[Hold], column: &str, length: i64) -> Sql {
    let mut sql = Sql::default();
    for hold in holds {
        sql.push(&format!(" AND NOT ({column} <= ")).bind(hold.to.0);
        sql.push(&format!(" AND {column} > ")).bind(hold.from.0.saturating_sub(length.max(1))).push(")");
    }
    sql
}

/// ` AND NOT (..)` for each hold: keys of decisions.
pub(super) fn unheld_keys(holds: &[Hold], column: &str) -> Sql {
    let mut sql = Sql::default();
    for hold in holds {
        let (from, below) = hold.keys();
        sql.push(&format!(" AND NOT ({column} >= "))
            .bind(from)
            .push(&format!(" AND {column} < "))
            .bind(below)
            .push(")");
    }
    sql
}

fn hold(mut row: Row) -> Result<Hold, StoreError> {
    Ok(Hold {
        id: row.int(0)?,
        from: Timestamp(row.int(1)?),
        to: Timestamp(row.int(2)?),
        reason: row.text(3)?,
        added_at: Timestamp(row.int(4)?),
        ended_at: row.opt_int(5)?.map(Timestamp),
    })
}

// === impl Hold ===

impl Hold {
    /// The keys in its span: the first, and the first after it.
    pub(super) fn keys(&self) -> (i64, i64) {
        (key::start(self.from), key::start(Timestamp(self.to.0.saturating_add(1))))
    }

    pub(super) fn has_key(&self, key: i64) -> bool {
        let (from, below) = self.keys();
        (from..below).contains(&key)
    }
}
