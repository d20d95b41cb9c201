//! Ranges of an index: how they are bounded and ordered, and many of them as one.
//!
//! Two indexes of decisions are ordered by spans of the key instead of the key (`0005_indexes.sql`).

use super::super::sql::Sql;
use super::super::stretch::Bounds;

/// As in the indexes' expression.
const BITS: u32 = 39;
const SPAN: &str = "CAST(d.key >> 39 AS INTEGER)";

/// The order by key, newest first, as those indexes have it.
pub(in super::super) const NEWEST: &str = "CAST(d.key >> 39 AS INTEGER) DESC, d.key DESC";

/// ` AND ..`: that the key of `d` is in the bounds, as those indexes find it.
pub(in super::super) fn within(bounds: Bounds) -> Sql {
    let mut sql = bounds.of("d");
    sql.push(&format!(" AND {SPAN} >= ")).bind(bounds.from >> BITS);
    sql.push(&format!(" AND {SPAN} <= ")).bind(bounds.below.saturating_sub(1) >> BITS);
    sql
}

/// The keys of many ranges of `rows`, each where its column has one of the numbers. The newest `most` of them, in their
/// order, are the newest of each range; it is planned once for all.
pub(in super::super) fn merged(rows: &str, ids: &[i64], bounded: Sql, order: &str, most: usize) -> Sql {
    let mut sql = Sql::new("SELECT DISTINCT newest.key AS key FROM (");
    sql.values(ids.iter().map(|&id| [id])).push(") AS one(id) CROSS JOIN LATERAL (SELECT d.key FROM ");
    sql.push(rows).push(" = one.id").append(bounded).push(&format!(" ORDER BY {order} LIMIT ")).bind(most as i64);
    sql.push(") AS newest ORDER BY key DESC LIMIT ").bind(most as i64);
    sql
}

/// Likewise, all of them, in no order; what is in two ranges comes twice.
pub(in super::super) fn of_any(rows: &str, ids: &[i64], bounded: Sql) -> Sql {
    let mut sql = Sql::new(&format!("SELECT d.key AS key FROM {rows} IN "));
    sql.list(ids.iter().copied()).append(bounded);
    sql
}
