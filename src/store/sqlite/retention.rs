//! Retention on SQLite: rows in small steps, so that the writer is never held for long, and pages given back likewise.

use super::super::database::Database;
use super::super::error::StoreError;
use super::super::retention::{Kind, Sweep, shed as shed_rows, walk};
use super::super::sql::Sql;

/// Free pages are used again: only more than one in this many are given back.
const FREE: i64 = 10;

pub(in super::super) async fn delete_decisions(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    let (plain, notable, dry_run) = (sweep.due.plain, sweep.due.notable, sweep.due.dry_run);
    walk(database, sweep, Kind::Plain, plain).await?;
    walk(database, sweep, Kind::Notable, notable).await?;
    walk(database, sweep, Kind::DryRun, dry_run).await
}

pub(in super::super) async fn shed(database: &Database, sweep: &mut Sweep, max_size: u64) -> Result<(), StoreError> {
    let latest = sweep.due.latest;
    shed_rows(database, sweep, latest, max_size).await
}

/// Pages at the end of the file take the places of free ones, a few at a time.
pub(in super::super) async fn shrink(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    sweep.other_rows();
    let mut before = i64::MAX;
    loop {
        let text = "SELECT p.page_count, f.freelist_count FROM pragma_page_count p, pragma_freelist_count f";
        let rows = database.fetch(Sql::new(text)).await?;
        let (all, free) = rows.first().map_or(Ok((0, 0)), |row| Ok::<_, StoreError>((row.int(0)?, row.int(1)?)))?;
        let surplus = free - all / FREE;
        // A file that was not made by us may not let go of any.
        if surplus <= 0 || free >= before {
            return Ok(());
        }
        before = free;
        let pages = sweep.rows().min(usize::try_from(surplus).unwrap_or(usize::MAX));
        let mut step = sweep.begin(database).await?;
        step.tx.execute(Sql::new(&format!("PRAGMA incremental_vacuum({pages})"))).await?;
        sweep.done(step, pages, "", 0).await?;
    }
}
