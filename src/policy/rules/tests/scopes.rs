//! Where a rule holds.

use super::*;

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
        assert_eq!(holds(rule, cluster, &review), expected, "{:?} {cluster} {:?}", rule.scope, review.record.namespace);
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
        let rules = std::slice::from_ref(&rule);
        let finding = judged(rules, &review);
        assert_eq!(told(&finding.violations), [format!("no-latest {}", role.as_str())]);
        assert_eq!(judged(rules, &image_review("team-a", &["a", "b"])).violations.len(), 2, "{role:?}");
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
