//! A made-up history: the same for the same seed.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{
    Answer, Decision, Gap, ImageRecord, Mode, ObjectSample, Operation, PolicyVerdict, Protocol, Record, ReviewHash,
    ReviewRecord, Verdict, Violation,
};
use crate::review::image::Role;
use crate::review::workload::Workload;
use crate::store::Store;
use crate::store::settings::{HistorySettings, Objects, RetentionSettings, StoreSettings};

pub const HOSTILE: &str = "<script>alert(1)</script>\"><img onerror=x>\u{202e}gpj\u{0}javascript:'&";

const HOUR: i64 = 3_600_000;

/// Namespace, workload and image of what a cluster keeps starting, and how often.
const WORK: [(&str, &str, &str, u64); 11] = [
    ("shop", "web", "registry.acmecorp.com/shop/web:2026.11.3", 24),
    (
        "shop",
        "cart",
        "registry.acmecorp.com/shop/cart@sha256:7d0f8cf4e9a5a3a36a21fb8ab56fd1cbd9a2ef8a44f5e6fbd0b0d1ad9d6d8a31",
        18,
    ),
    ("shop", "search", "registry.acmecorp.com/shop/search:latest", 5),
    ("payments", "ledger", "eu.gcr.io/acme-prod/ledger:9.4.1", 16),
    ("payments", "reconcile", "python:3.12", 4),
    ("data", "nightly-import", "eu.gcr.io/acme-prod/etl/import:20261120", 12),
    ("data", "notebook", "jupyter/scipy-notebook", 3),
    ("monitoring", "node-exporter", "quay.io/prometheus/node-exporter:v1.9.0", 8),
    ("monitoring", "grafana", "grafana/grafana:latest", 2),
    ("team-blue", "sandbox", "busybox", 2),
    ("build", "runner", "ghcr.io/acme/runner:main", 6),
];

pub struct History {
    pub store: Store,
    pub newest: Timestamp,
    _directory: TempDir,
}

/// One decision to be made up.
pub struct Draft {
    pub review: ReviewRecord,
    pub decision: Decision,
}

impl History {
    pub async fn empty() -> Self {
        Self::keeping(1_000).await
    }

    /// With at most so many names.
    pub async fn keeping(max_names: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = StoreSettings::Sqlite(directory.path().to_owned());
        let store = Store::open(
            &settings,
            &HistorySettings { objects: Objects::Sample, max_names, retention: RetentionSettings::default() },
            uuid::Uuid::nil(),
        )
        .await;
        Self { store: store.expect("a store"), newest: Timestamp::now(), _directory: directory }
    }

    /// `count` decisions evenly over `hours` up to now, of every kind.
    pub async fn of(count: i64, hours: i64) -> Self {
        let history = Self::empty().await;
        let mut chance = Chance(7);
        let mut records = Vec::new();
        for at in 0..count {
            let age = (count - 1 - at) * (hours * HOUR) / count;
            let draft = Draft::of(Timestamp(history.newest.0 - age), &mut chance);
            draft.record(&mut records);
        }
        for batch in records.chunks(1_000) {
            history.store.apply(batch).await.expect("a batch");
        }
        history
    }

    pub async fn add(&self, draft: Draft) -> DecisionId {
        let id = draft.decision.id;
        let mut records = Vec::new();
        draft.record(&mut records);
        self.store.apply(&records).await.expect("a batch");
        id
    }

    pub async fn add_gap(&self, from: Timestamp, to: Timestamp) {
        let gap = Gap {
            id: DecisionId::at(from),
            cluster: None,
            from,
            to: Some(to),
            count: Some(14),
            reason: "the journal could not be written: no space left on device".into(),
        };
        let unjudged = Record::Unjudged {
            id: DecisionId::at(from),
            cluster: "prod-eu".into(),
            bucket: Timestamp(from.0 / (HOUR / 4) * (HOUR / 4)),
            count: 3,
        };
        self.store.apply(&[Record::Gap(gap), unjudged]).await.expect("a gap");
    }

    pub async fn add_object(&self, draft: &Decision, object: &str) {
        let sample = ObjectSample {
            decision: draft.id,
            at: draft.at,
            cluster: draft.cluster.clone(),
            review: draft.review,
            object: object.into(),
        };
        self.store.apply(&[Record::Object(sample)]).await.expect("an object");
    }
}

impl Draft {
    fn of(at: Timestamp, chance: &mut Chance) -> Self {
        let mut weight = chance.below(100);
        let (namespace, name, image, _) = WORK
            .into_iter()
            .find(|(.., often)| {
                let found = weight < *often;
                weight = weight.saturating_sub(*often);
                found
            })
            .unwrap_or(WORK[0]);
        let cluster = if chance.below(10) < 7 { "prod-eu" } else { "staging-us" };
        let mut draft = Self::pod(at, cluster, namespace, name, &[image]);
        draft.decision.dry_run = chance.below(25) == 0;
        draft.decision.duration_us = 700 + chance.below(2_600);
        match chance.below(160) {
            0 => draft.failed(),
            1..=2 => draft.denied(),
            _ => draft,
        }
    }

    /// An allowed pod, judged by the policy `images`, whose rules are `no-latest` and `approved`.
    pub fn pod(at: Timestamp, cluster: &str, namespace: &str, name: &str, images: &[&str]) -> Self {
        let images: Vec<ImageRecord> = images.iter().map(|image| image_record(image)).collect();
        let mut hash = Sha256::new();
        for part in [namespace, name].into_iter().chain(images.iter().map(|image| image.text.as_str())) {
            hash.update(part);
            hash.update([0]);
        }
        let hash = ReviewHash(hash.finalize().into());
        let violations: Vec<Violation> = images.iter().flat_map(violations).collect();
        let verdict = verdict("images", Mode::Audit, violations);
        let review = ReviewRecord {
            hash,
            protocol: Protocol::AdmissionReview,
            api_version: "v1".into(),
            operation: Operation::Create,
            subresource: None,
            group: Some(String::new()),
            kind: Some("Pod".into()),
            namespace: Some(namespace.into()),
            workload: Workload { kind: "Deployment".into(), name: name.into() },
            images,
            annotations: BTreeMap::from([("acme.image-policy.k8s.io/ticket".into(), "OPS-1412".into())]),
        };
        let decision = Decision {
            id: DecisionId::at(at),
            at,
            cluster: cluster.into(),
            review: hash,
            name: Some(format!("{name}-6d4cf56db6-x7k2p")),
            user: Some("system:serviceaccount:kube-system:replicaset-controller".into()),
            caller: None,
            uid: Some(DecisionId::at(at).to_string()),
            dry_run: false,
            answer: Answer::Allowed,
            code: 200,
            message: None,
            would_reject: verdict.verdict == Verdict::Deny,
            verdicts: vec![verdict, self::verdict("bouncer", Mode::Enforce, Vec::new())],
            candidates: Vec::new(),
            redacted: false,
            revision: "9f2c61d07b7e4f01".into(),
            duration_us: 1_240,
            notes: Vec::new(),
        };
        Self { review, decision }
    }

    pub fn denied(mut self) -> Self {
        let message = "Images from a non whitelisted registry".to_owned();
        let violation = Violation {
            rule: "bouncer".into(),
            mode: Mode::Enforce,
            image: None,
            container: None,
            message: message.clone(),
            help: None,
            exempted: None,
        };
        self.decision.answer = Answer::Denied;
        self.decision.code = 403;
        self.decision.would_reject = false;
        self.decision.message = Some(message);
        self.decision.verdicts[1].verdict = Verdict::Deny;
        self.decision.verdicts[1].violations = vec![violation];
        self
    }

    pub fn failed(mut self) -> Self {
        self.decision.answer = Answer::Failed;
        self.decision.code = 503;
        self.decision.would_reject = false;
        self.decision.message = Some("bouncer: no answer within 5 s".into());
        self.decision.verdicts[1].verdict = Verdict::Error;
        self.decision.verdicts[1].error = Some("no answer within 5 s".into());
        self
    }

    fn record(self, records: &mut Vec<Record>) {
        records.push(Record::Review(self.review));
        records.push(Record::Decision(Box::new(self.decision)));
    }
}

fn image_record(text: &str) -> ImageRecord {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest.to_owned())));
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
        _ => (name, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains('.') => (host.to_owned(), rest.to_owned()),
        Some(_) => ("docker.io".to_owned(), name.to_owned()),
        None => ("docker.io".to_owned(), format!("library/{name}")),
    };
    let readable = !text.contains(['<', ' ']);
    ImageRecord {
        text: text.into(),
        registry: readable.then_some(registry),
        repository: readable.then_some(repository),
        tag,
        digest,
        error: (!readable).then(|| "invalid reference format".to_owned()),
        container: Some("main".into()),
        role: Role::Container,
        new: true,
    }
}

fn violations(image: &ImageRecord) -> Vec<Violation> {
    let violation = |rule: &str, mode, message: String| Violation {
        rule: rule.into(),
        mode,
        image: Some(image.text.clone()),
        container: Some("main".into()),
        message,
        help: Some("https://wiki.acmecorp.com/images".into()),
        exempted: None,
    };
    let mut found = Vec::new();
    if image.digest.is_none() && image.tag.as_deref().is_none_or(|tag| tag == "latest") {
        found.push(violation("no-latest", Mode::Audit, format!("{} uses the tag latest", image.text)));
    }
    if image.registry.as_deref().is_none_or(|registry| registry == "docker.io") {
        found.push(violation(
            "approved",
            Mode::Warn,
            format!("{} is from a registry that is not approved", image.text),
        ));
    }
    found
}

pub fn verdict(policy: &str, mode: Mode, violations: Vec<Violation>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.into(),
        version: (policy == "images").then(|| "a1b2c3".to_owned()),
        mode,
        verdict: if violations.is_empty() { Verdict::Allow } else { Verdict::Deny },
        violations,
        standing: Vec::new(),
        omitted: 0,
        held_back: None,
        presented: None,
        error: None,
        duration_us: Some(if policy == "images" { 38 } else { 1_870 }),
    }
}

/// Numbers without a pattern that matters here, always the same (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
