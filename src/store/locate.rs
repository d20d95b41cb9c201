//! Which decisions are stored, and at which keys.

use std::collections::{HashMap, HashSet};

use super::database::Transaction;
use super::error::StoreError;
use super::key;
use super::sql::{Row, Sql};
use crate::review::clock::{DecisionId, Timestamp};

/// Ids looked up in one statement.
const LOOKED_UP: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Located {
    stored: HashMap<DecisionId, i64>,
    /// Assigned in this batch.
    assigned: HashMap<DecisionId, i64>,
    taken: HashSet<i64>,
}

// === impl Located ===

impl Located {
    /// Looks for decisions by their times and ids.
    pub async fn find(
        tx: &mut Transaction,
        places: impl Iterator<Item = (Timestamp, DecisionId)>,
    ) -> Result<Self, StoreError> {
        let places: HashMap<DecisionId, Timestamp> = places.map(|(at, id)| (id, at)).collect();
        let first_keys: Vec<i64> = places.iter().map(|(&id, &at)| key::of(at, id)).collect();
        let mut located = Self::default();
        // What is later than all that is stored need not be looked for, and that is most.
        let last = last_from(tx, first_keys.iter().min().copied()).await?;
        let first_keys: Vec<i64> = first_keys.into_iter().filter(|key| Some(*key) <= last).collect();
        located.read(tx.stored_at(first_keys).await?)?;
        // Another decision has its first key: it may stand further on.
        let further: Vec<(Timestamp, DecisionId)> = places
            .iter()
            .filter(|&(&id, &at)| !located.stored.contains_key(&id) && located.taken.contains(&key::of(at, id)))
            .map(|(&id, &at)| (at, id))
            .collect();
        for (at, id) in further {
            located.read_place(tx, at, id).await?;
        }
        located.find_displaced(tx, places.into_keys().collect()).await?;
        Ok(located)
    }

    /// Those that were stored at another time than their own. Mostly there are none at all.
    async fn find_displaced(&mut self, tx: &mut Transaction, ids: Vec<DecisionId>) -> Result<(), StoreError> {
        if tx.fetch(Sql::new("SELECT 1 FROM displaced_ids LIMIT 1")).await?.is_empty() {
            return Ok(());
        }
        for ids in ids.chunks(LOOKED_UP) {
            let mut sql = Sql::new("SELECT key, id FROM displaced_ids WHERE id IN ");
            sql.list(ids.iter().copied());
            for row in tx.fetch(sql).await? {
                self.add(row.int(0)?, row.id(1)?);
            }
        }
        Ok(())
    }

    /// What stands where a decision may go.
    pub async fn read_place(&mut self, tx: &mut Transaction, at: Timestamp, id: DecisionId) -> Result<(), StoreError> {
        let keys = key::candidates(at, id);
        let mut sql = Sql::new("SELECT key, id FROM decisions WHERE key >= ");
        sql.bind(keys.start).push(" AND key < ").bind(keys.end);
        self.read(tx.fetch(sql).await?)
    }

    /// Of a decision that was stored before this batch.
    pub fn key(&self, id: DecisionId) -> Option<i64> {
        self.stored.get(&id).copied()
    }

    /// Stored, or about to be.
    pub fn is_known(&self, id: DecisionId) -> bool {
        self.stored.contains_key(&id) || self.assigned.contains_key(&id)
    }

    /// The first free key of a new decision.
    pub fn assign(&mut self, at: Timestamp, id: DecisionId) -> Result<i64, StoreError> {
        let mut keys = key::candidates(at, id);
        let free = keys.find(|key| !self.taken.contains(key));
        let key = free.ok_or_else(|| StoreError::broken(format!("no key is free for the decision {id}")))?;
        self.taken.insert(key);
        self.assigned.insert(id, key);
        Ok(key)
    }

    /// Rows of `decisions`.
    fn read(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        for row in rows {
            let key = row.int(0)?;
            self.add(key, row.id_at(key, 1)?);
        }
        Ok(())
    }

    fn add(&mut self, key: i64, id: DecisionId) {
        self.taken.insert(key);
        self.stored.insert(id, key);
    }
}

/// The last key from `from` on.
async fn last_from(tx: &mut Transaction, from: Option<i64>) -> Result<Option<i64>, StoreError> {
    let Some(from) = from else { return Ok(None) };
    let mut sql = Sql::new("SELECT max(key) FROM decisions WHERE key >= ");
    sql.bind(from);
    tx.fetch(sql).await?.first().map_or(Ok(None), |row| row.opt_int(0))
}
