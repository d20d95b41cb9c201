//! Which rules the decisions that go have violated, and what let something of them through.

use std::collections::{BTreeSet, HashMap};

use super::super::database::Transaction;
use super::super::error::StoreError;
use super::super::outcome::{self, Outcome};
use super::super::sql::{Sql, storable};
use crate::review::decision::PolicyVerdict;

/// What each outcome names. It says so: that is a few lookups, where a decision's key says nothing of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    rules: HashMap<(String, String), i64>,
    /// By kind and name.
    exemptions: HashMap<(i64, String), i64>,
    of_outcomes: HashMap<i64, Named>,
}

/// As numbers.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub rules: Vec<i64>,
    /// Tickets too, whether they were used or not.
    pub exemptions: Vec<i64>,
}

/// Outcomes that are remembered.
const REMEMBERED: usize = 10_000;

/// Outcomes read in one statement.
const AT_ONCE: usize = 1_000;

// === impl Names ===

impl Names {
    pub fn of(&self, outcome: i64) -> Option<&Named> {
        self.of_outcomes.get(&outcome)
    }

    pub async fn learn(&mut self, tx: &mut Transaction, outcomes: impl Iterator<Item = i64>) -> Result<(), StoreError> {
        if self.of_outcomes.len() > REMEMBERED {
            self.of_outcomes.clear();
        }
        let unknown: BTreeSet<i64> = outcomes.filter(|outcome| !self.of_outcomes.contains_key(outcome)).collect();
        let unknown: Vec<i64> = unknown.into_iter().collect();
        for outcomes in unknown.chunks(AT_ONCE) {
            let mut sql = Sql::new("SELECT id, verdicts FROM outcomes WHERE id IN ");
            sql.list(outcomes.iter().copied());
            for mut row in tx.fetch(sql).await? {
                let verdicts = Outcome::join(&row.text(1)?, None)?;
                let named = Named {
                    rules: self.rules_of(tx, &verdicts).await?,
                    exemptions: self.exemptions_of(tx, &verdicts).await?,
                };
                self.of_outcomes.insert(row.int(0)?, named);
            }
        }
        Ok(())
    }

    async fn rules_of(&mut self, tx: &mut Transaction, verdicts: &[PolicyVerdict]) -> Result<Vec<i64>, StoreError> {
        let mut names = BTreeSet::new();
        for verdict in verdicts {
            for violation in verdict.violations.iter().chain(&verdict.standing) {
                names.insert((storable(&verdict.policy).into_owned(), storable(&violation.rule).into_owned()));
            }
        }
        if names.iter().any(|name| !self.rules.contains_key(name)) {
            let text = "SELECT p.name, r.name, r.id FROM rules r JOIN policies p ON p.id = r.policy";
            for mut row in tx.fetch(Sql::new(text)).await? {
                self.rules.insert((row.text(0)?, row.text(1)?), row.int(2)?);
            }
        }
        Ok(names.iter().filter_map(|name| self.rules.get(name).copied()).collect())
    }

    async fn exemptions_of(
        &mut self,
        tx: &mut Transaction,
        verdicts: &[PolicyVerdict],
    ) -> Result<Vec<i64>, StoreError> {
        let ways = outcome::ways(verdicts).map(|way| (way.kind(), storable(way.text()).into_owned()));
        let names: BTreeSet<(i64, String)> = ways.collect();
        if names.iter().any(|name| !self.exemptions.contains_key(name)) {
            for mut row in tx.fetch(Sql::new("SELECT kind, name, id FROM exemptions")).await? {
                self.exemptions.insert((row.int(0)?, row.text(1)?), row.int(2)?);
            }
        }
        Ok(names.iter().filter_map(|name| self.exemptions.get(name).copied()).collect())
    }
}
