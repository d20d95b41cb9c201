//! The last review of a workload, and which policies judged it.
//!
//! No index leads from a workload to its decisions. But its totals hold the time of its last one, and that is all of the
//! decision's key but for its last bits: a look into one millisecond of the table's own order, whatever its size.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::super::database::Database;
use super::super::error::StoreError;
use super::super::key;
use super::super::sql::{FOR_EACH_JOIN, Row, Sql, Value};
use crate::review::clock::Timestamp;
use crate::review::decision::{PolicyVerdict, Verdict};
use crate::review::workload::Workload;

/// Looked up in one statement.
const LOOKED_UP: usize = 500;

/// Dry runs are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReview {
    pub at: Timestamp,
    /// Local policies that judged it, and in which version. Empty too where its decision is deleted.
    pub judges: Vec<(String, String)>,
}

/// A workload's number in the history, and when it was last reviewed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    place: usize,
    workload: i64,
    at: Timestamp,
}

pub(super) async fn of(
    database: &Database,
    cluster: &str,
    workloads: &[(String, Workload)],
) -> Result<Vec<Option<LastReview>>, StoreError> {
    let mut reviews = vec![None; workloads.len()];
    let mut seen = Vec::new();
    let mut start = 0;
    for wanted in workloads.chunks(LOOKED_UP) {
        seen.extend(last_seen(database, cluster, wanted, start).await?);
        start += wanted.len();
    }
    // So that what is looked for in one statement is of few days.
    seen.sort_by_key(|seen| seen.at);
    let mut outcomes = HashMap::new();
    for seen in seen.chunks(LOOKED_UP) {
        let found = decided(database, seen).await?;
        read_outcomes(database, found.values().map(|(_, outcome)| *outcome), &mut outcomes).await?;
        for seen in seen {
            let outcome = found.get(&seen.place).and_then(|(_, outcome)| outcomes.get(outcome));
            let judges = outcome.cloned().unwrap_or_default();
            reviews[seen.place] = Some(LastReview { at: seen.at, judges });
        }
    }
    Ok(reviews)
}

/// Those that the history knows. `start` is the place of the first.
async fn last_seen(
    database: &Database,
    cluster: &str,
    wanted: &[(String, Workload)],
    start: usize,
) -> Result<Vec<Seen>, StoreError> {
    let rows = wanted.iter().enumerate().map(|(at, (namespace, workload))| -> [Value; 4] {
        let place = (start + at) as i64;
        [place.into(), namespace.as_str().into(), workload.kind.as_str().into(), workload.name.as_str().into()]
    });
    let mut sql = Sql::new("WITH wanted (place, namespace, kind, name) AS (");
    sql.values(rows).push(") SELECT v.place, w.id, max(t.last_at) FROM wanted v ");
    sql.push(&format!("{FOR_EACH_JOIN} clusters c {FOR_EACH_JOIN} namespaces n {FOR_EACH_JOIN} workloads w "));
    sql.push(&format!("{FOR_EACH_JOIN} workload_totals t WHERE c.name = ")).bind(cluster);
    sql.push(" AND n.cluster = c.id AND n.name = v.namespace AND w.namespace = n.id AND w.kind = v.kind ");
    sql.push("AND w.name = v.name AND t.workload = w.id AND t.dry_run = FALSE GROUP BY v.place, w.id");
    let seen = |row: Row| {
        let place = usize::try_from(row.int(0)?).map_err(StoreError::broken)?;
        Ok(Seen { place, workload: row.int(1)?, at: Timestamp(row.int(2)?) })
    };
    database.fetch(sql).await?.into_iter().map(seen).collect()
}

/// By place: the key of the last decision of each, and its outcome.
async fn decided(database: &Database, seen: &[Seen]) -> Result<HashMap<usize, (i64, i64)>, StoreError> {
    let Some(sql) = of_their_milliseconds(database, seen.iter().map(|seen| seen.at)) else { return Ok(HashMap::new()) };
    let mut found: HashMap<usize, (i64, i64)> = HashMap::new();
    for row in database.fetch(sql).await? {
        let at = usize::try_from(row.int(0)?).map_err(StoreError::broken)?;
        let (key, outcome, workload, dry_run) = (row.int(1)?, row.int(2)?, row.int(3)?, row.flag(4)?);
        let Some(seen) = seen.get(at).filter(|seen| seen.workload == workload && !dry_run) else { continue };
        let newest = found.entry(seen.place).or_insert((key, outcome));
        *newest = (*newest).max((key, outcome));
    }
    Ok(found)
}

/// All decisions of these milliseconds, in order, each with the number of its own. They are a few, and which of them are
/// wanted is told later: a test of anything but the key has SQLite make an index of the whole table for it.
pub(in crate::store) fn of_their_milliseconds(
    database: &Database,
    times: impl Iterator<Item = Timestamp>,
) -> Option<Sql> {
    let spans: Vec<(i64, i64)> = times.map(|at| (key::start(at), key::start(Timestamp(at.0 + 1)))).collect();
    let (first, last) = (spans.first()?.0, spans.last()?.1);
    let row = |(at, (low, high)): (usize, &(i64, i64))| -> [i64; 3] { [at as i64, *low, *high] };
    // With the ends of all, in numbers, so that a plan on Postgres names the days between them and no others.
    let condition = format!("t.key >= v.low AND t.key < v.high AND t.key >= {first} AND t.key < {last}");
    let mut sql = Sql::new("WITH wanted (place, low, high) AS (");
    sql.values(spans.iter().enumerate().map(row));
    sql.push(") SELECT v.place, t.key, t.outcome, t.workload, t.dry_run FROM wanted v ");
    sql.push(&database.looked_up("decisions", &condition)).push("WHERE ").push(&condition);
    Some(sql)
}

/// Of each outcome the local policies that judged, with their versions.
async fn read_outcomes(
    database: &Database,
    wanted: impl Iterator<Item = i64>,
    known: &mut HashMap<i64, Vec<(String, String)>>,
) -> Result<(), StoreError> {
    let wanted: BTreeSet<i64> = wanted.filter(|id| !known.contains_key(id)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("SELECT id, verdicts FROM outcomes WHERE id IN ");
    sql.list(wanted);
    for mut row in database.fetch(sql).await? {
        let verdicts: Vec<PolicyVerdict> = serde_json::from_str(&row.text(1)?)?;
        let judged = |verdict: PolicyVerdict| match verdict.verdict {
            Verdict::Allow | Verdict::Deny => Some((verdict.policy, verdict.version?)),
            // It had nothing to judge, or could not.
            Verdict::None | Verdict::Error | Verdict::Pending => None,
        };
        known.insert(row.int(0)?, verdicts.into_iter().filter_map(judged).collect());
    }
    Ok(())
}

// === impl LastReview ===

impl LastReview {
    /// Whether this version of the policy judged it.
    pub fn is_by(&self, policy: &str, version: &str) -> bool {
        self.judges.iter().any(|(name, own)| name == policy && own == version)
    }
}
