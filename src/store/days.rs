//! Until when reviews and outcomes are needed.
//!
//! Invariants: `last_day` of a row is at least the day of every decision that refers to it, and the day on which the
//! last of them was stored; `last_notable_day` likewise, of those that are kept longer. Both are raised in the
//! transaction that stores the decisions, and a row that was deleted in the meantime is noticed there.

use std::collections::{BTreeMap, HashMap};

use quick_cache::sync::Cache;

use super::batch::Entry;
use super::bucket::Day;
use super::database::Transaction;
use super::error::StoreError;
use super::review::Reviews;
use super::row;
use super::sql::{Row, Sql, Value};
use crate::review::clock::Timestamp;

/// Rows of each table remembered: 24 bytes each.
const REMEMBERED: usize = 50_000;

/// Rows raised in one statement.
const AT_ONCE: usize = 500;

/// Both as in the columns of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needed {
    last_day: i64,
    last_notable_day: i64,
}

/// What is remembered between batches. Filled only after a commit.
#[derive(Debug)]
pub(super) struct Days {
    reviews: Cache<i64, Needed>,
    outcomes: Cache<i64, Needed>,
}

/// What a batch has written.
#[derive(Debug)]
pub(super) struct Raised {
    today: Day,
    reviews: HashMap<i64, Needed>,
    outcomes: HashMap<i64, Needed>,
}

// === impl Needed ===

impl Needed {
    /// Of a row that has both columns from `at` on.
    pub fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(Self { last_day: row.int(at)?, last_notable_day: row.int(at + 1)? })
    }

    fn since(day: Day, notable: bool) -> Self {
        let day = day.0.0;
        Self { last_day: day, last_notable_day: if notable { day } else { 0 } }
    }

    fn max(self, other: Self) -> Self {
        Self {
            last_day: self.last_day.max(other.last_day),
            last_notable_day: self.last_notable_day.max(other.last_notable_day),
        }
    }
}

// === impl Raised ===

impl Raised {
    pub fn new(now: Timestamp) -> Self {
        Self { today: Day::of(now), reviews: HashMap::new(), outcomes: HashMap::new() }
    }

    /// What a new row says at first.
    pub fn today(&self) -> i64 {
        self.today.0.0
    }

    /// As its row says, which another replica may have made.
    pub fn knows_review(&mut self, id: i64, needed: Needed) {
        self.reviews.insert(id, needed);
    }

    pub fn knows_outcome(&mut self, id: i64, needed: Needed) {
        self.outcomes.insert(id, needed);
    }
}

// === impl Days ===

impl Days {
    pub fn new() -> Self {
        Self { reviews: Cache::new(REMEMBERED), outcomes: Cache::new(REMEMBERED) }
    }

    /// Raises what the entries refer to.
    pub async fn raise<'a, 'b: 'a>(
        &self,
        tx: &mut Transaction,
        raised: &mut Raised,
        entries: impl Iterator<Item = &'a Entry<'b>>,
        reviews: &Reviews,
        outcomes: &HashMap<[u8; 32], i64>,
    ) -> Result<(), StoreError> {
        let (mut of_reviews, mut of_outcomes) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            let decision = &entry.decision;
            let needed = Needed::since(Day::of(decision.at).max(raised.today), row::is_notable(decision));
            let add = |all: &mut BTreeMap<i64, Needed>, id| {
                all.entry(id).and_modify(|known| *known = known.max(needed)).or_insert(needed);
            };
            if let Some(review) = reviews.get(&decision.review) {
                add(&mut of_reviews, review.id);
            }
            for outcome in entry.outcomes() {
                add(&mut of_outcomes, outcomes[&outcome.hash]);
            }
        }
        raise(tx, "reviews", of_reviews, &self.reviews, &mut raised.reviews).await?;
        raise(tx, "outcomes", of_outcomes, &self.outcomes, &mut raised.outcomes).await
    }

    /// To be called once the transaction is committed.
    pub fn remember(&self, raised: Raised) {
        for (id, needed) in raised.reviews {
            self.reviews.insert(id, needed);
        }
        for (id, needed) in raised.outcomes {
            self.outcomes.insert(id, needed);
        }
    }

    pub fn forget(&self) {
        self.reviews.clear();
        self.outcomes.clear();
    }
}

async fn raise(
    tx: &mut Transaction,
    table: &str,
    wanted: BTreeMap<i64, Needed>,
    remembered: &Cache<i64, Needed>,
    raised: &mut HashMap<i64, Needed>,
) -> Result<(), StoreError> {
    let mut lower = Vec::new();
    for (id, needed) in wanted {
        let known = raised.get(&id).copied().or_else(|| remembered.get(&id));
        let needed_or_known = known.map_or(needed, |known| known.max(needed));
        if known != Some(needed_or_known) {
            lower.push((id, needed_or_known));
        }
        raised.insert(id, needed_or_known);
    }
    for rows in lower.chunks(AT_ONCE) {
        let mut sql = Sql::new("WITH needed(number, day, notable_day) AS (");
        sql.values(rows.iter().map(|(id, needed)| -> [Value; 3] {
            [(*id).into(), needed.last_day.into(), needed.last_notable_day.into()]
        }));
        sql.push(&format!(
            ") UPDATE {table} SET \
             last_day = CASE WHEN needed.day > last_day THEN needed.day ELSE last_day END, \
             last_notable_day = CASE WHEN needed.notable_day > last_notable_day \
                 THEN needed.notable_day ELSE last_notable_day END \
             FROM needed WHERE {table}.id = needed.number RETURNING id"
        ));
        if tx.fetch(sql).await?.len() < rows.len() {
            return Err(StoreError::busy(format!("rows of {table} that were remembered are deleted by now")));
        }
    }
    Ok(())
}
