//! Retention on Postgres: by days. Of a day that is past the plain decisions' time a small copy with its notable ones
//! takes the place; one past theirs is dropped.
//!
//! The day is claimed first: whoever stores anything of it from then on says so in his transaction (`horizon::lower`),
//! and those who began before are waited for. What goes is counted after that, and the copy is made beside the day, which
//! goes on being read and written. The exchange holds the tables for a few milliseconds, gives up waiting for them after
//! [`PATIENCE`], and finds out there whether what was found still is all that there is.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tracing::debug;

use super::super::bucket::Day;
use super::super::database::{self, Database, Dialect as _, Statements as _};
use super::super::error::StoreError;
use super::super::hold::unheld_keys;
use super::super::horizon::{self, Mark, mark};
use super::super::key;
use super::super::retention::{Kind, Step, Sweep, walk};
use super::super::sql::Sql;
use super::{BY_DAY, Postgres, begin_on, lock_partitions, partition, partitions};
use crate::review::clock::Timestamp;

/// Everyone who asks for the tables while we wait for them waits behind us: for no longer than a page may take.
const PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";

/// How often the exchange of a day is tried before the next sweep does it.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What stays of a day, but for what a hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Notable,
    Nothing,
}

/// One day, and what of it is to stay.
#[derive(Debug, Clone, Copy)]
struct Past {
    day: Day,
    keep: Keep,
    mark: Mark,
    /// Where the mark stands before.
    from: Timestamp,
    for_size: bool,
}

/// How many rows a day has of decisions, and how many of them go.
#[derive(Debug, Clone, Copy)]
struct Rows {
    all: u64,
    due: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Exchanged {
    Done,
    /// Something of the day was stored since it was claimed.
    Changed,
}

pub(in super::super) async fn delete_decisions(
    postgres: &Postgres,
    database: &Database,
    sweep: &mut Sweep,
) -> Result<(), StoreError> {
    let done = whole_days(postgres, database, sweep).await;
    let (plain, notable, dry_run) = (sweep.due.plain, sweep.due.notable, sweep.due.dry_run);
    match done {
        // What lies between the days' partitions is walked, too.
        Ok([from_notable, from_plain]) => {
            let mut step = sweep.begin(database).await?;
            for (mark, from, to) in [(mark::NOTABLE, from_notable, notable), (mark::DECISIONS, from_plain, plain)] {
                if from < to {
                    horizon::advance(&mut step.tx, mark, from, to).await?;
                }
            }
            step.tx.commit().await?;
        }
        // The rest does not wait for it.
        Err(error @ StoreError::Busy(_)) => sweep.delayed = Some(error),
        Err(error) => return Err(error),
    }
    walk(database, sweep, Kind::DryRun, dry_run).await
}

/// Where the marks of the notable and of the plain ones stand then.
async fn whole_days(postgres: &Postgres, database: &Database, sweep: &mut Sweep) -> Result<[Timestamp; 2], StoreError> {
    let days = days(postgres).await?;
    let mut at = [Timestamp(0); 2];
    let kinds = [(mark::NOTABLE, Keep::Nothing, sweep.due.notable), (mark::DECISIONS, Keep::Notable, sweep.due.plain)];
    for (at, (mark, keep, cutoff)) in at.iter_mut().zip(kinds) {
        *at = sweep.walked(database, mark).await?;
        for &day in &days {
            let end = day.next().0;
            // The plain ones of a day that is dropped go with it.
            let is_due = end > *at && end <= cutoff && (keep == Keep::Nothing || end > sweep.due.notable);
            if is_due {
                let past = Past { day, keep, mark, from: *at, for_size: false };
                past.replace(postgres, database, sweep).await?;
                *at = end;
            }
        }
    }
    Ok(at)
}

pub(in super::super) async fn shed(
    postgres: &Postgres,
    database: &Database,
    sweep: &mut Sweep,
    max_size: u64,
) -> Result<(), StoreError> {
    let mut from = sweep.walked(database, mark::DECISIONS).await?;
    for day in days(postgres).await? {
        let end = day.next().0;
        if end <= from || end > sweep.due.latest {
            continue;
        }
        if postgres.size().await? <= max_size {
            break;
        }
        let past = Past { day, keep: Keep::Notable, mark: mark::DECISIONS, from, for_size: true };
        match past.replace(postgres, database, sweep).await {
            Ok(()) => from = end,
            Err(error @ StoreError::Busy(_)) => {
                sweep.delayed = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Those with partitions, oldest first.
async fn days(postgres: &Postgres) -> Result<Vec<Day>, StoreError> {
    let mut tx = begin_on(&postgres.upkeep).await?;
    let mut days: Vec<Day> = partitions(&mut tx, BY_DAY[0]).await?.iter().filter_map(|name| day_of(name)).collect();
    tx.commit().await?;
    days.sort_unstable();
    Ok(days)
}

/// A transaction beside the drain, without the end that pages have: a day may take long to be counted or copied.
async fn upkeep(postgres: &Postgres) -> Result<database::Transaction, StoreError> {
    Ok(database::Transaction::Postgres(begin_on(&postgres.upkeep).await?))
}

/// Of a partition's name.
fn day_of(name: &str) -> Option<Day> {
    let (_, date) = name.rsplit_once('_')?;
    let start = Date::strptime("%Y%m%d", date).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Day(Timestamp(start.timestamp().as_millisecond())))
}

// === impl Past ===

impl Past {
    async fn replace(self, postgres: &Postgres, database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
        let mut made = None;
        for attempt in 1.. {
            let rows = match made {
                Some(rows) => rows,
                None => *made.insert(self.make(postgres, sweep).await?),
            };
            // Outside of what is tried again: a hold that is added ends the sweep.
            let step = sweep.begin(database).await?;
            match self.exchange(step, sweep, rows).await {
                Ok(Exchanged::Done) => break,
                Ok(Exchanged::Changed) if attempt < TRIES => made = None,
                Ok(Exchanged::Changed) => {
                    return Err(StoreError::busy("a day that is due is still being written"));
                }
                Err(StoreError::Busy(cause)) if attempt < TRIES => {
                    debug!("a day of the history is in use, its rows go later: {cause}");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Ok(())
    }

    /// Claims the day, counts what it has, and copies what stays of it where anything goes.
    async fn make(self, postgres: &Postgres, sweep: &Sweep) -> Result<Rows, StoreError> {
        self.claim(postgres).await?;
        let rows = self.rows(postgres, sweep).await?;
        if self.is_replaced(rows) && rows.due < rows.all {
            self.copy(postgres, sweep).await?;
        }
        Ok(rows)
    }

    /// Whether another table takes the place of the day, or none.
    fn is_replaced(self, rows: Rows) -> bool {
        rows.due > 0 || (rows.all == 0 && self.keep == Keep::Nothing)
    }

    /// Of a row `d` of its decisions: whether it goes.
    fn due(self, sweep: &Sweep) -> Sql {
        let mut sql = Sql::new(match self.keep {
            Keep::Nothing => "TRUE",
            Keep::Notable => {
                "((d.answer = 0 AND NOT d.would_reject AND d.outcome NOT IN \
                 (SELECT o.id FROM outcomes o WHERE o.exempted = TRUE)) OR (d.dry_run AND d.key < "
            }
        });
        if self.keep == Keep::Notable {
            sql.bind(key::start(sweep.due.dry_run)).push("))");
        }
        sql.append(unheld_keys(&sweep.due.holds, "d.key"));
        sql
    }

    fn keys(self) -> (i64, i64) {
        (key::start(self.day.0), key::start(self.day.next().0))
    }

    /// Whoever stores anything of the day from now on takes the claim away; those who began before have ended.
    async fn claim(self, postgres: &Postgres) -> Result<(), StoreError> {
        let mut claim = upkeep(postgres).await?;
        horizon::set(&mut claim, mark::CLAIMED, self.day.next().0).await?;
        claim.commit().await?;
        let mut wait = upkeep(postgres).await?;
        wait.execute(Sql::new(PATIENCE)).await?;
        let name = partition(BY_DAY[0], self.day);
        wait.execute(Sql::new(&format!("LOCK TABLE {name} IN SHARE MODE"))).await?;
        wait.commit().await
    }

    /// Whether nothing of the day was stored since it was claimed. Waits for a transaction that is about to say so.
    async fn is_claimed(self, tx: &mut database::Transaction) -> Result<bool, StoreError> {
        let end = self.day.next().0;
        horizon::advance(tx, mark::CLAIMED, end, end).await
    }

    async fn rows(self, postgres: &Postgres, sweep: &Sweep) -> Result<Rows, StoreError> {
        let (from, below) = self.keys();
        let mut sql = Sql::new("SELECT count(*), count(CASE WHEN ");
        sql.append(self.due(sweep)).push(" THEN 1 END) FROM decisions d WHERE d.key >= ");
        sql.bind(from).push(" AND d.key < ").bind(below);
        let mut tx = upkeep(postgres).await?;
        let rows = tx.fetch(sql).await?;
        tx.commit().await?;
        let row = rows.first().ok_or_else(|| StoreError::broken("nothing was counted"))?;
        Ok(Rows { all: row.count(0)?, due: row.count(1)? })
    }

    /// Copies what stays.
    async fn copy(self, postgres: &Postgres, sweep: &Sweep) -> Result<(), StoreError> {
        let mut tx = upkeep(postgres).await?;
        let (from, below) = self.keys();
        for table in BY_DAY {
            let copy = self.copy_of(table);
            tx.execute(Sql::new(&format!("DROP TABLE IF EXISTS {copy}"))).await?;
            tx.execute(Sql::new(&format!("CREATE TABLE {copy} (LIKE {table} INCLUDING ALL)"))).await?;
        }
        let [decisions, ..] = BY_DAY.map(|table| self.copy_of(table));
        let mut sql = Sql::new(&format!("INSERT INTO {decisions} SELECT d.* FROM decisions d WHERE d.key >= "));
        sql.bind(from).push(" AND d.key < ").bind(below).push(" AND NOT (").append(self.due(sweep)).push(")");
        tx.execute(sql).await?;
        for table in &BY_DAY[1..] {
            let mut sql = Sql::new(&format!("INSERT INTO {} SELECT x.* FROM {table} x", self.copy_of(table)));
            sql.push(&format!(" JOIN {decisions} d ON d.key = x.key WHERE x.key >= ")).bind(from);
            sql.push(" AND x.key < ").bind(below);
            tx.execute(sql).await?;
        }
        for table in BY_DAY {
            // So that nothing has to be looked through while it is attached.
            let check = format!("ADD CONSTRAINT of_its_day CHECK (key >= {from} AND key < {below})");
            tx.execute(Sql::new(&format!("ALTER TABLE {} {check}", self.copy_of(table)))).await?;
        }
        tx.commit().await
    }

    fn copy_of(self, table: &str) -> String {
        format!("{}_kept", partition(table, self.day))
    }

    /// Puts the copy in the place of the day, or drops the day, or leaves it where nothing goes.
    async fn exchange(self, mut step: Step, sweep: &mut Sweep, rows: Rows) -> Result<Exchanged, StoreError> {
        let is_replaced = self.is_replaced(rows);
        let locked = if is_replaced { Some(lock(&mut step.tx).await?) } else { None };
        let tx = &mut step.tx;
        if !self.is_claimed(tx).await? {
            return Ok(Exchanged::Changed);
        }
        if is_replaced {
            self.replace_tables(tx, rows).await?;
            self.say_deleted(tx).await?;
        } else {
            self.drop_copies(tx).await?;
        }
        if !horizon::advance(tx, self.mark, self.from, self.day.next().0).await? {
            return Err(StoreError::busy("late decisions came where the history was being deleted"));
        }
        step.tx.commit().await?;
        if let Some(locked) = locked {
            sweep.held(locked.elapsed());
        }
        if is_replaced {
            let kind = if self.keep == Keep::Notable { Kind::Plain } else { Kind::Notable };
            sweep.count(kind.name(), rows.due);
            if self.for_size {
                sweep.swept.for_size = Some(self.day.next().0);
            }
        }
        Ok(Exchanged::Done)
    }

    async fn replace_tables(self, tx: &mut database::Transaction, rows: Rows) -> Result<(), StoreError> {
        let (from, below) = self.keys();
        for table in BY_DAY {
            let (name, copy) = (partition(table, self.day), self.copy_of(table));
            tx.execute(Sql::new(&format!("ALTER TABLE {table} DETACH PARTITION {name}"))).await?;
            tx.execute(Sql::new(&format!("DROP TABLE {name}"))).await?;
            if rows.due < rows.all {
                let bounds = format!("FOR VALUES FROM ({from}) TO ({below})");
                tx.execute(Sql::new(&format!("ALTER TABLE {copy} RENAME TO {name}"))).await?;
                tx.execute(Sql::new(&format!("ALTER TABLE {table} ATTACH PARTITION {name} {bounds}"))).await?;
                tx.execute(Sql::new(&format!("ALTER TABLE {name} DROP CONSTRAINT of_its_day"))).await?;
            }
        }
        if rows.due == rows.all {
            self.drop_copies(tx).await?;
        }
        let mut sql = Sql::new("DELETE FROM displaced_ids x WHERE x.key >= ");
        sql.bind(from).push(" AND x.key < ").bind(below);
        sql.push(" AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.key = x.key)");
        tx.execute(sql).await
    }

    /// Of an attempt before, when something was to stay or to go that is not any more.
    async fn drop_copies(self, tx: &mut database::Transaction) -> Result<(), StoreError> {
        for table in BY_DAY {
            tx.execute(Sql::new(&format!("DROP TABLE IF EXISTS {}", self.copy_of(table)))).await?;
        }
        Ok(())
    }

    async fn say_deleted(self, tx: &mut database::Transaction) -> Result<(), StoreError> {
        let end = self.day.next().0;
        horizon::deleted(tx, horizon::DECISIONS, end).await?;
        if self.keep == Keep::Nothing {
            horizon::deleted(tx, horizon::NOTABLE, end).await?;
        }
        if self.for_size {
            horizon::deleted(tx, horizon::SIZE, end).await?;
        }
        Ok(())
    }
}

/// Locks what is partitioned against everyone. Since when it is.
async fn lock(tx: &mut database::Transaction) -> Result<Instant, StoreError> {
    if let database::Transaction::Postgres(tx) = tx {
        lock_partitions(tx).await?;
    }
    tx.execute(Sql::new(PATIENCE)).await?;
    // In the order in which everyone else takes them.
    let all = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", BY_DAY.map(|table| format!("ONLY {table}")).join(", "));
    tx.execute(Sql::new(&all)).await?;
    Ok(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_from_its_partition_s_name() {
        let day = Day::of(Timestamp(1_790_000_000_123));
        assert_eq!(day_of(&partition("decisions", day)), Some(day));
        assert_eq!(day_of("decisions_old"), None);
    }
}
