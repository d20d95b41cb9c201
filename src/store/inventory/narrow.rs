//! An inventory as far as somebody may see it: what it comes to, counted over the namespaces in reach.

use std::collections::BTreeMap;

use super::super::database::Database;
use super::super::error::StoreError;
use super::super::reach::Reach;
use super::super::sql::{Row, Sql};
use super::read::{self, Stored};
use super::{Coverage, Figures, Outlook};

/// Those of a cluster, newest first; at most so many.
pub(in crate::store) async fn of_cluster(
    database: &Database,
    cluster: &str,
    reach: &Reach,
    most: usize,
) -> Result<Vec<Stored>, StoreError> {
    if !reach.touches(cluster) {
        return Ok(Vec::new());
    }
    let mut kept = read::of_cluster(database, cluster, most).await?;
    if reach.is_everything() || kept.is_empty() {
        return Ok(kept);
    }
    let ids: Vec<i64> = kept.iter().map(|stored| stored.id).collect();
    let names = in_reach(database, cluster, &ids, reach).await?;
    let mut figures = figures(database, &ids, &names).await?;
    for stored in &mut kept {
        stored.account.figures = figures.remove(&stored.id).unwrap_or_default();
        let namespaces = stored.account.figures.namespaces;
        narrow(&mut stored.account.coverage, cluster, namespaces, reach);
    }
    Ok(kept)
}

/// The namespaces of an inventory that are in reach; `None`: all.
pub(in crate::store) async fn names(
    database: &Database,
    of: &Stored,
    reach: &Reach,
) -> Result<Option<Vec<String>>, StoreError> {
    if reach.is_everything() {
        return Ok(None);
    }
    in_reach(database, &of.cluster, &[of.id], reach).await.map(Some)
}

async fn in_reach(
    database: &Database,
    cluster: &str,
    inventories: &[i64],
    reach: &Reach,
) -> Result<Vec<String>, StoreError> {
    // A namespace of which only pods are there has a row, too.
    let mut sql = Sql::new("SELECT DISTINCT name FROM inventory_namespaces WHERE inventory IN ");
    sql.list(inventories.iter().copied());
    let rows = database.fetch(sql).await?;
    let mut names = rows.into_iter().map(|mut row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    names.retain(|name| reach.covers(cluster, name));
    Ok(names)
}

/// By the number of the inventory.
async fn figures(
    database: &Database,
    inventories: &[i64],
    names: &[String],
) -> Result<BTreeMap<i64, Figures>, StoreError> {
    let mut found: BTreeMap<i64, Figures> = BTreeMap::new();
    if names.is_empty() {
        return Ok(found);
    }
    let within = |sql: &mut Sql, column: &str| {
        sql.list(inventories.iter().copied());
        sql.push(&format!(" AND {column} IN ")).list(names.iter().map(String::as_str));
    };
    let mut sql =
        Sql::new("SELECT inventory, count(*), CAST(sum(pods) AS BIGINT) FROM inventory_namespaces WHERE inventory IN ");
    within(&mut sql, "name");
    sql.push(" GROUP BY inventory");
    for row in database.fetch(sql).await? {
        let figures = found.entry(row.int(0)?).or_default();
        (figures.namespaces, figures.pods) = (row.count(1)?, row.count(2)?);
    }
    let mut sql =
        Sql::new("SELECT inventory, outlook, unreviewed, count(*) FROM inventory_workloads WHERE inventory IN ");
    within(&mut sql, "namespace");
    sql.push(" GROUP BY inventory, outlook, unreviewed");
    for row in database.fetch(sql).await? {
        add(found.entry(row.int(0)?).or_default(), &row)?;
    }
    Ok(found)
}

fn add(figures: &mut Figures, row: &Row) -> Result<(), StoreError> {
    let (outlook, number) = (row.int(1)?, row.count(3)?);
    figures.workloads += number;
    figures.unreviewed += if row.flag(2)? { number } else { 0 };
    let of_outlook = match Outlook::ALL.into_iter().find(|known| *known as i64 == outlook) {
        Some(Outlook::Refused) => &mut figures.refused,
        Some(Outlook::Unjudged) => &mut figures.unjudged,
        Some(Outlook::Warned) => &mut figures.warned,
        Some(Outlook::Audited) => &mut figures.audited,
        Some(Outlook::Exempted) => &mut figures.exempted,
        Some(Outlook::Clear) | None => return Ok(()),
    };
    *of_outlook += number;
    Ok(())
}

/// What could not be read, or was not in the input, is of no namespace that anybody knows: that stays. Counts of what was
/// read are of all namespaces.
fn narrow(coverage: &mut Coverage, cluster: &str, namespaces: u64, reach: &Reach) {
    let is_of_others = coverage.only_namespace.as_ref().is_some_and(|only| !reach.covers(cluster, only));
    if is_of_others {
        coverage.only_namespace = None;
    }
    // Of others alone: whether those in reach are covered is not known then.
    coverage.namespaces = if is_of_others || coverage.namespaces == 0 { 0 } else { namespaces.max(1) };
    coverage.done_pods = 0;
    coverage.others.clear();
}
