use super::*;

#[track_caller]
fn refused(manifests: impl IntoIterator<Item = Json>, expected: &[(&str, &str)]) {
    let mistakes = GatekeeperPolicy::compile(&settings(manifests)).expect_err("a mistake");
    let told: Vec<_> = mistakes.iter().map(|mistake| (mistake.problem.as_str(), mistake.fix.as_str())).collect();
    assert_eq!(told, expected);
}

#[test]
fn what_is_not_judged_here_is_refused_by_name() {
    let mut cel = template();
    cel["spec"]["targets"][0] = json!({
        "target": "admission.k8s.gatekeeper.sh", "code": [{"engine": "K8sNativeValidation", "source": {"validations": []}}]
    });
    refused(
        [cel, constraint(json!({}))],
        &[(
            "all.yaml:3: template Repos is written for K8sNativeValidation alone (CEL), which is not judged here",
            "the same in Rego beside it (`engine: Rego`)",
        )],
    );
    let mut inventory = template();
    inventory["spec"]["targets"][0]["rego"] =
        json!("package a\nviolation[{\"msg\": msg}] { data.inventory.namespace[_][_].Service[msg] }");
    refused(
        [inventory, constraint(json!({}))],
        &[(
            "all.yaml:3 (Repos, rego):2:27: data.inventory is what Gatekeeper replicates of a cluster, which is not known here",
            "a policy that needs the review alone",
        )],
    );
    refused(
        [template(), constraint(json!({"match": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}))],
        &[(
            "all.yaml:3: Repos.ours: spec.match.namespaceSelector: it needs the labels of namespaces, which a review does not have",
            "namespaces or excludedNamespaces",
        )],
    );
}

#[test]
fn what_cannot_be_held_to_is_told_with_its_field() {
    refused(
        [template(), constraint(json!({"enforcementAction": "denny"}))],
        &[("all.yaml:3: Repos.ours: spec.enforcementAction: `denny` is no action", "deny, warn, dryrun or scoped")],
    );
    refused(
        [template(), constraint(json!({"match": {"scope": "cluster"}}))],
        &[("all.yaml:3: Repos.ours: spec.match.scope: `cluster` is no scope", "`*`, Cluster or Namespaced")],
    );
    let mistakes =
        GatekeeperPolicy::compile(&settings([template(), constraint(json!({"match": {"namespace": ["a"]}}))]));
    let problem = mistakes.expect_err("an unknown field").swap_remove(0).problem;
    assert!(problem.starts_with("all.yaml:3: Repos.ours: spec.match: unknown field `namespace`"), "{problem}");
}

#[test]
fn templates_and_constraints_belong_together() {
    refused(
        [constraint(json!({}))],
        &[(
            "all.yaml:3: Repos.ours has no template: none of the files defines the kind Repos",
            "the ConstraintTemplate of that kind in one of the files",
        )],
    );
    refused(
        [template()],
        &[(
            "there is no constraint in these files, so nothing would ever be denied",
            "a file with an object of the group constraints.gatekeeper.sh",
        )],
    );
    refused(
        [template(), template(), constraint(json!({})), constraint(json!({}))],
        &[
            ("all.yaml:3: another template has the kind Repos too", "one of the two"),
            ("all.yaml:3: Repos.ours is there twice", "one of the two"),
        ],
    );
}

#[test]
fn a_mistake_in_a_template_has_its_place_in_the_text() {
    let mut broken = template();
    broken["spec"]["targets"][0]["rego"] = json!("package a\nviolation[{\"msg\": msg}] { msg := nope(1) }");
    refused(
        [broken, constraint(json!({}))],
        &[(
            "all.yaml:3 (Repos, rego):2:34: there is no function nope",
            "a function of this policy's files, or a built-in of docs/rego.md",
        )],
    );
}

#[test]
fn its_version_follows_from_templates_and_constraints_alone() {
    let version = |manifests: Vec<Json>| compile(&settings(manifests)).version().to_owned();
    let plain = version(vec![template(), constraint(json!({}))]);
    assert_eq!(plain, version(vec![json!({"kind": "Kustomization"}), template(), constraint(json!({}))]));
    assert_ne!(plain, version(vec![template(), constraint(json!({"parameters": {"repos": ["a"]}}))]));
}
