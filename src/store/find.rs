//! Names that hold a text: what filters can be made of.

use super::database::Database;
use super::error::StoreError;
use super::reach::within;
use super::read::{Few, Names, Scope};
use super::sql::{Row, Sql};
use crate::review::workload::Workload;

/// Names of each kind that are found.
const FOUND: usize = 8;

/// Namespaces and workloads of the place that the scope names, all others of everywhere. To who may see a part of the history
/// nothing is told of images and users, which are of all namespaces.
pub(super) async fn names(database: &Database, scope: &Scope, text: &str) -> Result<Names, StoreError> {
    let like = |column: &str| like(database, column, text);
    let of_place = |select: &str, column: &str| {
        let mut sql = Sql::new(select);
        sql.push(" WHERE ").append(like(column)).append(within(scope));
        sql
    };
    let everywhere = |select: &str, column: &str| {
        let mut sql = Sql::new(select);
        sql.push(" WHERE ").append(like(column));
        sql
    };
    let of_all = |select: &str, column: &str| {
        let mut sql = everywhere(select, column);
        if !scope.reach.is_everything() {
            sql.push(" AND 1 = 0");
        }
        sql
    };
    let namespaces = of_place("SELECT c.name, n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster", "n.name");
    let workloads = of_place(
        "SELECT c.name, n.name, l.kind, l.name FROM workloads l JOIN namespaces n ON n.id = l.namespace \
         JOIN clusters c ON c.id = n.cluster",
        "l.name",
    );
    let rules = "SELECT p.name, r.name FROM rules r JOIN policies p ON p.id = r.policy";
    let name = |mut row: Row| row.text(0);
    let pair = |mut row: Row| Ok((row.text(0)?, row.text(1)?));
    let workload = |mut row: Row| Ok((row.text(0)?, row.text(1)?, Workload { kind: row.text(2)?, name: row.text(3)? }));
    Ok(Names {
        namespaces: few(database, namespaces, "n.name, c.name", pair).await?,
        workloads: few(database, workloads, "l.name, n.name, c.name", workload).await?,
        repositories: few(database, of_all("SELECT r.name FROM repositories r", "r.name"), "r.name", name).await?,
        images: few(database, of_all("SELECT m.text FROM images m", "m.text"), "m.text", name).await?,
        users: few(database, of_all("SELECT u.name FROM users u", "u.name"), "u.name", name).await?,
        rules: few(database, everywhere(rules, "r.name"), "r.name, p.name", pair).await?,
    })
}

/// As it is written, or in small letters, as most names are.
fn like(database: &Database, column: &str, text: &str) -> Sql {
    let mut sql = Sql::new("(");
    sql.append(database.glob(column, &format!("*{text}*"))).push(" OR ");
    sql.append(database.glob(column, &format!("*{}*", text.to_lowercase()))).push(")");
    sql
}

async fn few<T>(
    database: &Database,
    mut sql: Sql,
    order: &str,
    read: impl Fn(Row) -> Result<T, StoreError>,
) -> Result<Few<T>, StoreError> {
    sql.push(&format!(" ORDER BY {order} LIMIT {}", FOUND + 1));
    let mut rows = database.fetch(sql).await?;
    let is_more = rows.len() > FOUND;
    rows.truncate(FOUND);
    Ok(Few { names: rows.into_iter().map(read).collect::<Result<_, _>>()?, is_more })
}
