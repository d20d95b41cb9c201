//! Lists of decisions, newest first.
//!
//! A list reads one index: that of its rarest filter. What the other filters leave out is read too, so a page reads at
//! most [`SCANNED`] rows and then says how far it came. Its cost does not grow with the history.
//!
//! Invariant: to who sees a part of the history a page tells no id of a decision that is not in it, and of the time of one at
//! most the second.

use uuid::Uuid;

use super::database::Database;
use super::error::StoreError;
use super::key;
use super::reach::Reach;
use super::read::{Cursor, Filter, Page, StoredDecision};
use super::row;
use super::search::{Condition, Predicate, Source, predicates};
use super::sql::{FOR_EACH_JOIN, Sql};
use super::stretch::Bounds;
use crate::review::clock::{DecisionId, Timestamp};

/// Rows that one page reads of its index where it must leave some out.
pub(super) const SCANNED: usize = 10_000;

/// One index to read, and what to leave out of what it finds.
#[derive(Debug)]
struct Plan {
    source: Source,
    conditions: Vec<Condition>,
    /// What the source has is all in reach.
    is_own: bool,
}

/// The last row that a search reads.
#[derive(Debug, Clone, Copy)]
struct Floor {
    key: i64,
    cursor: Cursor,
}

/// What a search of a stretch reads of its index.
#[derive(Debug, Clone, Copy)]
struct Walk {
    rows: usize,
    /// Where it has to stop; `None` when it can read all that its index has there.
    floor: Option<Floor>,
}

pub(super) async fn decisions(
    database: &Database,
    filter: &Filter,
    limit: u16,
    after: Option<Cursor>,
) -> Result<Page, StoreError> {
    let nothing = Page { decisions: Vec::new(), next: None, searched_until: None };
    let bounds = bounds(database, filter, after).await?;
    let Some(predicates) = predicates(database, filter).await? else { return Ok(nothing) };
    if bounds.from >= bounds.below || limit == 0 {
        return Ok(nothing);
    }
    let plan = choose(database, predicates, bounds, &filter.reach).await?;
    let wanted = usize::from(limit);
    let mut decisions = Vec::new();
    let mut floor = None;
    let mut left = plan.most(wanted);
    for mut stretch in database.stretches(bounds) {
        if !plan.conditions.is_empty() {
            let reach = reach(database, &plan, stretch, left).await?;
            left -= reach.rows;
            floor = reach.floor;
            stretch.from = floor.map_or(stretch.from, |floor| floor.key);
        }
        let rows = database.fetch(plan.page(database, stretch, wanted + 1 - decisions.len())).await?;
        for row in rows {
            decisions.push(row::decision(row)?);
        }
        if decisions.len() > wanted || floor.is_some() {
            break;
        }
    }
    let full = decisions.len() > wanted;
    decisions.truncate(wanted);
    let next = if full { decisions.last().map(cursor) } else { floor.map(|floor| floor.cursor) };
    let searched_until = if full { None } else { floor.map(|floor| floor.cursor.at) };
    Ok(Page { decisions, next, searched_until })
}

/// The key of a decision by its id alone.
pub(super) async fn key_of(database: &Database, id: DecisionId) -> Result<Option<i64>, StoreError> {
    if let Some(at) = key::time_of(id) {
        let found = key_at(database, Cursor { at, id }).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let mut sql = Sql::new("SELECT key FROM displaced_ids WHERE id = ");
    sql.bind(id);
    database.fetch(sql).await?.first().map(|row| row.int(0)).transpose()
}

/// The same, where it is in reach.
pub(super) async fn key_within(database: &Database, id: DecisionId, reach: &Reach) -> Result<Option<i64>, StoreError> {
    let key = key_of(database, id).await?;
    let (Some(found), Some(mut places)) = (key, reach.places(None, None)) else { return Ok(key) };
    let mut sql = Sql::new("SELECT d.namespace FROM decisions d WHERE d.key = ");
    sql.bind(found);
    let namespace = database.fetch(sql).await?.first().map(|row| row.opt_int(0)).transpose()?.flatten();
    Ok(namespace.is_some_and(|number| places.any(|place| place.namespace == number)).then_some(found))
}

pub(super) async fn decision(database: &Database, key: i64) -> Result<Option<StoredDecision>, StoreError> {
    let (columns, joins) = (row::COLUMNS, row::JOINS);
    let mut sql = Sql::new(&format!("SELECT {columns} FROM decisions d {joins} WHERE d.key = "));
    sql.bind(key);
    database.fetch(sql).await?.pop().map(row::decision).transpose()
}

fn cursor(stored: &StoredDecision) -> Cursor {
    Cursor { at: stored.decision.at, id: stored.decision.id }
}

async fn bounds(database: &Database, filter: &Filter, after: Option<Cursor>) -> Result<Bounds, StoreError> {
    let mut below = filter.until.map_or(i64::MAX, key::start);
    if let Some(after) = after {
        // Its row may be gone by now: then its place is where it would stand.
        let key = key_at(database, after).await?.unwrap_or(key::of(after.at, after.id));
        below = below.min(key);
    }
    Ok(Bounds { from: filter.since.map_or(i64::MIN, key::start), below })
}

async fn key_at(database: &Database, place: Cursor) -> Result<Option<i64>, StoreError> {
    let keys = key::candidates(place.at, place.id);
    let mut sql = Sql::new("SELECT d.key, d.id FROM decisions d WHERE d.key >= ");
    sql.bind(keys.start).push(" AND d.key < ").bind(keys.end);
    for row in database.fetch(sql).await? {
        let key = row.int(0)?;
        if row.id_at(key, 1)? == place.id {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// The index of the filter that leaves the fewest rows; without one, the table itself. Of a part of the history it is that
/// of its places, or one that is read to its end: where a search stops is told.
async fn choose(
    database: &Database,
    predicates: Vec<Predicate>,
    bounds: Bounds,
    reach: &Reach,
) -> Result<Plan, StoreError> {
    let mut best: Option<(usize, u64)> = None;
    let has_own = predicates.iter().any(|predicate| predicate.is_own && predicate.source.is_some());
    let indexed = || predicates.iter().enumerate().filter(|(_, predicate)| predicate.source.is_some());
    let compare = indexed().count() > 1 || predicates.iter().any(|predicate| predicate.only_if_rare);
    for (at, predicate) in indexed() {
        let Some(source) = &predicate.source else { continue };
        let rows = if compare { count(database, source, bounds).await? } else { 0 };
        let rare = rows <= SCANNED as u64 || !predicate.only_if_rare;
        let fits = !has_own || predicate.is_own || rows < (SCANNED / source.ranges()) as u64;
        if rare && fits && best.is_none_or(|(_, least)| rows < least) {
            best = Some((at, rows));
        }
    }
    let is_own = reach.is_everything() || best.is_some_and(|(best, _)| predicates[best].is_own);
    let mut source = Source::All;
    let mut conditions = Vec::new();
    for (at, predicate) in predicates.into_iter().enumerate() {
        match predicate.source {
            Some(chosen) if best.is_some_and(|(best, _)| best == at) => source = chosen,
            _ => conditions.push(predicate.condition),
        }
    }
    Ok(Plan { source, conditions, is_own })
}

/// How many rows of an index are in the bounds, counted no further than matters.
async fn count(database: &Database, source: &Source, bounds: Bounds) -> Result<u64, StoreError> {
    let mut counted = 0;
    for stretch in database.stretches(bounds) {
        let mut sql = Sql::new("SELECT count(*) FROM (");
        sql.append(source.keys(database, stretch));
        sql.push(" LIMIT ").bind(SCANNED as u64 + 1 - counted).push(") AS counted");
        counted += database.fetch(sql).await?.first().map_or(Ok(0), |row| row.count(0))?;
        if counted > SCANNED as u64 {
            break;
        }
    }
    Ok(counted)
}

/// How far a search of the stretch reads, where it may read `most` rows.
async fn reach(database: &Database, plan: &Plan, stretch: Bounds, most: usize) -> Result<Walk, StoreError> {
    let mut sql = Sql::new("SELECT last.rows, d.key, d.id FROM (SELECT count(*) AS rows, min(key) AS key FROM (");
    sql.append(plan.source.newest(database, stretch, most)).push(") AS candidates) AS last ");
    sql.push("LEFT JOIN decisions d ON d.key = last.key").append(database.pruned("d", stretch));
    let rows = database.fetch(sql).await?;
    let row = rows.first().ok_or_else(|| StoreError::broken("a count has no row"))?;
    let read = usize::try_from(row.count(0)?).unwrap_or(most).min(most);
    if read < most {
        return Ok(Walk { rows: read, floor: None });
    }
    let key = row.int(1)?;
    let cursor = Cursor { at: key::at(key), id: row.id_at(key, 2)? };
    let floor = if plan.is_own { Floor { key, cursor } } else { Floor::of_second(key, stretch) };
    Ok(Walk { rows: read, floor: Some(floor) })
}

// === impl Floor ===

impl Floor {
    /// The start of the second in which the last row is, which says nothing of that row itself. What is in it beside is
    /// read, too.
    fn of_second(key: i64, stretch: Bounds) -> Self {
        let second = Timestamp(key::at(key).0.div_euclid(1_000) * 1_000);
        let key = key::start(second).max(stretch.from);
        // The first of all ids: nothing is before it in its millisecond.
        Self { key, cursor: Cursor { at: key::at(key), id: DecisionId(Uuid::nil()) } }
    }
}

// === impl Plan ===

impl Plan {
    /// Rows that one page may read: each merged range is read so far.
    fn most(&self, wanted: usize) -> usize {
        (SCANNED / self.source.ranges().max(1)).max(wanted + 1)
    }

    /// The newest `rows` decisions of a stretch, whole.
    fn page(&self, database: &Database, stretch: Bounds, rows: usize) -> Sql {
        let (columns, joins) = (row::COLUMNS, row::JOINS);
        let mut sql = Sql::new(&format!("SELECT {columns} FROM ("));
        if self.conditions.is_empty() {
            sql.append(self.source.newest(database, stretch, rows));
        } else {
            sql.push("SELECT d.key AS key FROM decisions d WHERE d.key IN (");
            sql.append(self.source.keys(database, stretch)).push(")").append(database.pruned("d", stretch));
            for condition in &self.conditions {
                sql.push(" AND ").append(condition.within(database, stretch));
            }
            sql.push(" ORDER BY d.key DESC LIMIT ").bind(rows as i64);
        }
        sql.push(") AS page ").push(FOR_EACH_JOIN).push(&format!(" decisions d {joins} WHERE d.key = page.key"));
        sql.append(database.pruned("d", stretch)).push(" ORDER BY d.key DESC");
        sql
    }
}

#[cfg(test)]
pub(super) async fn statements(database: &Database, filter: &Filter) -> Result<Vec<Sql>, StoreError> {
    let Some(predicates) = predicates(database, filter).await? else { return Ok(Vec::new()) };
    let bounds = bounds(database, filter, None).await?;
    let plan = choose(database, predicates, bounds, &filter.reach).await?;
    let of_stretch = |stretch| [plan.page(database, stretch, 51), plan.source.newest(database, stretch, SCANNED)];
    Ok(database.stretches(bounds).into_iter().flat_map(of_stretch).collect())
}
