//! What local policies said beside webhooks: decisions by [`cell`](super::cell), as of candidates.
//!
//! A cell that a denial, an error or a late verdict puts a decision in is rare: its decisions have rows of their own. What
//! is in a common one is found by its outcome.

pub(super) mod read;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cell::Cell;
use super::database::Transaction;
use super::error::StoreError;
use super::outcome::RuleName;
use super::rollup::{Bucket, add, changes};
use super::sql::{Insert, Row, Sql, Value};
use crate::review::agreement::{Accord, Agreement};
use crate::review::comparison::Stance;
use crate::review::decision::PolicyVerdict;

/// That a decision is in a cell, and which rules of the one that denies alone it violates, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub cell: Cell,
    pub is_rare: bool,
    pub rules: Vec<i64>,
    /// One of the two denies alone.
    is_one_sided: bool,
}

/// What a batch adds, in the order of the tables' keys.
#[derive(Debug, Default)]
pub(super) struct Agreements {
    cells: BTreeMap<(Bucket, Cell, bool), [i64; 1]>,
    /// By rule and repository, one of which is 0.
    disagreements: BTreeMap<(Bucket, Cell, i64, i64, bool), [i64; 1]>,
}

/// The numbers of what is compared: a local policy, or `None` for all of them, and a webhook.
#[derive(Debug, Default)]
pub(super) struct Pairs(HashMap<(Option<String>, String), i64>);

/// Whether decisions in such a cell have rows of their own.
pub(super) fn is_rare(local: Stance, webhook: Stance) -> bool {
    [local, webhook].iter().any(|stance| matches!(stance, Stance::Deny | Stance::Error | Stance::Pending))
}

/// Local policies and webhooks that are compared in these verdicts.
pub(super) fn names(verdicts: &[PolicyVerdict]) -> impl Iterator<Item = (Option<&str>, &str)> {
    Agreement::between(verdicts).into_iter().map(|one| (one.local, one.webhook))
}

/// The cells by which decisions with these verdicts have rows. What was stored before pairs had numbers has none.
pub(super) fn rare_cells(verdicts: &[PolicyVerdict], pairs: &Pairs) -> Vec<Cell> {
    let rare = Agreement::between(verdicts).into_iter().filter(|one| is_rare(one.local_said, one.webhook_said));
    rare.filter_map(|one| Some(Cell::of(pairs.id((one.local, one.webhook))?, one.local_said, one.webhook_said)))
        .collect()
}

/// The cells in which decisions with these verdicts are found by their outcome.
pub(super) fn common_cells(
    verdicts: &[PolicyVerdict],
    pair: impl Fn((Option<&str>, &str)) -> Result<i64, StoreError>,
) -> Result<Vec<Cell>, StoreError> {
    let common = Agreement::between(verdicts).into_iter().filter(|one| !is_rare(one.local_said, one.webhook_said));
    common.map(|one| Ok(Cell::of(pair((one.local, one.webhook))?, one.local_said, one.webhook_said))).collect()
}

/// Notes which outcomes are in common cells.
pub(super) async fn insert_outcomes(tx: &mut Transaction, cells: BTreeSet<(i64, Cell)>) -> Result<(), StoreError> {
    let mut insert = Insert::into("outcome_agreements", &["outcome", "cell"], "ON CONFLICT DO NOTHING");
    for (outcome, Cell(cell)) in cells {
        insert.row([outcome.into(), cell.into()]);
    }
    tx.insert(insert).await
}

// === impl Pairs ===

impl Pairs {
    pub async fn read(tx: &mut Transaction) -> Result<Self, StoreError> {
        let text = "SELECT l.name, w.name, a.id FROM agreements a JOIN policies w ON w.id = a.webhook \
                    LEFT JOIN policies l ON l.id = a.local";
        let pair = |mut row: Row| Ok(((row.opt_text(0)?, row.text(1)?), row.int(2)?));
        tx.fetch(Sql::new(text)).await?.into_iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    pub fn id(&self, (local, webhook): (Option<&str>, &str)) -> Option<i64> {
        self.0.get(&(local.map(str::to_owned), webhook.to_owned())).copied()
    }
}

// === impl Agreed ===

impl Agreed {
    /// `pair` and `rule` give the numbers of names.
    pub fn all(
        verdicts: &[PolicyVerdict],
        pair: impl Fn(Option<&str>, &str) -> Result<i64, StoreError>,
        rule: impl Fn(RuleName<'_>) -> Result<i64, StoreError>,
    ) -> Result<Vec<Self>, StoreError> {
        let agreed = |one: Agreement<'_>| {
            let denying = verdicts.iter().filter(|verdict| one.is_by_who_denies(verdict));
            let violated: BTreeSet<RuleName<'_>> = denying
                .flat_map(|verdict| verdict.violations.iter().chain(&verdict.standing).map(move |by| (verdict, by)))
                .map(|(verdict, by)| (verdict.policy.as_str(), by.rule.as_str()))
                .collect();
            Ok(Self {
                cell: Cell::of(pair(one.local, one.webhook)?, one.local_said, one.webhook_said),
                is_rare: is_rare(one.local_said, one.webhook_said),
                rules: violated.into_iter().map(&rule).collect::<Result<_, _>>()?,
                is_one_sided: matches!(one.accord(), Accord::OnlyLocal | Accord::OnlyWebhook),
            })
        };
        Agreement::between(verdicts).into_iter().map(agreed).collect()
    }
}

// === impl Agreements ===

impl Agreements {
    /// `count` decisions of a bucket, which name these repositories.
    pub fn add(
        &mut self,
        bucket: Bucket,
        agreed: &[Agreed],
        repositories: impl Iterator<Item = i64> + Clone,
        dry_run: bool,
        count: i64,
    ) {
        for one in agreed {
            add(self.cells.entry((bucket, one.cell, dry_run)).or_default(), [count]);
            if !one.is_one_sided {
                continue;
            }
            let causes = one.rules.iter().map(|rule| (*rule, 0));
            for (rule, repository) in causes.chain(repositories.clone().map(|repository| (0, repository))) {
                let key = (bucket, one.cell, rule, repository, dry_run);
                add(self.disagreements.entry(key).or_default(), [count]);
            }
        }
    }

    pub fn retain(&mut self, is_kept: impl Fn(&Bucket) -> bool) {
        self.cells.retain(|(bucket, ..), _| is_kept(bucket));
        self.disagreements.retain(|(bucket, ..), _| is_kept(bucket));
    }

    /// `replica`: who writes it.
    pub async fn write(self, tx: &mut Transaction, replica: i64) -> Result<(), StoreError> {
        let mut cells = Insert::into(
            "rollup_agreements",
            &["cluster", "namespace", "width", "bucket", "cell", "dry_run", "replica", "reviews"],
            "ON CONFLICT (cluster, namespace, width, bucket, cell, dry_run, replica) DO UPDATE SET \
             reviews = rollup_agreements.reviews + excluded.reviews",
        );
        for ((bucket, Cell(cell), dry_run), counts) in self.cells.into_iter().filter(|(_, counts)| changes(counts)) {
            cells.values.extend(bucket.values());
            cells.values.extend([cell.into(), dry_run.into(), replica.into()]);
            cells.values.extend(counts.map(Value::Int));
        }
        let mut causes = Insert::into(
            "rollup_disagreements",
            &["cluster", "namespace", "width", "bucket", "cell", "rule", "repository", "dry_run", "replica", "reviews"],
            "ON CONFLICT (cluster, namespace, width, bucket, cell, rule, repository, dry_run, replica) DO UPDATE SET \
             reviews = rollup_disagreements.reviews + excluded.reviews",
        );
        let changed = self.disagreements.into_iter().filter(|(_, counts)| changes(counts));
        for ((bucket, Cell(cell), rule, repository, dry_run), counts) in changed {
            causes.values.extend(bucket.values());
            causes.values.extend([cell.into(), rule.into(), repository.into(), dry_run.into(), replica.into()]);
            causes.values.extend(counts.map(Value::Int));
        }
        tx.insert(cells).await?;
        tx.insert(causes).await
    }
}
