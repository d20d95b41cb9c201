//! What pages and the API ask of inventories.

use std::collections::{BTreeMap, BTreeSet};

use super::super::database::Database;
use super::super::error::StoreError;
use super::super::reach::Reach;
use super::super::sql::{Row, Sql};
use super::{Account, Contents, Outlook};
use crate::review::clock::Timestamp;

/// One of the inventories that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub id: i64,
    pub cluster: String,
    pub at: Timestamp,
    pub account: Account,
}

/// Which workloads a list shows. Absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub outlook: Option<Outlook>,
    /// Those that a policy judged no review of since it was loaded, or the others.
    pub unreviewed: Option<bool>,
    pub namespace: Option<String>,
}

/// A workload in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands in its inventory: a list goes on after it.
    pub place: i64,
    pub namespace: String,
    /// Of its namespace; `None` where they are not known.
    pub labels: Option<BTreeMap<String, String>>,
    pub contents: Contents,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The heaviest outlook first, then by namespace, kind and name.
    pub workloads: Vec<Listed>,
    /// The place after which the next page begins; `None` at the end.
    pub next: Option<i64>,
}

type Labels = Option<BTreeMap<String, String>>;

/// Clusters that have an inventory, in alphabetical order.
pub(in crate::store) async fn clusters(database: &Database, reach: &Reach) -> Result<Vec<String>, StoreError> {
    let rows = database.fetch(Sql::new("SELECT DISTINCT cluster FROM inventories ORDER BY cluster")).await?;
    let mut clusters = rows.into_iter().map(|mut row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    clusters.retain(|cluster| reach.touches(cluster));
    Ok(clusters)
}

/// Those of a cluster, newest first; at most so many.
pub(in crate::store) async fn of_cluster(
    database: &Database,
    cluster: &str,
    most: usize,
) -> Result<Vec<Stored>, StoreError> {
    let mut sql = Sql::new("SELECT id, cluster, at, contents FROM inventories WHERE cluster = ");
    sql.bind(cluster).push(" ORDER BY at DESC, id DESC LIMIT ").bind(most as i64);
    database.fetch(sql).await?.into_iter().map(stored).collect()
}

/// At most `limit` workloads of an inventory, after the place; only those in these namespaces, where names are given.
pub(in crate::store) async fn page(
    database: &Database,
    inventory: i64,
    (shown, names): (&Shown, Option<Vec<String>>),
    limit: u16,
    after: Option<i64>,
) -> Result<Page, StoreError> {
    let mut sql = Sql::new("SELECT place, namespace, contents FROM inventory_workloads WHERE inventory = ");
    sql.bind(inventory).push(" AND place > ").bind(after.unwrap_or(-1));
    if let Some(outlook) = shown.outlook {
        sql.push(" AND outlook = ").bind(outlook as i64);
    }
    if let Some(unreviewed) = shown.unreviewed {
        sql.push(" AND unreviewed = ").bind(unreviewed);
    }
    if let Some(namespace) = &shown.namespace {
        sql.push(" AND namespace = ").bind(namespace.as_str());
    }
    match names {
        None => {}
        Some(names) if names.is_empty() => return Ok(Page { workloads: Vec::new(), next: None }),
        Some(names) => {
            sql.push(" AND namespace IN ").list(names);
        }
    }
    sql.push(" ORDER BY place LIMIT ").bind(i64::from(limit) + 1);
    let mut rows = database.fetch(sql).await?;
    let is_more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let mut workloads: Vec<Listed> = rows.into_iter().map(listed).collect::<Result<_, _>>()?;
    let labels = labels(database, inventory, workloads.iter().map(|one| one.namespace.as_str())).await?;
    for one in &mut workloads {
        one.labels = labels.get(&one.namespace).cloned().flatten();
    }
    let next = workloads.last().filter(|_| is_more).map(|last| last.place);
    Ok(Page { workloads, next })
}

/// How many workloads of a namespace have each outlook, in the order of [`Outlook::ALL`].
pub(in crate::store) async fn outlooks(
    database: &Database,
    inventory: i64,
    namespace: &str,
) -> Result<[u64; 6], StoreError> {
    let mut sql = Sql::new("SELECT outlook, count(*) FROM inventory_workloads WHERE inventory = ");
    sql.bind(inventory).push(" AND namespace = ").bind(namespace).push(" GROUP BY outlook");
    let mut counts = [0; 6];
    for row in database.fetch(sql).await? {
        let outlook = row.int(0)?;
        if let Some(at) = Outlook::ALL.iter().position(|one| *one as i64 == outlook) {
            counts[at] = row.count(1)?;
        }
    }
    Ok(counts)
}

async fn labels(
    database: &Database,
    inventory: i64,
    namespaces: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, Labels>, StoreError> {
    let namespaces: BTreeSet<&str> = namespaces.collect();
    if namespaces.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut sql = Sql::new("SELECT name, labels FROM inventory_namespaces WHERE inventory = ");
    sql.bind(inventory).push(" AND name IN ").list(namespaces);
    let labels = |mut row: Row| -> Result<(String, Labels), StoreError> {
        let labels = row.opt_text(1)?;
        Ok((row.text(0)?, labels.map(|text| serde_json::from_str(&text)).transpose()?))
    };
    database.fetch(sql).await?.into_iter().map(labels).collect()
}

fn stored(mut row: Row) -> Result<Stored, StoreError> {
    let account = serde_json::from_str(&row.text(3)?)?;
    Ok(Stored { id: row.int(0)?, cluster: row.text(1)?, at: Timestamp(row.int(2)?), account })
}

fn listed(mut row: Row) -> Result<Listed, StoreError> {
    let contents = serde_json::from_str(&row.text(2)?)?;
    Ok(Listed { place: row.int(0)?, namespace: row.text(1)?, labels: None, contents })
}
