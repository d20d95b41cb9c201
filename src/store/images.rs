//! Images as written: who asked for them, when, and what runs them.

use std::collections::HashMap;

use super::database::Database;
use super::error::StoreError;
use super::inventory::Contents;
use super::key;
use super::outcome::Outcome;
use super::reach::Reach;
use super::read::{
    Asker, Askers, Broken, Reference, References, Referred, RepositorySeen, Runner, Runners, Scope, Slice,
};
use super::sql::{Row, Sql};
use crate::review::clock::Timestamp;
use crate::review::decision::UNDECLARED;
use crate::review::workload::Workload;

/// A decision that says what an image breaks: it is found by its workload and its time.
type Place = (i64, Timestamp);

/// ` JOIN ..`, of rows `w` of `image_workloads`, and a test of their place.
const OF_PLACE: &str = " JOIN workloads l ON l.id = w.workload JOIN namespaces n ON n.id = l.namespace \
     JOIN clusters c ON c.id = n.cluster";

/// Rows `i` of images, with their inventories `v` and workloads `w`.
const FROM_INVENTORIES: &str = " FROM inventory_images i CROSS JOIN inventories v CROSS JOIN inventory_workloads w \
     WHERE v.id = i.inventory AND w.inventory = i.inventory AND w.place = i.place";

fn in_place(scope: &Scope) -> Sql {
    let mut sql = Sql::default();
    if let Some(places) = scope.reach.places(None, None) {
        among(&mut sql, "n.id", places.map(|place| place.namespace).collect());
    }
    match &scope.cluster {
        Some(cluster) => sql.push(" AND c.name = ").bind(cluster.as_str()),
        None => sql.push(" AND c.name <> ").bind(UNDECLARED),
    };
    if let Some(namespace) = &scope.namespace {
        sql.push(" AND n.name = ").bind(namespace.as_str());
    }
    sql
}

/// One of these; of none nothing is.
fn among(sql: &mut Sql, column: &str, numbers: Vec<i64>) {
    match numbers.is_empty() {
        true => sql.push(" AND 1 = 0"),
        false => sql.push(&format!(" AND {column} IN ")).list(numbers),
    };
}

/// A test of rows `v` of inventories and `w` of what they have: as far as somebody may see it.
async fn in_reach(database: &Database, reach: &Reach) -> Result<Sql, StoreError> {
    let mut sql = Sql::default();
    if reach.is_everything() {
        return Ok(sql);
    }
    let text = "SELECT DISTINCT v.cluster, n.name FROM inventories v JOIN inventory_namespaces n ON n.inventory = v.id";
    let mut names = Vec::new();
    for mut row in database.fetch(Sql::new(text)).await? {
        let name = [row.text(0)?, row.text(1)?];
        if reach.covers(&name[0], &name[1]) {
            names.push(name);
        }
    }
    match names.is_empty() {
        true => sql.push(" AND 1 = 0"),
        false => sql.push(" AND (v.cluster, w.namespace) IN (").values(names).push(")"),
    };
    Ok(sql)
}

pub(super) async fn repositories(
    database: &Database,
    scope: &Scope,
    names: &[String],
) -> Result<Vec<RepositorySeen>, StoreError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(&format!(
        "WITH found(name, image, first_at, last_at) AS (SELECT r.name, w.image, min(w.first_at), max(w.last_at) \
         FROM repositories r JOIN images m ON m.repository = r.id JOIN image_workloads w ON w.image = m.id{OF_PLACE} \
         WHERE NOT w.dry_run AND w.reviews > 0"
    ));
    sql.append(in_place(scope)).push(" AND r.name IN ").list(names.iter().map(String::as_str));
    sql.push(" GROUP BY r.name, w.image) SELECT f.name, CAST(sum(CASE WHEN f.last_at >= ");
    sql.bind(scope.since.map_or(i64::MIN, |since| since.0)).push(" AND f.first_at < ");
    sql.bind(scope.until.map_or(i64::MAX, |until| until.0));
    sql.push(" THEN 1 ELSE 0 END) AS BIGINT), min(f.first_at), max(f.last_at) FROM found f GROUP BY f.name");
    let seen = |mut row: Row| {
        Ok(RepositorySeen {
            name: row.text(0)?,
            references: row.count(1)?,
            first_at: Timestamp(row.int(2)?),
            last_at: Timestamp(row.int(3)?),
        })
    };
    database.fetch(sql).await?.into_iter().map(seen).collect()
}

pub(super) async fn references(
    database: &Database,
    of: &Referred,
    scope: &Scope,
    slice: Slice,
) -> Result<References, StoreError> {
    let mut sql = Sql::new(&format!(
        "WITH found(image, first_at, last_at, reviews, workloads) AS (\
         SELECT w.image, min(w.first_at), max(w.last_at), CAST(sum(w.reviews) AS BIGINT), count(DISTINCT w.workload) \
         FROM images m JOIN image_workloads w ON w.image = m.id{OF_PLACE} WHERE NOT w.dry_run AND w.reviews > 0"
    ));
    match of {
        Referred::Of(name) => {
            sql.push(" AND m.repository = (SELECT id FROM repositories WHERE name = ").bind(name.as_str()).push(")")
        }
        Referred::Unreadable => sql.push(" AND m.repository IS NULL"),
    };
    sql.append(in_place(scope))
        .push(" GROUP BY w.image) SELECT m.text, f.first_at, f.last_at, f.reviews, f.workloads, ");
    sql.push(&format!(
        "(SELECT min(w.workload) FROM image_workloads w{OF_PLACE} WHERE w.image = f.image AND w.last_at = f.last_at \
         AND NOT w.dry_run"
    ));
    sql.append(in_place(scope));
    sql.push("), count(*) OVER () FROM found f JOIN images m ON m.id = f.image WHERE f.last_at >= ");
    sql.bind(scope.since.map_or(i64::MIN, |since| since.0)).push(" AND f.first_at < ");
    sql.bind(scope.until.map_or(i64::MAX, |until| until.0)).push(" ORDER BY f.last_at DESC, m.text LIMIT ");
    sql.bind(i64::from(slice.limit)).push(" OFFSET ").bind(slice.skip);
    let rows = database.fetch(sql).await?;
    let all = rows.first().map_or(Ok(0), |row| row.count(6))?;
    let mut found = Vec::with_capacity(rows.len());
    for mut row in rows {
        let (first_at, last_at) = (Timestamp(row.int(1)?), Timestamp(row.int(2)?));
        let place = (row.int(5)?, last_at);
        let (reviews, workloads) = (row.count(3)?, row.count(4)?);
        let text = row.text(0)?;
        found.push((place, Reference { text, first_at, last_at, reviews, workloads, digests: 0, broken: None }));
    }
    let said = verdicts_at(database, found.iter().map(|(place, _)| *place)).await?;
    let texts = found.iter().map(|(_, reference)| reference.text.as_str());
    let digests = digests(database, texts, &scope.reach).await?;
    let rows = found.into_iter().map(|(place, reference)| {
        let broken = broken(said.get(&place), &reference.text)?;
        let digests = digests.get(&reference.text).copied().unwrap_or(0);
        Ok(Reference { broken, digests, ..reference })
    });
    Ok(References { rows: rows.collect::<Result<_, StoreError>>()?, all })
}

pub(super) async fn askers(
    database: &Database,
    image: &str,
    scope: &Scope,
    slice: Slice,
) -> Result<Askers, StoreError> {
    let mut sql = Sql::new(&format!(
        "SELECT c.name, n.name, l.kind, l.name, w.workload, min(w.first_at), max(w.last_at), \
         CAST(sum(w.reviews) AS BIGINT), count(*) OVER () \
         FROM images m JOIN image_workloads w ON w.image = m.id{OF_PLACE} WHERE NOT w.dry_run AND w.reviews > 0 AND m.text = "
    ));
    sql.bind(image).append(in_place(scope));
    sql.push(" GROUP BY c.name, n.name, l.kind, l.name, w.workload ORDER BY 7 DESC, 1, 2, 4, 3 LIMIT ");
    sql.bind(i64::from(slice.limit)).push(" OFFSET ").bind(slice.skip);
    let rows = database.fetch(sql).await?;
    let all = rows.first().map_or(Ok(0), |row| row.count(8))?;
    let mut found = Vec::with_capacity(rows.len());
    for mut row in rows {
        let (first_at, last_at) = (Timestamp(row.int(5)?), Timestamp(row.int(6)?));
        let asker = Asker {
            cluster: row.text(0)?,
            namespace: row.text(1)?,
            workload: Workload { kind: row.text(2)?, name: row.text(3)? },
            first_at,
            last_at,
            reviews: row.count(7)?,
            broken: None,
        };
        found.push(((row.int(4)?, last_at), asker));
    }
    let said = verdicts_at(database, found.iter().map(|(place, _)| *place)).await?;
    let rows = found.into_iter().map(|(place, asker)| Ok(Asker { broken: broken(said.get(&place), image)?, ..asker }));
    Ok(Askers { rows: rows.collect::<Result<_, StoreError>>()?, all })
}

/// The verdicts of the decisions at these places, as rows hold them.
async fn verdicts_at(
    database: &Database,
    places: impl Iterator<Item = Place>,
) -> Result<HashMap<Place, Vec<String>>, StoreError> {
    let wanted: Vec<[i64; 3]> =
        places.map(|(workload, at)| [workload, key::start(at), key::start(Timestamp(at.0 + 1))]).collect();
    let mut said: HashMap<Place, Vec<String>> = HashMap::new();
    if wanted.is_empty() {
        return Ok(said);
    }
    let is_it = "t.key >= q.since AND t.key < q.below AND t.workload = q.workload";
    let mut sql = Sql::new("WITH wanted(workload, since, below) AS (");
    sql.values(wanted).push(&format!(
        ") SELECT t.workload, t.key, o.verdicts FROM wanted q {} JOIN outcomes o ON o.id = t.outcome \
         WHERE {is_it} AND NOT t.dry_run",
        database.looked_up("decisions", is_it)
    ));
    for mut row in database.fetch(sql).await? {
        said.entry((row.int(0)?, key::at(row.int(1)?))).or_default().push(row.text(2)?);
    }
    Ok(said)
}

/// Each rule once that the image breaks by these verdicts.
fn broken(said: Option<&Vec<String>>, image: &str) -> Result<Option<Vec<Broken>>, StoreError> {
    let Some(said) = said else { return Ok(None) };
    let mut rules: Vec<Broken> = Vec::new();
    for verdicts in said {
        for verdict in Outcome::join(verdicts, None)? {
            let all = verdict.violations.into_iter().chain(verdict.standing);
            for one in all.filter(|one| one.image.as_deref() == Some(image)) {
                let is_known = rules.iter().any(|known| known.policy == verdict.policy && known.rule == one.rule);
                if !is_known {
                    rules.push(Broken {
                        policy: verdict.policy.clone(),
                        rule: one.rule,
                        mode: one.mode,
                        message: one.message,
                        help: one.help,
                        is_exempted: one.exempted.is_some(),
                    });
                }
            }
        }
    }
    Ok(Some(rules))
}

/// With how many digests each was seen to run.
async fn digests(
    database: &Database,
    texts: impl Iterator<Item = &str>,
    reach: &Reach,
) -> Result<HashMap<String, u64>, StoreError> {
    let texts: Vec<&str> = texts.collect();
    if texts.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sql = Sql::new("SELECT i.image, count(DISTINCT i.digest)");
    sql.push(FROM_INVENTORIES).push(" AND i.digest <> '' AND i.image IN ").list(texts);
    sql.append(in_reach(database, reach).await?).push(" GROUP BY i.image");
    database.fetch(sql).await?.into_iter().map(|mut row| Ok((row.text(0)?, row.count(1)?))).collect()
}

pub(super) async fn runners(
    database: &Database,
    image: &str,
    scope: &Scope,
    limit: u16,
) -> Result<Runners, StoreError> {
    let is_in_reach = in_reach(database, &scope.reach).await?;
    let mut sql = Sql::new("SELECT v.cluster, v.id, w.namespace, w.contents, i.digest");
    sql.push(FROM_INVENTORIES).push(" AND i.image = ").bind(image).append(is_in_reach.clone()).push(
        " AND NOT EXISTS (SELECT 1 FROM inventories y WHERE y.cluster = v.cluster \
         AND (y.at > v.at OR (y.at = v.at AND y.id > v.id)))",
    );
    if let Some(cluster) = &scope.cluster {
        sql.push(" AND v.cluster = ").bind(cluster.as_str());
    }
    if let Some(namespace) = &scope.namespace {
        sql.push(" AND w.namespace = ").bind(namespace.as_str());
    }
    sql.push(" ORDER BY v.cluster, w.namespace, w.place, i.digest LIMIT ").bind(i64::from(limit) + 1);
    let mut rows = database.fetch(sql).await?;
    let is_more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let runner = |mut row: Row| {
        let Contents { workload, pods, .. } = serde_json::from_str(&row.text(3)?)?;
        Ok(Runner {
            cluster: row.text(0)?,
            inventory: row.int(1)?,
            namespace: row.text(2)?,
            workload,
            pods,
            digest: Some(row.text(4)?).filter(|digest| !digest.is_empty()),
        })
    };
    let rows = rows.into_iter().map(runner).collect::<Result<_, StoreError>>()?;
    let mut sql = Sql::new("SELECT DISTINCT i.digest");
    sql.push(FROM_INVENTORIES).push(" AND i.digest <> '' AND i.image = ").bind(image).append(is_in_reach);
    sql.push(" ORDER BY i.digest");
    let digests = database.fetch(sql).await?.into_iter().map(|mut row| row.text(0)).collect::<Result<_, _>>()?;
    Ok(Runners { rows, is_more, digests })
}
