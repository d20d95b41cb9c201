//! Which workloads of a span a rule judged, whatever its text was then.
//!
//! What is kept of a workload and a version of a policy is when that first and last judged it: it counts as judged in the
//! span where the two reach into it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Store;
use super::census::{places, reviewed};
use super::database::Database;
use super::error::StoreError;
use super::key;
use super::read::Scope;
use super::sql::{FOR_EACH_JOIN, Sql};
use crate::policy::readiness::Asked;
use crate::policy::readiness::evidence::{Known, Place};
use crate::review::clock::Timestamp;

/// Of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// Workloads whose reviews reach into the span.
    pub known: u64,
    /// Of them, those that it judged.
    pub judged: u64,
    /// The first of the others, by place in [`Coverage::known`].
    pub missed: Vec<usize>,
}

/// Of several rules, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    pub places: Vec<Place>,
    /// By cluster, namespace and name.
    pub known: Vec<Known>,
    pub rules: Vec<Covered>,
}

/// Which rules, by their places in what was asked for, were in the same versions.
type Rules = BTreeSet<usize>;

// === impl Store ===

impl Store {
    /// Which workloads of the scope's span and place these rules judged, whatever their texts were then; names at most `named`
    /// of those that a rule missed.
    pub async fn coverage(&self, scope: &Scope, asked: &[Asked], named: usize) -> Result<Coverage, StoreError> {
        coverage(&self.database, scope, asked, named).await
    }
}

/// Of the scope's span and place; names at most `named` of those that a rule missed.
async fn coverage(database: &Database, scope: &Scope, asked: &[Asked], named: usize) -> Result<Coverage, StoreError> {
    let (places, numbers) = places(database, scope).await?;
    let mut known = reviewed(database, scope, &numbers).await?;
    known.sort_by_cached_key(|one| {
        let Place { cluster, namespace, .. } = &places[one.place];
        (cluster.clone(), namespace.clone(), one.workload.clone())
    });
    let (rules, versions) = versions(database, asked).await?;
    let mut judged: Vec<HashSet<i64>> = vec![HashSet::new(); rules.len()];
    if !versions.is_empty() && !known.is_empty() {
        let mut sql = Sql::new("WITH asked(version, rules) AS (");
        sql.rows_of_numbers(versions).push(&format!(
            ") SELECT a.rules, t.workload FROM asked a {FOR_EACH_JOIN} workload_judged t WHERE t.version = a.version"
        ));
        if scope.namespace.is_some() {
            sql.push(" AND t.namespace IN ").numbers(numbers.keys().copied());
        }
        sql.push(" AND t.last_key >= ").bind(key::start(scope.since.unwrap_or(Timestamp(0))));
        if let Some(until) = scope.until {
            sql.push(" AND t.first_key < ").bind(key::start(until));
        }
        sql.push(" GROUP BY a.rules, t.workload");
        for row in database.fetch(sql).await? {
            let at = usize::try_from(row.count(0)?).unwrap_or(usize::MAX);
            if let Some(workloads) = judged.get_mut(at) {
                workloads.insert(row.int(1)?);
            }
        }
    }
    let of_rule = |rule: usize| {
        let judged: Vec<&HashSet<i64>> =
            rules.iter().zip(&judged).filter(|(rules, _)| rules.contains(&rule)).map(|(_, judged)| judged).collect();
        let is_judged = |one: &Known| one.id.is_some_and(|id| judged.iter().any(|judged| judged.contains(&id)));
        let mut missed: Vec<usize> =
            known.iter().enumerate().filter(|(_, one)| !is_judged(one)).map(|(at, _)| at).collect();
        let judged = (known.len() - missed.len()) as u64;
        missed.truncate(named);
        Covered { known: known.len() as u64, judged, missed }
    };
    let rules = (0..asked.len()).map(of_rule).collect();
    Ok(Coverage { places, known, rules })
}

/// Sets of rules, and each version that any of them was in with the place of its set.
async fn versions(database: &Database, asked: &[Asked]) -> Result<(Vec<Rules>, Vec<[i64; 2]>), StoreError> {
    let mut by_policy: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, one) in asked.iter().enumerate() {
        by_policy.entry(&one.policy).or_default().push(at);
    }
    let texts = texts(database, &by_policy).await?;
    let mut of_versions: BTreeMap<i64, Rules> = BTreeMap::new();
    let text = "SELECT p.name, v.name, v.id FROM versions v JOIN policies p ON p.id = v.policy";
    for mut row in database.fetch(Sql::new(text)).await? {
        let (policy, version, id) = (row.text(0)?, row.text(1)?, row.int(2)?);
        for &at in by_policy.get(policy.as_str()).into_iter().flatten() {
            let one = &asked[at];
            // Only where rules have texts of their own is it known which of them a version had.
            let has = one.text.is_none()
                || one.version == version
                || texts.contains(&(policy.clone(), one.rule.clone(), version.clone()));
            if has {
                of_versions.entry(id).or_default().insert(at);
            }
        }
    }
    let sets: Vec<Rules> = of_versions.values().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let place = |rules: &Rules| i64::try_from(sets.partition_point(|set| set < rules)).unwrap_or(i64::MAX);
    let versions = of_versions.iter().map(|(id, rules)| [*id, place(rules)]).collect();
    Ok((sets, versions))
}

/// Policy, rule and version of each text that a rule ever had.
async fn texts(
    database: &Database,
    by_policy: &HashMap<&str, Vec<usize>>,
) -> Result<HashSet<(String, String, String)>, StoreError> {
    let mut texts = HashSet::new();
    if by_policy.is_empty() {
        return Ok(texts);
    }
    let mut sql = Sql::new("SELECT policy, rule, version FROM rule_texts WHERE policy IN ");
    sql.list(by_policy.keys().copied());
    for mut row in database.fetch(sql).await? {
        texts.insert((row.text(0)?, row.text(1)?, row.text(2)?));
    }
    Ok(texts)
}
