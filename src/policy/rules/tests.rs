use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::policy::settings::{CheckSettings, MatchSettings, Requirement, ScopeSettings};
use crate::review::decision::Operation;
use crate::review::decode::decode;
use crate::review::image::Role;

mod agreement;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

// === what is judged ===

fn review(body: &Value) -> Review {
    decode(body.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn image_review(namespace: &str, images: &[&str]) -> Review {
    let containers: Vec<Value> = images.iter().map(|image| json!({ "image": image })).collect();
    review(&json!({
        "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "spec": {"containers": containers, "namespace": namespace}
    }))
}

/// An AdmissionReview of one object.
fn admission(operation: &str, kind: (&str, &str), namespace: &str, object: &Value, old: &Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u", "kind": {"group": kind.0, "version": "v1", "kind": kind.1}, "namespace": namespace,
            "operation": operation, "object": object, "oldObject": old
        }
    })
}

fn spec(images: &[&str]) -> Value {
    let named = images.iter().enumerate();
    let containers: Vec<Value> = named.map(|(n, image)| json!({"name": format!("c{n}"), "image": image})).collect();
    json!({ "containers": containers })
}

fn pod(namespace: &str, images: &[&str]) -> Review {
    review(&admission("CREATE", ("", "Pod"), namespace, &json!({"spec": spec(images)}), &Value::Null))
}

fn update(old: &[&str], new: &[&str]) -> Review {
    let (old, new) = (json!({"spec": spec(old)}), json!({"spec": spec(new)}));
    review(&admission("UPDATE", ("", "Pod"), "team-a", &new, &old))
}

fn deployment(images: &[&str]) -> Review {
    let object = json!({"spec": {"template": {"spec": spec(images)}}});
    review(&admission("CREATE", ("apps", "Deployment"), "team-a", &object, &Value::Null))
}

// === rules ===

fn rule(id: &str, check: CheckSettings) -> RuleSettings {
    RuleSettings {
        id: id.to_owned(),
        mode: None,
        check,
        message: None,
        unreadable: None,
        help: None,
        scope: ScopeSettings::default(),
        placeholders: Vec::new(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn matching(field: &str, patterns: &[&str]) -> MatchSettings {
    let mut given = MatchSettings::default();
    let list = match field {
        "registry" => &mut given.registry,
        "repository" => &mut given.repository,
        "tag" => &mut given.tag,
        "image" => &mut given.image,
        "image_matches" => &mut given.image_matches,
        other => panic!("no field {other}"),
    };
    *list = texts(patterns);
    given
}

fn deny(field: &str, patterns: &[&str]) -> CheckSettings {
    CheckSettings::Deny(matching(field, patterns))
}

fn allow(field: &str, patterns: &[&str]) -> CheckSettings {
    CheckSettings::Allow(matching(field, patterns))
}

fn no_latest() -> RuleSettings {
    rule("no-latest", deny("tag", &["latest"]))
}

fn scoped(scope: ScopeSettings) -> RuleSettings {
    RuleSettings { scope, ..no_latest() }
}

fn compiled(rules: &[RuleSettings]) -> RulesPolicy {
    RulesPolicy::compile(rules).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn judged(rules: &[RuleSettings], review: &Review) -> Arc<Finding> {
    compiled(rules).judge("lab", review)
}

fn violates(check: &CheckSettings, image: &str) -> bool {
    !judged(&[rule("r", check.clone())], &pod("team-a", &[image])).violations.is_empty()
}

fn mistakes(rules: &[RuleSettings]) -> Vec<(String, String)> {
    let mistakes = RulesPolicy::compile(rules).expect_err("it has mistakes");
    mistakes.into_iter().map(|mistake| (mistake.field, mistake.problem)).collect()
}

/// `rule image` of each.
fn told(violations: &[RuleViolation]) -> Vec<String> {
    let told =
        |violation: &RuleViolation| format!("{} {}", violation.rule, violation.image.as_deref().unwrap_or_default());
    violations.iter().map(told).collect()
}

// === fields ===

#[test]
fn every_field_by_deny_and_by_allow() {
    let pinned = format!("quay.io:443/acme/app:1.2@{DIGEST}");
    let only_digest = format!("quay.io/acme/app@{DIGEST}");
    // (field, patterns, images that match, images that do not)
    let table: [(&str, &[&str], &[&str], &[&str]); 13] = [
        ("registry", &["docker.io"], &["nginx", "index.docker.io/a/b", "library/nginx:1"], &["quay.io/a", &pinned]),
        ("registry", &["quay.io:443"], &[&pinned, "QUAY.io:443/a"], &["quay.io/a", "quay.io:4430/a"]),
        (
            "registry",
            &["*.example.com", "quay.io"],
            &["eu.example.com/a", "quay.io/a"],
            &["example.com/a", "a.b.example.com/c"],
        ),
        ("repository", &["library/nginx"], &["nginx", "docker.io/library/nginx:1"], &["quay.io/nginx", "nginxx"]),
        ("repository", &["acme/*"], &[&pinned, "acme/web"], &["acme/team/web", "nginx"]),
        ("repository", &["acme/**"], &["acme/team/web", "acme/web"], &["other/acme/web"]),
        ("tag", &["latest"], &["nginx", "nginx:latest", "a.b/c:latest"], &["nginx:1", &only_digest, "nginx:Latest"]),
        ("tag", &["1.*", "v*"], &[&pinned, "nginx:v2"], &["nginx", "nginx:21.0", &only_digest]),
        ("image", &["docker.io/library/nginx:latest"], &["nginx"], &["nginx:1", &only_digest]),
        ("image", &["quay.io:443/acme/**"], &[&pinned], &[&only_digest, "quay.io:443/acmes/x"]),
        ("image", &["**@sha256:*"], &[&pinned, &only_digest], &["nginx", "nginx:1"]),
        ("image_matches", &["^docker\\.io/.+$"], &["nginx", "acme/web:1"], &["quay.io/docker.io/x", &pinned]),
        (
            "image_matches",
            &["^nginx$", "^quay\\.io/"],
            &["nginx", &only_digest],
            &["nginx:1", "docker.io/library/nginx"],
        ),
    ];
    for (field, patterns, matches, others) in table {
        for image in matches {
            assert!(violates(&deny(field, patterns), image), "deny {field} {patterns:?}: {image}");
            assert!(!violates(&allow(field, patterns), image), "allow {field} {patterns:?}: {image}");
        }
        for image in others {
            assert!(!violates(&deny(field, patterns), image), "deny {field} {patterns:?}: {image}");
            assert!(violates(&allow(field, patterns), image), "allow {field} {patterns:?}: {image}");
        }
    }
}

#[test]
fn all_given_fields_must_match_and_of_each_one() {
    let given = MatchSettings {
        registry: texts(&["docker.io", "quay.io"]),
        repository: texts(&["**/nginx"]),
        tag: texts(&["latest", "edge"]),
        image: texts(&["**:edge", "docker.io/**"]),
        image_matches: texts(&["nginx", "never"]),
    };
    let deny = CheckSettings::Deny(given);
    for image in ["nginx", "nginx:edge", "quay.io/a/nginx:edge"] {
        assert!(violates(&deny, image), "{image}");
    }
    for image in ["quay.io/a/nginx", "nginx:1", "gcr.io/a/nginx:edge", "redis"] {
        assert!(!violates(&deny, image), "{image}");
    }
}

#[test]
fn what_is_required_must_be_spelled_out() {
    let require = |what: &[Requirement]| CheckSettings::Require(what.to_vec());
    let (digest, tag) = (format!("nginx@{DIGEST}"), "nginx:1".to_owned());
    let both = format!("nginx:1@{DIGEST}");
    for (what, fine, wrong) in [
        (&[Requirement::Digest][..], vec![&digest, &both], vec![&tag]),
        (&[Requirement::Tag], vec![&tag, &both], vec![&digest]),
        (&[Requirement::Digest, Requirement::Tag], vec![&both], vec![&digest, &tag]),
    ] {
        fine.into_iter().for_each(|image| assert!(!violates(&require(what), image), "{what:?} {image}"));
        wrong.into_iter().for_each(|image| assert!(violates(&require(what), image), "{what:?} {image}"));
        assert!(violates(&require(what), "nginx"), "an implied tag is not spelled out");
    }
}

#[test]
fn what_cannot_be_read_violates_every_allow_and_require_and_says_why() {
    let unreadable = "myrepo/myimage@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed";
    let rules = [
        rule("any", allow("image", &["**"])),
        rule("written", allow("image_matches", &["^myrepo/.*$"])),
        rule("pinned", CheckSettings::Require(vec![Requirement::Digest])),
        rule("no-latest", deny("tag", &["**"])),
        rule("no-image", deny("image", &["**"])),
        rule("no-text", deny("image_matches", &["myimage@"])),
    ];
    let finding = judged(&rules, &pod("team-a", &[unreadable]));
    assert_eq!(
        finding.violations.iter().map(|violation| violation.rule.as_str()).collect::<Vec<_>>(),
        ["any", "written", "pinned", "no-text"],
        "a deny knows only its text"
    );
    let message = &finding.violations[0].message;
    assert!(message.contains("cannot be read") && message.contains("63 hexadecimal digits"), "{message}");
    let own = RuleSettings { unreadable: Some("own words".into()), ..rules[0].clone() };
    assert_eq!(judged(&[own], &pod("team-a", &[unreadable])).violations[0].message, "own words");
}

// === scope ===

#[test]
fn every_part_of_a_scope_narrows_it() {
    let with = |change: fn(&mut ScopeSettings)| {
        let mut scope = ScopeSettings::default();
        change(&mut scope);
        scoped(scope)
    };
    let holds = |rule: &RuleSettings, cluster: &str, review: &Review| {
        compiled(std::slice::from_ref(rule)).judge(cluster, review).judged
    };
    let everywhere = no_latest();
    let prod = with(|scope| scope.namespaces = texts(&["prod-*", "live"]));
    let not_system = with(|scope| scope.except_namespaces = texts(&["kube-*"]));
    let both = with(|scope| {
        scope.namespaces = texts(&["prod-*"]);
        scope.except_namespaces = texts(&["prod-test"]);
    });
    let east = with(|scope| scope.clusters = texts(&["east-*"]));
    let workloads = with(|scope| scope.kinds = texts(&["Deploy*", "Job"]));
    let pods = with(|scope| scope.kinds = texts(&["Pod"]));
    let updates = with(|scope| scope.operations = vec![Operation::Update]);
    let pod_in = |namespace: &str| pod(namespace, &["nginx"]);
    for (rule, cluster, review, expected) in [
        (&everywhere, "lab", pod_in("any"), true),
        (&prod, "lab", pod_in("prod-eu"), true),
        (&prod, "lab", pod_in("live"), true),
        (&prod, "lab", pod_in("lives"), false),
        (&prod, "lab", pod_in("my-prod-eu"), false),
        (&not_system, "lab", pod_in("kube-system"), false),
        (&not_system, "lab", pod_in("team-a"), true),
        (&both, "lab", pod_in("prod-eu"), true),
        (&both, "lab", pod_in("prod-test"), false),
        (&east, "east-1", pod_in("any"), true),
        (&east, "west-1", pod_in("any"), false),
        (&workloads, "lab", deployment(&["nginx"]), true),
        (&workloads, "lab", pod_in("any"), false),
        (&pods, "lab", pod_in("any"), true),
        (&pods, "lab", image_review("any", &["nginx"]), true),
        (&pods, "lab", deployment(&["nginx"]), false),
        (&updates, "lab", update(&["nginx"], &["nginx"]), true),
        (&updates, "lab", pod_in("any"), false),
        // An ImageReview is judged as a CREATE.
        (&updates, "lab", image_review("any", &["nginx"]), false),
    ] {
        assert_eq!(holds(rule, cluster, &review), expected, "{:?} {cluster} {:?}", rule.scope, review.namespace);
    }
}

#[test]
fn roles_are_the_lists_that_images_stand_in_and_an_unknown_one_is_in_every_scope() {
    let object = json!({"spec": {
        "containers": [{"name": "c", "image": "container"}],
        "initContainers": [{"name": "i", "image": "init"}],
        "ephemeralContainers": [{"name": "e", "image": "ephemeral"}],
        "volumes": [{"name": "v", "image": {"reference": "volume"}}]
    }});
    let review = review(&admission("CREATE", ("", "Pod"), "team-a", &object, &Value::Null));
    for role in [Role::Container, Role::Init, Role::Ephemeral, Role::Volume] {
        let rule = scoped(ScopeSettings { containers: vec![role], ..ScopeSettings::default() });
        let finding = judged(&[rule.clone()], &review);
        assert_eq!(told(&finding.violations), [format!("no-latest {}", role.as_str())]);
        assert_eq!(judged(&[rule], &image_review("team-a", &["a", "b"])).violations.len(), 2, "{role:?}");
    }
    assert_eq!(judged(&[no_latest()], &review).violations.len(), 4);
}

#[test]
fn a_placeholder_is_judged_on_pods_only() {
    let rule = RuleSettings { placeholders: texts(&["auto"]), ..no_latest() };
    let rules = std::slice::from_ref(&rule);
    assert_eq!(told(&judged(rules, &deployment(&["auto", "nginx"])).violations), ["no-latest nginx"]);
    assert!(!judged(rules, &deployment(&["auto"])).judged, "nothing was left to judge");
    assert_eq!(judged(rules, &deployment(&["auto:latest", "autos"])).violations.len(), 2, "the whole text");
    assert_eq!(told(&judged(rules, &pod("team-a", &["auto"])).violations), ["no-latest auto"]);
    assert_eq!(told(&judged(rules, &image_review("team-a", &["auto"])).violations), ["no-latest auto"]);
    assert_eq!(judged(&[no_latest()], &deployment(&["auto"])).violations.len(), 1, "only where it is named");
}

// === verdicts ===

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
fn a_violation_has_its_rules_mode_help_and_message() {
    let rule = RuleSettings {
        mode: Some(Mode::Warn),
        help: Some("Pin it".into()),
        message: Some("{image}|{registry}|{repository}|{tag}|{namespace}|{container}".into()),
        ..no_latest()
    };
    let expected = RuleViolation {
        rule: "no-latest".into(),
        mode: Some(Mode::Warn),
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

// === bounds ===

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

// === the memo ===

#[test]
fn one_key_is_evaluated_once_even_at_the_same_time() {
    let memo = Memo::default();
    let evaluations = AtomicUsize::new(0);
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                memo.recall(None, &[7; 32], || {
                    evaluations.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    Finding { judged: true, ..Finding::default() }
                })
            });
        }
    });
    assert_eq!(evaluations.load(Ordering::SeqCst), 1);
}

#[test]
fn a_repeat_shares_its_finding_and_clusters_do_only_where_no_rule_names_one() {
    let shared = compiled(&[no_latest()]);
    let review = pod("a", &["nginx"]);
    assert!(Arc::ptr_eq(&shared.judge("east", &review), &shared.judge("west", &pod("a", &["nginx"]))));
    let east = scoped(ScopeSettings { clusters: texts(&["east"]), ..ScopeSettings::default() });
    let apart = compiled(&[east]);
    for _ in 0..2 {
        assert!(apart.judge("east", &review).judged);
        assert!(!apart.judge("west", &review).judged);
    }
    assert!(Arc::ptr_eq(&apart.judge("east", &review), &apart.judge("east", &review)));
}

// === mistakes ===

#[test]
fn ids_are_names_and_unique() {
    let longest = "a".repeat(128);
    for id in ["a", "A.b_c-9", longest.as_str()] {
        assert!(RulesPolicy::compile(&[RuleSettings { id: id.into(), ..no_latest() }]).is_ok(), "{id}");
    }
    let too_long = "a".repeat(129);
    for id in ["", "a b", "a/b", "ä", "a\n", too_long.as_str()] {
        let found = mistakes(&[RuleSettings { id: id.into(), ..no_latest() }]);
        assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["rules[0].id"], "{id:?}");
    }
    let found = mistakes(&[no_latest(), rule("other", deny("tag", &["a"])), no_latest()]);
    assert_eq!(found, [("rules[2].id".into(), "`no-latest` is the id of another rule of this policy".into())]);
}

#[test]
fn every_mistake_is_told_at_once_with_its_field() {
    let wrong = RuleSettings {
        id: "no id".into(),
        message: Some("{imgae}".into()),
        scope: ScopeSettings { namespaces: texts(&["a", ""]), kinds: texts(&[""]), ..ScopeSettings::default() },
        ..rule("", allow("image_matches", &["registry", "(", "^ok$", "quay"]))
    };
    let fields: Vec<String> = mistakes(&[
        no_latest(),
        wrong,
        rule("nothing", CheckSettings::Deny(MatchSettings::default())),
        rule("none", CheckSettings::Require(Vec::new())),
        rule("never", deny("image", &["nginx"])),
    ])
    .into_iter()
    .map(|(field, _)| field)
    .collect();
    assert_eq!(
        fields,
        [
            "rules[1].id",
            "rules[1].allow.image_matches[1]",
            "rules[1].allow.image_matches[0]",
            "rules[1].allow.image_matches[3]",
            "rules[1].message",
            "rules[1].namespaces[1]",
            "rules[1].kinds[0]",
            "rules[2].deny",
            "rules[3].require",
            "rules[4].deny.image[0]"
        ]
    );
}

#[test]
fn an_unanchored_allow_is_refused_with_a_name_that_slips_through() {
    for (pattern, slips, fix) in [
        (r"registry\.acmecorp\.com/", "evil.example/registry.acmecorp.com/x", r"^registry\.acmecorp\.com/$"),
        (r"^registry\.acmecorp\.com", "registry.acmecorp.com.evil.example/x", r"^registry\.acmecorp\.com$"),
        (r"a\.io/.+$|^b\.io/.+$", "evil.example/a.io/a", r"^(?:a\.io/.+$|^b\.io/.+)$"),
    ] {
        let found = RulesPolicy::compile(&[rule("r", allow("image_matches", &[pattern]))]).expect_err(pattern);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].problem.contains(&format!("`{slips}` would slip through")), "{found:?}");
        assert!(found[0].fix.starts_with(fix), "{found:?}");
        assert!(RulesPolicy::compile(&[rule("r", deny("image_matches", &[pattern]))]).is_ok(), "a deny may");
    }
}

#[test]
fn a_version_is_of_the_text_alone() {
    let version = |rules: &[RuleSettings]| compiled(rules).version().to_owned();
    assert_eq!(version(&[no_latest()]), version(&[no_latest()]));
    assert_eq!(version(&[no_latest()]).len(), 12);
    let changed = [
        RuleSettings { mode: Some(Mode::Audit), ..no_latest() },
        RuleSettings { help: Some("h".into()), ..no_latest() },
        RuleSettings { message: Some("m".into()), ..no_latest() },
        RuleSettings { placeholders: texts(&["auto"]), ..no_latest() },
        scoped(ScopeSettings { clusters: texts(&["lab"]), ..ScopeSettings::default() }),
        rule("no-latest", deny("tag", &["latest", "edge"])),
    ];
    for rule in changed {
        assert_ne!(version(&[no_latest()]), version(std::slice::from_ref(&rule)), "{rule:?}");
    }
}
