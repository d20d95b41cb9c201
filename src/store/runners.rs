//! What runs an image as written, by inventories.

use super::database::Database;
use super::error::StoreError;
use super::inventory::Contents;
use super::read::{Runner, Runners, Scope};
use super::sql::{Row, Sql};

/// Rows `i` of images, with their inventories `v` and workloads `w`.
pub(super) const FROM_INVENTORIES: &str = " FROM inventory_images i CROSS JOIN inventories v \
     CROSS JOIN inventory_workloads w WHERE v.id = i.inventory AND w.inventory = i.inventory AND w.place = i.place";

/// A namespace of a cluster's newest inventory.
struct Place {
    inventory: i64,
    namespace: String,
}

/// ` AND ..`, of those rows: what the scope names, without regard to what is in reach.
pub(super) fn named(scope: &Scope) -> Sql {
    let mut sql = Sql::default();
    if let Some(cluster) = &scope.cluster {
        sql.push(" AND v.cluster = ").bind(cluster.as_str());
    }
    if let Some(namespace) = &scope.namespace {
        sql.push(" AND w.namespace = ").bind(namespace.as_str());
    }
    sql
}

/// By the newest inventory of each cluster.
pub(super) async fn of(database: &Database, image: &str, scope: &Scope, limit: u16) -> Result<Runners, StoreError> {
    let most = usize::from(limit) + 1;
    let places = places(database, image, scope, most).await?;
    if places.is_empty() {
        return Ok(Runners { rows: Vec::new(), is_more: false });
    }
    let mut sql = Sql::new("SELECT v.cluster, v.id, w.namespace, w.contents, i.digest");
    sql.push(FROM_INVENTORIES).push(" AND i.image = ").bind(image).push(" AND (");
    for (at, Place { inventory, namespace }) in places.into_iter().enumerate() {
        sql.push(if at == 0 { "(v.id = " } else { " OR (v.id = " }).bind(inventory);
        sql.push(" AND w.namespace = ").bind(namespace).push(")");
    }
    sql.push(") ORDER BY v.cluster, w.namespace, w.place, i.digest LIMIT ").bind(most as i64);
    let mut rows = database.fetch(sql).await?;
    let is_more = rows.len() == most;
    rows.truncate(limit.into());
    Ok(Runners { rows: rows.into_iter().map(runner).collect::<Result<_, _>>()?, is_more })
}

/// The first that are in reach, in their order: in each the image runs.
async fn places(database: &Database, image: &str, scope: &Scope, most: usize) -> Result<Vec<Place>, StoreError> {
    let mut sql = Sql::new("SELECT DISTINCT v.cluster, v.id, w.namespace");
    sql.push(FROM_INVENTORIES).push(" AND i.image = ").bind(image).append(named(scope)).push(
        " AND NOT EXISTS (SELECT 1 FROM inventories y WHERE y.cluster = v.cluster \
         AND (y.at > v.at OR (y.at = v.at AND y.id > v.id))) ORDER BY v.cluster, w.namespace",
    );
    let mut places = Vec::new();
    for mut row in database.fetch(sql).await? {
        let (cluster, inventory, namespace) = (row.text(0)?, row.int(1)?, row.text(2)?);
        if scope.reach.covers(&cluster, &namespace) {
            places.push(Place { inventory, namespace });
        }
        if places.len() == most {
            break;
        }
    }
    Ok(places)
}

fn runner(mut row: Row) -> Result<Runner, StoreError> {
    let Contents { workload, pods, .. } = serde_json::from_str(&row.text(3)?)?;
    Ok(Runner {
        cluster: row.text(0)?,
        inventory: row.int(1)?,
        namespace: row.text(2)?,
        workload,
        pods,
        digest: Some(row.text(4)?).filter(|digest| !digest.is_empty()),
    })
}
