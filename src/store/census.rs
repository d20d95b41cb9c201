//! What is read for a census of workloads: who is known, and what the evidence of rules says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::database::Database;
use super::error::StoreError;
use super::key;
use super::read::Scope;
use super::running;
use super::sql::{FOR_EACH_JOIN, Row, Sql};
use crate::policy::readiness::Asked;
use crate::policy::readiness::evidence::{Against, Evidence, Known, Moment, OfRule, Place};
use crate::review::clock::Timestamp;
use crate::review::decision::UNDECLARED;
use crate::review::workload::Workload;

/// By its number in the history, its place in [`Evidence::places`].
type Numbers = HashMap<i64, usize>;

/// Versions of one policy, by their numbers.
type Versions = BTreeSet<i64>;

/// When one of some versions judged: by workload, and by cluster for the first time.
type Judged = (Arc<HashMap<i64, Moment>>, Arc<HashMap<String, Timestamp>>);

/// Of the scope's namespaces. Who was reviewed before the scope's beginning is not known of it; its end is now.
pub(super) async fn evidence(database: &Database, scope: &Scope, asked: &[Asked]) -> Result<Evidence, StoreError> {
    let since = scope.since.unwrap_or(Timestamp(0));
    let (mut places, numbers) = places(database, scope).await?;
    let mut known = reviewed(database, scope, since, &numbers).await?;
    running::add(database, scope, since, &mut places, &mut known).await?;
    let mut judged: BTreeMap<Versions, Judged> = BTreeMap::new();
    let mut rules = Vec::with_capacity(asked.len());
    for (one, versions) in asked.iter().zip(versions(database, asked).await?) {
        let ids: Versions = versions.iter().map(|(id, _)| *id).collect();
        let of_it = match judged.get(&ids) {
            Some(known) => known.clone(),
            None => {
                let read = read_judged(database, scope, &ids, &places, &numbers).await?;
                judged.insert(ids.clone(), read.clone());
                read
            }
        };
        let (against, last_violation) = against(database, scope, one, &ids, &numbers).await?;
        let (judged, judging_since) = of_it;
        // What an inventory was judged by may have judged no review yet.
        let own = (!one.is_of_webhook()).then(|| one.version.clone());
        let versions = versions.into_iter().map(|(_, name)| name).chain(own).collect();
        rules.push(OfRule { versions, judged, judging_since, against, last_violation });
    }
    let since = since_when(database).await?;
    Ok(Evidence { places, known, rules, since })
}

/// When the history began to take decisions for evidence, where it holds any of before.
async fn since_when(database: &Database) -> Result<Option<Timestamp>, StoreError> {
    let mut sql = Sql::new("SELECT h.before FROM horizons h WHERE h.kind = ");
    sql.bind(super::horizon::EVIDENCE);
    sql.push(" AND EXISTS (SELECT 1 FROM workload_totals t WHERE t.first_at < h.before)");
    database.fetch(sql).await?.first().map(|row| Ok(Timestamp(row.int(0)?))).transpose()
}

/// Adds ` AND ..` for what the scope names: of `namespaces n` and `clusters c`.
fn within(sql: &mut Sql, scope: &Scope) {
    match &scope.cluster {
        Some(cluster) => sql.push(" AND c.name = ").bind(cluster.as_str()),
        None => sql.push(" AND c.name <> ").bind(UNDECLARED),
    };
    if let Some(namespace) = &scope.namespace {
        sql.push(" AND n.name = ").bind(namespace.as_str());
    }
}

async fn places(database: &Database, scope: &Scope) -> Result<(Vec<Place>, Numbers), StoreError> {
    let text = "SELECT n.id, c.name, n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster WHERE 1 = 1";
    let mut sql = Sql::new(text);
    within(&mut sql, scope);
    let (mut places, mut numbers) = (Vec::new(), Numbers::new());
    for mut row in database.fetch(sql).await? {
        let (id, cluster, namespace) = (row.int(0)?, row.text(1)?, row.text(2)?);
        if scope.reach.covers(&cluster, &namespace) {
            numbers.insert(id, places.len());
            places.push(Place { cluster, namespace, recorded: None });
        }
    }
    Ok((places, numbers))
}

/// Since then; dry runs are none.
async fn reviewed(
    database: &Database,
    scope: &Scope,
    since: Timestamp,
    numbers: &Numbers,
) -> Result<Vec<Known>, StoreError> {
    let mut sql = Sql::new("SELECT w.namespace, w.id, w.kind, w.name, ");
    match scope.namespace {
        // There are as many as there are clusters.
        Some(_) if numbers.is_empty() => return Ok(Vec::new()),
        Some(_) => {
            sql.push(&format!(
                "max(t.last_at) FROM workloads w {FOR_EACH_JOIN} workload_totals t WHERE w.namespace IN "
            ));
            sql.list(numbers.keys().copied());
            sql.push(" AND t.workload = w.id AND t.dry_run = FALSE AND t.last_at >= ").bind(since.0);
            sql.push(" GROUP BY w.namespace, w.id, w.kind, w.name");
        }
        // Put together in the order of the index first: a name is looked up for each, and never sorted by.
        None => {
            sql.push("h.at FROM (SELECT t.workload AS workload, max(t.last_at) AS at FROM workload_totals t ");
            sql.push("WHERE t.dry_run = FALSE GROUP BY t.workload HAVING max(t.last_at) >= ").bind(since.0);
            sql.push(&format!(") AS h {FOR_EACH_JOIN} workloads w WHERE w.id = h.workload"));
        }
    }
    let mut known = Vec::new();
    for mut row in database.fetch(sql).await? {
        let Some(&place) = numbers.get(&row.int(0)?) else { continue };
        known.push(Known {
            place,
            id: Some(row.int(1)?),
            workload: Workload { kind: row.text(2)?, name: row.text(3)? },
            reviewed_at: Some(Timestamp(row.int(4)?)),
            running: None,
        });
    }
    Ok(known)
}

/// Of each rule that is asked for, the versions of its policy under which its text was what it is now: number and name.
async fn versions(database: &Database, asked: &[Asked]) -> Result<Vec<Vec<(i64, String)>>, StoreError> {
    let text = "SELECT p.name, v.name, v.id FROM versions v JOIN policies p ON p.id = v.policy";
    let mut numbers: HashMap<(String, String), i64> = HashMap::new();
    for mut row in database.fetch(Sql::new(text)).await? {
        numbers.insert((row.text(0)?, row.text(1)?), row.int(2)?);
    }
    let texts = rule_texts(database, asked).await?;
    let of = |one: &Asked| -> Vec<(i64, String)> {
        let alike = texts.get(&(one.policy.clone(), one.rule.clone()));
        let names: BTreeSet<&String> = alike.into_iter().flatten().chain([&one.version]).collect();
        let number = |name: &String| Some((*numbers.get(&(one.policy.clone(), name.clone()))?, name.clone()));
        names.into_iter().filter_map(number).collect()
    };
    Ok(asked.iter().map(of).collect())
}

/// By policy and rule, the names of versions under which the rule's text was the one that is asked for.
async fn rule_texts(
    database: &Database,
    asked: &[Asked],
) -> Result<HashMap<(String, String), Vec<String>>, StoreError> {
    /// Looked up in one statement.
    const AT_ONCE: usize = 300;
    let mut texts: HashMap<(String, String), Vec<String>> = HashMap::new();
    let wanted: Vec<[&str; 3]> =
        asked.iter().filter_map(|one| Some([one.policy.as_str(), one.rule.as_str(), one.text.as_deref()?])).collect();
    for wanted in wanted.chunks(AT_ONCE) {
        let mut sql = Sql::new("SELECT policy, rule, version FROM rule_texts WHERE (policy, rule, text) IN (");
        sql.values(wanted.iter().copied()).push(")");
        for mut row in database.fetch(sql).await? {
            texts.entry((row.text(0)?, row.text(1)?)).or_default().push(row.text(2)?);
        }
    }
    Ok(texts)
}

/// Adds ` WHERE ..` of a table of evidence `t`: its versions, and the namespaces that the scope names.
fn of_versions(sql: &mut Sql, scope: &Scope, versions: &Versions, numbers: &Numbers) {
    sql.push(" t.version IN ").list(versions.iter().copied());
    if scope.namespace.is_some() {
        // There are as many as there are clusters.
        sql.push(" AND t.namespace IN ").list(numbers.keys().copied());
    }
}

async fn read_judged(
    database: &Database,
    scope: &Scope,
    versions: &Versions,
    places: &[Place],
    numbers: &Numbers,
) -> Result<Judged, StoreError> {
    let (mut last, mut first) = (HashMap::new(), HashMap::new());
    if versions.is_empty() || numbers.is_empty() {
        return Ok((Arc::new(last), Arc::new(first)));
    }
    let mut sql =
        Sql::new("SELECT t.namespace, t.workload, min(t.first_key), max(t.last_key) FROM workload_judged t WHERE");
    of_versions(&mut sql, scope, versions, numbers);
    sql.push(" GROUP BY t.namespace, t.workload");
    for row in database.fetch(sql).await? {
        let Some(&place) = numbers.get(&row.int(0)?) else { continue };
        last.insert(row.int(1)?, moment(row.int(3)?));
        let at = key::at(row.int(2)?);
        let known = first.entry(places[place].cluster.clone()).or_insert(at);
        *known = at.min(*known);
    }
    Ok((Arc::new(last), Arc::new(first)))
}

async fn against(
    database: &Database,
    scope: &Scope,
    asked: &Asked,
    versions: &Versions,
    numbers: &Numbers,
) -> Result<(HashMap<i64, Against>, HashMap<usize, Timestamp>), StoreError> {
    let (mut against, mut last): (HashMap<_, _>, HashMap<usize, Timestamp>) = Default::default();
    if versions.is_empty() || numbers.is_empty() {
        return Ok((against, last));
    }
    let mut sql = Sql::new("SELECT r.id FROM rules r JOIN policies p ON p.id = r.policy WHERE p.name = ");
    sql.bind(asked.policy.as_str()).push(" AND r.name = ").bind(asked.rule.as_str());
    let Some(rule) = database.fetch(sql).await?.first().map(|row| row.int(0)).transpose()? else {
        return Ok((against, last));
    };
    let mut sql = Sql::new(
        "SELECT t.namespace, t.workload, max(t.last_key), max(t.exempted_key) FROM workload_against t WHERE t.rule = ",
    );
    sql.bind(rule).push(" AND");
    of_versions(&mut sql, scope, versions, numbers);
    sql.push(" GROUP BY t.namespace, t.workload");
    for row in database.fetch(sql).await? {
        let Some(&place) = numbers.get(&row.int(0)?) else { continue };
        let (open, exempted) = (at(&row, 2)?, at(&row, 3)?);
        against.insert(row.int(1)?, Against { open, exempted });
        if let Some(Moment { at, .. }) = open {
            let known = last.entry(place).or_insert(at);
            *known = at.max(*known);
        }
    }
    Ok((against, last))
}

/// 0 is none.
fn at(row: &Row, column: usize) -> Result<Option<Moment>, StoreError> {
    Ok(Some(row.int(column)?).filter(|key| *key != 0).map(moment))
}

fn moment(key: i64) -> Moment {
    Moment { at: key::at(key), key }
}
