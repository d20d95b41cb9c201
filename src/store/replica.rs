//! The numbers of replicas. Figures carry the number of who wrote them, so that two drains never lock the same row.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::database::Transaction;
use super::error::StoreError;
use super::sql::{Insert, Sql};

/// By the id in the data directory.
pub(super) type ReplicaNumbers = HashMap<Uuid, i64>;

/// Filled only after a commit, as names are.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<ReplicaNumbers>);

// === impl Remembered ===

impl Remembered {
    /// The number of each; new ones are added.
    pub async fn resolve(&self, tx: &mut Transaction, replicas: &BTreeSet<Uuid>) -> Result<ReplicaNumbers, StoreError> {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut missing: BTreeSet<Uuid> = replicas.iter().copied().filter(|id| !numbers.contains_key(id)).collect();
        look_up(tx, &missing, &mut numbers).await?;
        missing.retain(|id| !numbers.contains_key(id));
        if !missing.is_empty() {
            let mut insert = Insert::into("replicas", &["replica"], "ON CONFLICT DO NOTHING");
            insert.values = missing.iter().map(|&id| id.into()).collect();
            tx.insert(insert).await?;
            look_up(tx, &missing, &mut numbers).await?;
        }
        Ok(numbers)
    }

    pub fn forget(&self) {
        self.remember(ReplicaNumbers::new());
    }

    /// To be called once the transaction is committed.
    pub fn remember(&self, numbers: ReplicaNumbers) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = numbers;
    }
}

pub(super) fn number(numbers: &ReplicaNumbers, replica: Uuid) -> Result<i64, StoreError> {
    numbers.get(&replica).copied().ok_or_else(|| StoreError::broken(format!("the replica {replica} has no number")))
}

async fn look_up(
    tx: &mut Transaction,
    missing: &BTreeSet<Uuid>,
    numbers: &mut ReplicaNumbers,
) -> Result<(), StoreError> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("SELECT replica, id FROM replicas WHERE replica IN ");
    sql.list(missing.iter().copied());
    for row in tx.fetch(sql).await? {
        numbers.insert(row.uuid(0)?, row.int(1)?);
    }
    Ok(())
}
