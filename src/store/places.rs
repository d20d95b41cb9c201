//! Which namespaces the history knows, how much came of each, and which rules were violated.

use super::database::Database;
use super::error::StoreError;
use super::sql::Sql;
use crate::review::decision::UNDECLARED;

/// A namespace of a cluster; dry runs are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub cluster: String,
    /// Empty for objects that are in none.
    pub name: String,
    pub reviews: u64,
    pub workloads: u64,
}

/// Policy and rule.
pub type KnownRule = (String, String);

pub(super) async fn namespaces(database: &Database) -> Result<Vec<Namespace>, StoreError> {
    let mut sql = Sql::new(
        "SELECT c.name, n.name, CAST(sum(t.reviews) AS BIGINT), count(DISTINCT w.id) FROM workload_totals t \
         JOIN workloads w ON w.id = t.workload JOIN namespaces n ON n.id = w.namespace \
         JOIN clusters c ON c.id = n.cluster WHERE t.dry_run = FALSE AND c.name <> ",
    );
    sql.bind(UNDECLARED).push(" GROUP BY c.name, n.name ORDER BY c.name, n.name");
    let rows = database.fetch(sql).await?;
    let namespace = |row: &mut super::sql::Row| -> Result<Namespace, StoreError> {
        Ok(Namespace { cluster: row.text(0)?, name: row.text(1)?, reviews: row.count(2)?, workloads: row.count(3)? })
    };
    rows.into_iter().map(|mut row| namespace(&mut row)).collect()
}

pub(super) async fn rules(database: &Database) -> Result<Vec<KnownRule>, StoreError> {
    let text = "SELECT p.name, r.name FROM rules r JOIN policies p ON p.id = r.policy ORDER BY p.name, r.name";
    let rows = database.fetch(Sql::new(text)).await?;
    rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?))).collect()
}
