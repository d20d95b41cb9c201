//! What stands against the workloads of one namespace, by workload and rule, in whole days.

use std::collections::{BTreeSet, HashMap};

use super::bucket::Day;
use super::database::Database;
use super::error::StoreError;
use super::examples;
use super::outcome::Outcome;
use super::read::{Against, AgainstPage, Example, Scope, Slice};
use super::sql::{FOR_EACH_JOIN, Row, Sql};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{PolicyVerdict, Violation};
use crate::review::workload::Workload;

/// A row, and the numbers of its workload and its rule.
struct Found {
    workload: i64,
    rule: i64,
    against: Against,
}

/// Of the namespace and the cluster that the scope names, those that are hit most first. `None`: there is no such
/// namespace.
pub(super) async fn page(database: &Database, scope: &Scope, slice: Slice) -> Result<Option<AgainstPage>, StoreError> {
    let (cluster, name) =
        (scope.cluster.as_deref().unwrap_or_default(), scope.namespace.as_deref().unwrap_or_default());
    if !scope.reach.covers(cluster, name) {
        return Ok(None);
    }
    let (since, until) = days(scope);
    let mut sql = Sql::new(
        "WITH found(workload, rule, last_at, reviews, denied, rejected, standing) AS (\
         SELECT x.workload, x.rule, max(x.last_at), CAST(sum(x.reviews) AS BIGINT), CAST(sum(x.denied) AS BIGINT), \
         CAST(sum(x.would_reject) AS BIGINT), CAST(sum(x.standing) AS BIGINT) ",
    );
    sql.push(&format!("FROM workloads l {FOR_EACH_JOIN} workload_rules x WHERE l.namespace = "));
    sql.push("(").append(number(cluster, name)).push(")");
    sql.push(" AND x.workload = l.id AND NOT x.dry_run AND x.day >= ").bind(since.0);
    sql.push(" AND x.day < ").bind(until.0).push(
        " GROUP BY x.workload, x.rule) \
         SELECT f.workload, l.kind, l.name, p.name, r.name, f.last_at, f.denied, f.rejected, f.standing, f.rule, \
         count(*) OVER () \
         FROM found f JOIN workloads l ON l.id = f.workload JOIN rules r ON r.id = f.rule \
         JOIN policies p ON p.id = r.policy WHERE f.rejected > 0 OR f.denied > 0 OR f.standing > 0 \
         ORDER BY f.rejected + f.denied DESC, f.standing DESC, l.name, l.kind, p.name, r.name LIMIT ",
    );
    sql.bind(i64::from(slice.limit)).push(" OFFSET ").bind(slice.skip);
    let rows = database.fetch(sql).await?;
    let all = rows.first().map_or(Ok(0), |row| row.count(10))?;
    if rows.is_empty() && database.fetch(number(cluster, name)).await?.is_empty() {
        return Ok(None);
    }
    let mut found = rows.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let first_at = first_at(database, &found).await?;
    for Found { workload, rule, against } in &mut found {
        against.first_at = first_at.get(&(*workload, *rule)).copied().unwrap_or(against.first_at);
    }
    examples(database, &mut found).await?;
    Ok(Some(AgainstPage { since, until, rows: found.into_iter().map(|one| one.against).collect(), all }))
}

/// Whole days, UTC.
pub(super) fn days(scope: &Scope) -> (Timestamp, Timestamp) {
    let since = scope.since.map_or(Timestamp(0), |since| Day::of(since).0);
    let end = |until: Timestamp| {
        let day = Day::of(until);
        if day.0 == until { until } else { day.next().0 }
    };
    (since, scope.until.map_or_else(|| Day::of(Timestamp::now()).next().0, end))
}

/// Of a namespace.
fn number(cluster: &str, name: &str) -> Sql {
    let mut sql = Sql::new("SELECT n.id FROM namespaces n JOIN clusters c ON c.id = n.cluster WHERE c.name = ");
    sql.bind(cluster).push(" AND n.name = ").bind(name);
    sql
}

fn row(mut row: Row) -> Result<Found, StoreError> {
    let against = Against {
        workload: Workload { kind: row.text(1)?, name: row.text(2)? },
        policy: row.text(3)?,
        rule: row.text(4)?,
        first_at: Timestamp(row.int(5)?),
        last_at: Timestamp(row.int(5)?),
        denied: row.count(6)?,
        would_reject: row.count(7)?,
        standing: row.count(8)?,
        example: None,
    };
    Ok(Found { workload: row.int(0)?, rule: row.int(9)?, against })
}

/// Since when each stands there, by workload and rule, of all times: of the rows of a page alone, by their workloads.
async fn first_at(database: &Database, found: &[Found]) -> Result<HashMap<(i64, i64), Timestamp>, StoreError> {
    if found.is_empty() {
        return Ok(HashMap::new());
    }
    let workloads: BTreeSet<i64> = found.iter().map(|one| one.workload).collect();
    let mut sql = Sql::new("SELECT y.workload, y.rule, min(y.first_at) FROM workload_rules y WHERE y.workload IN ");
    sql.list(workloads).push(" AND NOT y.dry_run GROUP BY y.workload, y.rule");
    let first = |row: &Row| Ok(((row.int(0)?, row.int(1)?), Timestamp(row.int(2)?)));
    database.fetch(sql).await?.iter().map(first).collect()
}

/// The last decision of each, which says why.
async fn examples(database: &Database, found: &mut [Found]) -> Result<(), StoreError> {
    let said = examples::at(database, found.iter().map(|one| (one.workload, one.against.last_at))).await?;
    for Found { workload, against, .. } in found {
        for (id, verdicts) in said.get(&(*workload, against.last_at)).into_iter().flatten() {
            let verdicts = Outcome::join(verdicts, None)?;
            against.example = example(*id, &verdicts, against);
            if against.example.is_some() {
                break;
            }
        }
    }
    Ok(())
}

/// What its verdicts say of the rule: of images that the request brought, else of those that were there before.
fn example(decision: DecisionId, verdicts: &[PolicyVerdict], against: &Against) -> Option<Example> {
    let verdict = verdicts.iter().find(|verdict| verdict.policy == against.policy)?;
    let of_rule = |violation: &&Violation| violation.rule == against.rule;
    let first = verdict.violations.iter().chain(&verdict.standing).find(of_rule)?;
    let mut images = Vec::new();
    for image in verdict.violations.iter().chain(&verdict.standing).filter(of_rule).filter_map(|one| one.image.as_ref())
    {
        if !images.contains(image) {
            images.push(image.clone());
        }
    }
    let Violation { mode, message, help, exempted, .. } = first;
    let is_exempted = exempted.is_some();
    Some(Example { decision, images, mode: *mode, message: message.clone(), help: help.clone(), is_exempted })
}
