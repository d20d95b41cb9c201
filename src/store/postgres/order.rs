//! The spans by which two indexes of decisions are ordered instead of by their keys (`0002_decisions.sql`).

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
