//! What is remembered of break-glass tickets, for replicas that share a history, and for whoever asks who broke a glass.
//!
//! A row is one ticket of one workload. Each replica gives what it knows; what is there is the [merge](Ticket::merge) of all
//! that. A change takes a new number, so that what is new is found by its number.

use std::collections::{HashMap, HashSet};

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::key;
use super::read::{Cursor, Uses};
use super::sql::{Row, Sql};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::ticket::{KEPT, Ticket};

/// A use to list, with what else is known of its ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct UsePage {
    /// Newest use first.
    pub tickets: Vec<Ticket>,
    /// Of the decision of each use, as written; those are left out that are kept no more.
    pub images: HashMap<DecisionId, Vec<String>>,
    /// Where the next page begins; `None` where there is no more.
    pub next: Option<Cursor>,
}

/// Of a page of uses: one ticket may be used by many workloads, and one workload may use many tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    pub tickets: u64,
    pub workloads: u64,
}

/// Numbers that may be given out of order, by transactions at the same time: far more than there are.
const OVERLAP: i64 = 200;

/// Rows of one read.
const READ: i64 = 1_000;

// === impl UsePage ===

impl UsePage {
    pub fn broken(&self) -> Broken {
        let tickets: HashSet<&str> = self.tickets.iter().map(|one| one.key.ticket.as_str()).collect();
        let workloads: HashSet<_> =
            self.tickets.iter().map(|one| (&one.key.cluster, &one.key.namespace, &one.key.workload)).collect();
        Broken { tickets: tickets.len() as u64, workloads: workloads.len() as u64 }
    }
}

/// In a transaction of its own: each as it is then, merged with what was there. One that another transaction writes at the
/// same time is left out; the next read tells of it.
pub(super) async fn keep(database: &Database, tickets: &[Ticket]) -> Result<Vec<Ticket>, StoreError> {
    let mut tx = database.begin().await?;
    database.check_schema(&mut tx).await?;
    let mut kept = Vec::with_capacity(tickets.len());
    // In one order in all replicas: two that wait for each other would wait for good.
    let mut tickets: Vec<([u8; 32], &Ticket)> = tickets.iter().map(|ticket| (ticket.key.hash(), ticket)).collect();
    tickets.sort_by_key(|(hash, _)| *hash);
    for (hash, ticket) in tickets {
        kept.extend(keep_one(&mut tx, &hash, ticket).await?);
    }
    tx.commit().await?;
    Ok(kept)
}

async fn keep_one(tx: &mut Transaction, hash: &[u8; 32], ticket: &Ticket) -> Result<Option<Ticket>, StoreError> {
    let mut sql = Sql::new("DELETE FROM tickets WHERE key = ");
    sql.bind(&hash[..]).push(" RETURNING id, content");
    let mut whole = ticket.clone();
    if let Some(row) = tx.fetch(sql).await?.pop() {
        whole.merge(&content(row)?);
    }
    let text = serde_json::to_string(&whole)?;
    let mut sql =
        Sql::new("INSERT INTO tickets (key, cluster, namespace, seen_at, content, first_at, decision) VALUES (");
    sql.bind(&hash[..]).push(", ").bind(whole.key.cluster.as_str()).push(", ").bind(whole.key.namespace.as_str());
    sql.push(", ").bind(whole.seen.0).push(", ").bind(text).push(", ");
    match &whole.first_use {
        Some(first) => sql.bind(first.at.0).push(", ").bind(first.decision),
        None => sql.push("NULL, NULL"),
    };
    sql.push(") ON CONFLICT (key) DO NOTHING RETURNING id");
    Ok(tx.fetch(sql).await?.pop().map(|_| whole))
}

/// What is new since `known`, the highest number that was read before, and what may have come late before it; and the highest
/// number now. `None`: all.
pub(super) async fn news(database: &Database, known: Option<i64>) -> Result<(Vec<Ticket>, i64), StoreError> {
    let mut from = known.map_or(i64::MIN, |known| known.saturating_sub(OVERLAP));
    let (mut tickets, mut highest) = (Vec::new(), known.unwrap_or(0));
    loop {
        let mut sql = Sql::new("SELECT id, content FROM tickets WHERE id > ");
        sql.bind(from).push(" ORDER BY id LIMIT ").bind(READ);
        let rows = database.fetch(sql).await?;
        let is_last = (rows.len() as i64) < READ;
        for row in rows {
            from = row.int(0)?;
            tickets.push(content(row)?);
        }
        highest = highest.max(from);
        if is_last {
            return Ok((tickets, highest));
        }
    }
}

pub(super) async fn uses(
    database: &Database,
    asked: &Uses,
    limit: u16,
    after: Option<Cursor>,
) -> Result<UsePage, StoreError> {
    let mut sql = Sql::new("SELECT id, content FROM tickets WHERE first_at IS NOT NULL");
    if let Some(since) = asked.since {
        sql.push(" AND first_at >= ").bind(since.0);
    }
    if let Some(until) = asked.until {
        sql.push(" AND first_at < ").bind(until.0);
    }
    if let Some(cluster) = &asked.cluster {
        sql.push(" AND cluster = ").bind(cluster.as_str());
    }
    if let Some(namespace) = &asked.namespace {
        sql.push(" AND namespace = ").bind(namespace.as_str());
    }
    if let Some(places) = asked.reach.places(asked.cluster.as_deref(), asked.namespace.as_deref()) {
        let mut numbers = places.map(|place| place.namespace).peekable();
        if numbers.peek().is_none() {
            return Ok(UsePage { tickets: Vec::new(), images: HashMap::new(), next: None });
        }
        sql.push(
            " AND (cluster, namespace) IN (SELECT c.name, n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster \
             WHERE n.id IN ",
        );
        sql.numbers(numbers).push(")");
    }
    if let Some(Cursor { at, id }) = after {
        sql.push(" AND (first_at < ").bind(at.0).push(" OR (first_at = ").bind(at.0);
        sql.push(" AND decision < ").bind(id).push("))");
    }
    sql.push(" ORDER BY first_at DESC, decision DESC LIMIT ").bind(i64::from(limit) + 1);
    let rows = database.fetch(sql).await?;
    let mut tickets = rows.into_iter().map(content).collect::<Result<Vec<_>, _>>()?;
    let is_full = tickets.len() > usize::from(limit);
    tickets.truncate(usize::from(limit));
    let last = tickets.last().filter(|_| is_full).and_then(|ticket| ticket.first_use.as_ref());
    let next = last.map(|first| Cursor { at: first.at, id: first.decision });
    let decisions = tickets.iter().filter_map(|ticket| Some(ticket.first_use.as_ref()?.decision));
    let images = images(database, &decisions.collect::<Vec<_>>()).await?;
    Ok(UsePage { tickets, images, next })
}

/// Of decisions whose ids hold their times, each found by its own.
async fn images(database: &Database, decisions: &[DecisionId]) -> Result<HashMap<DecisionId, Vec<String>>, StoreError> {
    let mut images: HashMap<DecisionId, Vec<String>> = HashMap::new();
    let ranges: Vec<[i64; 2]> = decisions.iter().filter_map(range).collect();
    if ranges.is_empty() {
        return Ok(images);
    }
    let mut sql = Sql::new("WITH wanted(since, below) AS (");
    sql.values(ranges);
    let looked_up = database.looked_up("decisions", "t.key >= w.since AND t.key < w.below");
    sql.push(&format!(
        ") SELECT t.key, t.id, m.text FROM wanted w {looked_up} LEFT JOIN review_images i ON i.review = t.review \
         LEFT JOIN images m ON m.id = i.image WHERE t.key >= w.since AND t.key < w.below ORDER BY t.key, m.text"
    ));
    for mut row in database.fetch(sql).await? {
        let id = row.id_at(row.int(0)?, 1)?;
        let image = row.opt_text(2)?;
        if decisions.contains(&id) {
            images.entry(id).or_default().extend(image);
        }
    }
    Ok(images)
}

/// Where the decision is, by its id alone.
fn range(id: &DecisionId) -> Option<[i64; 2]> {
    let keys = key::candidates(key::time_of(*id)?, *id);
    Some([keys.start, keys.end])
}

/// Deletes what nobody has shown for so long that it is forgotten. How many went.
pub(super) async fn forget_past(tx: &mut Transaction, now: Timestamp) -> Result<usize, StoreError> {
    let mut sql = Sql::new("DELETE FROM tickets WHERE seen_at < ");
    sql.bind(now.0.saturating_sub(KEPT)).push(" RETURNING id");
    Ok(tx.fetch(sql).await?.len())
}

fn content(mut row: Row) -> Result<Ticket, StoreError> {
    Ok(serde_json::from_str(&row.text(1)?)?)
}
