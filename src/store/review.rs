//! The content-addressed rows: reviews with the images that they name, and outcomes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;

use super::database::Transaction;
use super::days::{Needed, Raised};
use super::error::StoreError;
use super::outcome::Outcome;
use super::sql::{Insert, Sql, storable};
use crate::review::decision::{Operation, Protocol, ReviewHash, ReviewRecord};
use crate::review::workload::Workload;

/// Reviews remembered: about 500 bytes each.
const REVIEWS: usize = 8_000;
/// Outcomes remembered: 40 bytes each.
const OUTCOMES: usize = 50_000;
/// Hashes or names looked up in one statement.
const LOOKED_UP: usize = 500;

/// Images are counted again once so many were added: a walk of an index over all of them.
const RECOUNTED: u64 = 1_000;

/// The row of `repositories` into which those past `history.max_names` fall.
const OTHER: i64 = 1;

/// What a decision's row and its figures need of its review.
#[derive(Debug)]
pub(super) struct StoredReview {
    pub id: i64,
    /// Empty: none.
    pub namespace: String,
    pub workload: Workload,
    /// Each once.
    pub images: Vec<NamedImage>,
}

/// An image that a review names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedImage {
    /// As written.
    pub text: String,
    /// Its number, where it is counted by itself.
    pub counted: Option<i64>,
    /// `None`: it cannot be read.
    pub repository: Option<i64>,
}

pub(super) type Reviews = HashMap<ReviewHash, Arc<StoredReview>>;

/// An image's row.
#[derive(Debug, Clone, Copy)]
struct ImageRow {
    id: i64,
    repository: Option<i64>,
    is_counted: bool,
}

/// What is remembered of these tables. Filled only after a commit, as names are.
#[derive(Debug)]
pub(super) struct Contents {
    reviews: Cache<ReviewHash, Arc<StoredReview>>,
    outcomes: Cache<[u8; 32], OutcomeRow>,
    max_names: u64,
    counted: Mutex<Counted>,
}

/// An outcome's row.
#[derive(Debug, Clone, Copy)]
struct OutcomeRow {
    id: i64,
    /// In which common cells it is was noted. Of one that was met as that of candidates alone it was not.
    has_cells: bool,
}

/// How many images are counted by themselves. They are never deleted.
#[derive(Debug, Default)]
struct Counted {
    known: Option<Count>,
    /// What is known once the transaction is committed.
    next: Option<Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    images: u64,
    /// Added here since they were counted. Other replicas add some, too.
    added: u64,
}

// === impl Contents ===

impl Contents {
    pub fn new(max_names: u64) -> Self {
        let counted = Mutex::default();
        Self { reviews: Cache::new(REVIEWS), outcomes: Cache::new(OUTCOMES), max_names, counted }
    }

    /// Stores those of `given` that are new; finds those of `given` and of `wanted`. One that is wanted, but neither
    /// given nor stored, is missing from the answer.
    pub async fn resolve_reviews(
        &self,
        tx: &mut Transaction,
        given: &HashMap<ReviewHash, &ReviewRecord>,
        wanted: impl IntoIterator<Item = ReviewHash>,
        raised: &mut Raised,
    ) -> Result<Reviews, StoreError> {
        let hashes: BTreeSet<ReviewHash> = given.keys().copied().chain(wanted).collect();
        let mut found: Reviews = HashMap::new();
        let mut missing = Vec::new();
        for hash in hashes {
            match self.reviews.get(&hash) {
                Some(review) => {
                    found.insert(hash, review);
                }
                None => missing.push(hash),
            }
        }
        let stored = stored_reviews(tx, &missing, raised).await?;
        let known: HashSet<ReviewHash> = stored.iter().map(|(_, record)| record.hash).collect();
        let new: Vec<&ReviewRecord> =
            missing.iter().filter(|hash| !known.contains(hash)).filter_map(|hash| given.get(hash).copied()).collect();
        let inserted = insert_reviews(tx, &new, raised).await?;
        let all: Vec<(i64, &ReviewRecord)> = stored
            .iter()
            .map(|(id, record)| (*id, record))
            .chain(inserted.into_iter().zip(new.iter().copied()))
            .collect();
        let images = self.resolve_images(tx, all.iter().map(|(_, record)| *record)).await?;
        insert_review_images(tx, &all[stored.len()..], &images).await?;
        found
            .extend(all.into_iter().map(|(id, record)| (record.hash, Arc::new(StoredReview::of(id, record, &images)))));
        Ok(found)
    }

    /// Whether it was noted before, by this process, in which common cells the outcome is.
    pub fn has_cells(&self, outcome: &[u8; 32]) -> bool {
        self.outcomes.get(outcome).is_some_and(|row| row.has_cells)
    }

    /// To be called once the transaction is committed. `with_cells`: outcomes whose common cells it noted.
    pub fn remember(&self, reviews: Reviews, outcomes: HashMap<[u8; 32], i64>, with_cells: &HashSet<[u8; 32]>) {
        for (hash, review) in reviews {
            self.reviews.insert(hash, review);
        }
        for (hash, id) in outcomes {
            let has_cells = with_cells.contains(&hash) || self.has_cells(&hash);
            self.outcomes.insert(hash, OutcomeRow { id, has_cells });
        }
        let mut counted = self.counted();
        if let Some(next) = counted.next.take() {
            counted.known = Some(next);
        }
    }

    pub fn forget(&self) {
        self.reviews.clear();
        self.outcomes.clear();
        *self.counted() = Counted::default();
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of so many new images are counted by themselves.
    async fn room(&self, tx: &mut Transaction, new: usize) -> Result<usize, StoreError> {
        let fresh = |count: &Count| count.images >= self.max_names || count.added < RECOUNTED;
        let known = self.counted().known.filter(fresh);
        let Count { images, added } = match known {
            Some(known) => known,
            None => {
                let counted = tx.fetch(Sql::new("SELECT count(*) FROM images WHERE counted")).await?;
                Count { images: counted.first().map_or(Ok(0), |row| row.count(0))?, added: 0 }
            }
        };
        let room = self.max_names.saturating_sub(images).min(new as u64);
        self.counted().next = Some(Count { images: images + room, added: added + room });
        Ok(usize::try_from(room).unwrap_or(new))
    }

    /// The id of each outcome; new ones are added.
    pub async fn resolve_outcomes(
        &self,
        tx: &mut Transaction,
        outcomes: impl IntoIterator<Item = &Outcome>,
        raised: &mut Raised,
    ) -> Result<HashMap<[u8; 32], i64>, StoreError> {
        let mut ids = HashMap::new();
        let mut missing: BTreeMap<[u8; 32], &Outcome> = BTreeMap::new();
        for outcome in outcomes {
            match self.outcomes.get(&outcome.hash) {
                Some(row) => {
                    ids.insert(outcome.hash, row.id);
                }
                None => {
                    missing.insert(outcome.hash, outcome);
                }
            }
        }
        look_up_outcomes(tx, &missing, &mut ids, raised).await?;
        missing.retain(|hash, _| !ids.contains_key(hash));
        if !missing.is_empty() {
            let columns = &["hash", "verdicts", "last_day", "exempted"];
            let mut insert = Insert::into("outcomes", columns, "ON CONFLICT DO NOTHING");
            for outcome in missing.values() {
                let (hash, verdicts) = (outcome.hash.as_slice(), &*outcome.verdicts);
                insert.row([hash.into(), verdicts.into(), raised.today().into(), outcome.exempted.into()]);
            }
            tx.insert(insert).await?;
            look_up_outcomes(tx, &missing, &mut ids, raised).await?;
        }
        Ok(ids)
    }

    /// The row of each image; new ones are added, and their repositories while there is room.
    async fn resolve_images(
        &self,
        tx: &mut Transaction,
        reviews: impl Iterator<Item = &ReviewRecord>,
    ) -> Result<HashMap<String, ImageRow>, StoreError> {
        let mut missing: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for image in reviews.flat_map(|review| &review.images) {
            let name = image.registry.as_ref().zip(image.repository.as_ref());
            missing.entry(&image.text).or_insert_with(|| name.map(|(registry, path)| format!("{registry}/{path}")));
        }
        let mut rows = HashMap::new();
        look_up_images(tx, missing.keys().copied(), &mut rows).await?;
        missing.retain(|text, _| !rows.contains_key(&*storable(text)));
        if missing.is_empty() {
            return Ok(rows);
        }
        let repositories = self.resolve_repositories(tx, missing.values().flatten()).await?;
        let room = self.room(tx, missing.len()).await?;
        let mut insert = Insert::into("images", &["text", "repository", "counted"], "ON CONFLICT DO NOTHING");
        for (at, (text, repository)) in missing.iter().enumerate() {
            let repository = repository.as_ref().map(|name| repositories.get(name).copied().unwrap_or(OTHER));
            insert.row([(*text).into(), repository.into(), (at < room).into()]);
        }
        tx.insert(insert).await?;
        look_up_images(tx, missing.keys().copied(), &mut rows).await?;
        Ok(rows)
    }

    /// The id of each repository that has one, or gets one.
    async fn resolve_repositories(
        &self,
        tx: &mut Transaction,
        names: impl Iterator<Item = &String>,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let mut missing: BTreeSet<&String> = names.collect();
        let mut ids = HashMap::new();
        look_up_repositories(tx, &missing, &mut ids).await?;
        missing.retain(|name| !ids.contains_key(*name));
        if missing.is_empty() {
            return Ok(ids);
        }
        let count = tx.fetch(Sql::new("SELECT count(*) FROM repositories WHERE id <> 1")).await?;
        let count = count.first().map_or(Ok(0), |row| row.count(0))?;
        let room = usize::try_from(self.max_names.saturating_sub(count)).unwrap_or(usize::MAX);
        let new: BTreeSet<&String> = missing.into_iter().take(room).collect();
        let mut insert = Insert::into("repositories", &["name"], "ON CONFLICT DO NOTHING");
        insert.values = new.iter().map(|name| name.as_str().into()).collect();
        tx.insert(insert).await?;
        look_up_repositories(tx, &new, &mut ids).await?;
        Ok(ids)
    }
}

// === impl StoredReview ===

impl StoredReview {
    fn of(id: i64, record: &ReviewRecord, images: &HashMap<String, ImageRow>) -> Self {
        let image = |text: &&str| {
            let row = images.get(&*storable(text));
            NamedImage {
                text: (*text).to_owned(),
                counted: row.filter(|row| row.is_counted).map(|row| row.id),
                repository: row.and_then(|row| row.repository),
            }
        };
        Self {
            id,
            namespace: record.namespace.clone().unwrap_or_default(),
            workload: record.workload.clone(),
            images: texts(record).iter().map(image).collect(),
        }
    }
}

/// What stands for a review whose record was lost with a damaged part of the journal.
pub(super) fn lost_review() -> ReviewRecord {
    let unknown = || "unknown".to_owned();
    ReviewRecord {
        hash: ReviewHash([0; 32]),
        protocol: Protocol::AdmissionReview,
        api_version: unknown(),
        operation: Operation::Create,
        subresource: None,
        group: None,
        kind: None,
        namespace: None,
        workload: Workload { kind: unknown(), name: unknown() },
        images: Vec::new(),
        annotations: Default::default(),
    }
}

fn texts(record: &ReviewRecord) -> BTreeSet<&str> {
    record.images.iter().map(|image| image.text.as_str()).collect()
}

async fn stored_reviews(
    tx: &mut Transaction,
    hashes: &[ReviewHash],
    raised: &mut Raised,
) -> Result<Vec<(i64, ReviewRecord)>, StoreError> {
    let mut reviews = Vec::new();
    for hashes in hashes.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id, record, last_day, last_notable_day FROM reviews WHERE hash IN ");
        sql.list(hashes.iter().map(|hash| hash.0.as_slice()));
        for mut row in tx.fetch(sql).await? {
            let id = row.int(0)?;
            raised.knows_review(id, Needed::read(&row, 2)?);
            reviews.push((id, serde_json::from_str(&row.text(1)?)?));
        }
    }
    Ok(reviews)
}

/// Their ids, in the same order.
async fn insert_reviews(
    tx: &mut Transaction,
    reviews: &[&ReviewRecord],
    raised: &mut Raised,
) -> Result<Vec<i64>, StoreError> {
    let mut insert = Insert::into("reviews", &["hash", "record", "last_day"], "ON CONFLICT DO NOTHING");
    for review in reviews {
        let record = serde_json::to_string(review)?;
        insert.row([review.hash.0.as_slice().into(), record.into(), raised.today().into()]);
    }
    tx.insert(insert).await?;
    let mut ids: HashMap<[u8; 32], i64> = HashMap::new();
    for reviews in reviews.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id, hash, last_day, last_notable_day FROM reviews WHERE hash IN ");
        sql.list(reviews.iter().map(|review| review.hash.0.as_slice()));
        for row in tx.fetch(sql).await? {
            let id = row.int(0)?;
            raised.knows_review(id, Needed::read(&row, 2)?);
            ids.insert(row.hash(1)?, id);
        }
    }
    let id = |review: &&ReviewRecord| ids.get(&review.hash.0).copied();
    reviews.iter().map(id).collect::<Option<_>>().ok_or_else(|| StoreError::broken("a review was not stored"))
}

async fn insert_review_images(
    tx: &mut Transaction,
    reviews: &[(i64, &ReviewRecord)],
    images: &HashMap<String, ImageRow>,
) -> Result<(), StoreError> {
    let mut insert = Insert::into("review_images", &["image", "review"], "ON CONFLICT DO NOTHING");
    for (review, record) in reviews {
        for image in texts(record).into_iter().filter_map(|text| images.get(&*storable(text))) {
            insert.row([image.id.into(), (*review).into()]);
        }
    }
    tx.insert(insert).await
}

async fn look_up_images<'a>(
    tx: &mut Transaction,
    texts: impl Iterator<Item = &'a str>,
    rows: &mut HashMap<String, ImageRow>,
) -> Result<(), StoreError> {
    let texts: Vec<&str> = texts.collect();
    for texts in texts.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id, text, repository, counted FROM images WHERE text IN ");
        sql.list(texts.iter().copied());
        for mut row in tx.fetch(sql).await? {
            let (id, repository, is_counted) = (row.int(0)?, row.opt_int(2)?, row.flag(3)?);
            rows.insert(row.text(1)?, ImageRow { id, repository, is_counted });
        }
    }
    Ok(())
}

async fn look_up_repositories(
    tx: &mut Transaction,
    names: &BTreeSet<&String>,
    ids: &mut HashMap<String, i64>,
) -> Result<(), StoreError> {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    for names in names.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id, name FROM repositories WHERE name IN ");
        sql.list(names.iter().copied());
        for mut row in tx.fetch(sql).await? {
            ids.insert(row.text(1)?, row.int(0)?);
        }
    }
    Ok(())
}

async fn look_up_outcomes(
    tx: &mut Transaction,
    outcomes: &BTreeMap<[u8; 32], &Outcome>,
    ids: &mut HashMap<[u8; 32], i64>,
    raised: &mut Raised,
) -> Result<(), StoreError> {
    let hashes: Vec<&[u8; 32]> = outcomes.keys().collect();
    for hashes in hashes.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT id, hash, last_day, last_notable_day FROM outcomes WHERE hash IN ");
        sql.list(hashes.iter().map(|hash| hash.as_slice()));
        for row in tx.fetch(sql).await? {
            let id = row.int(0)?;
            raised.knows_outcome(id, Needed::read(&row, 2)?);
            ids.insert(row.hash(1)?, id);
        }
    }
    Ok(())
}
