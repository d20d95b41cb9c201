//! Ten thousand rules: few of them are looked at, and those that are found are those that looking at all would find.

use fastrand::Rng;

use super::agreement::{by_every_rule, named};
use super::*;

const RULES: usize = 10_000;

/// Of one image of a review: as many as of a policy that a person could read.
const MOST_LOOKED_AT: usize = 20;

/// Registries, globs and expressions, for everywhere and for namespaces; each with a number of its own.
fn one(number: usize) -> RuleSettings {
    let registry = format!("registry-{number}.example.com");
    let id = format!("r{number}");
    let here = ScopeSettings { namespaces: vec![format!("team-{number}-*")], ..ScopeSettings::default() };
    let (check, scope) = match number % 6 {
        0 => (deny("registry", &[&registry]), ScopeSettings::default()),
        1 => (deny("image", &[&format!("{registry}/*/app:*")]), ScopeSettings::default()),
        2 => (deny("image_matches", &[&format!(r"^registry-{number}\.example\.com/.+-debug")]), here),
        3 => (allow("image", &[&format!("{registry}/**")]), here),
        4 => (CheckSettings::Require(vec![Requirement::Digest]), here),
        _ => (deny("repository", &[&format!("team-{number}/**")]), ScopeSettings::default()),
    };
    RuleSettings { scope, ..rule(&id, check) }
}

fn image(rng: &mut Rng) -> String {
    let number = rng.usize(0..RULES);
    let path =
        ["a/app", "app", &format!("team-{}/web", rng.usize(0..RULES)), "x-debug/app"][rng.usize(0..4)].to_owned();
    let end = [":1", "", &format!("@{DIGEST}"), ":bad tag"][rng.usize(0..4)].to_owned();
    format!("registry-{number}.example.com/{path}{end}")
}

fn a_review(rng: &mut Rng) -> Review {
    let images: Vec<String> = (0..rng.usize(0..4)).map(|_| image(rng)).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    pod(&format!("team-{}-{}", rng.usize(0..RULES), rng.u8(..)), &images)
}

fn looked_at(policy: &RulesPolicy, review: &Review, image: &Image) -> usize {
    let mut found = policy.index.of_review(review);
    policy.index.of_image(image, &mut found);
    found.len()
}

#[test]
fn few_of_ten_thousand_are_looked_at_and_none_is_missed() {
    let all: Vec<RuleSettings> = (0..RULES).map(one).collect();
    let policy = compiled(&all);
    let mut rng = Rng::with_seed(11);
    let (mut faults, mut silent) = (0, 0);
    for _ in 0..120 {
        let review = a_review(&mut rng);
        let finding = policy.evaluate("lab", &review);
        let expected = by_every_rule(&policy, "lab", &review);
        assert_eq!((finding.judged, named(&finding)), expected, "{review:?}");
        faults += expected.1.len();
        silent += usize::from(!expected.0);
        for image in &review.images {
            let looked_at = looked_at(&policy, &review, image);
            assert!(looked_at <= MOST_LOOKED_AT, "{looked_at} for {}", image.text);
        }
    }
    assert!(faults > 50 && silent > 2, "{faults} faults, {silent} reviews in which nothing was judged");
}

/// A rule that need not be looked at may still be why something was judged.
#[test]
fn what_only_rules_judged_that_were_not_looked_at_was_judged() {
    for (namespaces, judged) in [(vec![], true), (texts(&["team-*"]), true), (texts(&["x", "team-b"]), false)] {
        let scope = ScopeSettings { namespaces, ..ScopeSettings::default() };
        let policy = compiled(&[RuleSettings { scope, ..rule("r", deny("registry", &["quay.io"])) }]);
        let finding = policy.evaluate("lab", &pod("team-a", &["nginx"]));
        assert_eq!((finding.judged, finding.violations.len()), (judged, 0));
    }
    let policy = compiled(&[rule("r", deny("registry", &["quay.io"]))]);
    assert!(!policy.evaluate("lab", &pod("team-a", &[])).judged, "there is no image");
}
