use super::*;

#[track_caller]
fn matches(spec: Json, expected: bool) {
    let finding = judged(&policy(json!({"match": spec.clone()})), &pod("CREATE"));
    assert_eq!(finding.judged, expected, "{spec}");
}

#[test]
fn kinds_and_groups() {
    matches(json!({}), true);
    matches(json!({"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}), true);
    matches(json!({"kinds": [{"apiGroups": ["*"], "kinds": ["*"]}]}), true);
    matches(json!({"kinds": [{"kinds": ["Service"]}, {"kinds": ["Pod"]}]}), true);
    matches(json!({"kinds": [{"apiGroups": ["apps"], "kinds": ["Pod"]}]}), false);
    matches(json!({"kinds": [{"apiGroups": [""], "kinds": ["Service"]}]}), false);
}

#[test]
fn namespaces_with_stars_at_either_end() {
    matches(json!({"namespaces": ["shop-*"]}), true);
    matches(json!({"namespaces": ["*-eu"]}), true);
    matches(json!({"namespaces": ["*op*"]}), true);
    matches(json!({"namespaces": ["shop"]}), false);
    matches(json!({"excludedNamespaces": ["kube-*"]}), true);
    matches(json!({"excludedNamespaces": ["shop-*"]}), false);
    matches(json!({"namespaces": ["shop-*"], "excludedNamespaces": ["shop-eu"]}), false);
}

#[test]
fn scope_and_name() {
    matches(json!({"scope": "Namespaced"}), true);
    matches(json!({"scope": "*"}), true);
    matches(json!({"scope": "Cluster"}), false);
    matches(json!({"name": "web-*"}), true);
    matches(json!({"name": "db-*"}), false);
}

#[test]
fn labels() {
    matches(json!({"labelSelector": {"matchLabels": {"app": "web"}}}), true);
    matches(json!({"labelSelector": {"matchLabels": {"app": "db"}}}), false);
    let expression = |operator: &str, key: &str, values: &[&str]| json!({"labelSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}});
    matches(expression("In", "tier", &["front", "back"]), true);
    matches(expression("In", "tier", &["back"]), false);
    matches(expression("NotIn", "tier", &["back"]), true);
    matches(expression("NotIn", "tier", &["front"]), false);
    matches(expression("NotIn", "absent", &["front"]), true);
    matches(expression("Exists", "tier", &[]), true);
    matches(expression("DoesNotExist", "tier", &[]), false);
}

#[test]
fn an_object_of_the_cluster_is_in_no_namespace_and_a_namespace_in_its_own() {
    let mut review = pod("CREATE");
    review["request"]["namespace"] = Json::Null;
    review["request"]["kind"] = json!({"group": "rbac.authorization.k8s.io", "version": "v1", "kind": "ClusterRole"});
    review["request"]["object"]["metadata"]["namespace"] = Json::Null;
    let of = |spec: Json, review: &Json| judged(&policy(json!({"match": spec})), review).judged;
    assert!(of(json!({"namespaces": ["shop"]}), &review));
    assert!(of(json!({"scope": "Cluster"}), &review));
    assert!(!of(json!({"scope": "Namespaced"}), &review));

    review["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Namespace"});
    review["request"]["namespace"] = json!("web-1");
    assert!(of(json!({"namespaces": ["web-1"]}), &review));
    assert!(!of(json!({"namespaces": ["shop-eu"]}), &review));
    assert!(of(json!({"scope": "Cluster"}), &review));
}
