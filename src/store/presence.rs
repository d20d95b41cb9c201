//! When replicas served which clusters, and so when none did.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::fact::Names;
use super::read::Range;
use super::replica::{self, ReplicaNumbers};
use super::sql::{Insert, Sql};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Gap;

/// A replica says that it is there every 15 s, and its word may take as long again to be stored.
const SILENCE: i64 = 60_000;

/// A replica that was heard of this long ago may be running, with more to say than is stored.
const RUNNING: i64 = 600_000;

/// From and to.
type Span = (Timestamp, Timestamp);

/// The later word on a span wins.
pub(super) async fn upsert(
    tx: &mut Transaction,
    presence: &BTreeMap<(Uuid, &str, Timestamp), Timestamp>,
    names: &Names,
    replicas: &ReplicaNumbers,
) -> Result<(), StoreError> {
    let mut insert = Insert::into(
        "presence",
        &["cluster", "replica", "from_at", "to_at"],
        "ON CONFLICT (cluster, replica, from_at) DO UPDATE SET to_at = CASE WHEN excluded.to_at > presence.to_at \
         THEN excluded.to_at ELSE presence.to_at END",
    );
    for ((replica, cluster, from), to) in presence {
        let replica = replica::number(replicas, *replica)?;
        insert.row([names.cluster(cluster)?.into(), replica.into(), from.0.into(), to.0.into()]);
    }
    tx.insert(insert).await
}

/// The spans in the range in which no replica served a cluster that one had served before, oldest first.
pub(super) async fn gaps(
    database: &Database,
    range: Range,
    cluster: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Gap>, StoreError> {
    let since = range.since.unwrap_or(Timestamp(i64::MIN));
    let until = range.until.unwrap_or(now).min(stored_until(database, now).await?);
    let silences = spans(database, since, range.until, cluster).await?;
    let silences = silences.iter().flat_map(|(cluster, spans)| {
        let quiet = silences_in(spans, until);
        quiet.into_iter().map(move |(from, to)| gap(cluster, from, to))
    });
    let mut gaps: Vec<Gap> = silences.filter(|gap| gap.to.is_none_or(|to| to >= since)).collect();
    gaps.sort_by_key(|gap| (gap.from, gap.id));
    Ok(gaps)
}

/// How many clusters but those that are `served` nobody serves now that somebody served before.
pub(super) async fn silent(database: &Database, served: &[String], now: Timestamp) -> Result<u64, StoreError> {
    let found = gaps(database, Range { since: Some(now), until: None }, None, now).await?;
    let is_open = |gap: &&Gap| gap.to.is_none() && gap.cluster.as_ref().is_none_or(|of| !served.contains(of));
    Ok(found.iter().filter(is_open).count() as u64)
}

/// Until when all is stored that running replicas have to say of their presence, and `now` at the latest.
async fn stored_until(database: &Database, now: Timestamp) -> Result<Timestamp, StoreError> {
    let mut sql = Sql::new("SELECT min(drained_until) FROM replicas WHERE seen_at >= ");
    sql.bind(now.0.saturating_sub(RUNNING));
    let until = database.fetch(sql).await?.first().map_or(Ok(None), |row| row.opt_int(0))?;
    Ok(until.map_or(now, |until| now.min(Timestamp(until))))
}

/// By cluster, in the order of their starts. Those that began before the range are one: it says whether the range begins
/// with a gap.
async fn spans(
    database: &Database,
    since: Timestamp,
    until: Option<Timestamp>,
    cluster: Option<&str>,
) -> Result<BTreeMap<String, Vec<Span>>, StoreError> {
    let mut sql = Sql::new(
        "SELECT c.name, p.from_at, p.to_at FROM (SELECT cluster, min(from_at) AS from_at, max(to_at) AS to_at \
         FROM presence WHERE from_at < ",
    );
    sql.bind(since.0)
        .push(" GROUP BY cluster UNION ALL SELECT cluster, from_at, to_at FROM presence WHERE from_at >= ");
    sql.bind(since.0).push(" AND from_at < ").bind(until.map_or(i64::MAX, |until| until.0));
    sql.push(") p JOIN clusters c ON c.id = p.cluster");
    if let Some(cluster) = cluster {
        sql.push(" WHERE c.name = ").bind(cluster);
    }
    sql.push(" ORDER BY c.name, p.from_at");
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for mut row in database.fetch(sql).await? {
        spans.entry(row.text(0)?).or_default().push((Timestamp(row.int(1)?), Timestamp(row.int(2)?)));
    }
    Ok(spans)
}

/// What spans, ordered by their starts, leave free of what is known, which is up to `until`; the last is still open where
/// nobody came since.
fn silences_in(spans: &[Span], until: Timestamp) -> Vec<(Timestamp, Option<Timestamp>)> {
    let mut silences = Vec::new();
    let Some(&(_, mut covered)) = spans.first() else { return silences };
    let known = spans.partition_point(|(from, _)| *from <= until);
    for &(from, to) in spans[..known].iter().skip(1) {
        if from > covered {
            silences.push((covered, Some(from)));
        }
        covered = covered.max(to);
    }
    if until.0.saturating_sub(covered.0) > SILENCE {
        silences.push((covered, spans.get(known).map(|(from, _)| *from)));
    }
    silences
}

fn gap(cluster: &str, from: Timestamp, to: Option<Timestamp>) -> Gap {
    Gap {
        id: id(cluster, from),
        cluster: Some(cluster.to_owned()),
        from,
        to,
        count: None,
        reason: "no replica was running".to_owned(),
    }
}

/// The same each time that it is read.
fn id(cluster: &str, from: Timestamp) -> DecisionId {
    let digest = Sha256::new().chain_update(cluster).chain_update(from.0.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    DecisionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spans: &[(i64, i64)], until: i64) -> Vec<(i64, Option<i64>)> {
        let spans: Vec<Span> = spans.iter().map(|&(from, to)| (Timestamp(from), Timestamp(to))).collect();
        silences_in(&spans, Timestamp(until)).iter().map(|(from, to)| (from.0, to.map(|to| to.0))).collect()
    }

    #[test]
    fn what_spans_leave_free_is_silence() {
        assert_eq!(found(&[], 1_000_000), []);
        assert_eq!(found(&[(0, 100), (100, 200), (50, 150)], 200), []);
        assert_eq!(found(&[(0, 100), (20, 50), (130, 200), (140, 150)], 60_200), [(100, Some(130))]);
        assert_eq!(found(&[(0, 100)], 60_101), [(100, None)]);
    }

    #[test]
    fn what_is_not_stored_yet_is_no_silence() {
        assert_eq!(found(&[(0, 100), (70_000, 80_000)], 50_000), []);
        assert_eq!(found(&[(0, 100), (70_000, 80_000)], 65_000), [(100, Some(70_000))]);
    }
}
