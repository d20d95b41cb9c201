use serde_json::{Value, json};

use super::*;
use crate::policy::settings::{CheckSettings, MatchSettings, Requirement, ScopeSettings, StageSettings};
use crate::review::decision::Operation;
use crate::review::decode::decode;
use crate::review::image::Role;

mod agreement;
mod fields;
mod findings;
mod many;
mod mistakes;
mod repeats;
mod scopes;

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
        rollout: Vec::new(),
        check,
        message: None,
        unreadable: None,
        help: None,
        scope: ScopeSettings::default(),
        placeholders: Vec::new(),
    }
}

fn stage(mode: Mode) -> StageSettings {
    StageSettings { rules: vec![], namespaces: vec![], clusters: vec![], percent: 100, salt: None, mode }
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
