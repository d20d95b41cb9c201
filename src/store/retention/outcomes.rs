//! Which rows the decisions that go have beside their own: what they violated, what let something of them through, in which
//! cells of comparisons, and of local policies beside webhooks, they stand.
//!
//! Their outcomes say it: that is a few lookups, where a decision's key says nothing of it.

use std::collections::{BTreeSet, HashMap};

use super::super::agreement::{self, Pairs};
use super::super::cell::Cell;
use super::super::database::Transaction;
use super::super::error::StoreError;
use super::super::outcome::{self, Outcome};
use super::super::sql::{Row, Sql, storable};
use crate::review::comparison::Comparison;
use crate::review::decision::PolicyVerdict;

/// The outcome of a decision, and that of its candidates.
pub(super) type Pair = (i64, i64);

/// What each of them comes to.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    numbers: Numbers,
    named: HashMap<i64, Named>,
    compared: HashMap<Pair, Vec<Cell>>,
}

/// As numbers.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub rules: Vec<i64>,
    /// Tickets too, whether they were used or not.
    pub exemptions: Vec<i64>,
    /// Of local policies beside webhooks: the rare ones.
    pub agreed: Vec<Cell>,
}

/// Of names.
#[derive(Debug, Default)]
struct Numbers {
    /// By policy and rule.
    rules: HashMap<(String, String), i64>,
    /// By kind and name.
    exemptions: HashMap<(i64, String), i64>,
    candidates: HashMap<String, i64>,
    agreements: Pairs,
}

/// Outcomes that are remembered, and pairs of them.
const REMEMBERED: usize = 10_000;

/// Outcomes read in one statement.
const AT_ONCE: usize = 1_000;

// === impl Outcomes ===

impl Outcomes {
    pub fn named(&self, outcome: i64) -> Option<&Named> {
        self.named.get(&outcome)
    }

    /// In which cells of comparisons such a decision is.
    pub fn compared(&self, pair: Pair) -> &[Cell] {
        self.compared.get(&pair).map_or(&[], Vec::as_slice)
    }

    /// Reads each outcome once that is not known, and each table of numbers at most once: what decisions of an earlier
    /// version name may have none.
    pub async fn learn(
        &mut self,
        tx: &mut Transaction,
        outcomes: impl Iterator<Item = i64>,
        pairs: impl Iterator<Item = Pair>,
    ) -> Result<(), StoreError> {
        if self.named.len() > REMEMBERED {
            self.named.clear();
        }
        if self.compared.len() > REMEMBERED {
            self.compared.clear();
        }
        let outcomes: BTreeSet<i64> = outcomes.filter(|outcome| !self.named.contains_key(outcome)).collect();
        let pairs: BTreeSet<Pair> = pairs.filter(|pair| !self.compared.contains_key(pair)).collect();
        let of_pairs = pairs.iter().flat_map(|(live, silent)| [*live, *silent]);
        let verdicts = read(tx, outcomes.iter().copied().chain(of_pairs).collect()).await?;
        let of = |outcome: i64| verdicts.get(&outcome).map_or(&[] as &[PolicyVerdict], Vec::as_slice);
        let live: Vec<&[PolicyVerdict]> = outcomes.iter().map(|outcome| of(*outcome)).collect();
        let silent: Vec<&[PolicyVerdict]> = pairs.iter().map(|(_, silent)| of(*silent)).collect();
        self.numbers.learn(tx, &live, &silent).await?;
        for outcome in outcomes {
            self.named.insert(outcome, self.numbers.named(of(outcome)));
        }
        for (live, silent) in pairs {
            self.compared.insert((live, silent), self.numbers.compared(of(live), of(silent)));
        }
        Ok(())
    }
}

// === impl Numbers ===

impl Numbers {
    /// Of what these outcomes name, and these ones of candidates.
    async fn learn(
        &mut self,
        tx: &mut Transaction,
        live: &[&[PolicyVerdict]],
        silent: &[&[PolicyVerdict]],
    ) -> Result<(), StoreError> {
        if live.iter().flat_map(|verdicts| rules(verdicts)).any(|rule| !self.rules.contains_key(&rule)) {
            let text = "SELECT p.name, r.name, r.id FROM rules r JOIN policies p ON p.id = r.policy";
            for mut row in tx.fetch(Sql::new(text)).await? {
                self.rules.insert((row.text(0)?, row.text(1)?), row.int(2)?);
            }
        }
        if live.iter().flat_map(|verdicts| exemptions(verdicts)).any(|name| !self.exemptions.contains_key(&name)) {
            for mut row in tx.fetch(Sql::new("SELECT kind, name, id FROM exemptions")).await? {
                self.exemptions.insert((row.int(0)?, row.text(1)?), row.int(2)?);
            }
        }
        if live.iter().flat_map(|verdicts| agreement::names(verdicts)).any(|pair| self.agreements.id(pair).is_none()) {
            self.agreements = Pairs::read(tx).await?;
        }
        if silent.iter().copied().flatten().any(|verdict| !self.candidates.contains_key(&verdict.policy)) {
            let number = |mut row: Row| Ok::<_, StoreError>((row.text(0)?, row.int(1)?));
            let rows = tx.fetch(Sql::new("SELECT name, id FROM candidates")).await?;
            self.candidates = rows.into_iter().map(number).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn named(&self, verdicts: &[PolicyVerdict]) -> Named {
        let agreed = agreement::rare_cells(verdicts, &self.agreements);
        let rules = rules(verdicts).iter().filter_map(|rule| self.rules.get(rule).copied()).collect();
        let exemptions = exemptions(verdicts).iter().filter_map(|name| self.exemptions.get(name).copied()).collect();
        Named { rules, exemptions, agreed }
    }

    fn compared(&self, live: &[PolicyVerdict], silent: &[PolicyVerdict]) -> Vec<Cell> {
        let cell = |one: Comparison<'_>| Some(Cell::of_comparison(*self.candidates.get(one.candidate)?, &one));
        Comparison::between(live, silent).filter_map(cell).collect()
    }
}

/// Names as the tables hold them, each once.
fn rules(verdicts: &[PolicyVerdict]) -> BTreeSet<(String, String)> {
    let of_verdict = |verdict: &PolicyVerdict| {
        let violations = verdict.violations.iter().chain(&verdict.standing);
        let name = |rule: &str| (storable(&verdict.policy).into_owned(), storable(rule).into_owned());
        violations.map(|violation| name(&violation.rule)).collect::<Vec<_>>()
    };
    verdicts.iter().flat_map(of_verdict).collect()
}

fn exemptions(verdicts: &[PolicyVerdict]) -> BTreeSet<(i64, String)> {
    outcome::ways(verdicts).map(|way| (way.kind(), storable(way.text()).into_owned())).collect()
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
