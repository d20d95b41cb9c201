//! What is hit: rules, namespaces and repositories in a span, beside as long a span before it.

use super::database::Database;
use super::error::StoreError;
use super::figures::{IN_PIECE, Span, but_dry_runs};
use super::read::{Hit, Hits, Ranking, Rejections, Scope, Slice, Which};
use super::sql::{FOR_EACH_JOIN, Row};
use crate::review::clock::Timestamp;

/// Where the rows of a table of hits come from.
struct Source {
    /// The column that says what a row `t` is of.
    subject: &'static str,
    standing: &'static str,
    tables: String,
    /// Which rows are of a place `s`.
    within: &'static str,
    /// Its name and its cluster's, of rows `names` that are of a subject `h`.
    name: &'static str,
    cluster: &'static str,
    names: &'static str,
}

/// Those that are asked for, the most rejected first.
pub(super) async fn ranking(
    database: &Database,
    of: Hits,
    scope: &Scope,
    (which, slice): (Which, Slice),
    now: Timestamp,
) -> Result<Ranking, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let before = span.before(now);
    let (since, until, since_before) = (span.since, span.until, before.since);
    let found = |hits, all, rejecting| Ranking { since, until, since_before, hits, all, rejecting };
    let Some(mut sql) = span.with_pieces_of_both(&before) else { return Ok(found(Vec::new(), 0, 0)) };
    let Source { subject, standing, tables, within, name, cluster, names } = Source::of(database, of, span.is_part);
    let dry_runs = but_dry_runs(scope.dry_run);
    let sum =
        |past: i64, column: &str| format!("CAST(sum(CASE WHEN h.past = {past} THEN h.{column} ELSE 0 END) AS BIGINT)");
    let columns =
        [(0, "reviews"), (0, "would_reject"), (0, "denied"), (0, "standing"), (1, "would_reject"), (1, "denied")];
    let columns = columns.map(|(past, column)| sum(past, column)).join(", ");
    let asked = match which {
        Which::Hit => "rejected > 0 OR denied > 0",
        Which::New => "(rejected > 0 OR denied > 0) AND rejected_before = 0 AND denied_before = 0",
        Which::Seen => "reviews > 0",
    };
    // Put together by number first: a name is looked up and compared once for each, not for each of their buckets.
    sql.push(&format!(
        ", hits(subject, past, reviews, would_reject, denied, standing) AS (\
         SELECT {subject}, s.past, sum(t.reviews), sum(t.would_reject), sum(t.denied), {standing} \
         FROM pieces s {FOR_EACH_JOIN} {tables} WHERE {within} AND {IN_PIECE}{dry_runs} GROUP BY {subject}, s.past), \
         named(name, cluster, reviews, rejected, denied, standing, rejected_before, denied_before) AS (\
         SELECT {name}, {cluster}, {columns} FROM hits h JOIN {names} GROUP BY 1, 2) \
         SELECT n.*, count(*) OVER (), CAST(sum(CASE WHEN rejected > 0 THEN 1 ELSE 0 END) OVER () AS BIGINT) FROM named n WHERE {asked} ORDER BY rejected DESC, denied DESC, name, cluster"
    ));
    sql.push(" LIMIT ").bind(i64::from(slice.limit)).push(" OFFSET ").bind(slice.skip);
    let rows = database.fetch(sql).await?;
    let counted = |at| rows.first().map_or(Ok(0), |row: &Row| row.count(at));
    let (all, rejecting) = (counted(8)?, counted(9)?);
    Ok(found(rows.into_iter().map(hit).collect::<Result<_, _>>()?, all, rejecting))
}

/// Which rows of a namespace `n` are of a place `s`. A part is of namespaces that have names.
pub(super) fn within_namespaces(is_part: bool) -> &'static str {
    match is_part {
        true => "n.id = s.namespace AND t.namespace = n.id",
        false => "n.cluster = s.cluster AND (s.namespace = 0 OR n.id = s.namespace) AND t.namespace = n.id",
    }
}

// === impl Source ===

impl Source {
    fn of(database: &Database, of: Hits, is_part: bool) -> Self {
        let rolled = |subject, standing, table: &str, name, names| Self {
            subject,
            standing,
            tables: format!("{table} t"),
            within: "t.namespace = s.namespace",
            name,
            cluster: "''",
            names,
        };
        let of_namespaces = |within, cluster, names| Self {
            subject: "t.namespace",
            standing: "0",
            tables: format!(
                "namespaces n {}",
                database.looked_up("rollup_totals", &format!("t.namespace = n.id AND {IN_PIECE}"))
            ),
            within,
            name: "n.name",
            cluster,
            names,
        };
        match of {
            Hits::Rules => rolled(
                "t.rule",
                "sum(t.standing)",
                "rollup_rules",
                "p.name || '/' || r.name",
                "rules r ON r.id = h.subject JOIN policies p ON p.id = r.policy",
            ),
            Hits::Repositories => {
                rolled("t.repository", "0", "rollup_repositories", "r.name", "repositories r ON r.id = h.subject")
            }
            Hits::Namespaces | Hits::Places if is_part => of_namespaces(
                within_namespaces(is_part),
                if of == Hits::Places { "c.name" } else { "''" },
                "namespaces n ON n.id = h.subject JOIN clusters c ON c.id = n.cluster",
            ),
            Hits::Namespaces => of_namespaces(
                "n.cluster = s.cluster AND n.name <> '' AND (s.namespace = 0 OR n.id = s.namespace) AND t.namespace = n.id",
                "''",
                "namespaces n ON n.id = h.subject",
            ),
            Hits::Places => of_namespaces(
                within_namespaces(is_part),
                "c.name",
                "namespaces n ON n.id = h.subject JOIN clusters c ON c.id = n.cluster",
            ),
        }
    }
}

fn hit(mut row: Row) -> Result<Hit, StoreError> {
    Ok(Hit {
        name: row.text(0)?,
        cluster: Some(row.text(1)?).filter(|cluster| !cluster.is_empty()),
        reviews: row.count(2)?,
        would_reject: row.count(3)?,
        denied: row.count(4)?,
        standing: row.count(5)?,
        before: Rejections { would_reject: row.count(6)?, denied: row.count(7)? },
    })
}
