//! Decisions one by one, each with what only it has: its rules, its repositories, its cells, what let it through, the place
//! of an odd id.

use super::super::behind;
use super::super::cell::Cell;
use super::super::database::{Database, Transaction};
use super::super::error::StoreError;
use super::super::horizon::{self, Mark, mark};
use super::super::key;
use super::super::sql::{Row, Sql};
use super::Sweep;
use super::outcomes::Outcomes;
use crate::review::clock::{DecisionId, Timestamp};

/// Ids or keys in one statement.
const AT_ONCE: usize = 1_000;

/// Which decisions a walk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// Allowed, and no would-be rejection.
    Plain,
    /// All that are left.
    Notable,
    DryRun,
}

#[derive(Debug)]
struct Found {
    key: i64,
    id: DecisionId,
    outcome: i64,
    candidates: Option<i64>,
    notable: bool,
}

/// Deletes those before `cutoff`, oldest first, from where the last walk came to.
pub(in super::super) async fn walk(
    database: &Database,
    sweep: &mut Sweep,
    kind: Kind,
    cutoff: Timestamp,
) -> Result<(), StoreError> {
    sweep.other_rows();
    while let Walked::Until(end) = step(database, sweep, kind, cutoff, None).await? {
        if end >= cutoff {
            break;
        }
    }
    Ok(())
}

/// The same with plain ones before their time, until the history is no larger than `size`.
pub(in super::super) async fn shed(
    database: &Database,
    sweep: &mut Sweep,
    cutoff: Timestamp,
    size: u64,
) -> Result<(), StoreError> {
    sweep.other_rows();
    while database.size().await? > size {
        match step(database, sweep, Kind::Plain, cutoff, Some(horizon::SIZE)).await? {
            Walked::Until(end) if end < cutoff => sweep.swept.for_size = Some(end),
            Walked::Until(end) => {
                sweep.swept.for_size = Some(end);
                break;
            }
            Walked::Before => break,
        }
    }
    Ok(())
}

/// Where a step came to.
enum Walked {
    Until(Timestamp),
    /// The walk was over already.
    Before,
}

/// `also` is another horizon that the deletion moves.
async fn step(
    database: &Database,
    sweep: &mut Sweep,
    kind: Kind,
    cutoff: Timestamp,
    also: Option<&'static str>,
) -> Result<Walked, StoreError> {
    let mut step = sweep.begin(database).await?;
    let from = horizon::read(&mut step.tx, kind.mark()).await?;
    if from >= cutoff {
        step.tx.commit().await?;
        return Ok(Walked::Before);
    }
    let (found, end) = next(&mut step.tx, kind, from, cutoff, sweep.rows()).await?;
    let rows = found.len();
    let holds = &sweep.due.holds;
    let due = |one: &Found| kind.takes(one) && !holds.iter().any(|hold| hold.has_key(one.key));
    let gone: Vec<Found> = found.into_iter().filter(due).collect();
    delete(&mut step.tx, &gone, &mut sweep.outcomes).await?;
    if !gone.is_empty() {
        for kind in [Some(kind.horizon()), also].into_iter().flatten() {
            horizon::deleted(&mut step.tx, kind, end).await?;
        }
    }
    if !horizon::advance(&mut step.tx, kind.mark(), from, end).await? {
        return Err(StoreError::busy("late decisions came where the history was being deleted"));
    }
    sweep.done(step, rows, kind.name(), gone.len()).await?;
    Ok(Walked::Until(end))
}

/// About `limit` rows from `from` on, and the moment before which they are all that there are.
async fn next(
    tx: &mut Transaction,
    kind: Kind,
    from: Timestamp,
    cutoff: Timestamp,
    limit: usize,
) -> Result<(Vec<Found>, Timestamp), StoreError> {
    let mut found = kind.read(tx, from, cutoff, Some(limit)).await?;
    let Some(last) = found.last().filter(|_| found.len() >= limit).map(|last| key::at(last.key)) else {
        return Ok((found, cutoff));
    };
    if last > from && last > key::at(found[0].key) {
        // Of the last millisecond there may be more.
        found.retain(|one| key::at(one.key) < last);
        return Ok((found, last));
    }
    let end = Timestamp(last.0 + 1);
    Ok((kind.read(tx, from, end, None).await?, end))
}

// === impl Kind ===

impl Kind {
    fn mark(self) -> Mark {
        match self {
            Self::Plain => mark::DECISIONS,
            Self::Notable => mark::NOTABLE,
            Self::DryRun => mark::DRY_RUN,
        }
    }

    fn horizon(self) -> &'static str {
        match self {
            Self::Plain => horizon::DECISIONS,
            Self::Notable => horizon::NOTABLE,
            Self::DryRun => horizon::DRY_RUN,
        }
    }

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "decisions",
            Self::Notable => "notable decisions",
            Self::DryRun => "dry runs",
        }
    }

    fn takes(self, found: &Found) -> bool {
        self != Self::Plain || !found.notable
    }

    async fn read(
        self,
        tx: &mut Transaction,
        from: Timestamp,
        below: Timestamp,
        limit: Option<usize>,
    ) -> Result<Vec<Found>, StoreError> {
        let mut sql = Sql::new(
            "SELECT d.key, d.id, d.outcome, (d.answer <> 0 OR d.would_reject OR d.outcome IN \
             (SELECT o.id FROM outcomes o WHERE o.exempted = TRUE)), d.candidates FROM decisions d WHERE d.key >= ",
        );
        sql.bind(key::start(from)).push(" AND d.key < ").bind(key::start(below));
        if self == Self::DryRun {
            sql.push(" AND d.dry_run AND d.dry_run = TRUE");
        }
        sql.push(" ORDER BY d.key");
        if let Some(limit) = limit {
            sql.push(" LIMIT ").bind(limit as i64);
        }
        // A verdict that comes meanwhile waits, and then finds no decision.
        sql.push(tx.for_update());
        let found = |row: &Row| -> Result<Found, StoreError> {
            let key = row.int(0)?;
            let (outcome, candidates) = (row.int(2)?, row.opt_int(4)?);
            Ok(Found { key, id: row.id_at(key, 1)?, outcome, candidates, notable: row.flag(3)? })
        };
        tx.fetch(sql).await?.iter().map(found).collect()
    }
}

async fn delete(tx: &mut Transaction, gone: &[Found], outcomes: &mut Outcomes) -> Result<(), StoreError> {
    let compared = || gone.iter().filter_map(|one| Some((one.key, (one.outcome, one.candidates?))));
    outcomes.learn(tx, gone.iter().map(|one| one.outcome), compared().map(|(_, pair)| pair)).await?;
    let (mut rules, mut exemptions, mut agreed) = (Vec::new(), Vec::new(), Vec::new());
    for one in gone {
        let Some(named) = outcomes.named(one.outcome) else { continue };
        rules.extend(named.rules.iter().map(|rule| (*rule, one.key)));
        exemptions.extend(named.exemptions.iter().map(|exemption| (*exemption, one.key)));
        agreed.extend(named.agreed.iter().map(|Cell(cell)| (*cell, one.key)));
    }
    let of_pair = |(key, pair)| outcomes.compared(pair).iter().map(move |Cell(cell)| (*cell, key));
    let compared = compared().flat_map(of_pair).collect();
    for (list, rows) in [
        (behind::RULES, rules),
        (behind::EXEMPTIONS, exemptions),
        (behind::CANDIDATES, compared),
        (behind::AGREEMENTS, agreed),
    ] {
        list.delete(tx, rows).await?;
    }
    let odd = gone.iter().filter(|one| key::time_of(one.id) != Some(key::at(one.key)));
    let odd: Vec<DecisionId> = odd.map(|one| one.id).collect();
    for ids in odd.chunks(AT_ONCE) {
        let mut sql = Sql::new("DELETE FROM displaced_ids WHERE id IN ");
        sql.list(ids.iter().copied());
        tx.execute(sql).await?;
    }
    let blamed: Vec<i64> = gone.iter().filter(|one| one.notable).map(|one| one.key).collect();
    for keys in blamed.chunks(AT_ONCE) {
        let mut sql = Sql::new("DELETE FROM decision_repositories WHERE key >= ");
        sql.bind(keys[0]).push(" AND key <= ").bind(keys[keys.len() - 1]);
        sql.push(
            " AND (repository, key) IN (SELECT m.repository, d.key FROM decisions d \
             JOIN review_images i ON i.review = d.review JOIN images m ON m.id = i.image WHERE d.key IN ",
        );
        sql.list(keys.iter().copied()).push(")");
        tx.execute(sql).await?;
    }
    for gone in gone.chunks(AT_ONCE) {
        let mut sql = Sql::new("DELETE FROM decisions WHERE key IN ");
        sql.list(gone.iter().map(|one| one.key));
        tx.execute(sql).await?;
    }
    Ok(())
}
