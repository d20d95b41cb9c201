//! What is due to be deleted, and its deletion in small steps.
//!
//! Invariants: a row goes when the whole UTC day that it is of is past what is kept of its kind, and not before (but for
//! `max_size`, by which the oldest plain decisions go early, never those of the last day). Nothing of a hold's span
//! goes. A review or an outcome goes after the last decision that refers to it. Roll-ups are deleted by their own age and
//! never changed. Each step is one transaction, which also says how far it came, so that a crash costs no more than it.
//!
//! A decision is *notable* when it was denied, failed, or would have been rejected; all others are *plain*. Dry runs go
//! after their own time, notable or not. Objects go with the plain decisions of their day, but those of a review that had
//! a notable decision then or later with the notable ones.

mod contents;
mod decisions;
mod events;
mod outcomes;
mod pace;
mod rollups;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::outcomes::Outcomes;
use self::pace::Pace;
use super::bucket::Day;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::hold::{self, Hold};
use super::horizon::{self, Mark};
use super::settings::RetentionSettings;
use crate::review::clock::Timestamp;

pub(super) use self::decisions::{Kind, shed, walk};
#[cfg(test)]
pub(super) use self::rollups::deletion_of_judged;

const DAY: i64 = 86_400_000;

/// Quarter hours are read for 7.5 days, hours for 89: see `bucket.rs`.
const QUARTERS: Duration = Duration::from_secs(8 * 86_400);
const HOURS: Duration = Duration::from_secs(90 * 86_400);

/// A reader that follows what is new is not further behind, and a verdict no further ahead of its decision.
const BATCHES: Duration = Duration::from_secs(8 * 86_400);

/// What was deleted, as `max_size` and metrics tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows by table; of decisions by kind.
    pub deleted: BTreeMap<&'static str, u64>,
    /// The longest that one step held the writer of SQLite, or the tables of Postgres.
    pub longest: Duration,
    /// Bytes of the history afterwards.
    pub size: u64,
    /// Bytes over `max_size` that could not be freed.
    pub over: u64,
    /// Plain decisions before this went early, in this sweep, for the size.
    pub for_size: Option<Timestamp>,
}

/// Moments before which a kind is due: starts of UTC days.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// The latest to which plain decisions may go for the size.
    pub latest: Timestamp,
    pub plain: Timestamp,
    pub notable: Timestamp,
    pub dry_run: Timestamp,
    pub events: Timestamp,
    pub quarters: Timestamp,
    pub hours: Timestamp,
    pub days: Timestamp,
    pub batches: Timestamp,
    /// By which tickets that nobody shows are forgotten.
    pub now: Timestamp,
    pub holds: Vec<Hold>,
    pub max_size: Option<u64>,
}

/// One pass over everything that is due.
#[derive(Debug)]
pub(super) struct Sweep {
    pub due: Due,
    pub swept: Swept,
    /// What of the decisions must be tried again.
    pub delayed: Option<StoreError>,
    pace: Pace,
    outcomes: Outcomes,
}

/// A transaction of a sweep, timed.
#[derive(Debug)]
pub(super) struct Step {
    pub tx: Transaction,
    begun: Instant,
}

/// Deletes what is due at `now`. `None`: another process is at it. What was deleted before an error is in `swept`.
pub(super) async fn sweep(
    database: &Database,
    settings: &RetentionSettings,
    now: Timestamp,
    swept: &mut Swept,
) -> Result<Option<()>, StoreError> {
    let Some(_claim) = database.claim_retention().await? else { return Ok(None) };
    let mut tx = database.begin_upkeep().await?;
    database.check_schema(&mut tx).await?;
    horizon::prepare(&mut tx).await?;
    let holds = hold::active(&mut tx).await?;
    tx.commit().await?;
    let due = Due::at(now, settings, holds);
    let (pace, outcomes) = (Pace::new(), Outcomes::default());
    let mut sweep = Sweep { due, swept: std::mem::take(swept), delayed: None, pace, outcomes };
    let done = sweep.run(database).await;
    *swept = sweep.swept;
    done.map(Some)
}

// === impl Swept ===

impl Swept {
    /// Whose rows it counts.
    pub const KINDS: [&'static str; 28] = [
        "decisions",
        "notable decisions",
        "dry runs",
        "objects",
        "pending_amendments",
        "unjudged",
        "access_log",
        "batches",
        "gaps",
        "ceilings",
        "presence",
        "tickets",
        "sessions",
        "revision_loads",
        "rollup_totals",
        "rollup_rules",
        "rollup_repositories",
        "rollup_candidates",
        "rollup_agreements",
        "rollup_disagreements",
        "workload_rules",
        "exemption_uses",
        "workload_judged",
        "workload_against",
        "image_workloads",
        "rule_texts",
        "reviews",
        "outcomes",
    ];
}

// === impl Due ===

impl Due {
    fn at(now: Timestamp, settings: &RetentionSettings, holds: Vec<Hold>) -> Self {
        let before = |kept: Duration| {
            let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
            // Beyond the calendar nothing is due; and far from the ends of an integer days can be counted.
            Day::of(Timestamp(now.0.saturating_sub(kept).max(-(1 << 42)))).0
        };
        Self {
            latest: before(Duration::from_secs(86_400)),
            plain: before(settings.decisions),
            notable: before(settings.notable),
            dry_run: before(settings.dry_run),
            events: before(settings.events),
            quarters: before(QUARTERS),
            hours: before(HOURS),
            days: before(settings.rollups),
            batches: before(BATCHES),
            now,
            holds,
            max_size: settings.max_size,
        }
    }

    /// `at`, or the start of the earliest hold: of what may be needed by anything after it.
    pub fn before_holds(&self, at: Timestamp) -> Timestamp {
        let holds = self.holds.iter().map(|hold| Day::of(hold.from).0);
        holds.fold(at, Timestamp::min)
    }
}

// === impl Sweep ===

impl Sweep {
    async fn run(&mut self, database: &Database) -> Result<(), StoreError> {
        database.delete_decisions(self).await?;
        self.swept.size = database.size().await?;
        if let Some(max_size) = self.due.max_size.filter(|max_size| self.swept.size > *max_size) {
            database.shed(self, max_size).await?;
        }
        contents::objects(database, self).await?;
        events::run(database, self).await?;
        rollups::run(database, self).await?;
        contents::reviews_and_outcomes(database, self).await?;
        database.shrink(self).await?;
        self.swept.size = database.size().await?;
        self.swept.over = self.due.max_size.map_or(0, |max_size| self.swept.size.saturating_sub(max_size));
        self.delayed.take().map_or(Ok(()), Err)
    }

    /// Rows of another table cost other times.
    pub fn other_rows(&mut self) {
        self.pace = Pace::new();
    }

    /// How many rows the next step looks at.
    pub fn rows(&self) -> usize {
        self.pace.rows()
    }

    /// Begins a transaction in which no hold is added, and in which those are known that there are.
    pub async fn begin(&self, database: &Database) -> Result<Step, StoreError> {
        let tx = database.begin_upkeep().await?;
        let begun = Instant::now();
        let mut step = Step { tx, begun };
        if hold::active(&mut step.tx).await? != self.due.holds {
            return Err(StoreError::busy("a hold was added or ended while what is due was deleted"));
        }
        Ok(step)
    }

    /// Where a walk has come to.
    pub async fn walked(&self, database: &Database, mark: Mark) -> Result<Timestamp, StoreError> {
        let mut step = self.begin(database).await?;
        let walked = horizon::read(&mut step.tx, mark).await?;
        step.tx.commit().await?;
        Ok(walked)
    }

    /// Commits a step over `rows` of which it has deleted some, and lets others have the writer.
    pub async fn done(&mut self, step: Step, rows: usize, table: &'static str, gone: usize) -> Result<(), StoreError> {
        step.tx.commit().await?;
        let took = step.begun.elapsed();
        self.count(table, gone as u64);
        self.held(took);
        tokio::time::sleep(self.pace.took(took, rows)).await;
        Ok(())
    }

    pub fn held(&mut self, took: Duration) {
        self.swept.longest = self.swept.longest.max(took);
    }

    pub fn count(&mut self, table: &'static str, rows: u64) {
        if rows > 0 {
            *self.swept.deleted.entry(table).or_default() += rows;
        }
    }
}
