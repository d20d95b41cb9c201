//! Made-up traffic in the shape of a real fleet's: few namespaces, workloads, images and rules make most of it, pods of
//! a workload repeat its review until its next release, and little is rejected. The same for the same seed.
//!
//! For measuring and for trying out: nothing here is of a real review.

mod scale;

use std::collections::BTreeMap;

use fastrand::Rng;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{
    Answer, Decision, ImageRecord, Mode, Operation, PolicyVerdict, Protocol, ReviewHash, ReviewRecord, Verdict,
    Violation,
};
use crate::review::image::Role;
use crate::review::workload::Workload;

pub use scale::Scale;

/// Clusters and the share of the traffic that each has.
const CLUSTERS: [(&str, f64); 3] = [("prod-eu", 0.6), ("prod-us", 0.3), ("staging", 0.1)];
/// In each namespace, the first ones have most.
const WORKLOADS: usize = 12;
/// Releases of a workload over the whole span: each brings other images, and so another review.
const RELEASES: usize = 6;

const TEAMS: [&str; 10] =
    ["checkout", "payments", "search", "identity", "shipping", "pricing", "media", "ledger", "notify", "data"];
const KINDS: [&str; 6] = ["Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob"];
const PARTS: [&str; 6] = ["api", "worker", "frontend", "gateway", "scheduler", "indexer"];
const SIDECARS: [&str; 4] = ["envoy", "otel-collector", "vault-agent", "log-shipper"];
const USERS: [&str; 4] = ["replicaset-controller", "statefulset-controller", "daemon-set-controller", "job-controller"];

/// What repeats: one release of one workload, answered in one way.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub cluster: &'static str,
    pub review: ReviewRecord,
    /// Of the pod, all but its last five characters.
    pub name: String,
    pub user: String,
    pub dry_run: bool,
    pub answer: Answer,
    pub would_reject: bool,
    pub verdicts: Vec<PolicyVerdict>,
    /// How often it comes, beside the others.
    pub weight: f64,
    /// From when to when, as parts of the whole span.
    pub live: (f64, f64),
}

/// All patterns, and decisions chosen among them.
#[derive(Debug)]
pub struct Traffic {
    rng: Rng,
    pub patterns: Vec<Pattern>,
    /// The sum of the weights up to each.
    sums: Vec<f64>,
}

// === impl Traffic ===

impl Traffic {
    pub fn new(seed: u64, scale: &Scale) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut patterns = Vec::new();
        for (cluster, share) in CLUSTERS {
            for namespace in 0..scale.namespaces {
                let in_namespace = 1 + rng.usize(0..WORKLOADS);
                for workload in 0..in_namespace {
                    let weight = share / (namespace + 1) as f64 / (workload + 1) as f64;
                    releases(&mut rng, scale, (cluster, namespace, workload), weight, &mut patterns);
                }
            }
        }
        let sums = patterns.iter().scan(0.0, |sum, pattern: &Pattern| {
            *sum += pattern.weight;
            Some(*sum)
        });
        Self { rng, sums: sums.collect(), patterns }
    }

    /// Other choices among the same patterns.
    pub fn shuffle(&mut self, seed: u64) {
        self.rng = Rng::with_seed(seed);
    }

    /// The next decision, and the review that it is of.
    pub fn next(&mut self, at: Timestamp) -> (Decision, ReviewRecord) {
        let place = self.rng.f64() * self.sums.last().copied().unwrap_or_default();
        let found = self.sums.partition_point(|sum| *sum <= place).min(self.patterns.len() - 1);
        let suffix: String =
            (0..5).map(|_| char::from(*self.rng.choice(b"bcdfghjklmnpqrstvwxz2456789").expect("not empty"))).collect();
        let uid = uuid::Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid();
        let duration = self.rng.u64(150..2_000);
        let pattern = &self.patterns[found];
        let mut decision = pattern.decision(at, DecisionId::at(at));
        decision.name = Some(format!("{}{suffix}", pattern.name));
        decision.uid = Some(uid.to_string());
        decision.duration_us = duration;
        for verdict in &mut decision.verdicts {
            verdict.duration_us = Some(duration / 3);
        }
        (decision, pattern.review.clone())
    }
}

// === impl Pattern ===

impl Pattern {
    pub fn decision(&self, at: Timestamp, id: DecisionId) -> Decision {
        Decision {
            id,
            at,
            cluster: self.cluster.to_owned(),
            review: self.review.hash,
            name: Some(self.name.clone()),
            user: Some(self.user.clone()),
            uid: Some(Uuid::nil().to_string()),
            caller: Some("CN=kube-apiserver".to_owned()),
            dry_run: self.dry_run,
            answer: self.answer,
            code: match self.answer {
                Answer::Allowed => 200,
                Answer::Denied => 403,
                Answer::Failed => 503,
            },
            message: (self.answer != Answer::Allowed).then(|| "it runs as root".to_owned()),
            would_reject: self.would_reject,
            verdicts: self.verdicts.clone(),
            candidates: Vec::new(),
            redacted: false,
            revision: "synthetic".to_owned(),
            duration_us: 420,
            notes: Vec::new(),
        }
    }
}

/// The releases of one workload, and the few of its decisions that are answered in another way.
fn releases(
    rng: &mut Rng,
    scale: &Scale,
    (cluster, namespace, workload): (&'static str, usize, usize),
    weight: f64,
    patterns: &mut Vec<Pattern>,
) {
    let team = TEAMS[namespace % TEAMS.len()];
    let kind = *rng.choice(&KINDS).expect("not empty");
    let name = format!("{team}-{}-{workload}", PARTS[workload % PARTS.len()]);
    let habit = rng.f64();
    let broken = scale.broken(rng);
    let releases = 1 + rng.usize(0..RELEASES);
    for release in 0..releases {
        let tag = if habit < 0.08 { "latest".to_owned() } else { format!("2.{}.{release}", rng.u8(0..40)) };
        let mut images = vec![image(&format!("registry.acmecorp.com/{team}/{name}"), &tag, 0)];
        if workload.is_multiple_of(3) {
            let from = if habit < 0.2 { "docker.io/library" } else { "registry.acmecorp.com/platform" };
            images.push(image(&format!("{from}/{}", SIDECARS[workload % SIDECARS.len()]), "1.29", 1));
        }
        let review = review(format!("{team}-{namespace}"), kind, &name, images);
        let verdicts = verdicts(&review, scale, broken);
        let would_reject = verdicts.iter().any(|verdict| verdict.verdict == Verdict::Deny);
        let usual = Pattern {
            cluster,
            name: format!("{name}-{:09x}-", rng.u64(..) >> 28),
            user: format!("system:serviceaccount:kube-system:{}", USERS[namespace % USERS.len()]),
            dry_run: false,
            answer: Answer::Allowed,
            would_reject,
            verdicts,
            // A workload is as busy in every release: each has its part of the span.
            weight,
            live: (release as f64 / releases as f64, (release + 1) as f64 / releases as f64),
            review,
        };
        if rng.u8(0..4) == 0 {
            patterns.push(Pattern { dry_run: true, weight: weight * 0.1, ..usual.clone() });
        }
        if rng.u8(0..8) == 0 {
            patterns.push(denied(&usual, weight * 0.08, usize::from(namespace % 3 == 2)));
        }
        if rng.u8(0..20) == 0 {
            patterns.push(Pattern {
                answer: Answer::Failed,
                would_reject: false,
                weight: weight * 0.02,
                ..usual.clone()
            });
        }
        patterns.push(usual);
    }
}

/// By which of its policies.
fn denied(usual: &Pattern, weight: f64, by: usize) -> Pattern {
    let mut verdicts = usual.verdicts.clone();
    for verdict in verdicts.iter_mut().skip(by).take(1) {
        verdict.verdict = Verdict::Deny;
        verdict.violations.push(violation("not-root", Mode::Enforce, &usual.review.images[0].text));
    }
    Pattern { answer: Answer::Denied, would_reject: false, verdicts, weight, ..usual.clone() }
}

fn review(namespace: String, kind: &str, name: &str, images: Vec<ImageRecord>) -> ReviewRecord {
    let mut review = ReviewRecord {
        hash: ReviewHash([0; 32]),
        protocol: Protocol::AdmissionReview,
        api_version: "v1".to_owned(),
        operation: Operation::Create,
        subresource: None,
        group: Some(String::new()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace),
        workload: Workload { kind: kind.to_owned(), name: name.to_owned() },
        images,
        annotations: BTreeMap::new(),
    };
    review.hash = ReviewHash(Sha256::digest(format!("{review:?}")).into());
    review
}

fn image(name: &str, tag: &str, number: usize) -> ImageRecord {
    let (registry, repository) = name.split_once('/').expect("a registry and a repository");
    ImageRecord {
        text: format!("{name}:{tag}"),
        registry: Some(registry.to_owned()),
        repository: Some(repository.to_owned()),
        tag: Some(tag.to_owned()),
        digest: None,
        error: None,
        container: Some(format!("c{number}")),
        role: Role::Container,
        new: true,
    }
}

fn verdicts(review: &ReviewRecord, scale: &Scale, broken: Option<&str>) -> Vec<PolicyVerdict> {
    let mut violations = Vec::new();
    for image in &review.images {
        if image.tag.as_deref() == Some("latest") {
            violations.push(violation("no-latest", Mode::Audit, &image.text));
        }
        if image.registry.as_deref() == Some("docker.io") {
            violations.push(violation("own-registry", Mode::Warn, &image.text));
        }
    }
    violations.extend(broken.map(|rule| violation(rule, Mode::Audit, &review.images[0].text)));
    let said = if violations.is_empty() { Verdict::Allow } else { Verdict::Deny };
    let version = Some(scale.version.clone());
    let own = PolicyVerdict { version, ..verdict(&scale.policy, said, violations) };
    vec![own, verdict("gatekeeper", Verdict::Allow, Vec::new())]
}

fn verdict(policy: &str, verdict: Verdict, violations: Vec<Violation>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.to_owned(),
        version: None,
        mode: Mode::Audit,
        verdict,
        violations,
        standing: Vec::new(),
        omitted: 0,
        held_back: None,
        presented: None,
        error: None,
        duration_us: Some(140),
    }
}

fn violation(rule: &str, mode: Mode, image: &str) -> Violation {
    Violation {
        rule: rule.to_owned(),
        mode,
        image: Some(image.to_owned()),
        container: None,
        message: format!("{image} breaks {rule}"),
        help: None,
        exempted: None,
    }
}
