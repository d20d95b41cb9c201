//! Figures: what each decision adds to them, gathered over a batch and written in the order of their keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::agreement::{Agreed, Agreements};
use super::bucket::Width;
use super::cell::Cell;
use super::database::Transaction;
use super::error::StoreError;
use super::evidence::{Evidence, Judged, Seat};
use super::key;
use super::outcome::Violated;
use super::sql::{Insert, Value};
use crate::review::clock::Timestamp;
use crate::review::decision::Answer;

/// What one decision says to the figures.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    /// Of its row.
    pub key: i64,
    pub alike: Arc<Alike>,
}

/// What many decisions say.
#[derive(Debug)]
pub(super) struct Alike {
    pub cluster: i64,
    pub namespace: i64,
    pub workload: i64,
    pub dry_run: bool,
    pub answer: Answer,
    pub would_reject: bool,
    /// By rule id, each once.
    pub rules: Vec<(i64, Violated)>,
    /// By repository id, each once.
    pub repositories: Vec<(i64, Blame)>,
    /// Numbers of those that are counted by themselves, each once.
    pub images: Vec<i64>,
    /// Numbers of what let something through, each once.
    pub exemptions: Vec<i64>,
    /// One for each candidate.
    pub cells: Vec<Cell>,
    /// One for each webhook with all local policies, and with each.
    pub agreed: Vec<Agreed>,
    /// One for each policy that judged an image.
    pub judged: Vec<Judged>,
}

/// What an image of a repository is to blame for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Blame {
    pub denied: bool,
    pub would_reject: bool,
}

/// Additions to the figures, by key.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Decisions that say the same within the quarter hour that begins then, by the place of what they say in memory:
    /// most of a batch are alike. Those that count for agreements are apart from those that do not.
    alike: HashMap<(Timestamp, bool, usize), (Arc<Alike>, Run)>,
    /// reviews, allowed, denied, failed, would_reject, unjudged
    totals: BTreeMap<(Bucket, bool), [i64; 6]>,
    /// reviews, denied, would_reject, standing; by rule
    rules: BTreeMap<(Bucket, i64, bool), [i64; 4]>,
    /// reviews, denied, would_reject; by repository
    repositories: BTreeMap<(Bucket, i64, bool), [i64; 3]>,
    /// reviews; by cell
    candidates: BTreeMap<(Bucket, Cell, bool), [i64; 1]>,
    /// reviews, denied, would_reject; by workload
    workloads: BTreeMap<(i64, bool), Seen<3>>,
    /// reviews; by image, workload
    image_workloads: BTreeMap<(i64, i64, bool), Seen<1>>,
    /// reviews, denied, would_reject, standing; by rule, day, workload
    workload_rules: BTreeMap<(i64, i64, i64, bool), Seen<4>>,
    agreements: Agreements,
    /// The first key of a decision that they count; `None`: all are.
    agreed_from: Option<i64>,
    /// reviews; by exemption, day, namespace, workload
    uses: BTreeMap<(i64, i64, Seat, bool), Seen<1>>,
    evidence: Evidence,
}

/// Decisions of one quarter hour: the first key and the last, and how many they are.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: i64,
    last: i64,
    count: i64,
}

/// Ordered as the tables' keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    cluster: i64,
    /// 0: all of the cluster.
    namespace: i64,
    minutes: i64,
    start: i64,
}

#[derive(Debug)]
struct Seen<const N: usize> {
    first: Timestamp,
    last: Timestamp,
    counts: [i64; N],
}

// === impl Tally ===

impl Tally {
    /// Of a history that counts agreements from this key on.
    pub fn agreed_from(key: Option<i64>) -> Self {
        Self { agreed_from: key, ..Self::default() }
    }

    pub fn add(&mut self, fact: Fact) {
        let Fact { key, alike } = fact;
        let place = (Width::Quarter.floor(key::at(key)), self.counts_agreements(key), Arc::as_ptr(&alike).addr());
        let (_, run) = self.alike.entry(place).or_insert_with(|| (alike, Run { first: key, last: key, count: 0 }));
        *run = Run { first: run.first.min(key), last: run.last.max(key), count: run.count + 1 };
    }

    /// Decisions that say the same within one quarter hour, from the key of `fact` to `last`.
    pub fn add_many(&mut self, fact: &Fact, last: i64, count: i64) {
        self.count(&fact.alike, Run { first: fact.key, last, count });
    }

    /// A decision that said `before` says `after` now.
    pub fn replace(&mut self, before: &Fact, after: &Fact) {
        self.count(&before.alike, Run { first: before.key, last: before.key, count: -1 });
        self.count(&after.alike, Run { first: after.key, last: after.key, count: 1 });
    }

    pub fn add_unjudged(&mut self, cluster: i64, at: Timestamp, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        for bucket in Bucket::of(cluster, 0, at) {
            add(self.totals.entry((bucket, false)).or_default(), [0, 0, 0, 0, 0, count]);
        }
    }

    /// Of one quarter hour, between their first and their last.
    fn count(&mut self, fact: &Alike, Run { first, last, count: sign }: Run) {
        // What a late verdict takes the place of judged nothing: nothing is ever taken back.
        let seat = Seat { namespace: fact.namespace, workload: fact.workload };
        if sign > 0 && !fact.dry_run {
            self.evidence.add(seat, &fact.judged, (first, last));
        }
        let counts_agreements = self.counts_agreements(first);
        let (first, last) = (key::at(first), key::at(last));
        let one = |yes: bool| if yes { sign } else { 0 };
        let denied = fact.answer == Answer::Denied;
        let total = [
            sign,
            one(fact.answer == Answer::Allowed),
            one(denied),
            one(fact.answer == Answer::Failed),
            one(fact.would_reject),
            0,
        ];
        let of_rule =
            |rule: &Violated| [one(rule.brought), one(rule.denied), one(rule.would_reject), one(rule.standing)];
        for namespace in [0, fact.namespace] {
            for bucket in Bucket::of(fact.cluster, namespace, first) {
                add(self.totals.entry((bucket, fact.dry_run)).or_default(), total);
                for (id, rule) in &fact.rules {
                    add(self.rules.entry((bucket, *id, fact.dry_run)).or_default(), of_rule(rule));
                }
                for (id, blame) in &fact.repositories {
                    let counts = [sign, one(blame.denied), one(blame.would_reject)];
                    add(self.repositories.entry((bucket, *id, fact.dry_run)).or_default(), counts);
                }
                for cell in &fact.cells {
                    add(self.candidates.entry((bucket, *cell, fact.dry_run)).or_default(), [sign]);
                }
                if counts_agreements {
                    let repositories = fact.repositories.iter().map(|(id, _)| *id);
                    self.agreements.add(bucket, &fact.agreed, repositories, fact.dry_run, sign);
                }
            }
        }
        let workload = self.workloads.entry((fact.workload, fact.dry_run)).or_insert_with(|| Seen::new(first));
        workload.add(first, last, [sign, one(denied), one(fact.would_reject)]);
        for image in &fact.images {
            let key = (*image, fact.workload, fact.dry_run);
            self.image_workloads.entry(key).or_insert_with(|| Seen::new(first)).add(first, last, [sign]);
        }
        let day = Width::Day.floor(first).0;
        for exemption in &fact.exemptions {
            let key = (*exemption, day, seat, fact.dry_run);
            self.uses.entry(key).or_insert_with(|| Seen::new(first)).add(first, last, [sign]);
        }
        for (id, rule) in &fact.rules {
            let key = (*id, day, fact.workload, fact.dry_run);
            self.workload_rules.entry(key).or_insert_with(|| Seen::new(first)).add(first, last, of_rule(rule));
        }
    }

    fn counts_agreements(&self, key: i64) -> bool {
        self.agreed_from.is_none_or(|from| key >= from)
    }

    /// Leaves out the buckets that are finer.
    pub fn keep(&mut self, finest: Width) {
        self.count_alike();
        let is_kept = |bucket: &Bucket| bucket.minutes >= finest.minutes();
        self.totals.retain(|(bucket, _), _| is_kept(bucket));
        self.rules.retain(|(bucket, ..), _| is_kept(bucket));
        self.repositories.retain(|(bucket, ..), _| is_kept(bucket));
        self.candidates.retain(|(bucket, ..), _| is_kept(bucket));
        self.agreements.retain(is_kept);
    }

    fn count_alike(&mut self) {
        for (alike, run) in std::mem::take(&mut self.alike).into_values() {
            self.count(&alike, run);
        }
    }

    /// `replica`: who writes them.
    pub async fn write(mut self, tx: &mut Transaction, replica: i64) -> Result<(), StoreError> {
        self.count_alike();
        for insert in [
            totals(self.totals, replica),
            rules(self.rules, replica),
            repositories(self.repositories, replica),
            candidates(self.candidates, replica),
            workloads(self.workloads, replica),
            image_workloads(self.image_workloads, replica),
            workload_rules(self.workload_rules, replica),
            uses(self.uses, replica),
        ] {
            tx.insert(insert).await?;
        }
        self.agreements.write(tx, replica).await?;
        self.evidence.write(tx, replica).await
    }
}

// === impl Bucket ===

impl Bucket {
    fn of(cluster: i64, namespace: i64, at: Timestamp) -> [Self; 3] {
        Width::ALL.map(|width| Self { cluster, namespace, minutes: width.minutes(), start: width.floor(at).0 })
    }

    pub fn values(self) -> [Value; 4] {
        [self.cluster.into(), self.namespace.into(), self.minutes.into(), self.start.into()]
    }
}

// === impl Seen ===

impl<const N: usize> Seen<N> {
    fn new(at: Timestamp) -> Self {
        Self { first: at, last: at, counts: [0; N] }
    }

    fn add(&mut self, first: Timestamp, last: Timestamp, counts: [i64; N]) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        add(&mut self.counts, counts);
    }
}

pub(super) fn add<const N: usize>(sum: &mut [i64; N], counts: [i64; N]) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// A replaced decision leaves most of its keys as they were.
pub(super) fn changes<const N: usize>(counts: &[i64; N]) -> bool {
    counts.iter().any(|&count| count != 0)
}

fn totals(tally: BTreeMap<(Bucket, bool), [i64; 6]>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "rollup_totals",
        &[
            "cluster",
            "namespace",
            "width",
            "bucket",
            "dry_run",
            "replica",
            "reviews",
            "allowed",
            "denied",
            "failed",
            "would_reject",
            "unjudged",
        ],
        "ON CONFLICT (cluster, namespace, width, bucket, dry_run, replica) DO UPDATE SET \
         reviews = rollup_totals.reviews + excluded.reviews, \
         allowed = rollup_totals.allowed + excluded.allowed, \
         denied = rollup_totals.denied + excluded.denied, \
         failed = rollup_totals.failed + excluded.failed, \
         would_reject = rollup_totals.would_reject + excluded.would_reject, \
         unjudged = rollup_totals.unjudged + excluded.unjudged",
    );
    for ((bucket, dry_run), counts) in tally.into_iter().filter(|(_, counts)| changes(counts)) {
        insert.values.extend(bucket.values());
        insert.values.extend([dry_run.into(), replica.into()]);
        insert.values.extend(counts.map(Value::Int));
    }
    insert
}

fn rules(tally: BTreeMap<(Bucket, i64, bool), [i64; 4]>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "rollup_rules",
        &[
            "cluster",
            "namespace",
            "width",
            "bucket",
            "rule",
            "dry_run",
            "replica",
            "reviews",
            "denied",
            "would_reject",
            "standing",
        ],
        "ON CONFLICT (cluster, namespace, width, bucket, rule, dry_run, replica) DO UPDATE SET \
         reviews = rollup_rules.reviews + excluded.reviews, \
         denied = rollup_rules.denied + excluded.denied, \
         would_reject = rollup_rules.would_reject + excluded.would_reject, \
         standing = rollup_rules.standing + excluded.standing",
    );
    for ((bucket, rule, dry_run), counts) in tally.into_iter().filter(|(_, counts)| changes(counts)) {
        insert.values.extend(bucket.values());
        insert.values.extend([rule.into(), dry_run.into(), replica.into()]);
        insert.values.extend(counts.map(Value::Int));
    }
    insert
}

fn repositories(tally: BTreeMap<(Bucket, i64, bool), [i64; 3]>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "rollup_repositories",
        &[
            "cluster",
            "namespace",
            "width",
            "bucket",
            "repository",
            "dry_run",
            "replica",
            "reviews",
            "denied",
            "would_reject",
        ],
        "ON CONFLICT (cluster, namespace, width, bucket, repository, dry_run, replica) DO UPDATE SET \
         reviews = rollup_repositories.reviews + excluded.reviews, \
         denied = rollup_repositories.denied + excluded.denied, \
         would_reject = rollup_repositories.would_reject + excluded.would_reject",
    );
    for ((bucket, repository, dry_run), counts) in tally.into_iter().filter(|(_, counts)| changes(counts)) {
        insert.values.extend(bucket.values());
        insert.values.extend([repository.into(), dry_run.into(), replica.into()]);
        insert.values.extend(counts.map(Value::Int));
    }
    insert
}

fn candidates(tally: BTreeMap<(Bucket, Cell, bool), [i64; 1]>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "rollup_candidates",
        &["cluster", "namespace", "width", "bucket", "cell", "dry_run", "replica", "reviews"],
        "ON CONFLICT (cluster, namespace, width, bucket, cell, dry_run, replica) DO UPDATE SET \
         reviews = rollup_candidates.reviews + excluded.reviews",
    );
    for ((bucket, Cell(cell), dry_run), counts) in tally.into_iter().filter(|(_, counts)| changes(counts)) {
        insert.values.extend(bucket.values());
        insert.values.extend([cell.into(), dry_run.into(), replica.into()]);
        insert.values.extend(counts.map(Value::Int));
    }
    insert
}

fn workloads(tally: BTreeMap<(i64, bool), Seen<3>>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "workload_totals",
        &["workload", "dry_run", "replica", "first_at", "last_at", "reviews", "denied", "would_reject"],
        "ON CONFLICT (workload, dry_run, replica) DO UPDATE SET \
         first_at = CASE WHEN excluded.first_at < workload_totals.first_at \
             THEN excluded.first_at ELSE workload_totals.first_at END, \
         last_at = CASE WHEN excluded.last_at > workload_totals.last_at \
             THEN excluded.last_at ELSE workload_totals.last_at END, \
         reviews = workload_totals.reviews + excluded.reviews, \
         denied = workload_totals.denied + excluded.denied, \
         would_reject = workload_totals.would_reject + excluded.would_reject",
    );
    for ((workload, dry_run), seen) in tally.into_iter().filter(|(_, seen)| changes(&seen.counts)) {
        insert.values.extend([
            workload.into(),
            dry_run.into(),
            replica.into(),
            seen.first.0.into(),
            seen.last.0.into(),
        ]);
        insert.values.extend(seen.counts.map(Value::Int));
    }
    insert
}

fn image_workloads(tally: BTreeMap<(i64, i64, bool), Seen<1>>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "image_workloads",
        &["image", "workload", "dry_run", "replica", "first_at", "last_at", "reviews"],
        "ON CONFLICT (image, workload, dry_run, replica) DO UPDATE SET \
         first_at = CASE WHEN excluded.first_at < image_workloads.first_at \
             THEN excluded.first_at ELSE image_workloads.first_at END, \
         last_at = CASE WHEN excluded.last_at > image_workloads.last_at \
             THEN excluded.last_at ELSE image_workloads.last_at END, \
         reviews = image_workloads.reviews + excluded.reviews",
    );
    for ((image, workload, dry_run), seen) in tally.into_iter().filter(|(_, seen)| changes(&seen.counts)) {
        insert.values.extend([image.into(), workload.into(), dry_run.into(), replica.into()]);
        insert.values.extend([seen.first.0.into(), seen.last.0.into()]);
        insert.values.extend(seen.counts.map(Value::Int));
    }
    insert
}

fn workload_rules(tally: BTreeMap<(i64, i64, i64, bool), Seen<4>>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "workload_rules",
        &[
            "rule",
            "day",
            "workload",
            "dry_run",
            "replica",
            "first_at",
            "last_at",
            "reviews",
            "denied",
            "would_reject",
            "standing",
        ],
        "ON CONFLICT (rule, day, workload, dry_run, replica) DO UPDATE SET \
         first_at = CASE WHEN excluded.first_at < workload_rules.first_at \
             THEN excluded.first_at ELSE workload_rules.first_at END, \
         last_at = CASE WHEN excluded.last_at > workload_rules.last_at \
             THEN excluded.last_at ELSE workload_rules.last_at END, \
         reviews = workload_rules.reviews + excluded.reviews, \
         denied = workload_rules.denied + excluded.denied, \
         would_reject = workload_rules.would_reject + excluded.would_reject, \
         standing = workload_rules.standing + excluded.standing",
    );
    for ((rule, day, workload, dry_run), seen) in tally.into_iter().filter(|(_, seen)| changes(&seen.counts)) {
        insert.values.extend([rule.into(), day.into(), workload.into(), dry_run.into(), replica.into()]);
        insert.values.extend([seen.first.0.into(), seen.last.0.into()]);
        insert.values.extend(seen.counts.map(Value::Int));
    }
    insert
}

fn uses(tally: BTreeMap<(i64, i64, Seat, bool), Seen<1>>, replica: i64) -> Insert {
    let mut insert = Insert::into(
        "exemption_uses",
        &["exemption", "day", "namespace", "workload", "dry_run", "replica", "last_at", "reviews"],
        "ON CONFLICT (exemption, day, namespace, workload, dry_run, replica) DO UPDATE SET \
         last_at = CASE WHEN excluded.last_at > exemption_uses.last_at \
             THEN excluded.last_at ELSE exemption_uses.last_at END, \
         reviews = exemption_uses.reviews + excluded.reviews",
    );
    for ((exemption, day, Seat { namespace, workload }, dry_run), seen) in
        tally.into_iter().filter(|(_, seen)| changes(&seen.counts))
    {
        insert.values.extend([exemption, day, namespace, workload].map(Value::Int));
        insert.values.extend([dry_run.into(), replica.into(), seen.last.0.into()]);
        insert.values.extend(seen.counts.map(Value::Int));
    }
    insert
}
