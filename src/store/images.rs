//! Images as written: who asked for them, and when.

use super::database::Database;
use super::error::StoreError;
use super::outcome::Outcome;
use super::reach::within;
use super::read::{Asker, Askers, Broken, Reference, References, Referred, RepositorySeen, Runners, Scope, Slice};
use super::sql::{Row, Sql};
use super::{Store, digests, examples, runners};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::workload::Workload;

/// ` JOIN ..`, of rows `w` of `image_workloads`, and a test of their place.
pub(super) const OF_PLACE: &str = " JOIN workloads l ON l.id = w.workload JOIN namespaces n ON n.id = l.namespace \
     JOIN clusters c ON c.id = n.cluster";

async fn repositories(database: &Database, scope: &Scope, names: &[String]) -> Result<Vec<RepositorySeen>, StoreError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(&format!(
        "WITH found(name, image, first_at, last_at) AS (SELECT r.name, w.image, min(w.first_at), max(w.last_at) \
         FROM repositories r JOIN images m ON m.repository = r.id JOIN image_workloads w ON w.image = m.id{OF_PLACE} \
         WHERE NOT w.dry_run AND w.reviews > 0"
    ));
    sql.append(within(scope)).push(" AND r.name IN ").list(names.iter().map(String::as_str));
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

/// `WITH found(..) AS (..)`: the references, when each was asked for and how much in the scope's place.
fn found(of: &Referred, scope: &Scope) -> Sql {
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
    sql.append(within(scope)).push(" GROUP BY w.image) ");
    sql
}

/// ` WHERE ..`, of rows `f` of those: asked for in the scope's span.
fn in_span(scope: &Scope) -> Sql {
    let mut sql = Sql::new(" WHERE f.last_at >= ");
    sql.bind(scope.since.map_or(i64::MIN, |since| since.0)).push(" AND f.first_at < ");
    sql.bind(scope.until.map_or(i64::MAX, |until| until.0));
    sql
}

async fn count(database: &Database, of: &Referred, scope: &Scope) -> Result<u64, StoreError> {
    let mut sql = found(of, scope);
    sql.push("SELECT count(*) FROM found f").append(in_span(scope));
    database.fetch(sql).await?.first().map_or(Ok(0), |row| row.count(0))
}

/// Whether there are any that are not counted by themselves: they came past `history.max_names`.
async fn any_uncounted(database: &Database) -> Result<bool, StoreError> {
    Ok(!database.fetch(Sql::new("SELECT 1 FROM images m WHERE NOT m.counted LIMIT 1")).await?.is_empty())
}

async fn references(database: &Database, of: &Referred, scope: &Scope, slice: Slice) -> Result<References, StoreError> {
    let mut sql = found(of, scope);
    sql.push("SELECT m.text, f.first_at, f.last_at, f.reviews, f.workloads, ");
    sql.push(&format!(
        "(SELECT min(w.workload) FROM image_workloads w{OF_PLACE} WHERE w.image = f.image AND w.last_at = f.last_at \
         AND NOT w.dry_run"
    ));
    sql.append(within(scope));
    sql.push("), count(*) OVER () FROM found f JOIN images m ON m.id = f.image").append(in_span(scope));
    sql.push(" ORDER BY f.last_at DESC, m.text LIMIT ");
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
    let said = examples::at(database, found.iter().map(|(place, _)| *place)).await?;
    let texts = found.iter().map(|(_, reference)| reference.text.as_str());
    let digests = digests::of(database, texts, scope).await?;
    let rows = found.into_iter().map(|(place, reference)| {
        let broken = broken(said.get(&place), &reference.text)?;
        let digests = digests.get(&reference.text).map_or(0, |digests| digests.len() as u64);
        Ok(Reference { broken, digests, ..reference })
    });
    Ok(References { rows: rows.collect::<Result<_, StoreError>>()?, all })
}

async fn askers(database: &Database, image: &str, scope: &Scope, slice: Slice) -> Result<Askers, StoreError> {
    let mut sql = Sql::new(&format!(
        "SELECT c.name, n.name, l.kind, l.name, w.workload, min(w.first_at), max(w.last_at), \
         CAST(sum(w.reviews) AS BIGINT), count(*) OVER () \
         FROM images m JOIN image_workloads w ON w.image = m.id{OF_PLACE} WHERE NOT w.dry_run AND w.reviews > 0 AND m.text = "
    ));
    sql.bind(image).append(within(scope));
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
    let said = examples::at(database, found.iter().map(|(place, _)| *place)).await?;
    let rows = found.into_iter().map(|(place, asker)| Ok(Asker { broken: broken(said.get(&place), image)?, ..asker }));
    Ok(Askers { rows: rows.collect::<Result<_, StoreError>>()?, all })
}

/// Reviews of a reference that were dry runs.
async fn dry_runs(database: &Database, image: &str, scope: &Scope) -> Result<u64, StoreError> {
    let mut sql = Sql::new(&format!(
        "SELECT CAST(COALESCE(sum(w.reviews), 0) AS BIGINT) \
         FROM images m JOIN image_workloads w ON w.image = m.id{OF_PLACE} WHERE w.dry_run AND m.text = "
    ));
    sql.bind(image).append(within(scope));
    database.fetch(sql).await?.first().map_or(Ok(0), |row| row.count(0))
}

/// Each rule once that the image breaks by these verdicts.
fn broken(said: Option<&Vec<(DecisionId, String)>>, image: &str) -> Result<Option<Vec<Broken>>, StoreError> {
    let Some(said) = said else { return Ok(None) };
    let mut rules: Vec<Broken> = Vec::new();
    for (_, verdicts) in said {
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

// === impl Store ===

impl Store {
    /// Of each of these repositories that anything came of in the scope's place, how many references were asked for in its
    /// span, and since when and until when any was.
    pub async fn repositories(&self, scope: &Scope, names: &[String]) -> Result<Vec<RepositorySeen>, StoreError> {
        repositories(&self.database, scope, names).await
    }

    /// References that were asked for in the scope's span and place, those that were asked for last first.
    pub async fn references(&self, of: &Referred, scope: &Scope, slice: Slice) -> Result<References, StoreError> {
        references(&self.database, of, scope, slice).await
    }

    /// How many those are.
    pub async fn count_references(&self, of: &Referred, scope: &Scope) -> Result<u64, StoreError> {
        count(&self.database, of, scope).await
    }

    /// Whether there are references past `history.max_names`: who asked for those is not kept.
    pub async fn any_uncounted_images(&self) -> Result<bool, StoreError> {
        any_uncounted(&self.database).await
    }

    /// The workloads that asked for a reference, those that did last first.
    pub async fn askers(&self, image: &str, scope: &Scope, slice: Slice) -> Result<Askers, StoreError> {
        askers(&self.database, image, scope, slice).await
    }

    /// How many dry runs there were of a reference, which no list of who asked for it counts.
    pub async fn dry_runs_of(&self, image: &str, scope: &Scope) -> Result<u64, StoreError> {
        dry_runs(&self.database, image, scope).await
    }

    /// What runs a reference, by the newest inventory of each cluster.
    pub async fn runners(&self, image: &str, scope: &Scope, limit: u16) -> Result<Runners, StoreError> {
        runners::of(&self.database, image, scope, limit).await
    }

    /// Every digest that a reference was seen to stand for in the scope's place, in alphabetical order.
    pub async fn digests(&self, image: &str, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let mut digests = digests::of(&self.database, std::iter::once(image), scope).await?;
        Ok(digests.remove(image).unwrap_or_default().into_iter().collect())
    }
}
