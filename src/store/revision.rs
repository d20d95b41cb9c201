//! What judged: the texts of revisions.
//!
//! A decision names its revision, so that the name may be there before the text. A text is written once and never changed;
//! it is kept for good, since there are as many as there were changes of the policies.

use uuid::Uuid;

use super::Store;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::exemption;
use super::rule_text;
use super::sql::{Insert, Row, Sql};
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

/// A time that a replica loaded a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub at: Timestamp,
    pub revision: String,
    /// `None`: not known, of before this was kept.
    pub replica: Option<Uuid>,
    /// Those that it served last: replicas of others may have policies of their own. Empty: not known.
    pub clusters: Vec<String>,
}

impl Store {
    /// At most `limit` loads of revisions before then, the last first.
    pub async fn loads(&self, before: Option<Timestamp>, limit: u16) -> Result<Vec<Load>, StoreError> {
        loads(&self.database, before, limit).await
    }

    /// What was in force before a revision was loaded first, where that was. `None`: nothing that is known.
    pub async fn revision_before(&self, id: &str) -> Result<Option<String>, StoreError> {
        before(&self.database, id).await
    }

    /// Those of these revisions that there are, with their texts.
    pub async fn revision_texts(&self, ids: &[String]) -> Result<Vec<StoredRevision>, StoreError> {
        texts(&self.database, ids).await
    }
}

/// In a transaction of its own. A text that is there is left as it is, and so is a load.
pub(super) async fn keep(
    database: &Database,
    id: &str,
    text: &str,
    (loads, replica): (&[Timestamp], Uuid),
) -> Result<(), StoreError> {
    let Some((&first, &last)) = loads.iter().min().zip(loads.iter().max()) else { return Ok(()) };
    let mut tx = database.begin().await?;
    database.check_schema(&mut tx).await?;
    let mut sql = Sql::new("INSERT INTO revisions (name, text, loaded_at) VALUES (");
    sql.bind(id).push(", ").bind(text).push(", ").bind(first.0);
    sql.push(
        ") ON CONFLICT (name) DO UPDATE SET text = coalesce(revisions.text, excluded.text), \
         loaded_at = excluded.loaded_at WHERE revisions.text IS NULL OR revisions.loaded_at > excluded.loaded_at",
    );
    tx.execute(sql).await?;
    let mut insert = Insert::into("revision_loads", &["at", "revision", "replica"], "ON CONFLICT DO NOTHING");
    loads.iter().for_each(|at| insert.row([at.0.into(), id.into(), replica.into()]));
    tx.insert(insert).await?;
    rule_text::keep(&mut tx, text, last).await?;
    exemption::keep(&mut tx, text, (first, last)).await?;
    tx.commit().await
}

/// At most `limit` loads before then, the last first.
async fn loads(database: &Database, before: Option<Timestamp>, limit: u16) -> Result<Vec<Load>, StoreError> {
    let mut sql = Sql::new(
        "SELECT l.at, l.revision, l.replica, r.clusters FROM revision_loads l \
         LEFT JOIN replicas r ON r.replica = l.replica WHERE l.at < ",
    );
    sql.bind(before.map_or(i64::MAX, |before| before.0));
    sql.push(" ORDER BY l.at DESC, l.revision DESC, l.replica DESC LIMIT ").bind(i64::from(limit));
    database.fetch(sql).await?.into_iter().map(load).collect()
}

/// The last load of another revision before this one was loaded first, by a replica of the same clusters. `None`: there
/// was none. The row of the first load may be gone; who loaded it is read from the first that is left.
async fn before(database: &Database, id: &str) -> Result<Option<String>, StoreError> {
    let mut sql = Sql::new(
        "WITH loaded(first, clusters) AS (SELECT v.loaded_at, coalesce(r.clusters, '') FROM revisions v \
         JOIN revision_loads o ON o.revision = v.name AND o.at >= v.loaded_at \
         LEFT JOIN replicas r ON r.replica = o.replica WHERE v.name = ",
    );
    sql.bind(id).push(
        " ORDER BY o.at, o.replica LIMIT 1) SELECT l.revision FROM loaded f JOIN revision_loads l ON l.at < f.first \
         LEFT JOIN replicas r ON r.replica = l.replica WHERE coalesce(r.clusters, '') = f.clusters AND l.revision <> ",
    );
    sql.bind(id).push(" ORDER BY l.at DESC, l.revision DESC LIMIT 1");
    database.fetch(sql).await?.pop().map(|mut row| row.text(0)).transpose()
}

/// Those of these names that there are.
async fn texts(database: &Database, ids: &[String]) -> Result<Vec<StoredRevision>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("SELECT name, loaded_at, text FROM revisions WHERE name IN ");
    sql.list(ids.iter().map(String::as_str));
    database.fetch(sql).await?.into_iter().map(stored).collect()
}

/// Loads before then go, but for the last of each revision. How many went.
pub(super) async fn forget_loads(tx: &mut Transaction, before: Timestamp, unheld: Sql) -> Result<usize, StoreError> {
    let mut sql = Sql::new("DELETE FROM revision_loads AS x WHERE x.at < ");
    sql.bind(before.0).append(unheld);
    sql.push(" AND (x.revision, x.at) NOT IN (SELECT l.revision, max(l.at) FROM revision_loads l GROUP BY l.revision)");
    sql.push(" RETURNING 1");
    Ok(tx.fetch(sql).await?.len())
}

fn load(mut row: Row) -> Result<Load, StoreError> {
    let replica = Some(row.uuid(2)?).filter(|replica| !replica.is_nil());
    let clusters = row.opt_text(3)?.map(|clusters| serde_json::from_str(&clusters)).transpose()?.unwrap_or_default();
    Ok(Load { at: Timestamp(row.int(0)?), revision: row.text(1)?, replica, clusters })
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
