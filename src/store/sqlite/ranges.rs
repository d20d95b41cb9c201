//! Many ranges of an index as one.

use super::super::sql::Sql;

/// The keys of many ranges of `rows`, each where its column has one of the numbers; the newest `most` of them, in their
/// order. Each range is named: of a list of numbers SQLite reads all that it has, in no order.
pub(in super::super) fn merged(rows: &str, ids: &[i64], bounded: Sql, order: &str, most: usize) -> Sql {
    let newest = |sql: &mut Sql, order: &str| {
        sql.push(&format!(" ORDER BY {order} LIMIT ")).bind(most as i64);
    };
    let mut sql = Sql::new("SELECT key FROM (");
    for (at, &id) in ids.iter().enumerate() {
        sql.push(if at == 0 { "SELECT key FROM (" } else { " UNION SELECT key FROM (" });
        sql.append(range(rows, id, bounded.clone()));
        newest(&mut sql, order);
        sql.push(&format!(") AS arm{at}"));
    }
    sql.push(") AS merged");
    newest(&mut sql, "key DESC");
    sql
}

/// Likewise, all of them, in no order; what is in two ranges comes twice.
pub(in super::super) fn of_any(rows: &str, ids: &[i64], bounded: Sql) -> Sql {
    let mut sql = Sql::default();
    for (at, &id) in ids.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " UNION ALL " }).append(range(rows, id, bounded.clone()));
    }
    sql
}

fn range(rows: &str, id: i64, bounded: Sql) -> Sql {
    let mut sql = Sql::new(&format!("SELECT d.key AS key FROM {rows} = "));
    sql.bind(id).append(bounded);
    sql
}
