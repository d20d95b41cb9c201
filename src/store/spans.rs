//! Gaps, and counts of reviews that were not judged.

use std::collections::{BTreeMap, HashSet};

use super::batch::Unjudged;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::fact::Names;
use super::presence;
use super::read::Range;
use super::sql::{Insert, Row, Sql};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Gap;

/// Ids looked up in one statement.
const LOOKED_UP: usize = 1_000;

/// The later word on a gap takes the place of the earlier.
pub(super) async fn upsert_gaps<'a>(
    tx: &mut Transaction,
    gaps: impl Iterator<Item = &'a Gap>,
    names: &Names,
) -> Result<(), StoreError> {
    let mut insert = Insert::into(
        "gaps",
        &["id", "cluster", "from_at", "to_at", "count", "reason"],
        "ON CONFLICT (id) DO UPDATE SET cluster = excluded.cluster, from_at = excluded.from_at, \
         to_at = excluded.to_at, count = excluded.count, reason = excluded.reason",
    );
    for gap in gaps {
        insert.row([
            gap.id.into(),
            gap.cluster.as_deref().map(|cluster| names.cluster(cluster)).transpose()?.into(),
            gap.from.0.into(),
            gap.to.map(|to| to.0).into(),
            gap.count.into(),
            gap.reason.as_str().into(),
        ]);
    }
    tx.insert(insert).await
}

/// Answers those that were not there before.
pub(super) async fn insert_unjudged<'a>(
    tx: &mut Transaction,
    unjudged: &BTreeMap<DecisionId, Unjudged<'a>>,
    names: &Names,
) -> Result<Vec<Unjudged<'a>>, StoreError> {
    let ids: Vec<DecisionId> = unjudged.keys().copied().collect();
    let mut stored = HashSet::new();
    for ids in ids.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id FROM unjudged WHERE id IN ");
        sql.list(ids.iter().copied());
        for row in tx.fetch(sql).await? {
            stored.insert(row.id(0)?);
        }
    }
    let mut insert = Insert::into("unjudged", &["id", "cluster", "bucket", "count"], "");
    let mut new = Vec::new();
    for (id, counted) in unjudged.iter().filter(|(id, _)| !stored.contains(id)) {
        insert.row([
            (*id).into(),
            names.cluster(counted.cluster)?.into(),
            counted.bucket.0.into(),
            counted.count.into(),
        ]);
        new.push(*counted);
    }
    tx.insert(insert).await?;
    Ok(new)
}

/// Those that touch the range, of `cluster` (of any, when `None`) and of every cluster; oldest first. Where no replica
/// was running is one of them.
pub(super) async fn gaps(
    database: &Database,
    range: Range,
    cluster: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Gap>, StoreError> {
    let mut sql = Sql::new(
        "SELECT g.id, c.name, g.from_at, g.to_at, g.count, g.reason FROM gaps g \
         LEFT JOIN clusters c ON c.id = g.cluster WHERE g.from_at < ",
    );
    sql.bind(range.until.map_or(i64::MAX, |until| until.0));
    sql.push(" AND (g.to_at IS NULL OR g.to_at >= ").bind(range.since.map_or(i64::MIN, |since| since.0)).push(")");
    if let Some(cluster) = cluster {
        sql.push(" AND (g.cluster IS NULL OR c.name = ").bind(cluster).push(")");
    }
    sql.push(" ORDER BY g.from_at, g.id");
    let mut gaps = database.fetch(sql).await?.into_iter().map(gap).collect::<Result<Vec<_>, _>>()?;
    gaps.extend(presence::gaps(database, range, cluster, now).await?);
    gaps.sort_by_key(|gap| (gap.from, gap.id));
    Ok(gaps)
}

fn gap(mut row: Row) -> Result<Gap, StoreError> {
    let count = row.opt_int(4)?;
    Ok(Gap {
        id: row.id(0)?,
        cluster: row.opt_text(1)?,
        from: Timestamp(row.int(2)?),
        to: row.opt_int(3)?.map(Timestamp),
        count: count.map(|_| row.count(4)).transpose()?,
        reason: row.text(5)?,
    })
}
