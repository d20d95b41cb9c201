//! A made-up history, the same for the same seed, and what the store should say of it.

use std::collections::BTreeMap;

use fastrand::Rng;
use sha2::{Digest, Sha256};

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{
    Amendment, Answer, Decision, Exempted, ImageRecord, Mode, Operation, PolicyVerdict, Protocol, Record, ReviewHash,
    ReviewRecord, Verdict, Violation,
};
use crate::review::image::Role;
use crate::review::workload::Workload;
use crate::store::read::StoredDecision;

const IMAGES: [(&str, Option<(&str, &str)>); 8] = [
    ("nginx", Some(("docker.io", "library/nginx"))),
    ("nginx:1.29", Some(("docker.io", "library/nginx"))),
    ("registry.acmecorp.com/shop/web:7", Some(("registry.acmecorp.com", "shop/web"))),
    ("registry.acmecorp.com/shop/cart:7", Some(("registry.acmecorp.com", "shop/cart"))),
    ("[::1]:5000/a?b", None),
    ("quay.io/team/job", Some(("quay.io", "team/job"))),
    ("quay.io/Team/JOB", None),
    ("busybox:1", Some(("docker.io", "library/busybox"))),
];

/// Records in the order of a journal, and each decision as it should be in the end.
pub struct History {
    pub records: Vec<Record>,
    /// Newest first.
    pub decisions: Vec<StoredDecision>,
}

// === impl History ===

impl History {
    /// `count` decisions over `hours` up to `until`, many of them in the same millisecond.
    pub fn new(seed: u64, count: usize, hours: i64, until: Timestamp) -> Self {
        let mut rng = Rng::with_seed(seed);
        let reviews: Vec<ReviewRecord> = (0..24).map(|_| review(&mut rng)).collect();
        let mut records = Vec::new();
        let mut late = Vec::new();
        let mut expected = BTreeMap::new();
        for _ in 0..count {
            let at = Timestamp(until.0 - rng.i64(0..hours * 720) * 5_000);
            let review = rng.choice(&reviews).expect("a review");
            let decision = decision(&mut rng, at, review);
            records.push(Record::Review(review.clone()));
            let mut after = decision.clone();
            for amendment in candidate_amendments(&mut rng.clone(), &decision) {
                amended(&mut after, &amendment);
                late.push(Record::Amendment(amendment));
            }
            if let Some(amendment) = amendment(&mut rng, &decision) {
                amended(&mut after, &amendment);
                late.push(Record::Amendment(amendment));
            }
            records.push(Record::Decision(Box::new(decision)));
            if rng.u8(0..4) == 0 {
                records.append(&mut late);
            }
            expected.insert((at, after.id), StoredDecision { decision: after, review: review.clone() });
        }
        // Some of the verdicts overtake their decisions.
        let early = late.len() / 2;
        records.splice(0..0, late.drain(..early));
        records.append(&mut late);
        let decisions: Vec<StoredDecision> = expected.into_values().rev().collect();
        let mut standing = decisions.iter().flat_map(|one| &one.decision.verdicts).flat_map(|said| &said.standing);
        assert!(standing.all(|violation| violation.exempted.is_none()), "an exemption acts on what acts");
        Self { records, decisions }
    }
}

/// What a late verdict makes of a decision.
fn amended(decision: &mut Decision, amendment: &Amendment) {
    let verdicts = if amendment.candidate { &mut decision.candidates } else { &mut decision.verdicts };
    for verdict in verdicts {
        if verdict.verdict == Verdict::Pending && verdict.policy == amendment.verdict.policy {
            *verdict = amendment.verdict.clone();
        }
    }
    decision.would_reject = would_reject(decision);
}

pub fn would_reject(decision: &Decision) -> bool {
    let mut rejecting = decision.verdicts.iter().filter(|verdict| verdict.verdict == Verdict::Deny);
    let rehearsed = |verdict: &PolicyVerdict| {
        verdict.violations.iter().any(|one| one.mode != Mode::Enforce && one.exempted.is_none())
    };
    decision.answer == Answer::Allowed && rejecting.any(rehearsed)
}

fn review(rng: &mut Rng) -> ReviewRecord {
    let images = (0..rng.usize(0..4)).map(|number| image(rng, number)).collect();
    let mut review = ReviewRecord {
        hash: ReviewHash([0; 32]),
        protocol: *rng.choice(&[Protocol::ImageReview, Protocol::AdmissionReview]).expect("one"),
        api_version: "v1".to_owned(),
        operation: *rng.choice(&[Operation::Create, Operation::Update]).expect("one"),
        subresource: rng.bool().then(|| "ephemeralcontainers".to_owned()),
        group: Some("apps".to_owned()),
        kind: Some("Deployment".to_owned()),
        namespace: (rng.u8(0..6) > 0).then(|| format!("team-{}", rng.u8(0..4))),
        workload: Workload { kind: "Deployment".to_owned(), name: format!("web-{}", rng.u8(0..5)) },
        images,
        annotations: BTreeMap::from([("a.image-policy.k8s.io/b".to_owned(), rng.u32(..).to_string())]),
    };
    let text = serde_json::to_vec(&review).expect("JSON");
    review.hash = ReviewHash(Sha256::digest(text).into());
    review
}

fn image(rng: &mut Rng, number: usize) -> ImageRecord {
    let (text, name) = *rng.choice(&IMAGES).expect("an image");
    ImageRecord {
        text: text.to_owned(),
        registry: name.map(|(registry, _)| registry.to_owned()),
        repository: name.map(|(_, repository)| repository.to_owned()),
        tag: None,
        digest: None,
        error: name.is_none().then(|| "invalid reference format".to_owned()),
        container: Some(format!("c{number}")),
        role: Role::Container,
        new: rng.bool(),
    }
}

fn decision(rng: &mut Rng, at: Timestamp, review: &ReviewRecord) -> Decision {
    let answer = *rng.choice(&[Answer::Allowed, Answer::Allowed, Answer::Denied, Answer::Failed]).expect("one");
    let mut verdicts = vec![images_verdict(rng, review), webhook_verdict(rng)];
    verdicts.extend(labels_verdict(&mut rng.clone()));
    let mut decision = Decision {
        id: DecisionId::at(at),
        at,
        cluster: (*rng.choice(&["prod-eu", "prod-us", "lab"]).expect("one")).to_owned(),
        review: review.hash,
        name: rng.bool().then(|| format!("web-{}", rng.u32(..))),
        user: rng.bool().then(|| "system:serviceaccount:kube-system:replicaset-controller".to_owned()),
        caller: None,
        uid: match rng.u8(0..3) {
            0 => None,
            1 => Some(format!("uid-{}", rng.u16(..))),
            _ => Some(DecisionId::at(at).to_string()),
        },
        dry_run: rng.u8(0..5) == 0,
        answer,
        code: if answer == Answer::Allowed { 200 } else { 403 },
        message: (answer != Answer::Allowed).then(|| "no".to_owned()),
        would_reject: false,
        verdicts,
        candidates: candidates(&mut rng.clone()),
        redacted: rng.bool(),
        revision: format!("rev{}", rng.u8(0..3)),
        duration_us: rng.u64(0..1_000_000),
        notes: if rng.bool() { Vec::new() } else { vec!["The client left.".to_owned()] },
    };
    decision.would_reject = would_reject(&decision);
    decision
}

fn verdict(policy: &str, verdict: Verdict, duration_us: Option<u64>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.to_owned(),
        version: None,
        mode: Mode::Audit,
        verdict,
        violations: Vec::new(),
        standing: Vec::new(),
        omitted: 0,
        held_back: None,
        presented: None,
        error: (verdict == Verdict::Error).then(|| "it could not be reached".to_owned()),
        duration_us,
    }
}

fn images_verdict(rng: &mut Rng, review: &ReviewRecord) -> PolicyVerdict {
    let mut said = verdict("images", Verdict::Allow, Some(rng.u64(0..900)));
    said.version = Some(if rng.clone().bool() { "aaaa".to_owned() } else { "bbbb".to_owned() });
    for image in &review.images {
        for rule in ["no-latest", "approved", "pinned"] {
            if rng.u8(0..3) > 0 {
                continue;
            }
            let mode = *rng.choice(&[Mode::Audit, Mode::Warn, Mode::Enforce]).expect("a mode");
            let mut violation = violation(rule, mode, Some(&image.text));
            if image.new && rng.u8(0..4) == 0 {
                violation.exempted = Some(exempted(rng));
            }
            if image.new { said.violations.push(violation) } else { said.standing.push(violation) }
        }
    }
    if !said.violations.is_empty() {
        said.verdict = Verdict::Deny;
    }
    said
}

/// Of a second local policy, which comes and goes.
fn labels_verdict(rng: &mut Rng) -> Option<PolicyVerdict> {
    let said = *rng.choice(&[Verdict::Allow, Verdict::Deny, Verdict::Error, Verdict::None]).expect("one");
    let mut verdict = PolicyVerdict { version: Some("cccc".to_owned()), ..verdict("labels", said, Some(3)) };
    verdict.violations.extend((said == Verdict::Deny).then(|| violation("team", Mode::Audit, None)));
    (rng.u8(0..3) == 0).then_some(verdict)
}

fn webhook_verdict(rng: &mut Rng) -> PolicyVerdict {
    let said = *rng.choice(&[Verdict::Pending, Verdict::Allow, Verdict::Error, Verdict::None]).expect("one");
    verdict("bouncer", said, (said != Verdict::Pending).then(|| rng.u64(0..90_000)))
}

fn amendment(rng: &mut Rng, decision: &Decision) -> Option<Amendment> {
    let pending = decision.verdicts.iter().any(|verdict| verdict.verdict == Verdict::Pending);
    if !pending || rng.u8(0..4) == 0 {
        return None;
    }
    let mut said = verdict("bouncer", Verdict::Allow, Some(rng.u64(0..90_000)));
    if rng.bool() {
        said.verdict = Verdict::Deny;
        said.violations.push(violation("bouncer", Mode::Audit, None));
    }
    Some(Amendment { decision: decision.id, at: decision.at, candidate: false, verdict: said })
}

/// One has the name of a policy, which its late verdict must not be taken for; the other comes and goes.
fn candidates(rng: &mut Rng) -> Vec<PolicyVerdict> {
    let mut names = vec!["bouncer"];
    names.extend(rng.bool().then_some("next"));
    names.retain(|_| rng.u8(0..5) > 0);
    let said = [Verdict::Pending, Verdict::Allow, Verdict::Error, Verdict::None, Verdict::Deny];
    let candidate = |name| candidate(rng.choice(said).expect("one"), name, rng.u64(0..900));
    names.into_iter().map(candidate).collect()
}

fn candidate(said: Verdict, name: &str, duration_us: u64) -> PolicyVerdict {
    let mut verdict = verdict(name, said, (said != Verdict::Pending).then_some(duration_us));
    verdict.violations.extend((said == Verdict::Deny).then(|| violation("other", Mode::Enforce, None)));
    verdict
}

/// Of candidates: all of them come, in the end or at once.
fn candidate_amendments(rng: &mut Rng, decision: &Decision) -> Vec<Amendment> {
    let pending = decision.candidates.iter().filter(|verdict| verdict.verdict == Verdict::Pending);
    let amendment = |verdict: &PolicyVerdict| {
        let said = if rng.bool() { Verdict::Deny } else { Verdict::Allow };
        let verdict = candidate(said, &verdict.policy, 7);
        Amendment { decision: decision.id, at: decision.at, candidate: true, verdict }
    };
    pending.map(amendment).collect()
}

fn exempted(rng: &mut Rng) -> Exempted {
    if rng.clone().u8(0..4) == 0 {
        let (at, person) = (Timestamp(1_790_000_000_000), "alice".to_owned());
        return Exempted::BreakGlass {
            ticket: "INC-1".to_owned(),
            person,
            since: at,
            until: at,
            without: Answer::Denied,
        };
    }
    let until = rng.bool().then_some(Timestamp(1_800_000_000_000));
    let id = Some(if until.is_some() { "5ec125ec125e" } else { "90090090090f" }.to_owned());
    Exempted::Exemption { id, ticket: Some("SEC-12".to_owned()), owner: None, reason: None, until }
}

fn violation(rule: &str, mode: Mode, image: Option<&str>) -> Violation {
    Violation {
        rule: rule.to_owned(),
        mode,
        image: image.map(str::to_owned),
        container: None,
        message: format!("{rule} says no"),
        help: None,
        exempted: None,
    }
}
