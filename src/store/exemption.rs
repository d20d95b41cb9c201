//! Exemptions that were loaded or that let something through, and who used them, over whole days.
//!
//! What an exemption is, is kept as it was loaded last, so that one that is gone can still be told. Dry runs use none.

use std::collections::HashMap;

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::horizon::{self, mark};
use super::outcome::EXEMPTION;
use super::reach::within;
use super::read::{Scope, Slice};
use super::sql::{Insert, Row, Sql};
use super::{Store, against};
use crate::policy::settings::ExemptionSettings;
use crate::policy::text;
use crate::review::clock::Timestamp;
use crate::review::workload::Workload;

/// What is known of exemptions, those that were loaded last first.
#[derive(Debug, Clone, PartialEq)]
pub struct Exempting {
    /// The days that were counted.
    pub since: Timestamp,
    pub until: Timestamp,
    /// What was used before is not known. `None`: all is.
    pub known_since: Option<Timestamp>,
    pub exemptions: Vec<Known>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub id: String,
    /// As it was loaded last; `None`: it has not come.
    pub settings: Option<ExemptionSettings>,
    /// The first time that it was, and the last.
    pub loaded: Option<(Timestamp, Timestamp)>,
    /// Within the scope's place, whatever its span.
    pub last_used: Option<Timestamp>,
    pub used: Used,
}

/// Uses within the scope: decisions in which it let something through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    pub reviews: u64,
    pub workloads: u64,
    /// Some of these, the most uses first.
    pub users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub cluster: String,
    /// Empty: none.
    pub namespace: String,
    pub workload: Workload,
    pub reviews: u64,
    pub last_at: Timestamp,
}

/// Exemptions that are told beside those that are asked for, those that were loaded last: far more than a configuration sees in
/// a year.
pub(super) const LISTED: i64 = 1_000;

impl Store {
    /// Each with at most `users` of its users. Those that are `held`, by id, are there however many there are.
    pub async fn exempting(&self, scope: &Scope, users: u16, held: &[&str]) -> Result<Exempting, StoreError> {
        let (since, until) = against::days(scope);
        let mut found = Exempting { since, until, known_since: None, exemptions: Vec::new() };
        let Some(place) = place(scope) else { return Ok(found) };
        let database = &self.database;
        found.known_since = known_since(database).await?;
        let mut known = known(database, &place, held).await?;
        let slice = Slice { skip: 0, limit: users };
        let numbers: Vec<i64> = known.iter().map(|(number, _)| *number).collect();
        let mut used = used(database, &numbers, (since, until), &place, slice).await?;
        for (number, one) in &mut known {
            one.used = used.remove(number).unwrap_or_default();
        }
        found.exemptions = known.into_iter().map(|(_, one)| one).collect();
        Ok(found)
    }

    /// Who used one. `None`: there is none.
    pub async fn users(&self, id: &str, scope: &Scope, slice: Slice) -> Result<Option<Used>, StoreError> {
        let mut sql = Sql::new("SELECT e.id FROM exemptions e WHERE e.kind = ");
        sql.bind(EXEMPTION).push(" AND e.name = ").bind(id);
        let number = self.database.fetch(sql).await?.first().map(|row| row.int(0)).transpose()?;
        let Some((number, place)) = number.zip(place(scope)) else { return Ok(None) };
        let mut used = used(&self.database, &[number], against::days(scope), &place, slice).await?;
        Ok(Some(used.remove(&number).unwrap_or_default()))
    }
}

// === impl Used ===

impl Used {
    /// Where the part of the users after that slice begins; `None` at the end.
    pub fn next(&self, slice: Slice) -> Option<u64> {
        let next = slice.skip + self.users.len() as u64;
        (!self.users.is_empty() && next < self.workloads).then_some(next)
    }
}

/// In the transaction that keeps a revision. A text that this version cannot read was kept by the one that wrote it.
pub(super) async fn keep(
    tx: &mut Transaction,
    revision: &str,
    (first, last): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let Ok((_, staging)) = text::read(revision) else { return Ok(()) };
    let mut insert = Insert::into(
        "exemptions",
        &["kind", "name", "settings", "first_at", "loaded_at"],
        "ON CONFLICT (kind, name) DO UPDATE SET \
         settings = CASE WHEN exemptions.loaded_at >= excluded.loaded_at \
             THEN exemptions.settings ELSE excluded.settings END, \
         first_at = CASE WHEN exemptions.first_at < excluded.first_at \
             THEN exemptions.first_at ELSE excluded.first_at END, \
         loaded_at = CASE WHEN exemptions.loaded_at >= excluded.loaded_at \
             THEN exemptions.loaded_at ELSE excluded.loaded_at END",
    );
    // Of two that take in the same the one that ends last: a statement writes a row once.
    let mut latest: HashMap<String, &ExemptionSettings> = HashMap::new();
    for one in &staging.exemptions {
        let known = latest.entry(one.id()).or_insert(one);
        if one.ends_after(known) {
            *known = one;
        }
    }
    let mut latest: Vec<(String, &ExemptionSettings)> = latest.into_iter().collect();
    latest.sort_by(|one, other| one.0.cmp(&other.0));
    for (id, settings) in latest {
        let settings = serde_json::to_string(settings)?;
        insert.row([EXEMPTION.into(), id.into(), settings.into(), first.0.into(), last.0.into()]);
    }
    tx.insert(insert).await
}

/// ` AND ..` of a row `t` of uses: those of the scope's place. `None`: there is none.
fn place(scope: &Scope) -> Option<Sql> {
    let places = scope.reach.places(scope.cluster.as_deref(), scope.namespace.as_deref());
    if places.is_some_and(|mut places| places.next().is_none()) {
        return None;
    }
    let mut sql =
        Sql::new(" AND t.namespace IN (SELECT n.id FROM namespaces n JOIN clusters c ON c.id = n.cluster WHERE 1 = 1");
    sql.append(within(scope)).push(")");
    Some(sql)
}

async fn known_since(database: &Database) -> Result<Option<Timestamp>, StoreError> {
    let mut sql = Sql::new("SELECT max(before) FROM horizons WHERE kind IN ");
    sql.list([horizon::EXEMPTIONS, mark::USES.0]);
    let since = database.fetch(sql).await?.first().map_or(Ok(None), |row| row.opt_int(0))?;
    // A walk that has not begun stands before everything.
    Ok(since.filter(|since| *since > 0).map(Timestamp))
}

/// Each with its number.
async fn known(database: &Database, place: &Sql, held: &[&str]) -> Result<Vec<(i64, Known)>, StoreError> {
    let mut sql = Sql::new(
        "SELECT e.id, e.name, e.settings, e.first_at, e.loaded_at, (SELECT max(t.last_at) FROM exemption_uses t \
         WHERE t.exemption = e.id AND t.dry_run = FALSE",
    );
    sql.append(place.clone());
    sql.push(" AND t.day = (SELECT t.day FROM exemption_uses t WHERE t.exemption = e.id AND t.dry_run = FALSE");
    sql.append(place.clone()).push(" ORDER BY t.day DESC LIMIT 1)) FROM exemptions e WHERE e.kind = ").bind(EXEMPTION);
    sql.push(" AND (e.id IN (SELECT l.id FROM exemptions l WHERE l.kind = ").bind(EXEMPTION);
    sql.push(" ORDER BY l.loaded_at DESC NULLS LAST, l.name LIMIT ").bind(LISTED).push(")");
    if !held.is_empty() {
        sql.push(" OR e.name IN ").list(held.iter().copied());
    }
    sql.push(") ORDER BY e.loaded_at DESC NULLS LAST, e.name");
    database.fetch(sql).await?.into_iter().map(known_one).collect()
}

fn known_one(mut row: Row) -> Result<(i64, Known), StoreError> {
    let loaded = row.opt_int(3)?.zip(row.opt_int(4)?).map(|(first, last)| (Timestamp(first), Timestamp(last)));
    let settings = row.opt_text(2)?.and_then(|text| serde_json::from_str(&text).ok());
    let last_used = row.opt_int(5)?.map(Timestamp);
    let known = Known { id: row.text(1)?, settings, loaded, last_used, used: Used::default() };
    Ok((row.int(0)?, known))
}

/// By number, of those that were used on these days; the slice is of the users of each.
async fn used(
    database: &Database,
    numbers: &[i64],
    (since, until): (Timestamp, Timestamp),
    place: &Sql,
    slice: Slice,
) -> Result<HashMap<i64, Used>, StoreError> {
    let mut all: HashMap<i64, Used> = HashMap::new();
    if numbers.is_empty() {
        return Ok(all);
    }
    let mut sql = Sql::new(
        "WITH found(exemption, namespace, workload, reviews, last_at) AS (\
         SELECT t.exemption, t.namespace, t.workload, CAST(sum(t.reviews) AS BIGINT), max(t.last_at) \
         FROM exemption_uses t WHERE t.exemption IN ",
    );
    sql.list(numbers.iter().copied()).push(" AND t.day >= ").bind(since.0).push(" AND t.day < ").bind(until.0);
    sql.push(" AND t.dry_run = FALSE").append(place.clone());
    sql.push(
        " GROUP BY t.exemption, t.namespace, t.workload), ranked AS (SELECT f.exemption, f.namespace, f.workload, \
         f.reviews, f.last_at, row_number() OVER (PARTITION BY f.exemption ORDER BY f.reviews DESC, f.workload) AS place, \
         CAST(sum(f.reviews) OVER (PARTITION BY f.exemption) AS BIGINT) AS uses, \
         count(*) OVER (PARTITION BY f.exemption) AS workloads FROM found f WHERE f.reviews > 0) \
         SELECT r.exemption, r.uses, r.workloads, c.name, n.name, l.kind, l.name, r.reviews, r.last_at FROM ranked r \
         JOIN workloads l ON l.id = r.workload JOIN namespaces n ON n.id = r.namespace \
         JOIN clusters c ON c.id = n.cluster WHERE r.place > ",
    );
    sql.bind(slice.skip).push(" AND r.place <= ").bind(slice.skip.saturating_add(u64::from(slice.limit)));
    sql.push(" ORDER BY r.exemption, r.place");
    for mut row in database.fetch(sql).await? {
        let used = all.entry(row.int(0)?).or_default();
        (used.reviews, used.workloads) = (row.count(1)?, row.count(2)?);
        used.users.push(User {
            cluster: row.text(3)?,
            namespace: row.text(4)?,
            workload: Workload { kind: row.text(5)?, name: row.text(6)? },
            reviews: row.count(7)?,
            last_at: Timestamp(row.int(8)?),
        });
    }
    Ok(all)
}
