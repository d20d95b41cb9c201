//! Decisions one by one, each with what only it has: its rules, its repositories, its cells, the place of an odd id.

use std::collections::{BTreeSet, HashMap};

use super::super::comparison;
use super::super::database::{Database, Transaction};
use super::super::error::StoreError;
use super::super::horizon::{self, Mark, mark};
use super::super::key;
use super::super::outcome::Outcome;
use super::super::sql::{Row, Sql, storable};
use super::Sweep;
use super::cells::Cells;
use crate::review::clock::{DecisionId, Timestamp};

/// Pairs or keys in one statement.
const AT_ONCE: usize = 1_000;

/// Outcomes whose rules are remembered.
const REMEMBERED: usize = 10_000;

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

/// The rules that each outcome names, as numbers.
#[derive(Debug, Default)]
pub(super) struct Rules {
    numbers: HashMap<(String, String), i64>,
    of_outcomes: HashMap<i64, Vec<i64>>,
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
    delete(&mut step.tx, &gone, &mut sweep.rules, &mut sweep.cells).await?;
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

async fn delete(tx: &mut Transaction, gone: &[Found], rules: &mut Rules, cells: &mut Cells) -> Result<(), StoreError> {
    let mut pairs = Vec::new();
    rules.learn(tx, gone).await?;
    for one in gone {
        pairs.extend(rules.of_outcomes.get(&one.outcome).into_iter().flatten().map(|rule| (*rule, one.key)));
    }
    pairs.sort_unstable();
    for pairs in pairs.chunks(AT_ONCE) {
        // The keys' ends leave the other days' partitions alone.
        let keys = || pairs.iter().map(|(_, key)| *key);
        let mut sql = Sql::new("DELETE FROM decision_rules WHERE key >= ");
        sql.bind(keys().min()).push(" AND key <= ").bind(keys().max()).push(" AND (rule, key) IN (");
        sql.values(pairs.iter().map(|(rule, key)| [*rule, *key])).push(")");
        tx.execute(sql).await?;
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
    let compared = || gone.iter().filter_map(|one| Some((one.key, (one.outcome, one.candidates?))));
    cells.learn(tx, compared().map(|(_, pair)| pair)).await?;
    let of_decision = |(key, pair)| cells.of(pair).iter().map(move |cell| (*cell, key));
    comparison::delete(tx, comparison::CANDIDATES, compared().flat_map(of_decision).collect()).await?;
    cells.learn_outcomes(tx, gone.iter().map(|one| one.outcome)).await?;
    let agreed = gone.iter().flat_map(|one| cells.of_outcome(one.outcome).iter().map(|cell| (*cell, one.key)));
    comparison::delete(tx, comparison::AGREEMENTS, agreed.collect()).await?;
    for gone in gone.chunks(AT_ONCE) {
        let mut sql = Sql::new("DELETE FROM decisions WHERE key IN ");
        sql.list(gone.iter().map(|one| one.key));
        tx.execute(sql).await?;
    }
    Ok(())
}

// === impl Rules ===

impl Rules {
    /// Which rules a decision has violated, its outcome says: that is a few lookups, where its key says nothing of them.
    async fn learn(&mut self, tx: &mut Transaction, gone: &[Found]) -> Result<(), StoreError> {
        if self.of_outcomes.len() > REMEMBERED {
            self.of_outcomes.clear();
        }
        let unknown: BTreeSet<i64> =
            gone.iter().map(|one| one.outcome).filter(|outcome| !self.of_outcomes.contains_key(outcome)).collect();
        let unknown: Vec<i64> = unknown.into_iter().collect();
        for outcomes in unknown.chunks(AT_ONCE) {
            let mut sql = Sql::new("SELECT id, verdicts FROM outcomes WHERE id IN ");
            sql.list(outcomes.iter().copied());
            for mut row in tx.fetch(sql).await? {
                let numbers = self.numbers_of(tx, &row.text(1)?).await?;
                self.of_outcomes.insert(row.int(0)?, numbers);
            }
        }
        Ok(())
    }

    async fn numbers_of(&mut self, tx: &mut Transaction, verdicts: &str) -> Result<Vec<i64>, StoreError> {
        let mut names = BTreeSet::new();
        for verdict in Outcome::join(verdicts, None)? {
            for violation in verdict.violations.iter().chain(&verdict.standing) {
                names.insert((storable(&verdict.policy).into_owned(), storable(&violation.rule).into_owned()));
            }
        }
        if names.iter().any(|name| !self.numbers.contains_key(name)) {
            let text = "SELECT p.name, r.name, r.id FROM rules r JOIN policies p ON p.id = r.policy";
            for mut row in tx.fetch(Sql::new(text)).await? {
                self.numbers.insert((row.text(0)?, row.text(1)?), row.int(2)?);
            }
        }
        Ok(names.iter().filter_map(|name| self.numbers.get(name).copied()).collect())
    }
}
