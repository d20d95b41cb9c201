//! What is read for a census of workloads: who is known, and what the evidence of rules says.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::database::Database;
use super::error::StoreError;
use super::key;
use super::reach::within;
use super::read::Scope;
use super::running;
use super::sql::{FOR_EACH_JOIN, Row, Sql};
use crate::policy::readiness::Asked;
use crate::policy::readiness::evidence::{Against, Evidence, Known, Moment, OfRule, Place};
use crate::review::clock::Timestamp;
use crate::review::workload::Workload;

/// By its number in the history, its place in [`Evidence::places`].
pub(super) type Numbers = HashMap<i64, usize>;

/// Versions of one policy, by their numbers.
type Versions = BTreeSet<i64>;

/// When one of some versions judged: by workload, and by place for the first time.
type Judged = (Arc<HashMap<i64, Moment>>, Arc<HashMap<usize, Timestamp>>);

/// What stands against a rule by some versions: by workload, and by place the last time that anything was not exempted.
type Violated = (HashMap<i64, Against>, HashMap<usize, Timestamp>);

/// Of the scope's namespaces. Who was reviewed last before its beginning, or first after its end, is not known of it; rules are
/// asked as they are now.
pub(super) async fn evidence(database: &Database, scope: &Scope, asked: &[Asked]) -> Result<Evidence, StoreError> {
    let since = scope.since.unwrap_or(Timestamp(0));
    let ((mut places, numbers), versions) = tokio::try_join!(places(database, scope), versions(database, asked))?;
    let ids = |versions: &[(i64, String)]| -> Versions { versions.iter().map(|(id, _)| *id).collect() };
    let wanted: Vec<Versions> = versions.iter().map(|versions| ids(versions)).collect();
    // Each is of tens of thousands of rows in a large fleet.
    let (mut known, judged, against) = tokio::try_join!(
        reviewed(database, scope, &numbers),
        judged(database, scope, &wanted, &numbers),
        against(database, scope, asked, &wanted, &numbers)
    )?;
    running::add(database, scope, since, &mut places, &mut known).await?;
    let mut against = against.into_iter();
    let mut rules = Vec::with_capacity(asked.len());
    for ((one, versions), ids) in asked.iter().zip(versions).zip(&wanted) {
        let (judged, judging_since) = judged[ids].clone();
        let (against, last_violation) = against.next().unwrap_or_default();
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

pub(super) async fn places(database: &Database, scope: &Scope) -> Result<(Vec<Place>, Numbers), StoreError> {
    let text = "SELECT n.id, c.name, n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster WHERE 1 = 1";
    let mut sql = Sql::new(text);
    sql.append(within(scope));
    let (mut places, mut numbers) = (Vec::new(), Numbers::new());
    for mut row in database.fetch(sql).await? {
        let (id, cluster, namespace) = (row.int(0)?, row.text(1)?, row.text(2)?);
        numbers.insert(id, places.len());
        places.push(Place { cluster, namespace, recorded: None });
    }
    Ok((places, numbers))
}

/// Those whose reviews reach into the scope's span; dry runs are none.
pub(super) async fn reviewed(database: &Database, scope: &Scope, numbers: &Numbers) -> Result<Vec<Known>, StoreError> {
    let mut of_span = Sql::new(" HAVING max(t.last_at) >= ");
    of_span.bind(scope.since.map_or(0, |since| since.0));
    if let Some(until) = scope.until {
        of_span.push(" AND min(t.first_at) < ").bind(until.0);
    }
    let mut sql = Sql::new("SELECT w.namespace, w.id, w.kind, w.name, ");
    match scope.namespace {
        // There are as many as there are clusters.
        Some(_) if numbers.is_empty() => return Ok(Vec::new()),
        Some(_) => {
            sql.push(&format!(
                "max(t.last_at) FROM workloads w {FOR_EACH_JOIN} workload_totals t WHERE w.namespace IN "
            ));
            sql.numbers(numbers.keys().copied());
            sql.push(" AND t.workload = w.id AND t.dry_run = FALSE GROUP BY w.namespace, w.id, w.kind, w.name");
            sql.append(of_span);
        }
        // Put together in the order of the index first: a name is looked up for each, and never sorted by.
        None => {
            sql.push("h.at FROM (SELECT t.workload AS workload, max(t.last_at) AS at FROM workload_totals t ");
            sql.push("WHERE t.dry_run = FALSE GROUP BY t.workload").append(of_span);
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

/// Adds ` AND ..` of a table of evidence `t`: the namespaces that the scope names, of which there are as many as clusters.
fn of_namespaces(sql: &mut Sql, scope: &Scope, numbers: &Numbers) {
    if scope.namespace.is_some() {
        sql.push(" AND t.namespace IN ").numbers(numbers.keys().copied());
    }
}

/// By the versions that are wanted.
async fn judged(
    database: &Database,
    scope: &Scope,
    wanted: &[Versions],
    numbers: &Numbers,
) -> Result<BTreeMap<Versions, Judged>, StoreError> {
    let mut judged: BTreeMap<Versions, Judged> = BTreeMap::new();
    for versions in wanted {
        if let Entry::Vacant(place) = judged.entry(versions.clone()) {
            let read = read_judged(database, scope, place.key(), numbers).await?;
            place.insert(read);
        }
    }
    Ok(judged)
}

async fn read_judged(
    database: &Database,
    scope: &Scope,
    versions: &Versions,
    numbers: &Numbers,
) -> Result<Judged, StoreError> {
    let (mut last, mut first) = (HashMap::new(), HashMap::new());
    if versions.is_empty() || numbers.is_empty() {
        return Ok((Arc::new(last), Arc::new(first)));
    }
    let mut sql =
        Sql::new("SELECT t.namespace, t.workload, min(t.first_key), max(t.last_key) FROM workload_judged t WHERE");
    sql.push(" t.version IN ").numbers(versions.iter().copied());
    of_namespaces(&mut sql, scope, numbers);
    // In the order of the table, where nothing has to be sorted: there are tens of thousands.
    sql.push(" GROUP BY t.version, t.namespace, t.workload");
    for row in database.fetch(sql).await? {
        let Some(&place) = numbers.get(&row.int(0)?) else { continue };
        let judged = moment(row.int(3)?);
        let known = last.entry(row.int(1)?).or_insert(judged);
        *known = judged.max(*known);
        let at = key::at(row.int(2)?);
        let known = first.entry(place).or_insert(at);
        *known = at.min(*known);
    }
    Ok((Arc::new(last), Arc::new(first)))
}

/// In the order of the rules that are asked for; `versions` are of each.
async fn against(
    database: &Database,
    scope: &Scope,
    asked: &[Asked],
    versions: &[Versions],
    numbers: &Numbers,
) -> Result<Vec<Violated>, StoreError> {
    let mut found: Vec<Violated> = asked.iter().map(|_| Violated::default()).collect();
    if asked.is_empty() || numbers.is_empty() {
        return Ok(found);
    }
    let ids = rule_numbers(database, asked).await?;
    let mut of_rule: HashMap<i64, usize> = HashMap::new();
    let mut wanted = Vec::new();
    for (at, (one, versions)) in asked.iter().zip(versions).enumerate() {
        let Some(&rule) = ids.get(&(one.policy.clone(), one.rule.clone())) else { continue };
        of_rule.insert(rule, at);
        wanted.extend(versions.iter().map(|version| [rule, *version]));
    }
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut sql = Sql::new(
        "SELECT t.rule, t.namespace, t.workload, max(t.last_key), max(t.exempted_key) FROM workload_against t \
         WHERE (t.rule, t.version) IN (",
    );
    sql.rows_of_numbers(wanted).push(")");
    of_namespaces(&mut sql, scope, numbers);
    sql.push(" GROUP BY t.rule, t.namespace, t.workload");
    for row in database.fetch(sql).await? {
        let (Some(&place), Some(&rule)) = (numbers.get(&row.int(1)?), of_rule.get(&row.int(0)?)) else { continue };
        let (open, exempted) = (at(&row, 3)?, at(&row, 4)?);
        let (against, last) = &mut found[rule];
        against.insert(row.int(2)?, Against { open, exempted });
        if let Some(Moment { at, .. }) = open {
            let known = last.entry(place).or_insert(at);
            *known = at.max(*known);
        }
    }
    Ok(found)
}

/// By policy and rule, as far as they were ever violated.
async fn rule_numbers(database: &Database, asked: &[Asked]) -> Result<HashMap<(String, String), i64>, StoreError> {
    let policies: BTreeSet<&str> = asked.iter().map(|one| one.policy.as_str()).collect();
    let mut sql =
        Sql::new("SELECT p.name, r.name, r.id FROM rules r JOIN policies p ON p.id = r.policy WHERE p.name IN ");
    sql.list(policies);
    let number = |mut row: Row| Ok(((row.text(0)?, row.text(1)?), row.int(2)?));
    database.fetch(sql).await?.into_iter().map(number).collect()
}

/// 0 is none.
fn at(row: &Row, column: usize) -> Result<Option<Moment>, StoreError> {
    Ok(Some(row.int(column)?).filter(|key| *key != 0).map(moment))
}

fn moment(key: i64) -> Moment {
    Moment { at: key::at(key), key }
}
