//! Templates and constraints: what loads, what matches, what is found.

mod loading;
mod matching;

use serde_json::{Value as Json, json};

use super::*;
use crate::review::decision::Mode;
use crate::review::decode::decode;
use crate::review::strict;
use crate::review::view::ObjectView;

fn manifest(json: Json) -> Manifest {
    Manifest { file: "all.yaml".into(), line: 3, json }
}

/// Of the kind `Repos`: images have to begin with one of `parameters.repos`.
fn template() -> Json {
    let rego = "package repos
        violation[{\"msg\": msg, \"details\": {\"image\": image}}] {
            image := input.review.object.spec.containers[_].image
            satisfied := [good | repo = input.parameters.repos[_]; good = startswith(image, repo)]
            not any(satisfied)
            msg := sprintf(\"image <%v> is from elsewhere\", [image])
        }";
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": "repos"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "Repos"}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego}]
        }
    })
}

fn constraint(spec: Json) -> Json {
    json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Repos", "metadata": {"name": "ours"}, "spec": spec
    })
}

fn settings(manifests: impl IntoIterator<Item = Json>) -> GatekeeperSettings {
    let manifests = manifests.into_iter().map(manifest).collect();
    GatekeeperSettings { files: Vec::new(), manifests, judge_partial: false }
}

#[track_caller]
fn compile(settings: &GatekeeperSettings) -> GatekeeperPolicy {
    GatekeeperPolicy::compile(settings).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// With the template and one constraint.
#[track_caller]
fn policy(spec: Json) -> GatekeeperPolicy {
    compile(&settings([template(), constraint(spec)]))
}

fn judged(policy: &GatekeeperPolicy, body: &Json) -> Finding {
    let body = body.to_string();
    let review = decode(body.as_bytes()).expect("a review");
    match review.protocol {
        crate::review::decision::Protocol::ImageReview => {
            policy.evaluate(Subject { view: View::Image, encoded: review.view.encoded() })
        }
        crate::review::decision::Protocol::AdmissionReview => {
            let document = strict::parse(body.as_bytes()).expect("JSON");
            let encoded = ObjectView::of(&review, &document).encode();
            policy.evaluate(Subject { view: View::Object, encoded: &encoded })
        }
    }
}

fn pod(operation: &str) -> Json {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop-eu", "labels": {"app": "web", "tier": "front"}},
        "spec": {"containers": [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "ours/b:1"}]}
    });
    let (object, old) = match operation {
        "DELETE" => (Json::Null, object),
        _ => (object, Json::Null),
    };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": operation, "namespace": "shop-eu", "name": "web-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "alice"}, "object": object, "oldObject": old
        }
    })
}

#[test]
fn a_constraint_is_a_rule_with_its_parameters() {
    let finding = judged(&policy(json!({"parameters": {"repos": ["ours/"]}})), &pod("CREATE"));
    assert_eq!(finding.error, None);
    let [violation] = &finding.violations[..] else { panic!("{finding:?}") };
    assert_eq!(
        (violation.rule.as_str(), violation.message.as_str()),
        ("Repos.ours", "image <nginx:1> is from elsewhere")
    );
    assert_eq!((violation.image.as_deref(), violation.container.as_deref()), (Some("nginx:1"), Some("a")));
    assert_eq!(violation.most, Mode::Enforce);
    let both = judged(&policy(json!({"parameters": {"repos": ["ours/", "nginx"]}})), &pod("CREATE"));
    assert!(both.judged && both.violations.is_empty());
}

#[test]
fn on_delete_the_object_that_goes_is_judged() {
    let finding = judged(&policy(json!({"parameters": {"repos": ["ours/"]}})), &pod("DELETE"));
    assert_eq!(finding.violations.len(), 1);
}

#[test]
fn an_image_review_is_judged_only_where_that_is_asked_for() {
    let review = json!({
        "apiVersion": "imagepolicy.k8s.io/v1alpha1", "kind": "ImageReview",
        "spec": {"containers": [{"image": "nginx"}], "namespace": "shop"}
    });
    let mut settings = settings([template(), constraint(json!({"parameters": {"repos": ["ours/"]}}))]);
    assert!(!judged(&compile(&settings), &review).judged);
    settings.judge_partial = true;
    assert_eq!(judged(&compile(&settings), &review).violations.len(), 1);
}

#[test]
fn an_action_is_the_heaviest_mode_that_it_may_have() {
    for (spec, most) in [
        (json!({}), Mode::Enforce),
        (json!({"enforcementAction": "deny"}), Mode::Enforce),
        (json!({"enforcementAction": "warn"}), Mode::Warn),
        (json!({"enforcementAction": "dryrun"}), Mode::Audit),
        (scoped(&[("warn", "validation.gatekeeper.sh"), ("deny", "audit.gatekeeper.sh")]), Mode::Warn),
        (scoped(&[("dryrun", "*"), ("deny", "validation.gatekeeper.sh")]), Mode::Enforce),
        (scoped(&[("deny", "audit.gatekeeper.sh")]), Mode::Audit),
    ] {
        assert_eq!(judged(&policy(spec.clone()), &pod("CREATE")).violations[0].most, most, "{spec}");
    }
}

fn scoped(actions: &[(&str, &str)]) -> Json {
    let scoped = |(action, point): &(&str, &str)| json!({"action": action, "enforcementPoints": [{"name": point}]});
    json!({
        "enforcementAction": "scoped", "scopedEnforcementActions": actions.iter().map(scoped).collect::<Vec<_>>()
    })
}

#[test]
fn libraries_and_both_grammars_are_read() {
    let mut old = template();
    old["spec"]["targets"][0] = json!({
        "target": "admission.k8s.gatekeeper.sh",
        "rego": "package a\nimport data.lib.names\nviolation[{\"msg\": msg}] { msg := names.of(input.review) }",
        "libs": ["package lib.names\nof(review) = name { name := review.object.metadata.name }"]
    });
    let finding = judged(&compile(&settings([old, constraint(json!({}))])), &pod("CREATE"));
    assert_eq!(finding.violations[0].message, "web-1");

    let mut new = template();
    new["spec"]["targets"][0] = json!({
        "target": "admission.k8s.gatekeeper.sh",
        "code": [
            {"engine": "K8sNativeValidation", "source": {}},
            {"engine": "Rego", "source": {
                "version": "v1",
                "rego": "package a\nimport rego.v1\nviolation contains {\"msg\": input.review.userInfo.username} if true"
            }}
        ]
    });
    let finding = judged(&compile(&settings([new, constraint(json!({}))])), &pod("CREATE"));
    assert_eq!(finding.violations[0].message, "alice");
}
