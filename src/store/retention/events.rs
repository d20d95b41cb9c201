//! What is kept by its own time, beside the decisions: early verdicts, counts of what was not judged, batches, gaps,
//! ceilings, presence, tickets, the access log, sessions.

use uuid::Uuid;

use super::super::database::{Database, Transaction};
use super::super::error::StoreError;
use super::super::hold::{self, Hold};
use super::super::horizon::{self, Mark, mark};
use super::super::session;
use super::super::sql::{Row, Sql, Value};
use super::super::ticket;
use super::Sweep;
use crate::review::clock::{DecisionId, Timestamp};

const QUARTER: i64 = 15 * 60_000;

/// Rows whose id begins with their time: their index is in the order in which they become due.
pub(super) struct ById {
    pub mark: Mark,
    pub table: &'static str,
    pub id: &'static str,
    /// Which of the rows `x` go.
    pub due: Sql,
}

pub(super) async fn run(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    let (batches, events) = (sweep.due.batches, sweep.due.events);
    let unheld = hold::unheld(&sweep.due.holds, "x.at", 1);
    let amendments = ById {
        mark: mark::AMENDMENTS,
        table: "pending_amendments",
        id: "decision",
        due: before("x.at", batches, unheld),
    };
    walk(database, sweep, amendments, batches).await?;
    let unheld = hold::unheld(&sweep.due.holds, "x.bucket", QUARTER);
    let unjudged = ById { mark: mark::UNJUDGED, table: "unjudged", id: "id", due: before("x.bucket", events, unheld) };
    walk(database, sweep, unjudged, events).await?;
    let unheld = hold::unheld(&sweep.due.holds, "x.at", 1);
    let accesses = ById { mark: mark::ACCESS, table: "access_log", id: "id", due: before("x.at", events, unheld) };
    walk(database, sweep, accesses, events).await?;
    delete_batches(database, sweep).await?;
    spans(database, sweep, "gaps", &["id"], "").await?;
    spans(database, sweep, "ceilings", &["id"], "").await?;
    // The last word on a cluster says since when no replica serves it.
    let but_the_last =
        " AND EXISTS (SELECT 1 FROM presence later WHERE later.cluster = x.cluster AND later.to_at > x.to_at)";
    spans(database, sweep, "presence", &["cluster", "replica", "from_at"], but_the_last).await?;
    tickets(database, sweep).await?;
    sessions(database, sweep).await
}

/// There are few: a person began each.
async fn sessions(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    sweep.other_rows();
    let mut step = sweep.begin(database).await?;
    let gone = step.tx.fetch(session::ended_before(sweep.due.now)).await?.len();
    sweep.done(step, gone, "sessions", gone).await
}

/// There are few: a person showed each.
async fn tickets(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    sweep.other_rows();
    let mut step = sweep.begin(database).await?;
    let gone = ticket::forget_past(&mut step.tx, sweep.due.now).await?;
    sweep.done(step, gone, "tickets", gone).await
}

fn before(column: &str, cutoff: Timestamp, unheld: Sql) -> Sql {
    let mut due = Sql::new(&format!("{column} < "));
    due.bind(cutoff.0).append(unheld);
    due
}

/// Deletes those before `cutoff` that are due, oldest first, from where the last walk came to.
pub(super) async fn walk(
    database: &Database,
    sweep: &mut Sweep,
    rows: ById,
    cutoff: Timestamp,
) -> Result<(), StoreError> {
    sweep.other_rows();
    loop {
        let mut step = sweep.begin(database).await?;
        let from = horizon::read(&mut step.tx, rows.mark).await?;
        if from >= cutoff {
            return step.tx.commit().await;
        }
        let (found, end) = rows.next(&mut step.tx, from, cutoff, sweep.rows()).await?;
        let gone: Vec<DecisionId> = found.iter().filter(|(_, due)| *due).map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            let mut sql = Sql::new(&format!("DELETE FROM {} WHERE {} IN ", rows.table, rows.id));
            sql.list(gone.iter().copied());
            step.tx.execute(sql).await?;
        }
        horizon::advance(&mut step.tx, rows.mark, from, end).await?;
        sweep.done(step, found.len(), rows.table, gone.len()).await?;
        if end >= cutoff {
            return Ok(());
        }
    }
}

// === impl ById ===

impl ById {
    /// About `limit` rows from `from` on, each with whether it is due, and the moment before which they are all.
    async fn next(
        &self,
        tx: &mut Transaction,
        from: Timestamp,
        cutoff: Timestamp,
        limit: usize,
    ) -> Result<(Vec<(DecisionId, bool)>, Timestamp), StoreError> {
        let mut found = self.read(tx, from, cutoff, Some(limit)).await?;
        let at = |id: DecisionId| Timestamp(i64::try_from(id.0.as_u128() >> 80).expect("48 bits"));
        let Some(last) = found.last().filter(|_| found.len() >= limit).map(|(last, _)| at(*last)) else {
            return Ok((found, cutoff));
        };
        if last > at(found[0].0) {
            // Of the last millisecond there may be more.
            found.retain(|(id, _)| at(*id) < last);
            return Ok((found, last));
        }
        let end = Timestamp(last.0 + 1);
        Ok((self.read(tx, from, end, None).await?, end))
    }

    async fn read(
        &self,
        tx: &mut Transaction,
        from: Timestamp,
        below: Timestamp,
        limit: Option<usize>,
    ) -> Result<Vec<(DecisionId, bool)>, StoreError> {
        let (table, id) = (self.table, self.id);
        let mut sql = Sql::new(&format!("SELECT x.{id}, CASE WHEN "));
        sql.append(self.due.clone()).push(&format!(" THEN 1 ELSE 0 END FROM {table} x WHERE x.{id} >= "));
        sql.bind(first_id(from)).push(&format!(" AND x.{id} < ")).bind(first_id(below));
        sql.push(&format!(" ORDER BY x.{id}"));
        if let Some(limit) = limit {
            sql.push(" LIMIT ").bind(limit as i64);
        }
        tx.fetch(sql).await?.iter().map(|row: &Row| Ok((row.id(0)?, row.flag(1)?))).collect()
    }
}

/// Before every UUIDv7 of that time or later.
fn first_id(at: Timestamp) -> Uuid {
    let millis = u128::from(at.0.clamp(0, (1 << 48) - 1).unsigned_abs());
    Uuid::from_u128(millis << 80)
}

/// In the order of their numbers, which is that of their times.
async fn delete_batches(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    sweep.other_rows();
    let cutoff = sweep.due.before_holds(sweep.due.batches);
    loop {
        let mut sql = Sql::new("SELECT id, stored_at FROM batches ORDER BY id LIMIT ");
        sql.bind(sweep.rows() as i64);
        let rows = database.fetch(sql).await?;
        let mut gone = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.int(1)? >= cutoff.0 {
                break;
            }
            gone.push(row.int(0)?);
        }
        let Some(last) = gone.last() else { return Ok(()) };
        let mut step = sweep.begin(database).await?;
        let mut sql = Sql::new("DELETE FROM batches WHERE id <= ");
        sql.bind(*last);
        step.tx.execute(sql).await?;
        sweep.done(step, rows.len(), "batches", gone.len()).await?;
    }
}

/// Those that have ended before the cutoff.
async fn spans(
    database: &Database,
    sweep: &mut Sweep,
    table: &'static str,
    key: &[&str],
    and: &str,
) -> Result<(), StoreError> {
    sweep.other_rows();
    let cutoff = sweep.due.events;
    let columns = key.iter().map(|column| format!("x.{column}")).collect::<Vec<_>>().join(", ");
    loop {
        let mut sql = Sql::new(&format!("SELECT {columns} FROM {table} x WHERE x.from_at < "));
        sql.bind(cutoff.0).push(" AND x.to_at IS NOT NULL AND x.to_at < ").bind(cutoff.0).push(and);
        sql.append(unheld_spans(&sweep.due.holds)).push(" LIMIT ").bind(sweep.rows() as i64);
        let found: Vec<Vec<Value>> = database.fetch(sql).await?.into_iter().map(|row| row.0).collect();
        if found.is_empty() {
            return Ok(());
        }
        let rows = found.len();
        let mut step = sweep.begin(database).await?;
        step.tx.execute(delete_rows(table, key, found)).await?;
        sweep.done(step, rows, table, rows).await?;
    }
}

/// Rows `t`, by all the columns of their key.
pub(super) fn delete_rows(table: &str, key: &[&str], rows: Vec<Vec<Value>>) -> Sql {
    let mut sql = Sql::new(&format!("DELETE FROM {table} AS t WHERE ({}) IN (", key.join(", ")));
    sql.values(rows).push(")");
    sql
}

fn unheld_spans(holds: &[Hold]) -> Sql {
    let mut sql = Sql::default();
    for hold in holds {
        sql.push(" AND NOT (x.from_at <= ").bind(hold.to.0).push(" AND x.to_at >= ").bind(hold.from.0).push(")");
    }
    sql
}
