//! What decisions share: objects, reviews and outcomes.

use super::super::bucket::Day;
use super::super::database::Database;
use super::super::error::StoreError;
use super::super::hold;
use super::super::horizon::{self, Mark, mark};
use super::super::sql::Sql;
use super::events::{ById, walk};
use super::{DAY, Sweep};
use crate::review::clock::Timestamp;

/// Numbers of rows looked at in one statement that only reads.
const LOOKED_AT: i64 = 5_000;

/// A day after which no decision is there any more.
async fn gone_before(database: &Database, sweep: &Sweep, mark: Mark) -> Result<Timestamp, StoreError> {
    let walked = sweep.walked(database, mark).await?;
    // Far from the ends of an integer, so that days can be counted.
    Ok(Day::of(Timestamp(walked.0.max(-(1 << 42)))).0)
}

pub(super) async fn objects(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    let plain = gone_before(database, sweep, mark::DECISIONS).await?;
    let notable = gone_before(database, sweep, mark::NOTABLE).await?;
    let unheld = hold::unheld(&sweep.due.holds, "x.day", DAY);
    let of_days_before = |cutoff: Timestamp| {
        let mut due = Sql::new("x.day < ");
        due.bind(cutoff.0).append(unheld.clone());
        due
    };
    let mut of_plain = of_days_before(plain);
    of_plain.push(" AND NOT EXISTS (SELECT 1 FROM reviews v WHERE v.hash = x.review AND v.last_notable_day >= x.day)");
    let objects = |mark, due| ById { mark, table: "objects", id: "decision", due };
    walk(database, sweep, objects(mark::OBJECTS, of_plain), plain).await?;
    walk(database, sweep, objects(mark::NOTABLE_OBJECTS, of_days_before(notable)), notable).await
}

/// Walks all of them once for each day that the decisions have come nearer, finding by reads what is due.
pub(super) async fn reviews_and_outcomes(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    let plain = gone_before(database, sweep, mark::DECISIONS).await?;
    let plain = sweep.due.before_holds(plain);
    let notable = gone_before(database, sweep, mark::NOTABLE).await?;
    let notable = sweep.due.before_holds(notable);
    let walked = sweep.walked(database, mark::CONTENTS).await?;
    if walked >= plain {
        return Ok(());
    }
    let mut unneeded = Sql::new("last_day < ");
    unneeded.bind(plain.0).push(" AND last_notable_day < ").bind(notable.0);
    for table in ["reviews", "outcomes"] {
        delete_unneeded(database, sweep, table, &unneeded).await?;
    }
    let mut step = sweep.begin(database).await?;
    horizon::advance(&mut step.tx, mark::CONTENTS, walked, plain).await?;
    step.tx.commit().await
}

async fn delete_unneeded(
    database: &Database,
    sweep: &mut Sweep,
    table: &'static str,
    unneeded: &Sql,
) -> Result<(), StoreError> {
    sweep.other_rows();
    let last = database.fetch(Sql::new(&format!("SELECT max(id) FROM {table}"))).await?;
    let last = last.first().map_or(Ok(None), |row| row.opt_int(0))?.unwrap_or(0);
    let mut from = 0;
    while from < last {
        let to = from.saturating_add(LOOKED_AT);
        let mut sql = Sql::new(&format!("SELECT id FROM {table} WHERE id > "));
        sql.bind(from).push(" AND id <= ").bind(to).push(" AND ").append(unneeded.clone());
        let found = database.fetch(sql).await?.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        let mut left = found.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(sweep.rows()));
            left = later;
            let mut step = sweep.begin(database).await?;
            // A batch may need it again by now.
            let mut sql = Sql::new(&format!("DELETE FROM {table} WHERE id IN "));
            sql.list(now.iter().copied()).push(" AND ").append(unneeded.clone()).push(" RETURNING id");
            let gone = step.tx.fetch(sql).await?.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
            let (with_it, by) = match table {
                "reviews" => ("review_images", "review"),
                _ => ("outcome_agreements", "outcome"),
            };
            if !gone.is_empty() {
                let mut sql = Sql::new(&format!("DELETE FROM {with_it} WHERE {by} IN "));
                sql.list(gone.iter().copied());
                step.tx.execute(sql).await?;
            }
            sweep.done(step, now.len(), table, gone.len()).await?;
        }
        from = to;
    }
    Ok(())
}
