//! What judged: the texts of revisions.
//!
//! A decision names its revision, so that the name may be there before the text. A text is written once and never changed;
//! it is kept for good, since there are as many as there were changes of the policies.

use super::database::Database;
use super::error::StoreError;
use super::rule_text;
use super::sql::{Row, Sql};
use crate::review::clock::Timestamp;

/// A revision that was loaded, or that decisions name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevision {
    pub id: String,
    /// When it was first loaded; `None` while its text has not come.
    pub loaded_at: Option<Timestamp>,
    /// JSON; `None` in a list, and while it has not come.
    pub text: Option<String>,
}

/// Names that a list has, the newest: far more than a history sees in a year.
const LISTED: i64 = 1_000;

/// In a transaction of its own. One whose text is there is left as it is.
pub(super) async fn keep(database: &Database, id: &str, text: &str, loaded_at: Timestamp) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    database.check_schema(&mut tx).await?;
    let mut sql = Sql::new("INSERT INTO revisions (name, text, loaded_at) VALUES (");
    sql.bind(id).push(", ").bind(text).push(", ").bind(loaded_at.0);
    sql.push(") ON CONFLICT (name) DO UPDATE SET text = excluded.text, loaded_at = excluded.loaded_at");
    sql.push(" WHERE revisions.text IS NULL");
    tx.execute(sql).await?;
    rule_text::keep(&mut tx, text, loaded_at).await?;
    tx.commit().await
}

/// Without their texts, those that were loaded last first.
pub(super) async fn list(database: &Database) -> Result<Vec<StoredRevision>, StoreError> {
    let mut sql =
        Sql::new("SELECT name, loaded_at, NULL FROM revisions ORDER BY loaded_at DESC NULLS LAST, id DESC LIMIT ");
    sql.bind(LISTED);
    database.fetch(sql).await?.into_iter().map(stored).collect()
}

pub(super) async fn one(database: &Database, id: &str) -> Result<Option<StoredRevision>, StoreError> {
    let mut sql = Sql::new("SELECT name, loaded_at, text FROM revisions WHERE name = ");
    sql.bind(id);
    database.fetch(sql).await?.pop().map(stored).transpose()
}

fn stored(mut row: Row) -> Result<StoredRevision, StoreError> {
    Ok(StoredRevision { id: row.text(0)?, loaded_at: row.opt_int(1)?.map(Timestamp), text: row.opt_text(2)? })
}
