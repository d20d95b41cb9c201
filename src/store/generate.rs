//! A made-up history of any size, straight into a database: for trying pages, and for measuring.
//!
//! The traffic's patterns are stored as any batch is, so that names, reviews and outcomes are there; the database then
//! multiplies their rows over the days, and all figures are counted from the rows. Cut short, it leaves rows without
//! figures, and on SQLite without indexes: delete what it made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::bucket::{Day, Width};
use super::database::{Transaction, Words};
use super::error::StoreError;
use super::recount::recount;
use super::sql::{FOR_EACH_JOIN, Insert, Sql};
use super::synthetic::{Pattern, Scale, Traffic};
use super::{Store, key, row};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Record;

/// What is made.
#[derive(Debug, Clone)]
pub struct Synthetic {
    pub decisions: u64,
    /// Over these days, up to now.
    pub days: u16,
    /// The same traffic for the same seed.
    pub seed: u64,
    pub scale: Scale,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Decisions.
    Stored(u64),
    Indexes,
    Figures,
}

const HOUR: i64 = 3_600_000;

/// What is chosen among is two to the power of so many: a pattern comes as often as its weight has these.
const PICKS: RangeInclusive<u32> = 14..=18;

/// Patterns stored in one batch.
const AT_ONCE: usize = 1_000;

/// Numbers stay below this, so that what is computed of them fits 64 bits.
const MOST: u64 = 2_000_000_000;

impl Store {
    /// Fills a history in which there are no decisions. Nobody may write it meanwhile.
    pub async fn generate(&self, wanted: Synthetic, progress: impl FnMut(Progress)) -> Result<(), StoreError> {
        self.generate_until(wanted, Timestamp::now(), progress).await
    }

    pub(super) async fn generate_until(
        &self,
        wanted: Synthetic,
        now: Timestamp,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), StoreError> {
        if self.first_at().await?.is_some() {
            return Err(StoreError::NotEmpty);
        }
        let traffic = Traffic::new(wanted.seed, &wanted.scale);
        let bits = bits(traffic.patterns.len());
        let from = Timestamp(now.0 - i64::from(wanted.days.max(1)) * 24 * HOUR);
        let keys = self.store_patterns(&traffic.patterns, from, now).await?;
        let replica = self.own_number().await?;
        let indexes = self.database.drop_indexes().await?;
        let (mut stored, mut picked) = (0, None);
        for (hour, count) in hours(wanted.decisions.min(MOST), from, now) {
            let mut tx = self.database.begin().await?;
            if picked.replace(Day::of(hour)) != Some(Day::of(hour)) {
                pick(&mut tx, &traffic.patterns, &keys, (bits, part(hour, from, now))).await?;
            }
            multiply(self.database.words(), &mut tx, Chunk { first: stored, count, hour, bits, replica, now }).await?;
            tx.commit().await?;
            stored += count;
            progress(Progress::Stored(stored));
        }
        progress(Progress::Indexes);
        self.database.make_indexes(&indexes).await?;
        progress(Progress::Figures);
        recount(&self.database, replica, |day| Width::kept(day.0, now)).await
    }

    /// Their keys. Only what they refer to stays in the history: their rows are moved aside.
    async fn store_patterns(
        &self,
        patterns: &[Pattern],
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let days: Vec<Day> =
            std::iter::successors(Some(Day::of(from)), |day| Some(day.next())).take_while(|day| day.0 <= now).collect();
        self.database.make_room(&days).await?;
        let mut keys = Vec::with_capacity(patterns.len());
        for (at, patterns) in patterns.chunks(AT_ONCE).enumerate() {
            let mut records = Vec::with_capacity(2 * patterns.len());
            for (number, pattern) in patterns.iter().enumerate() {
                let time = Timestamp(now.0 - (at * AT_ONCE + number) as i64);
                let id = DecisionId::at(time);
                records.push(Record::Review(pattern.review.clone()));
                records.push(Record::Decision(Box::new(pattern.decision(time, id))));
                keys.push(key::of(time, id));
            }
            self.apply_at(&records, now).await?;
        }
        let clusters: BTreeSet<&str> = patterns.iter().map(|pattern| pattern.cluster).collect();
        let clusters = clusters.into_iter().map(str::to_owned).collect();
        let replica = self.memory.replica();
        self.apply_at(&[Record::Presence { replica, clusters, from, to: now }], now).await?;
        let mut tx = self.database.begin().await?;
        for text in [
            "CREATE TEMPORARY TABLE patterns AS SELECT * FROM decisions",
            "CREATE TEMPORARY TABLE pattern_rules AS SELECT * FROM decision_rules",
            "CREATE TEMPORARY TABLE pattern_repositories AS SELECT * FROM decision_repositories",
            "CREATE TEMPORARY TABLE pattern_agreements AS SELECT * FROM decision_agreements",
            "CREATE TEMPORARY TABLE picks (number INTEGER PRIMARY KEY, pattern BIGINT NOT NULL)",
            "CREATE INDEX patterns_key ON patterns (key)",
            "CREATE INDEX pattern_rules_key ON pattern_rules (key)",
            "CREATE INDEX pattern_repositories_key ON pattern_repositories (key)",
            "CREATE INDEX pattern_agreements_key ON pattern_agreements (key)",
            "DELETE FROM decisions",
            "DELETE FROM decision_rules",
            "DELETE FROM decision_repositories",
            "DELETE FROM decision_agreements",
            "DELETE FROM displaced_ids",
            "DELETE FROM batches",
        ] {
            tx.execute(Sql::new(text)).await?;
        }
        let today = Day::of(now).0.0;
        for table in ["reviews", "outcomes"] {
            tx.execute(Sql::new(&format!("UPDATE {table} SET last_day = {today}, last_notable_day = {today}"))).await?;
        }
        tx.commit().await?;
        Ok(keys)
    }

    async fn own_number(&self) -> Result<i64, StoreError> {
        let mut sql = Sql::new("SELECT id FROM replicas WHERE replica = ");
        sql.bind(self.memory.replica());
        let rows = self.database.fetch(sql).await?;
        rows.first().ok_or_else(|| StoreError::broken("this replica has no number"))?.int(0)
    }
}

/// Decisions of one hour, which are one batch.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// The number of its first decision.
    first: u64,
    count: u64,
    hour: Timestamp,
    /// That choose a pattern.
    bits: u32,
    replica: i64,
    now: Timestamp,
}

/// How far into the span a time is, from 0 to 1.
fn part(at: Timestamp, from: Timestamp, now: Timestamp) -> f64 {
    (at.0 - from.0) as f64 / (now.0 - from.0) as f64
}

/// The hours of the span and how many decisions each has: more by day than by night, few at the weekend.
fn hours(decisions: u64, from: Timestamp, now: Timestamp) -> Vec<(Timestamp, u64)> {
    let starts = || (0..).map(|hour| Timestamp(from.0 + hour * HOUR)).take_while(|hour| hour.0 + HOUR <= now.0);
    let whole: f64 = starts().map(busy).sum();
    let (mut sum, mut given) = (0.0, 0);
    let count = |hour: Timestamp| {
        sum += busy(hour);
        let until = ((sum / whole) * decisions as f64).round() as u64;
        let count = until.min(decisions) - given;
        given += count;
        (hour, count)
    };
    starts().map(count).filter(|(_, count)| *count > 0).collect()
}

fn busy(at: Timestamp) -> f64 {
    let (day, hour) = (at.0.div_euclid(24 * HOUR), at.0.rem_euclid(24 * HOUR) / HOUR);
    // The first day of 1970 was a Thursday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    let by_hour = match hour {
        7..=17 => 1.0 - (hour as f64 - 12.0).abs() * 0.08,
        18..=21 => 0.35,
        _ => 0.15,
    };
    by_hour * if weekend { 0.3 } else { 1.0 }
}

/// Enough for four times as many as there are, so that the rare ones come too.
fn bits(patterns: usize) -> u32 {
    (4 * patterns).next_power_of_two().ilog2().clamp(*PICKS.start(), *PICKS.end())
}

/// Which patterns the day chooses among: those that are live, each as often as its weight has it.
async fn pick(
    tx: &mut Transaction,
    patterns: &[Pattern],
    keys: &[i64],
    (bits, part): (u32, f64),
) -> Result<(), StoreError> {
    let picks = 1 << bits;
    let live = || patterns.iter().zip(keys).filter(|(pattern, _)| pattern.live.0 <= part && part < pattern.live.1);
    let whole: f64 = live().map(|(pattern, _)| pattern.weight).sum();
    let mut sums = BTreeMap::new();
    let mut sum = 0.0;
    for (pattern, key) in live() {
        sum += pattern.weight;
        sums.insert((sum / whole * f64::from(picks)).ceil() as i32, *key);
    }
    tx.execute(Sql::new("DELETE FROM picks")).await?;
    let mut insert = Insert::into("picks", &["number", "pattern"], "");
    for number in 0..picks {
        let found = sums.range(number + 1..).next().or(sums.last_key_value());
        if let Some((_, key)) = found {
            insert.row([i64::from(number).into(), (*key).into()]);
        }
    }
    tx.insert(insert).await
}

/// Makes the rows of a chunk out of those of the patterns.
async fn multiply(words: &Words, tx: &mut Transaction, chunk: Chunk) -> Result<(), StoreError> {
    let first_key = key::start(chunk.hour);
    let step = (key::start(Timestamp(chunk.hour.0 + HOUR)) - first_key) / chunk.count as i64;
    let last_key = first_key + step * chunk.count as i64;
    let mut sql = Sql::new("INSERT INTO batches (stored_at, first_key, last_key, decisions, replica) ");
    sql.values([[chunk.now.0, first_key, last_key, chunk.count as i64, chunk.replica]]).push(" RETURNING id");
    let batch = tx.fetch(sql).await?.first().ok_or_else(|| StoreError::broken("a batch got no number"))?.int(0)?;

    let made = |column: &str| match column {
        "key" => "c.key".to_owned(),
        "id" => (words.bytes)("(-9223372036854775807 - 1) | ((c.key & 511) << 53) | (c.a << 20) | (c.b & 1048575)"),
        "uid" => words.random_uuid.to_owned(),
        "batch" => batch.to_string(),
        "name" => format!("t.name || {}", (words.digits)("c.b & 1048575")),
        "duration_us" => "200 + c.b % 1800".to_owned(),
        same => format!("t.{same}"),
    };
    let columns = row::STORED.join(", ");
    let values = row::STORED.map(made).join(", ");
    let chosen = chosen(chunk, first_key, step);
    for text in [
        format!(
            "INSERT INTO decisions ({columns}) SELECT {values} FROM ({chosen}) AS c \
             {FOR_EACH_JOIN} picks p {FOR_EACH_JOIN} patterns t WHERE p.number = c.pick AND t.key = p.pattern"
        ),
        format!(
            "INSERT INTO decision_rules (rule, key, to_blame) SELECT t.rule, c.key, t.to_blame FROM ({chosen}) AS c \
             {FOR_EACH_JOIN} picks p {FOR_EACH_JOIN} pattern_rules t WHERE p.number = c.pick AND t.key = p.pattern"
        ),
        format!(
            "INSERT INTO decision_repositories (repository, key) SELECT t.repository, c.key FROM ({chosen}) AS c \
             {FOR_EACH_JOIN} picks p {FOR_EACH_JOIN} pattern_repositories t WHERE p.number = c.pick AND t.key = p.pattern"
        ),
        format!(
            "INSERT INTO decision_agreements (cell, key) SELECT t.cell, c.key FROM ({chosen}) AS c \
             {FOR_EACH_JOIN} picks p {FOR_EACH_JOIN} pattern_agreements t WHERE p.number = c.pick AND t.key = p.pattern"
        ),
    ] {
        tx.execute(Sql::new(&text)).await?;
    }
    Ok(())
}

/// `key`, two random numbers of 32 bits, and which pattern it is, of each decision of a chunk. Random is what its number
/// is mixed to, so that the statements choose alike.
fn chosen(chunk: Chunk, first_key: i64, step: i64) -> String {
    let (first, last, rest) = (chunk.first, chunk.first + chunk.count - 1, 32 - chunk.bits);
    format!(
        "WITH RECURSIVE numbers(n) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}), \
         once(n, x) AS (SELECT n, n * 2654435761 % 4294967296 FROM numbers), \
         twice(n, a) AS (SELECT n, (x + (x >> 15)) * 805459861 % 4294967296 FROM once), \
         thrice(n, a, b) AS (SELECT n, a, (a + (a >> 13)) * 668265263 % 4294967296 FROM twice) \
         SELECT {first_key} + (n - {first}) * {step} + (a * 4194304 + (b >> 10)) % {step} AS key, a, b, b >> {rest} AS pick FROM thrice"
    )
}
