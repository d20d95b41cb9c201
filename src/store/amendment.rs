//! Verdicts that came after the answer: in the same batch as their decision, after it, or before it.

use std::collections::{BTreeMap, HashMap};

use super::batch::{Batch, Entry};
use super::database::Transaction;
use super::error::StoreError;
use super::locate::Located;
use super::outcome::{self, Late, Outcome};
use super::row;
use super::sql::{Insert, Sql, Value};
use crate::review::clock::DecisionId;
use crate::review::decision::Decision;

/// Before the name of a candidate that a verdict is of, which may be the name of a policy too. No name holds a slash.
const CANDIDATE: &str = "candidate/";

/// Rows looked up or updated in one statement.
const AT_ONCE: usize = 500;

/// Stored decisions that verdicts of this batch change.
#[derive(Debug, Default)]
pub(super) struct Amended {
    /// As they were, in the order of `after`.
    pub before: Vec<Entry<'static>>,
    pub after: Vec<Entry<'static>>,
    /// How many verdicts took the place of a pending one.
    pub verdicts: u64,
}

// === impl Amended ===

impl Amended {
    pub async fn find(tx: &mut Transaction, batch: &Batch<'_>, located: &Located) -> Result<Self, StoreError> {
        let mut late: BTreeMap<i64, Vec<Late>> = BTreeMap::new();
        for amendment in &batch.amendments {
            if let Some(key) = located.key(amendment.decision) {
                late.entry(key).or_default().push((*amendment).into());
            }
        }
        let mut amended = Self::default();
        let keys: Vec<i64> = late.keys().copied().collect();
        for keys in keys.chunks(AT_ONCE) {
            lock(tx, keys).await?;
            let (columns, joins) = (row::COLUMNS, row::JOINS);
            let mut sql = Sql::new(&format!("SELECT {columns} FROM decisions d {joins} WHERE d.key IN "));
            sql.list(keys.iter().copied());
            for row in tx.fetch(sql).await? {
                let key = row.int(0)?;
                amended.amend(key, row::decision(row)?.decision, &late[&key])?;
            }
        }
        Ok(amended)
    }

    fn amend(&mut self, key: i64, before: Decision, late: &[Late]) -> Result<(), StoreError> {
        let mut decision = before.clone();
        let verdicts = late.iter().filter(|late| outcome::amend(&mut decision, late)).count();
        if verdicts > 0 {
            self.before.push(Entry::owned(key, before)?);
            self.after.push(Entry::owned(key, decision)?);
            self.verdicts += verdicts as u64;
        }
        Ok(())
    }
}

/// Nobody else changes or deletes these rows until this transaction has ended. What is read after it is what those wrote
/// who had them before: a verdict that a lost commit has stored after all is not counted a second time.
async fn lock(tx: &mut Transaction, keys: &[i64]) -> Result<(), StoreError> {
    let for_update = tx.for_update();
    if for_update.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("SELECT d.key FROM decisions d WHERE d.key IN ");
    sql.list(keys.iter().copied()).push(" ORDER BY d.key").push(for_update);
    tx.fetch(sql).await?;
    Ok(())
}

/// Removes and answers what was kept for decisions that come now.
pub(super) async fn take_early(
    tx: &mut Transaction,
    decisions: &[&Decision],
) -> Result<HashMap<DecisionId, Vec<Late>>, StoreError> {
    let mut verdicts: HashMap<DecisionId, Vec<Late>> = HashMap::new();
    // Mostly there are none at all.
    if tx.fetch(Sql::new("SELECT 1 FROM pending_amendments LIMIT 1")).await?.is_empty() {
        return Ok(verdicts);
    }
    for decisions in decisions.chunks(AT_ONCE) {
        let ids = || decisions.iter().map(|decision| decision.id);
        let mut sql = Sql::new("SELECT decision, verdict, policy FROM pending_amendments WHERE decision IN ");
        sql.list(ids());
        let rows = tx.fetch(sql).await?;
        if rows.is_empty() {
            continue;
        }
        for mut row in rows {
            let (verdict, candidate) = (serde_json::from_str(&row.text(1)?)?, row.text(2)?.starts_with(CANDIDATE));
            verdicts.entry(row.id(0)?).or_default().push(Late { candidate, verdict });
        }
        let mut sql = Sql::new("DELETE FROM pending_amendments WHERE decision IN ");
        sql.list(ids());
        tx.execute(sql).await?;
    }
    Ok(verdicts)
}

/// Keeps the verdicts whose decision is not there yet.
pub(super) async fn keep_early(tx: &mut Transaction, batch: &Batch<'_>, located: &Located) -> Result<(), StoreError> {
    let columns = &["decision", "policy", "at", "verdict"];
    let mut insert = Insert::into("pending_amendments", columns, "ON CONFLICT DO NOTHING");
    for amendment in batch.amendments.iter().filter(|amendment| !located.is_known(amendment.decision)) {
        insert.row([
            amendment.decision.into(),
            format!("{}{}", if amendment.candidate { CANDIDATE } else { "" }, amendment.verdict.policy).into(),
            amendment.at.0.into(),
            serde_json::to_string(&amendment.verdict)?.into(),
        ]);
    }
    tx.insert(insert).await
}

/// Writes what an amendment changes of a decision's row.
pub(super) async fn update(
    tx: &mut Transaction,
    entries: &[Entry<'_>],
    outcomes: &HashMap<[u8; 32], i64>,
) -> Result<(), StoreError> {
    for entries in entries.chunks(AT_ONCE) {
        let rows = entries.iter().map(|Entry { key, decision, outcome, candidates, .. }| -> [Value; 6] {
            let outcome_id = outcomes[&outcome.hash];
            // Nothing as 0 or an empty text: of a list of nothings Postgres does not know the type.
            let silent = candidates.as_ref().map_or(0, |silent| outcomes[&silent.hash]);
            let durations = |of: Option<&Outcome>| of.and_then(|of| of.durations.clone()).unwrap_or_default().into();
            let (own, silents) = (durations(Some(outcome)), durations(candidates.as_ref()));
            [(*key).into(), outcome_id.into(), decision.would_reject.into(), own, silent.into(), silents]
        });
        let mut sql = Sql::new("WITH late(key, outcome, would_reject, durations, silent, silents) AS (");
        sql.values(rows).push(
            ") UPDATE decisions SET outcome = late.outcome, would_reject = late.would_reject, \
             durations = nullif(late.durations, ''), candidates = nullif(late.silent, 0), \
             candidate_durations = nullif(late.silents, '') FROM late WHERE decisions.key = late.key",
        );
        tx.execute(sql).await?;
    }
    Ok(())
}
