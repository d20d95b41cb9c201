//! The lists behind figures: tables whose key is a number and the key of a decision.

use super::database::Transaction;
use super::error::StoreError;
use super::sql::{Insert, Sql};

/// One of the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    table: &'static str,
    columns: &'static [&'static str; 2],
}

pub(super) const RULES: Behind = Behind { table: "decision_rules", columns: &["rule", "key"] };
pub(super) const EXEMPTIONS: Behind = Behind { table: "decision_exemptions", columns: &["exemption", "key"] };
/// By cells of candidates, and by those of local policies and webhooks.
pub(super) const CANDIDATES: Behind = Behind { table: "decision_candidates", columns: &["cell", "key"] };
pub(super) const AGREEMENTS: Behind = Behind { table: "decision_agreements", columns: &["cell", "key"] };

/// Rows deleted in one statement.
const AT_ONCE: usize = 1_000;

// === impl Behind ===

impl Behind {
    /// Each number with the key of its decision.
    pub async fn insert(self, tx: &mut Transaction, mut rows: Vec<(i64, i64)>) -> Result<(), StoreError> {
        rows.sort_unstable();
        let mut insert = Insert::into(self.table, self.columns, "");
        for (number, key) in rows {
            insert.row([number.into(), key.into()]);
        }
        tx.insert(insert).await
    }

    pub async fn delete(self, tx: &mut Transaction, mut rows: Vec<(i64, i64)>) -> Result<(), StoreError> {
        let Self { table, columns: [of, _] } = self;
        rows.sort_unstable();
        for rows in rows.chunks(AT_ONCE) {
            // The keys' ends leave the other days' partitions alone.
            let keys = || rows.iter().map(|(_, key)| *key);
            let mut sql = Sql::new(&format!("DELETE FROM {table} WHERE key >= "));
            sql.bind(keys().min()).push(" AND key <= ").bind(keys().max()).push(&format!(" AND ({of}, key) IN ("));
            sql.values(rows.iter().map(|(number, key)| [*number, *key])).push(")");
            tx.execute(sql).await?;
        }
        Ok(())
    }
}
