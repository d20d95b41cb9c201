//! A batch of records in one transaction.
//!
//! Invariants: a decision is counted in every figure if and only if its row is stored, and once; a verdict is amended
//! once; nothing is remembered in memory before its transaction is committed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::amendment::{self, Amended};
use super::error::StoreError;
use super::fact::Names;
use super::locate::Located;
use super::name::Dimensions;
use super::outcome::{self, Outcome};
use super::review::{Contents, Reviews, lost_review};
use super::rollup::{Fact, Tally};
use super::row::{self, Numbers};
use super::settings::{HistorySettings, Objects};
use super::sql::{Insert, Sql, Value};
use super::sqlite::Transaction;
use super::{key, objects, spans};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Amendment, Decision, Gap, ObjectSample, Record, ReviewHash, ReviewRecord};

/// What a batch changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Decisions that were not stored before.
    pub decisions: u64,
    /// Verdicts that took the place of a pending one.
    pub amendments: u64,
    /// Decisions whose review was neither stored nor in the batch: kept, with a note that says so.
    pub lost_reviews: u64,
}

/// What is remembered between batches, and what is to be kept of them.
#[derive(Debug)]
pub(super) struct Memory {
    dimensions: Dimensions,
    contents: Contents,
    objects: Objects,
}

/// The records of a batch by kind, each once.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub reviews: HashMap<ReviewHash, &'a ReviewRecord>,
    pub decisions: BTreeMap<DecisionId, &'a Decision>,
    pub amendments: Vec<&'a Amendment>,
    pub objects: Vec<&'a ObjectSample>,
    /// The last word on each.
    pub gaps: BTreeMap<DecisionId, &'a Gap>,
    pub unjudged: BTreeMap<DecisionId, Unjudged<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Unjudged<'a> {
    pub cluster: &'a str,
    pub bucket: Timestamp,
    pub count: u64,
}

/// A decision on its way into its row: a new one, or one that a late verdict changed.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub key: i64,
    pub decision: Cow<'a, Decision>,
    pub outcome: Outcome,
}

// === impl Memory ===

impl Memory {
    pub fn new(history: &HistorySettings) -> Self {
        Self { dimensions: Dimensions::new(), contents: Contents::new(history.max_names), objects: history.objects }
    }

    pub async fn apply(&self, mut tx: Transaction, records: &[Record]) -> Result<Applied, StoreError> {
        let batch = Batch::of(records);
        let mut applied = Applied::default();
        let mut located = Located::find(&mut tx, batch.places()).await?;
        let mut new = new_entries(&mut tx, &batch, &mut located, &mut applied).await?;
        let amended = Amended::find(&mut tx, &batch, &located).await?;
        applied.amendments += amended.verdicts;
        amendment::keep_early(&mut tx, &batch, &located).await?;

        let wanted = new.iter().chain(&amended.after).map(|entry| entry.decision.review);
        let mut reviews = self.contents.resolve_reviews(&mut tx, &batch.reviews, wanted).await?;
        applied.lost_reviews = self.note_lost(&mut tx, &mut new, &mut reviews).await?;
        let names =
            Names::resolve(&mut tx, &self.dimensions, &batch, new.iter().chain(&amended.after), &reviews).await?;
        let outcomes = new.iter().chain(&amended.after).map(|entry| &entry.outcome);
        let outcomes = self.contents.resolve_outcomes(&mut tx, outcomes).await?;

        insert_decisions(&mut tx, &new, &names, &reviews, &outcomes).await?;
        amendment::update(&mut tx, &amended.after, &outcomes).await?;
        let facts_of = |entries: &[Entry<'_>]| {
            let facts = entries.iter().map(|entry| names.fact(&entry.decision, &reviews));
            facts.collect::<Result<Vec<Fact>, StoreError>>()
        };
        let (added, changed) = (facts_of(&new)?, facts_of(&amended.after)?);
        let keys = new.iter().chain(&amended.after).map(|entry| entry.key);
        insert_causes(&mut tx, keys.zip(added.iter().chain(&changed))).await?;
        objects::insert(&mut tx, &batch.objects, self.objects, &names).await?;
        spans::upsert_gaps(&mut tx, batch.gaps.values().copied(), &names).await?;

        let mut tally = Tally::default();
        for fact in &added {
            tally.add(fact);
        }
        for (before, after) in amended.before.iter().zip(&changed) {
            tally.replace(&names.fact(before, &reviews)?, after);
        }
        for unjudged in spans::insert_unjudged(&mut tx, &batch.unjudged, &names).await? {
            tally.add_unjudged(names.cluster(unjudged.cluster)?, unjudged.bucket, unjudged.count);
        }
        tally.write(&mut tx).await?;
        tx.commit().await?;

        applied.decisions = new.len() as u64;
        names.remember(&self.dimensions);
        self.contents.remember(reviews, outcomes);
        Ok(applied)
    }

    /// Decisions whose review is nowhere are kept with one that says so. Answers how many.
    async fn note_lost(
        &self,
        tx: &mut Transaction,
        new: &mut [Entry<'_>],
        reviews: &mut Reviews,
    ) -> Result<u64, StoreError> {
        let lost = lost_review();
        let mut count = 0;
        for entry in new.iter_mut().filter(|entry| !reviews.contains_key(&entry.decision.review)) {
            let decision = entry.decision.to_mut();
            decision.notes.push(format!("The record of its review ({}) is lost.", decision.review));
            decision.review = lost.hash;
            count += 1;
        }
        if count > 0 {
            let given = HashMap::from([(lost.hash, &lost)]);
            reviews.extend(self.contents.resolve_reviews(tx, &given, []).await?);
        }
        Ok(count)
    }
}

// === impl Batch ===

impl<'a> Batch<'a> {
    fn of(records: &'a [Record]) -> Self {
        let mut batch = Self::default();
        for record in records {
            match record {
                Record::Review(review) => {
                    batch.reviews.insert(review.hash, review);
                }
                Record::Decision(decision) => {
                    batch.decisions.entry(decision.id).or_insert(decision);
                }
                Record::Amendment(amendment) => batch.amendments.push(amendment),
                Record::Object(object) => batch.objects.push(object),
                Record::Gap(gap) => {
                    batch.gaps.insert(gap.id, gap);
                }
                Record::Unjudged { id, cluster, bucket, count } => {
                    batch.unjudged.insert(*id, Unjudged { cluster, bucket: *bucket, count: *count });
                }
                Record::Presence { .. } => {}
            }
        }
        batch
    }

    /// Time and id of every decision that it is about.
    fn places(&self) -> impl Iterator<Item = (Timestamp, DecisionId)> {
        let decisions = self.decisions.values().map(|decision| (decision.at, decision.id));
        decisions.chain(self.amendments.iter().map(|amendment| (amendment.at, amendment.decision)))
    }
}

/// Those that are not stored yet, with their keys, and with the verdicts that are there for them already.
async fn new_entries<'a>(
    tx: &mut Transaction,
    batch: &Batch<'a>,
    located: &mut Located,
    applied: &mut Applied,
) -> Result<Vec<Entry<'a>>, StoreError> {
    let new: Vec<&Decision> =
        batch.decisions.values().copied().filter(|decision| located.key(decision.id).is_none()).collect();
    let mut late = amendment::take_early(tx, &new).await?;
    for amendment in &batch.amendments {
        late.entry(amendment.decision).or_default().push(amendment.verdict.clone());
    }
    let mut entries = Vec::with_capacity(new.len());
    for decision in new {
        let key = located.assign(decision.at, decision.id)?;
        let mut decision = Cow::Borrowed(decision);
        for verdict in late.get(&decision.id).into_iter().flatten() {
            applied.amendments += u64::from(outcome::amend(decision.to_mut(), verdict));
        }
        let outcome = Outcome::of(&decision.verdicts)?;
        entries.push(Entry { key, decision, outcome });
    }
    Ok(entries)
}

async fn insert_decisions(
    tx: &mut Transaction,
    entries: &[Entry<'_>],
    names: &Names,
    reviews: &Reviews,
    outcomes: &HashMap<[u8; 32], i64>,
) -> Result<(), StoreError> {
    let Some(first_key) = entries.iter().map(|entry| entry.key).min() else { return Ok(()) };
    let last_key = entries.iter().map(|entry| entry.key).max().unwrap_or(first_key);
    let batch = next_batch(tx).await?;
    let mut of_batch = Insert::into("batches", &["id", "stored_at", "first_key", "last_key", "decisions"], "");
    of_batch.row([
        batch.into(),
        Timestamp::now().0.into(),
        first_key.into(),
        last_key.into(),
        (entries.len() as u64).into(),
    ]);
    let mut decisions = Insert::into("decisions", &row::STORED, "");
    let mut displaced = Insert::into("displaced_ids", &["id", "key"], "");
    for Entry { key, decision, outcome } in entries {
        let numbers = Numbers { batch, ..names.numbers(decision, reviews, outcomes[&outcome.hash])? };
        decisions.row(row::values(*key, decision, outcome, numbers)?);
        if key::time_of(decision.id) != Some(key::at(*key)) {
            displaced.row([Value::Blob(key::id_bytes(decision.id)), (*key).into()]);
        }
    }
    tx.insert(of_batch).await?;
    tx.insert(decisions).await?;
    tx.insert(displaced).await
}

async fn next_batch(tx: &mut Transaction) -> Result<i64, StoreError> {
    let rows = tx.fetch(Sql::new("SELECT coalesce(max(id), 0) + 1 FROM batches")).await?;
    rows.first().map_or(Ok(1), |row| row.int(0))
}

/// What was violated and who is to blame, by the key of the decision. A late verdict may make a rule or a repository
/// one to blame, and never clears one.
async fn insert_causes(tx: &mut Transaction, facts: impl Iterator<Item = (i64, &Fact)>) -> Result<(), StoreError> {
    let (mut violated, mut blamed) = (Vec::new(), Vec::new());
    for (key, fact) in facts {
        violated.extend(fact.rules.iter().map(|(rule, how)| (*rule, key, how.denied || how.would_reject)));
        let to_blame = fact.repositories.iter().filter(|(_, blame)| blame.denied || blame.would_reject);
        blamed.extend(to_blame.map(|(repository, _)| (*repository, key)));
    }
    violated.sort_unstable();
    blamed.sort_unstable();
    let conflict = "ON CONFLICT (rule, key) DO UPDATE SET to_blame = excluded.to_blame";
    let mut rules = Insert::into("decision_rules", &["rule", "key", "to_blame"], conflict);
    for (rule, key, to_blame) in violated {
        rules.row([rule.into(), key.into(), to_blame.into()]);
    }
    let columns = &["repository", "key"];
    let mut repositories = Insert::into("decision_repositories", columns, "ON CONFLICT DO NOTHING");
    for (repository, key) in blamed {
        repositories.row([repository.into(), key.into()]);
    }
    tx.insert(rules).await?;
    tx.insert(repositories).await
}
