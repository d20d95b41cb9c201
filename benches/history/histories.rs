//! Histories to measure: in SQLite in a directory that goes with it, in Postgres in a database of a server of its own.

use std::fs;

use rehearsal::recorder::drain::MAX_RECORDS;
use rehearsal::review::clock::{DecisionId, Timestamp};
use rehearsal::review::decision::Record;
use rehearsal::store::Store;
use rehearsal::store::settings::{HistorySettings, Objects, PostgresSettings, RetentionSettings, StoreSettings};
use rehearsal::store::synthetic::{Scale, Traffic};
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::postgres::{PASSWORD, Server, USER};

/// Decisions a second, as 100 million over 90 days are.
const RATE: f64 = 12.86;

/// An empty history.
pub struct History {
    pub store: Store,
    pub settings: StoreSettings,
    /// Of the database, for sqlx.
    pub url: String,
    _directory: TempDir,
}

// === impl History ===

impl History {
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("history.sqlite").display());
        Self::open(StoreSettings::Sqlite(directory.path().to_owned()), url, directory).await
    }

    /// Over its socket: over TCP a COPY waits up to 40 ms for the acknowledgement of its rows before it says that they are
    /// all, which would slow down what a drain is compared with.
    pub async fn postgres(server: &Server) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let password_file = directory.path().join("password");
        fs::write(&password_file, PASSWORD).expect("a password file");
        let (database, port, socket) = (server.database(), server.port, server.directory.display());
        let url = |host: &str| format!("postgres://{USER}@{host}:{port}/{database}?host={socket}");
        let settings =
            PostgresSettings { url: url("").parse().expect("a URL"), password_file: Some(password_file), ca: None };
        let url = url("localhost");
        Self::open(StoreSettings::Postgres(settings), url, directory).await
    }

    async fn open(settings: StoreSettings, url: String, directory: TempDir) -> Self {
        let store = open(&settings, Uuid::from_u128(1)).await;
        Self { store, settings, url, _directory: directory }
    }

    pub async fn apply(&self, batches: &[Vec<Record>]) {
        for batch in batches {
            self.store.apply(batch).await.expect("a batch");
        }
    }
}

/// As replica `replica`.
pub async fn open(settings: &StoreSettings, replica: Uuid) -> Store {
    let history = HistorySettings { objects: Objects::None, max_names: 200_000, retention: RetentionSettings::DEFAULT };
    Store::open(settings, &history, replica).await.expect("a store")
}

/// Records up to now in batches, a review before its first decision, as the journal has them.
pub fn batches(decisions: usize, seed: u64) -> Vec<Vec<Record>> {
    in_batches(records(decisions, seed))
}

fn records(decisions: usize, seed: u64) -> Vec<Record> {
    let mut traffic = Traffic::new(1, &Scale::default());
    traffic.shuffle(seed);
    let mut seen = std::collections::HashSet::new();
    let start = Timestamp::now().0 - (decisions as f64 * 1_000.0 / RATE) as i64;
    let mut records = Vec::new();
    for number in 0..decisions {
        let at = Timestamp(start + (number as f64 * 1_000.0 / RATE) as i64);
        let (mut decision, review) = traffic.next(at);
        decision.id = DecisionId::at(at);
        if seen.insert(review.hash) {
            records.push(Record::Review(review));
        }
        records.push(Record::Decision(Box::new(decision)));
    }
    records
}

fn in_batches(mut records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut batches = Vec::new();
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(MAX_RECORDS));
        batches.push(std::mem::replace(&mut records, rest));
    }
    batches
}

fn is_decision(record: &Record) -> bool {
    matches!(record, Record::Decision(_))
}

pub fn decisions_in(batches: &[Vec<Record>]) -> usize {
    batches.iter().flatten().filter(|record| is_decision(record)).count()
}

/// Decisions to measure with, and as many before them that fill names, reviews and caches.
#[derive(Clone)]
pub struct Halves {
    pub warm: Vec<Vec<Record>>,
    pub measured: Vec<Vec<Record>>,
}

// === impl Halves ===

impl Halves {
    pub fn new(decisions: usize, seed: u64) -> Self {
        let mut warm = records(2 * decisions, seed);
        let decision = (0..warm.len()).filter(|at| is_decision(&warm[*at])).nth(decisions).expect("as many again");
        let measured = warm.split_off(decision);
        Self { warm: in_batches(warm), measured: in_batches(measured) }
    }

    pub fn decisions(&self) -> usize {
        decisions_in(&self.measured)
    }
}
