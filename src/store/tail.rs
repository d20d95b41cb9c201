//! What is new in the history, in the order in which it was stored: a decision that comes late is missed by no one who
//! follows.
//!
//! A batch has a number, which grows with each of one replica; those of several replicas are committed in any order. So
//! whoever follows remembers the last batch of each.

use super::database::Database;
use super::error::StoreError;
use super::key;
use super::read::{Filter, Followed, News, StoredDecision};
use super::row;
use super::search::{Predicate, predicates};
use super::sql::{FOR_EACH_JOIN, Sql};
use super::stretch::Bounds;

/// Batches of one answer: what comes in a second is one or two of each replica.
const BATCHES: usize = 50;

/// One transaction of a drain.
struct Batch {
    replica: i64,
    id: i64,
    keys: Bounds,
}

/// All that is stored now.
pub(super) async fn end(database: &Database) -> Result<Followed, StoreError> {
    let text = "SELECT r.id, (SELECT max(b.id) FROM batches b WHERE b.replica = r.id) FROM replicas r";
    let rows = database.fetch(Sql::new(text)).await?;
    let last = rows.iter().map(|row| Ok((row.int(0)?, row.opt_int(1)?.unwrap_or(0))));
    last.collect::<Result<_, StoreError>>().map(Followed)
}

/// At most `limit` decisions that were stored since, those that the filter selects.
pub(super) async fn news(
    database: &Database,
    filter: &Filter,
    followed: Followed,
    limit: u16,
) -> Result<News, StoreError> {
    let mut news = News { decisions: Vec::new(), is_more: false, followed };
    let batches = batches(database, &news.followed).await?;
    if batches.is_empty() {
        return Ok(news);
    }
    let predicates = predicates(database, filter).await?;
    for Batch { replica, id, keys } in batches {
        news.followed.0.insert(replica, id);
        let keys = within(keys, filter);
        let left = usize::from(limit).saturating_sub(news.decisions.len());
        // Nothing can match where there are no predicates.
        let Some(predicates) = predicates.as_ref().filter(|_| keys.from < keys.below) else { continue };
        let mut found = decisions(database, predicates, id, keys, left + 1).await?;
        news.is_more |= found.len() > left;
        found.truncate(left);
        news.decisions.append(&mut found);
    }
    news.decisions.sort_by_key(|stored| (stored.decision.at, stored.decision.id));
    Ok(news)
}

async fn batches(database: &Database, followed: &Followed) -> Result<Vec<Batch>, StoreError> {
    let replicas = database.fetch(Sql::new("SELECT id FROM replicas")).await?;
    let replicas = replicas.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    if replicas.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("WITH places(replica, seen) AS (");
    sql.values(replicas.iter().map(|replica| [*replica, followed.0.get(replica).copied().unwrap_or(0)]));
    sql.push(&format!(
        ") SELECT b.replica, b.id, b.first_key, b.last_key FROM places s {FOR_EACH_JOIN} batches b \
         WHERE b.replica = s.replica AND b.id > s.seen ORDER BY b.id LIMIT {BATCHES}"
    ));
    let batch = |row: &super::sql::Row| {
        let keys = Bounds { from: row.int(2)?, below: row.int(3)?.saturating_add(1) };
        Ok(Batch { replica: row.int(0)?, id: row.int(1)?, keys })
    };
    database.fetch(sql).await?.iter().map(batch).collect()
}

/// As far as the filter goes.
fn within(keys: Bounds, filter: &Filter) -> Bounds {
    let (since, until) = (filter.since.map(key::start), filter.until.map(key::start));
    Bounds {
        from: since.map_or(keys.from, |since| since.max(keys.from)),
        below: until.map_or(keys.below, |until| until.min(keys.below)),
    }
}

async fn decisions(
    database: &Database,
    predicates: &[Predicate],
    batch: i64,
    keys: Bounds,
    most: usize,
) -> Result<Vec<StoredDecision>, StoreError> {
    let mut sql = Sql::new(&format!("SELECT {} FROM decisions d {} WHERE d.batch = ", row::COLUMNS, row::JOINS));
    sql.bind(batch).append(keys.of("d"));
    for predicate in predicates {
        sql.push(" AND ").append(predicate.condition.within(database, keys));
    }
    sql.push(" ORDER BY d.key DESC LIMIT ").bind(most as i64);
    database.fetch(sql).await?.into_iter().map(row::decision).collect()
}
