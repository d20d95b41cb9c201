//! A batch of records in one transaction.
//!
//! What decisions share with those of other batches (names, reviews, outcomes) is stored before them: on Postgres in a
//! transaction of its own, since a drain waits for the end of every transaction that stores what it is about to store.
//! Cut short between the two, it leaves what nothing refers to; retention finds reviews and outcomes, names stay.
//!
//! Invariants: a decision is counted in every figure if and only if its row is stored, and once; a verdict is amended
//! once; what a decision refers to is kept for as long as the decision; nothing is remembered in memory before its
//! transaction is committed, and all that is remembered is forgotten after an error.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::agreement;
use super::amendment::{self, Amended};
use super::behind;
use super::bucket::Day;
use super::cell::Cell;
use super::database::{Database, Transaction};
use super::days::{Days, Raised};
use super::error::StoreError;
use super::fact::{Facts, Names};
use super::locate::Located;
use super::name::Dimensions;
use super::outcome::{self, Outcome, Outcomes};
use super::replica::{self, Remembered};
use super::review::{Contents, Reviews, lost_review};
use super::rollup::{Alike, Fact, Tally};
use super::row::{self, Numbers};
use super::settings::{HistorySettings, Objects};
use super::sql::{Insert, Sql};
use super::window::Window;
use super::{horizon, key, objects, presence, spans};
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
    /// Decisions whose time cannot be, stored at the time of this batch.
    pub clock_suspects: u64,
}

/// What is remembered between batches, and what is to be kept of them.
#[derive(Debug)]
pub(super) struct Memory {
    dimensions: Dimensions,
    contents: Contents,
    days: Days,
    replicas: Remembered,
    objects: Objects,
    /// How long anything is kept.
    longest: std::time::Duration,
    /// Who writes.
    replica: Uuid,
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
    /// The end of each span of a replica, its cluster and its start.
    pub presence: BTreeMap<(Uuid, &'a str, Timestamp), Timestamp>,
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
    /// `None`: there were none.
    pub candidates: Option<Outcome>,
    /// Its own time cannot be: it has the time of the batch.
    pub clock_suspect: bool,
}

/// What the rows of a batch are made with.
struct Rows<'a> {
    now: Timestamp,
    replica: i64,
    names: &'a Names,
    reviews: &'a Reviews,
    outcomes: &'a HashMap<[u8; 32], i64>,
}

// === impl Memory ===

impl Memory {
    pub fn new(history: &HistorySettings, replica: Uuid) -> Self {
        Self {
            dimensions: Dimensions::new(),
            contents: Contents::new(history.max_names),
            days: Days::new(),
            replicas: Remembered::default(),
            objects: history.objects,
            longest: history.retention.notable,
            replica,
        }
    }

    /// `now` is the clock's: it says which times cannot be, and until when rows are needed.
    pub async fn apply(&self, database: &Database, records: &[Record], now: Timestamp) -> Result<Applied, StoreError> {
        let mut batch = Batch::of(records);
        let window = Window::new(now, self.longest);
        batch.drop_impossible_presence(&window);
        database.make_room(&batch.days(&window)).await?;
        let mut tx = database.begin().await?;
        database.check_schema(&mut tx).await?;
        let earliest = batch.earliest(&window);
        if earliest.is_some_and(|earliest| window.is_late(earliest)) {
            tx.exclude_upkeep().await?;
        }
        let mut applied = Applied::default();
        let mut located = Located::find(&mut tx, batch.places()).await?;
        let mut new = new_entries(&mut tx, &batch, &mut located, &window, &mut applied).await?;
        let amended = Amended::find(&mut tx, &batch, &located).await?;
        applied.amendments += amended.verdicts;
        amendment::keep_early(&mut tx, &batch, &located).await?;

        let mut beside = database.begin_beside().await?;
        let shared = beside.as_mut().unwrap_or(&mut tx);
        let mut raised = Raised::new(now);
        let wanted = new.iter().chain(&amended.after).map(|entry| entry.decision.review);
        let mut reviews = self.contents.resolve_reviews(shared, &batch.reviews, wanted, &mut raised).await?;
        applied.lost_reviews = self.note_lost(shared, &mut new, &mut reviews, &mut raised).await?;
        let names =
            Names::resolve(shared, &self.dimensions, &batch, new.iter().chain(&amended.after), &reviews).await?;
        let outcomes = new.iter().chain(&amended.after).flat_map(Entry::outcomes);
        let outcomes = self.contents.resolve_outcomes(shared, outcomes, &mut raised).await?;
        let entries = new.iter().chain(&amended.after);
        self.days.raise(shared, &mut raised, entries, &reviews, &outcomes).await?;
        let entries = new.iter().chain(&amended.after);
        let with_cells = self.note_cells(shared, entries, &names, &outcomes).await?;
        if let Some(beside) = beside {
            beside.commit().await?;
        }
        let mut facts = Facts::new(&names, &reviews);
        let (added, changed) = (facts.of_all(&new)?, facts.of_all(&amended.after)?);
        let replicas = batch.presence.keys().map(|(replica, ..)| *replica).chain([self.replica]).collect();
        let replicas = self.replicas.resolve(&mut tx, &replicas).await?;
        let replica = replica::number(&replicas, self.replica)?;

        let rows = Rows { now, replica, names: &names, reviews: &reviews, outcomes: &outcomes };
        rows.insert_decisions(&mut tx, &new).await?;
        amendment::update(&mut tx, &amended.after, &outcomes).await?;
        let replaced = facts.of_all(&amended.before)?;
        let agreed_from = horizon::agreed_from(&mut tx).await?;
        let keys = |entries: &[Entry<'_>]| entries.iter().map(|entry| entry.key).collect::<Vec<_>>();
        let (ours, theirs) = (keys(&new), keys(&amended.after));
        insert_causes(&mut tx, ours.iter().copied().zip(&added), ["", "", ""]).await?;
        insert_causes(&mut tx, theirs.iter().copied().zip(&changed), AMENDED).await?;
        for (list, cells, from) in
            [(behind::CANDIDATES, cells as CellsOf, None), (behind::AGREEMENTS, rare_cells, agreed_from)]
        {
            list.delete(&mut tx, of_keys(&theirs, &replaced, cells, from)).await?;
            list.insert(&mut tx, of_keys(&theirs, &changed, cells, from)).await?;
            list.insert(&mut tx, of_keys(&ours, &added, cells, from)).await?;
        }
        objects::insert(&mut tx, &batch.objects, self.objects, &names).await?;
        spans::upsert_gaps(&mut tx, batch.gaps.values().copied(), &names).await?;
        presence::upsert(&mut tx, &batch.presence, &names, &replicas).await?;

        let mut tally = Tally::agreed_from(agreed_from);
        for fact in added {
            tally.add(fact);
        }
        for (before, after) in replaced.iter().zip(&changed) {
            tally.replace(before, after);
        }
        for unjudged in spans::insert_unjudged(&mut tx, &batch.unjudged, &names).await? {
            let bucket = window.possible(unjudged.bucket).unwrap_or(now);
            tally.add_unjudged(names.cluster(unjudged.cluster)?, bucket, unjudged.count);
        }
        tally.write(&mut tx, replica).await?;
        // A decision that stands at another time than its own is found only now.
        let changed = amended.after.iter().map(|entry| key::at(entry.key));
        if let Some(earliest) = earliest.into_iter().chain(changed).min() {
            horizon::lower(&mut tx, earliest).await?;
        }
        tx.commit().await?;

        applied.decisions = new.len() as u64;
        names.remember(&self.dimensions);
        self.contents.remember(reviews, outcomes, &with_cells);
        self.days.remember(raised);
        self.replicas.remember(replicas);
        Ok(applied)
    }

    /// Who writes.
    pub fn replica(&self) -> Uuid {
        self.replica
    }

    /// After an error: what was remembered may be gone.
    pub fn forget(&self) {
        self.dimensions.forget();
        self.contents.forget();
        self.days.forget();
        self.replicas.forget();
    }

    /// Notes in which common cells the outcomes are of which that is not known. Answers which those are.
    async fn note_cells<'a, 'b: 'a>(
        &self,
        tx: &mut Transaction,
        entries: impl Iterator<Item = &'a Entry<'b>>,
        names: &Names,
        outcomes: &HashMap<[u8; 32], i64>,
    ) -> Result<HashSet<[u8; 32]>, StoreError> {
        let (mut noted, mut cells) = (HashSet::new(), BTreeSet::new());
        for Entry { decision, outcome, .. } in entries {
            if !self.contents.has_cells(&outcome.hash) && noted.insert(outcome.hash) {
                let common = agreement::common_cells(&decision.verdicts, |pair| names.agreement(pair))?;
                cells.extend(common.into_iter().map(|cell| (outcomes[&outcome.hash], cell)));
            }
        }
        agreement::insert_outcomes(tx, cells).await?;
        Ok(noted)
    }

    /// Decisions whose review is nowhere are kept with one that says so. Answers how many.
    async fn note_lost(
        &self,
        tx: &mut Transaction,
        new: &mut [Entry<'_>],
        reviews: &mut Reviews,
        raised: &mut Raised,
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
            reviews.extend(self.contents.resolve_reviews(tx, &given, [], raised).await?);
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
                Record::Presence { replica, clusters, from, to } => {
                    for cluster in clusters {
                        let until = batch.presence.entry((*replica, cluster, *from)).or_insert(*to);
                        *until = (*until).max(*to);
                    }
                }
            }
        }
        batch
    }

    /// A decision of a time that cannot be was made all the same, and stands at another. That somebody was there at such
    /// a time says nothing of any other.
    fn drop_impossible_presence(&mut self, window: &Window) {
        self.presence.retain(|_, to| window.possible(*to).is_some());
    }

    /// The days of its decisions, and those that come.
    fn days(&self, window: &Window) -> Vec<Day> {
        let today = Day::of(window.now());
        let of_decisions = self.decisions.values().filter_map(|decision| window.possible(decision.at)).map(Day::of);
        let days: BTreeSet<Day> = of_decisions.chain([today, today.next(), today.next().next()]).collect();
        days.into_iter().collect()
    }

    /// The time of the earliest row that it may write or change.
    fn earliest(&self, window: &Window) -> Option<Timestamp> {
        let decisions = self.decisions.values().map(|decision| window.possible(decision.at).unwrap_or(window.now()));
        let objects = self.objects.iter().map(|object| object.at);
        let amendments = self.amendments.iter().map(|amendment| amendment.at);
        let unjudged = self.unjudged.values().map(|unjudged| unjudged.bucket);
        decisions.chain(objects).chain(amendments).chain(unjudged).min()
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
    window: &Window,
    applied: &mut Applied,
) -> Result<Vec<Entry<'a>>, StoreError> {
    let new: Vec<&Decision> =
        batch.decisions.values().copied().filter(|decision| located.key(decision.id).is_none()).collect();
    let mut late = amendment::take_early(tx, &new).await?;
    for amendment in &batch.amendments {
        late.entry(amendment.decision).or_default().push((*amendment).into());
    }
    let mut outcomes = Outcomes::default();
    let mut entries = Vec::with_capacity(new.len());
    for decision in new {
        let mut decision = Cow::Borrowed(decision);
        let clock_suspect = window.possible(decision.at).is_none();
        if clock_suspect {
            let note = window.note(decision.at);
            decision.to_mut().notes.push(note);
            decision.to_mut().at = window.now();
            located.read_place(tx, decision.at, decision.id).await?;
            applied.clock_suspects += 1;
        }
        let key = located.assign(decision.at, decision.id)?;
        for late in late.get(&decision.id).into_iter().flatten() {
            applied.amendments += u64::from(outcome::amend(decision.to_mut(), late));
        }
        entries.push(match decision {
            Cow::Borrowed(decision) => Entry::borrowed(key, decision, &mut outcomes)?,
            Cow::Owned(decision) => Entry { clock_suspect, ..Entry::owned(key, decision)? },
        });
    }
    Ok(entries)
}

// === impl Entry ===

impl<'a> Entry<'a> {
    fn borrowed(key: i64, decision: &'a Decision, outcomes: &mut Outcomes<'a>) -> Result<Self, StoreError> {
        let outcome = outcomes.of(decision.review, &decision.verdicts)?;
        let candidates = match decision.candidates.as_slice() {
            [] => None,
            verdicts => Some(outcomes.of(decision.review, verdicts)?),
        };
        Ok(Self { key, decision: Cow::Borrowed(decision), outcome, candidates, clock_suspect: false })
    }

    /// Of one that is not as it came.
    pub fn owned(key: i64, decision: Decision) -> Result<Self, StoreError> {
        let outcome = Outcome::of(&decision.verdicts)?;
        let silent = Some(&decision.candidates).filter(|verdicts| !verdicts.is_empty());
        let candidates = silent.map(|verdicts| Outcome::of(verdicts)).transpose()?;
        Ok(Self { key, decision: Cow::Owned(decision), outcome, candidates, clock_suspect: false })
    }

    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        [&self.outcome].into_iter().chain(&self.candidates)
    }
}

// === impl Rows ===

impl Rows<'_> {
    async fn insert_decisions(&self, tx: &mut Transaction, entries: &[Entry<'_>]) -> Result<(), StoreError> {
        let keys = || entries.iter().map(|entry| entry.key);
        let (Some(first), Some(last)) = (keys().min(), keys().max()) else { return Ok(()) };
        let batch = self.insert_batch(tx, first, last, entries.len()).await?;
        let mut decisions = Insert::into("decisions", &row::STORED, "");
        let mut displaced = Insert::into("displaced_ids", &["id", "key"], "");
        for entry in entries {
            let outcome = self.outcomes[&entry.outcome.hash];
            let candidates = entry.candidates.as_ref().map(|silent| self.outcomes[&silent.hash]);
            let numbers = self.names.numbers(&entry.decision, self.reviews, (outcome, candidates))?;
            let numbers = Numbers { batch, ..numbers };
            let workload = self.reviews.get(&entry.decision.review).map_or("", |review| &review.workload.name);
            decisions.row(row::values(entry, numbers, workload)?);
            if key::time_of(entry.decision.id) != Some(key::at(entry.key)) {
                displaced.row([entry.decision.id.into(), entry.key.into()]);
            }
        }
        tx.insert(decisions).await?;
        tx.insert(displaced).await
    }

    /// Its number.
    async fn insert_batch(
        &self,
        tx: &mut Transaction,
        first: i64,
        last: i64,
        decisions: usize,
    ) -> Result<i64, StoreError> {
        let mut sql = Sql::new("INSERT INTO batches (stored_at, first_key, last_key, decisions, replica) ");
        sql.values([[self.now.0, first, last, decisions as i64, self.replica]]).push(" RETURNING id");
        let rows = tx.fetch(sql).await?;
        rows.first().ok_or_else(|| StoreError::broken("a batch got no number"))?.int(0)
    }
}

/// The cells of a decision that have a row in one of the tables.
type CellsOf = fn(&Alike) -> Vec<Cell>;

/// What it says of its candidates.
fn cells(alike: &Alike) -> Vec<Cell> {
    alike.cells.clone()
}

/// What its local policies say beside its webhooks, where that is found by the decision.
fn rare_cells(alike: &Alike) -> Vec<Cell> {
    alike.agreed.iter().filter(|one| one.is_rare).map(|one| one.cell).collect()
}

/// The cells of decisions, each with its key; of those from a key on, where there is one.
fn of_keys(keys: &[i64], facts: &[Fact], cells: CellsOf, from: Option<i64>) -> Vec<(i64, i64)> {
    let counted = keys.iter().zip(facts).filter(|(key, _)| from.is_none_or(|from| **key >= from));
    counted.flat_map(|(key, fact)| cells(&fact.alike).into_iter().map(|Cell(cell)| (cell, *key))).collect()
}

/// Of the rows of causes of a decision that is stored. A late verdict may make a rule or a repository one to blame, and
/// never clears one.
const AMENDED: [&str; 3] = [
    "ON CONFLICT (rule, key) DO UPDATE SET to_blame = excluded.to_blame",
    "ON CONFLICT DO NOTHING",
    "ON CONFLICT DO NOTHING",
];

/// What was violated, who is to blame, and what let something through, by the key of the decision.
async fn insert_causes(
    tx: &mut Transaction,
    facts: impl Iterator<Item = (i64, &Fact)>,
    [of_rule, of_repository, of_exemption]: [&'static str; 3],
) -> Result<(), StoreError> {
    let (mut violated, mut blamed, mut through) = (Vec::new(), Vec::new(), Vec::new());
    for (key, fact) in facts {
        violated.extend(fact.alike.rules.iter().map(|(rule, how)| (*rule, key, how.denied || how.would_reject)));
        let to_blame = fact.alike.repositories.iter().filter(|(_, blame)| blame.denied || blame.would_reject);
        blamed.extend(to_blame.map(|(repository, _)| (*repository, key)));
        through.extend(fact.alike.exemptions.iter().map(|exemption| (*exemption, key)));
    }
    violated.sort_unstable();
    blamed.sort_unstable();
    through.sort_unstable();
    let mut rules = Insert::into("decision_rules", &["rule", "key", "to_blame"], of_rule);
    for (rule, key, to_blame) in violated {
        rules.row([rule.into(), key.into(), to_blame.into()]);
    }
    let mut repositories = Insert::into("decision_repositories", &["repository", "key"], of_repository);
    for (repository, key) in blamed {
        repositories.row([repository.into(), key.into()]);
    }
    let mut exemptions = Insert::into("decision_exemptions", &["exemption", "key"], of_exemption);
    for (exemption, key) in through {
        exemptions.row([exemption.into(), key.into()]);
    }
    tx.insert(rules).await?;
    tx.insert(repositories).await?;
    tx.insert(exemptions).await
}
