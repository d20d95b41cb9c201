//! What comes of it, and its bounds.

use super::*;

#[test]
fn without_images_or_rules_in_scope_nothing_was_judged() {
    let config_map = admission("CREATE", ("", "ConfigMap"), "a", &json!({"data": {"image": "nginx"}}), &Value::Null);
    let delete = admission("DELETE", ("", "Pod"), "a", &Value::Null, &json!({"spec": spec(&["nginx"])}));
    let connect = admission("CONNECT", ("", "PodExecOptions"), "a", &json!({"command": ["sh"]}), &Value::Null);
    for body in [config_map, delete, connect] {
        assert_eq!(*judged(&[no_latest()], &review(&body)), Finding::default(), "{body}");
    }
    assert_eq!(*judged(&[], &pod("a", &["nginx"])), Finding::default());
    let elsewhere = scoped(ScopeSettings { namespaces: texts(&["b"]), ..ScopeSettings::default() });
    assert_eq!(*judged(&[elsewhere], &pod("a", &["nginx"])), Finding::default());
    let fine = judged(&[no_latest()], &pod("a", &["nginx:1"]));
    assert_eq!(*fine, Finding { judged: true, ..Finding::default() });
}

#[test]
fn an_image_that_an_update_does_not_bring_is_standing() {
    let finding = judged(&[no_latest()], &update(&["nginx", "redis:1"], &["nginx", "redis"]));
    assert_eq!(told(&finding.violations), ["no-latest redis"]);
    assert_eq!(told(&finding.standing), ["no-latest nginx"]);
    // The same image in another container is another image.
    let finding = judged(&[no_latest()], &update(&["nginx", "redis"], &["redis", "nginx"]));
    assert_eq!((finding.violations.len(), finding.standing.len()), (2, 0));
}

#[test]
fn violations_are_in_the_order_of_images_then_of_rules() {
    let rules = [rule("b", deny("tag", &["latest"])), rule("a", deny("registry", &["docker.io"]))];
    let finding = judged(&rules, &pod("a", &["nginx", "redis:1", "nginx"]));
    assert_eq!(told(&finding.violations), ["b nginx", "a nginx", "a redis:1", "b nginx", "a nginx"]);
    let containers: Vec<_> = finding.violations.iter().filter_map(|one| one.container.as_deref()).collect();
    assert_eq!(containers, ["c0", "c0", "c1", "c2", "c2"]);
}

#[test]
fn a_violation_has_its_rules_help_and_message() {
    let rule = RuleSettings {
        help: Some("Pin it".into()),
        message: Some("{image}|{registry}|{repository}|{tag}|{namespace}|{container}".into()),
        ..no_latest()
    };
    let expected = RuleViolation {
        rule: "no-latest".into(),
        most: Mode::Enforce,
        image: Some("nginx".into()),
        container: Some("c0".into()),
        message: "nginx|docker.io|library/nginx|latest|team-a|c0".into(),
        help: Some("Pin it".into()),
    };
    assert_eq!(judged(std::slice::from_ref(&rule), &pod("team-a", &["nginx"])).violations, [expected]);
    let unknown = judged(&[rule], &image_review("team-a", &["nginx"]));
    assert_eq!(unknown.violations[0].message, "nginx|docker.io|library/nginx|latest|team-a|(none)");
}

#[test]
fn a_rule_without_a_message_has_one() {
    let message =
        |check: CheckSettings| judged(&[rule("r", check)], &pod("a", &["q.io/x"])).violations[0].message.clone();
    assert_eq!(message(deny("tag", &["latest"])), "q.io/x uses the tag latest");
    assert_eq!(message(deny("image", &["**"])), "q.io/x is denied");
    assert_eq!(message(allow("registry", &["docker.io"])), "q.io/x is not from an allowed registry");
    assert_eq!(message(allow("image", &["docker.io/**"])), "q.io/x is not an allowed image");
    assert_eq!(message(CheckSettings::Require(vec![Requirement::Digest])), "q.io/x has no digest");
    assert_eq!(message(CheckSettings::Require(vec![Requirement::Tag])), "q.io/x has no tag");
    let both = CheckSettings::Require(vec![Requirement::Tag, Requirement::Digest]);
    assert_eq!(message(both), "q.io/x does not spell out tag and digest");
}

fn numbered(count: usize, suffix: &str) -> Vec<String> {
    (0..count).map(|n| format!("i{n}{suffix}")).collect()
}

fn borrowed(images: &[String]) -> Vec<&str> {
    images.iter().map(String::as_str).collect()
}

#[test]
fn a_hundred_violations_are_kept_and_the_rest_counted() {
    for (count, kept, omitted) in [(99, 99, 0), (100, 100, 0), (101, 100, 1), (1_000, 100, 900)] {
        let images = numbered(count, "");
        let finding = judged(&[no_latest()], &image_review("a", &borrowed(&images)));
        assert_eq!((finding.violations.len(), finding.omitted), (kept, omitted), "{count}");
        assert_eq!(told(&finding.violations)[..3], ["no-latest i0", "no-latest i1", "no-latest i2"]);
    }
}

/// An update of a pod with a hundred old faults could bring anything.
#[test]
fn standing_violations_never_take_the_place_of_one_that_can_reject() {
    let (old, mut new) = (numbered(150, ""), numbered(150, ""));
    new.push("evil".to_owned());
    let finding = judged(&[no_latest()], &update(&borrowed(&old), &borrowed(&new)));
    assert_eq!(told(&finding.violations), ["no-latest evil"]);
    assert_eq!((finding.standing.len(), finding.omitted), (99, 51));
}

/// A pod with a hundred faults that only warn could bring what another rule rejects.
#[test]
fn lesser_violations_never_take_the_place_of_one_that_can_reject() {
    let mut images = numbered(150, ":1");
    images.push("evil".to_owned());
    let lesser = |mode| RuleSettings { mode, ..rule("pinned", CheckSettings::Require(vec![Requirement::Digest])) };
    let greater = |mode| RuleSettings { mode, ..no_latest() };
    for (less, more) in [
        (Some(Mode::Audit), None),
        (Some(Mode::Warn), None),
        (None, Some(Mode::Enforce)),
        (Some(Mode::Audit), Some(Mode::Warn)),
        // Of the same weight: the first of a rule goes before a repeat of another.
        (None, None),
    ] {
        let finding = judged(&[lesser(less), greater(more)], &pod("a", &borrowed(&images)));
        assert_eq!((finding.violations.len(), finding.omitted), (100, 52), "{less:?} {more:?}");
        assert_eq!(finding.violations.last().map(|last| last.rule.as_str()), Some("no-latest"), "{less:?} {more:?}");
    }
}

/// Which of them rejects depends on where the review is of, which a finding does not.
#[test]
fn the_first_of_every_rule_is_kept_past_the_cap() {
    let rules: Vec<_> = (0..120).map(|n| rule(&format!("r{n}"), deny("tag", &["latest"]))).collect();
    let finding = judged(&rules, &pod("a", &["nginx", "redis"]));
    assert_eq!((finding.violations.len(), finding.omitted), (120, 120));
    assert_eq!(finding.violations.last().map(|last| last.rule.as_str()), Some("r119"));
    let staged = RuleSettings { mode: Some(Mode::Audit), rollout: vec![stage(Mode::Enforce)], ..rules[0].clone() };
    let lesser = RuleSettings { mode: Some(Mode::Audit), ..rules[1].clone() };
    let images = numbered(150, "");
    let finding = judged(&[lesser, staged], &pod("a", &borrowed(&images)));
    let of = |id: &str| finding.violations.iter().filter(|violation| violation.rule == id).count();
    assert_eq!((of("r0"), of("r1")), (99, 1), "repeats of what may reject come first");
}

#[test]
fn over_a_thousand_images_are_an_error_and_not_a_verdict() {
    let images = numbered(1_001, "");
    let finding = judged(&[no_latest()], &image_review("a", &borrowed(&images)));
    assert_eq!(finding.error.as_deref(), Some("it has 1001 images, more than 1000"));
    assert!(!finding.judged && finding.violations.is_empty() && finding.omitted == 0);
}

#[test]
fn a_monstrous_image_is_cut_wherever_it_is_told() {
    let monster = "A".repeat(1 << 20);
    let rules = [rule("any", allow("image", &["**"])), rule("text", deny("image_matches", &["A"]))];
    let finding = judged(&rules, &pod("a", &[&monster]));
    assert_eq!(finding.violations.len(), 2);
    for violation in &finding.violations {
        assert!(violation.message.len() < 2_048, "{}", violation.message.len());
        assert!(violation.image.as_ref().is_some_and(|image| image.len() < 2_048));
    }
}
