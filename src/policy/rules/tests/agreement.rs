//! Memoised and direct, audit and enforce, by the index and by looking at every rule: a finding is the same.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::policy::revision::{Revision, Source};
use crate::policy::settings::{OnError, PolicySettings, SourceSettings, StagingSettings};

/// Few of each, so that views repeat.
const IMAGES: [&str; 8] = [
    "nginx",
    "nginx:1",
    "auto",
    "quay.io/acme/app:edge",
    "registry.acmecorp.com/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "UPPER/Case:x",
    "my_host.example/app",
    "nginx@sha256:short",
];
const NAMESPACES: [&str; 3] = ["team-a", "prod-eu", "kube-system"];
const CLUSTERS: [&str; 3] = ["lab", "east-1", "west"];
/// Reviews that one pair of policies judges, so that most are repeats.
const REVIEWS: usize = 64;
/// Of [`REVIEWS`] each: more than 10,000 in all.
const ROUNDS: u32 = 160;

/// Something of everything: each kind of check, each part of a scope, each mode.
fn rules() -> Vec<RuleSettings> {
    let everywhere = ScopeSettings::default;
    vec![
        RuleSettings { placeholders: texts(&["auto"]), ..no_latest() },
        RuleSettings { mode: Some(Mode::Warn), ..rule("approved", allow("image", &["registry.acmecorp.com/**"])) },
        RuleSettings {
            scope: ScopeSettings { namespaces: texts(&["prod-*"]), ..everywhere() },
            ..rule("pinned", CheckSettings::Require(vec![Requirement::Digest]))
        },
        RuleSettings {
            mode: Some(Mode::Enforce),
            scope: ScopeSettings { clusters: texts(&["east-*"]), ..everywhere() },
            ..rule("east", deny("registry", &["quay.io"]))
        },
        RuleSettings {
            scope: ScopeSettings {
                except_namespaces: texts(&["kube-*"]),
                kinds: texts(&["Pod"]),
                operations: vec![Operation::Create],
                containers: vec![Role::Container],
                ..everywhere()
            },
            ..rule("written", deny("image_matches", &["^nginx"]))
        },
        rule("one-of", deny("image_matches", &[r"^(?:quay|docker)\.io/", "^UPPER"])),
        rule("debug", deny("image_matches", &[":edge$"])),
        rule("repositories", deny("repository", &["acme/*", "library/n*"])),
        rule("whole", deny("image", &["docker.io/library/nginx:*", "quay.io/**"])),
        RuleSettings {
            scope: ScopeSettings { namespaces: texts(&["team-a", "kube-*"]), ..everywhere() },
            ..rule("theirs", deny("registry", &["*.acmecorp.com", "quay.io"]))
        },
    ]
}

fn reviews() -> impl Strategy<Value = Review> {
    let images = || subsequence(&IMAGES[..], 0..=4);
    let namespace = || select(&NAMESPACES[..]);
    prop_oneof![
        (namespace(), images()).prop_map(|(namespace, images)| image_review(namespace, &images)),
        (namespace(), images()).prop_map(|(namespace, images)| pod(namespace, &images)),
        (images(), images()).prop_map(|(old, new)| update(&old, &new)),
        images().prop_map(|images| deployment(&images)),
    ]
}

fn revision(mode: Mode) -> Revision {
    let source = SourceSettings::Rules(rules());
    let policy = PolicySettings { name: "images".into(), mode, rollout: Vec::new(), on_error: OnError::Fail, source };
    Revision::load(&[policy], &StagingSettings::default()).expect("it loads")
}

fn rules_of(revision: &Revision) -> &RulesPolicy {
    match &revision.policies[0].source {
        Source::Rules(rules) => rules,
        Source::Rego(_) | Source::Gatekeeper(_) | Source::Webhook(_) => panic!("it is a policy of rules"),
    }
}

/// Whether a rule judged, and which rule faults which image: without the index.
pub fn by_every_rule(policy: &RulesPolicy, cluster: &str, review: &Review) -> (bool, Vec<(String, String)>) {
    let holding = || policy.rules.iter().filter(|rule| rule.holds_for(cluster, review));
    let (mut judged, mut found) = (false, Vec::new());
    for image in &review.images {
        for rule in holding().filter(|rule| rule.judges(image, review)) {
            judged = true;
            if rule.violated_by(image) {
                found.push((rule.id().to_owned(), image.text.clone()));
            }
        }
    }
    found.sort();
    (judged, found)
}

pub fn named(finding: &Finding) -> Vec<(String, String)> {
    let all = finding.violations.iter().chain(&finding.standing);
    let mut named: Vec<_> = all.map(|one| (one.rule.clone(), one.image.clone().unwrap_or_default())).collect();
    named.sort();
    named
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ROUNDS))]
    #[test]
    fn what_is_remembered_is_what_would_be_found(
        cases in proptest::collection::vec((select(&CLUSTERS[..]), reviews()), REVIEWS)
    ) {
        let (audit, enforce) = (revision(Mode::Audit), revision(Mode::Enforce));
        let (audit, enforce) = (rules_of(&audit), rules_of(&enforce));
        prop_assert_eq!(audit.version(), enforce.version(), "a mode is no part of a policy's version");
        for (cluster, review) in &cases {
            let direct = audit.evaluate(cluster, review);
            prop_assert_eq!(by_every_rule(audit, cluster, review), (direct.judged, named(&direct)));
            prop_assert_eq!(&*audit.judge(cluster, review), &direct);
            prop_assert_eq!(&*enforce.judge(cluster, review), &direct);
        }
    }
}
