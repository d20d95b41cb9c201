//! In which cells of comparisons, and of local policies beside webhooks, the decisions stand that go.

use std::collections::{BTreeSet, HashMap};

use super::super::agreement::{self, Pairs};
use super::super::comparison::Cell;
use super::super::database::Transaction;
use super::super::error::StoreError;
use super::super::outcome::Outcome;
use super::super::sql::Sql;
use crate::review::comparison::Comparison;
use crate::review::decision::PolicyVerdict;

/// The outcome of a decision, and that of its candidates.
pub(super) type Pair = (i64, i64);

/// Which cells each pair of outcomes is in. Both say it: that is a few lookups, where a decision's key says nothing of them.
#[derive(Debug, Default)]
pub(super) struct Cells {
    candidates: HashMap<String, i64>,
    of_pairs: HashMap<Pair, Vec<Cell>>,
    agreements: Pairs,
    /// The rare ones.
    of_outcomes: HashMap<i64, Vec<Cell>>,
}

/// Pairs that are remembered.
const REMEMBERED: usize = 10_000;

/// Outcomes read in one statement.
const AT_ONCE: usize = 1_000;

// === impl Cells ===

impl Cells {
    pub fn of(&self, pair: Pair) -> &[Cell] {
        self.of_pairs.get(&pair).map_or(&[], Vec::as_slice)
    }

    /// Of local policies beside webhooks: those by which such a decision has rows.
    pub fn of_outcome(&self, outcome: i64) -> &[Cell] {
        self.of_outcomes.get(&outcome).map_or(&[], Vec::as_slice)
    }

    pub async fn learn_outcomes(
        &mut self,
        tx: &mut Transaction,
        outcomes: impl Iterator<Item = i64>,
    ) -> Result<(), StoreError> {
        if self.of_outcomes.len() > REMEMBERED {
            self.of_outcomes.clear();
        }
        let unknown = outcomes.filter(|outcome| !self.of_outcomes.contains_key(outcome)).collect();
        let verdicts = read(tx, unknown).await?;
        let has_number = |pair| self.agreements.id(pair).is_some();
        if !verdicts.values().all(|verdicts| agreement::names(verdicts).all(has_number)) {
            self.agreements = Pairs::read(tx).await?;
        }
        for (outcome, verdicts) in verdicts {
            self.of_outcomes.insert(outcome, agreement::rare_cells(&verdicts, &self.agreements));
        }
        Ok(())
    }

    pub async fn learn(&mut self, tx: &mut Transaction, pairs: impl Iterator<Item = Pair>) -> Result<(), StoreError> {
        if self.of_pairs.len() > REMEMBERED {
            self.of_pairs.clear();
        }
        let unknown: BTreeSet<Pair> = pairs.filter(|pair| !self.of_pairs.contains_key(pair)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let verdicts = read(tx, unknown.iter().flat_map(|(live, silent)| [*live, *silent]).collect()).await?;
        let none = Vec::new();
        let said = |outcome: i64| verdicts.get(&outcome).unwrap_or(&none).as_slice();
        let named = unknown.iter().flat_map(|(_, silent)| said(*silent));
        if named.into_iter().any(|verdict| !self.candidates.contains_key(&verdict.policy)) {
            for mut row in tx.fetch(Sql::new("SELECT name, id FROM candidates")).await? {
                self.candidates.insert(row.text(0)?, row.int(1)?);
            }
        }
        for &(live, silent) in &unknown {
            let cell = |one: Comparison<'_>| Some(Cell::of_comparison(*self.candidates.get(one.candidate)?, &one));
            let cells = Comparison::between(said(live), said(silent)).filter_map(cell).collect();
            self.of_pairs.insert((live, silent), cells);
        }
        Ok(())
    }
}

async fn read(tx: &mut Transaction, outcomes: BTreeSet<i64>) -> Result<HashMap<i64, Vec<PolicyVerdict>>, StoreError> {
    let outcomes: Vec<i64> = outcomes.into_iter().collect();
    let mut verdicts = HashMap::new();
    for outcomes in outcomes.chunks(AT_ONCE) {
        let mut sql = Sql::new("SELECT id, verdicts FROM outcomes WHERE id IN ");
        sql.list(outcomes.iter().copied());
        for mut row in tx.fetch(sql).await? {
            verdicts.insert(row.int(0)?, Outcome::join(&row.text(1)?, None)?);
        }
    }
    Ok(verdicts)
}
