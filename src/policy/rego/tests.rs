//! Each convention with its verdicts, and each mistake with its text.

mod built_ins;
mod conventions;
mod documented;
mod limits;
mod mistakes;

use super::input::View;
use super::*;
use crate::policy::settings::{DataDocument, Dialect, RegoModule};
use crate::review::decision::Mode;
use crate::review::decode::decode;
use crate::review::strict;
use crate::review::view::ObjectView;

/// A policy of one file.
fn settings(entrypoint: &str, text: &str) -> RegoSettings {
    RegoSettings {
        files: Vec::new(),
        modules: vec![RegoModule { file: "policy.rego".into(), text: text.into(), dialect: None }],
        data: Vec::new(),
        entrypoint: entrypoint.into(),
        dialect: Dialect::Auto,
        input: None,
    }
}

#[track_caller]
fn compile(settings: &RegoSettings) -> RegoPolicy {
    RegoPolicy::compile(settings).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

#[track_caller]
fn policy(entrypoint: &str, text: &str) -> RegoPolicy {
    compile(&settings(entrypoint, text))
}

/// `problem` and `fix` of the only mistake.
#[track_caller]
fn mistake(settings: &RegoSettings) -> (String, String, String) {
    let mistakes = RegoPolicy::compile(settings).expect_err("a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    let Mistake { field, problem, fix } = mistakes.into_iter().next().expect("one");
    (field, problem, fix)
}

/// What a policy finds in a request as the API server sends it.
fn judged(policy: &RegoPolicy, body: &str) -> Finding {
    let review = decode(body.as_bytes()).expect("a review");
    let has_object = review.protocol == crate::review::decision::Protocol::AdmissionReview;
    match policy.form().view(has_object) {
        View::Image => policy.evaluate(Subject { view: View::Image, encoded: review.view.encoded() }),
        View::Object => {
            let document = strict::parse(body.as_bytes()).expect("JSON");
            let encoded = ObjectView::of(&review, &document).encode();
            policy.evaluate(Subject { view: View::Object, encoded: &encoded })
        }
    }
}

fn said(finding: &Finding) -> Vec<(&str, &str)> {
    assert_eq!(finding.error, None);
    finding.violations.iter().map(|one| (one.rule.as_str(), one.message.as_str())).collect()
}

fn image_review(images: &[&str]) -> String {
    let containers: Vec<_> = images.iter().map(|image| serde_json::json!({ "image": image })).collect();
    serde_json::json!({
        "apiVersion": "imagepolicy.k8s.io/v1alpha1", "kind": "ImageReview",
        "spec": {"containers": containers, "namespace": "shop", "annotations": {"a.image-policy.k8s.io/b": "c"}}
    })
    .to_string()
}

fn pod(images: &[&str]) -> String {
    let container = |(at, image): (usize, &&str)| serde_json::json!({"name": format!("c{at}"), "image": image});
    let containers: Vec<_> = images.iter().enumerate().map(container).collect();
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "shop", "name": "web",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "alice", "groups": ["dev"]},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
                "spec": {"containers": containers}
            }
        }
    })
    .to_string()
}
