use std::time::Duration;

use super::*;
use crate::policy::rego::results::Resource;

const V1: &str = "/v1/data/admission/deny";

fn question(protocol: Protocol) -> Question {
    let resource = Resource { kind: Some("pods".into()), namespace: Some("shop".into()), name: Some("web".into()) };
    let images = vec![("nginx".into(), Some("c0".into())), ("ours/a".into(), Some("c1".into()))];
    let (api_version, uid) = match protocol {
        Protocol::ImageReview => ("imagepolicy.k8s.io/v1alpha1", None),
        Protocol::AdmissionReview => ("admission.k8s.io/v1", Some("u-1".to_owned())),
    };
    Question {
        body: Bytes::from_static(b"{}"),
        protocol,
        api_version,
        uid,
        came_in: protocol,
        resource,
        images,
        traceparent: None,
        budget: Duration::from_secs(1),
    }
}

fn document(path: &str) -> OpaDocument {
    OpaDocument::at(path).expect("a document")
}

fn read_as(protocol: Protocol, path: &str, body: &str) -> Result<BackendAnswer, Problem> {
    decode(Bytes::copy_from_slice(body.as_bytes()), &document(path), &question(protocol))
}

fn read(path: &str, body: &str) -> Result<BackendAnswer, Problem> {
    read_as(Protocol::AdmissionReview, path, body)
}

fn said(answer: &BackendAnswer) -> Vec<(&str, &str)> {
    assert_eq!(answer.allowed, answer.violations.is_empty(), "{answer:?}");
    answer.violations.iter().map(|one| (one.rule.as_str(), one.message.as_str())).collect()
}

#[test]
fn a_review_is_wrapped_byte_for_byte_or_sent_as_it_is() {
    let review = Bytes::from_static(b"{\"a\" : 1.50}\n");
    assert_eq!(asked(&document(V1), review.clone()), "{\"input\":{\"a\" : 1.50}\n}");
    for path in ["/", "/v0/data/admission/deny"] {
        assert_eq!(asked(&document(path), review.clone()), review);
    }
}

#[test]
fn rows_have_rules_of_their_own_and_those_of_other_objects_say_nothing() {
    let row = |id: &str, name: &str, resolution: &str| {
        format!(
            r#"{{"id":"{id}","resource":{{"kind":"pods","namespace":"shop","name":"{name}"}},"resolution":{resolution}}}"#
        )
    };
    let rows = [
        row("whitelist", "web", r#"{"message":"invalid registry \"nginx\""}"#),
        row("other", "another", r#"{"message":"not of this pod"}"#),
        row("patch", "web", r#"{"patches":[],"message":"changed"}"#),
        row("silent", "web", "{}"),
    ]
    .join(",");
    let expected = [("whitelist", "invalid registry \"nginx\""), ("silent", "denied without a message")];
    for (path, body) in [(V1, format!(r#"{{"result":[{rows}]}}"#)), ("/v0/data/admission/deny", format!("[{rows}]"))] {
        let answer = read(path, &body).expect("valid");
        assert_eq!(said(&answer), expected, "{path}");
        assert_eq!(answer.violations[0].image.as_deref(), Some("nginx"), "the image that the message names");
        assert_eq!(answer.violation_text(), "invalid registry \"nginx\", denied without a message");
        assert!(!answer.is_whole());
    }
    assert_eq!(said(&read(V1, r#"{"result":[]}"#).expect("valid")), []);
}

#[test]
fn an_object_without_a_name_may_be_called_anything() {
    let mut question = question(Protocol::AdmissionReview);
    question.resource.name = None;
    let body = r#"{"result":[{"id":"a","resource":{"kind":"pods","namespace":"shop","name":"x7"},"resolution":{}},
        {"id":"b","resource":{"kind":"pods","namespace":"else","name":"x7"},"resolution":{}}]}"#;
    let answer = decode(Bytes::from_static(body.as_bytes()), &document(V1), &question).expect("valid");
    assert_eq!(said(&answer), [("a", "denied without a message")]);
}

#[test]
fn texts_objects_and_booleans_are_of_the_rule_that_the_document_is_called() {
    for (path, body, expected) in [
        (V1, r#"{"result":["no nginx","no b"]}"#, vec![("deny", "no nginx"), ("deny", "no b")]),
        (
            "/v1/data/p/violation",
            r#"{"result":[{"msg":"no","details":{"container":"c1"}}]}"#,
            vec![("violation", "no")],
        ),
        ("/v1/data/p/allow", r#"{"result":false}"#, vec![("allow", "data.p.allow is not true")]),
        ("/v1/data/p/allow", r#"{"result":true}"#, vec![]),
        ("/v0/data/p/deny", "true", vec![("deny", "data.p.deny is true")]),
        ("/v0/data/p/deny", "false", vec![]),
        ("/v1/data/p/status", r#"{"result":{"allowed":false,"reason":"no"}}"#, vec![("status", "no")]),
    ] {
        assert_eq!(said(&read(path, body).expect(body)), expected, "{path} {body}");
    }
}

#[test]
fn what_system_main_answers_passes_whole() {
    let answer = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":false,
        "status":{"message":"no","code":422},"auditAnnotations":{"k":"v"},"future":1.50}}"#;
    for (path, body) in [("/", answer.to_owned()), ("/v1/data/system/main", format!(r#"{{"result":{answer}}}"#))] {
        let answer = read(path, &body).expect("valid");
        assert_eq!(said(&answer), [("main", "no")], "{path}");
        assert!(answer.is_whole(), "{path}");
        assert_eq!((answer.code, answer.audit_annotations["k"].as_str()), (Some(422), "v"));
        assert_eq!(answer.response[4].1.get(), "1.50");
    }
    let image = r#"{"kind":"ImageReview","status":{"allowed":false,"reason":"no"}}"#;
    let answer = read_as(Protocol::ImageReview, "/", image).expect("valid");
    assert_eq!((said(&answer), answer.is_whole()), (vec![("main", "no")], true));
    let other = read("/", image).expect("valid for its verdict");
    assert_eq!((said(&other), other.is_whole()), (vec![("main", "no")], false));
    assert!(read("/", &answer_of("u-2")).expect_err("another uid").contains("uid"));
}

fn answer_of(uid: &str) -> String {
    format!(r#"{{"response":{{"uid":"{uid}","allowed":true}}}}"#)
}

#[test]
fn what_is_undefined_or_has_no_shape_is_an_error_and_never_an_allow() {
    for (path, body, why) in [
        (V1, "{}", "data.admission.deny is undefined for this review"),
        (V1, r#"{"result":null}"#, "is undefined"),
        (V1, r#"{"decision_id":"x"}"#, "is undefined"),
        ("/v1/data/p/allow", "{}", "data.p.allow is undefined"),
        (V1, "[]", "a list, not an object"),
        (V1, r#"{"result":{}}"#, "an object without `allowed`"),
        (V1, r#"{"result":7}"#, "which no convention has"),
        (V1, r#"{"result":[7]}"#, "neither a text nor an object"),
        (V1, r#"{"result":[{"details":{}}]}"#, "without `msg`"),
        (V1, r#"{"result":[],"result":[]}"#, "not JSON"),
        ("/", "", "not JSON"),
        ("/", "{}", "an object without `allowed`"),
        ("/", r#"{"response":{"allow":true}}"#, "an object without `allowed`"),
        ("/", "null", "which no convention has"),
    ] {
        let problem = read(path, body).err().unwrap_or_else(|| panic!("{body} was accepted"));
        assert!(problem.contains(why), "{path} {body}: {problem}");
    }
}

#[test]
fn as_many_violations_are_kept_as_of_a_policy_here() {
    let texts: Vec<String> = (0..120).map(|number| format!("\"no {number}\"")).collect();
    let answer = read(V1, &format!(r#"{{"result":[{}]}}"#, texts.join(","))).expect("valid");
    assert_eq!((answer.violations.len(), answer.omitted), (100, 20));
}
