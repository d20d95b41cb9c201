use serde_json::{Value, json};

use super::*;
use crate::review::decode::decode;

fn pod(operation: &str, subresource: &str) -> Value {
    let containers = |images: &[&str]| -> Value { images.iter().map(|image| json!({"image": image})).collect() };
    let object = json!({
        "metadata": {"annotations": {"team": "a", "my.image-policy.k8s.io/ticket": "1"}},
        "spec": {
            "initContainers": containers(&["init"]), "containers": containers(&["b", "a", "b"]),
            "ephemeralContainers": containers(&["debug"]), "volumes": [{"name": "v", "image": {"reference": "volume"}}]
        }
    });
    json!({
        "apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": operation, "subResource": subresource, "namespace": "shop", "name": "web",
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": object, "oldObject": null
        }
    })
}

fn presented(review: &Value) -> Option<Bridged> {
    Bridged::of(&decode(review.to_string().as_bytes()).expect("a review"))
}

#[test]
fn a_pod_is_the_image_review_that_the_plugin_sends() {
    for operation in ["CREATE", "UPDATE"] {
        let presented = presented(&pod(operation, "")).expect("one");
        assert_eq!((presented.protocol, presented.uid), (Protocol::ImageReview, None));
        let expected = concat!(
            r#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","metadata":{"creationTimestamp":null},"#,
            r#""spec":{"containers":[{"image":"b"},{"image":"a"},{"image":"b"},{"image":"init"}],"#,
            r#""annotations":{"my.image-policy.k8s.io/ticket":"1"},"namespace":"shop"},"status":{"allowed":false}}"#
        );
        assert_eq!(presented.body, expected);
        decode(&presented.body).expect("an ImageReview");
    }
    let ephemeral = presented(&pod("UPDATE", "ephemeralcontainers")).expect("one");
    let ephemeral: Value = serde_json::from_slice(&ephemeral.body).expect("JSON");
    assert_eq!(ephemeral["spec"]["containers"], json!([{"image": "debug"}]));
}

/// What a real API server's plugin sent for the same pods.
#[test]
fn captured_pods_are_presented_as_the_plugin_sent_them() {
    for (pod, image) in [
        (
            &include_bytes!("../../../tests/fixtures/captures/002-admission-v1-create-pod.json")[..],
            &include_bytes!("../../../tests/fixtures/captures/001-image-review.json")[..],
        ),
        (
            &include_bytes!("../../../tests/fixtures/captures/006-admission-v1-create-pod.json")[..],
            &include_bytes!("../../../tests/fixtures/captures/004-image-review.json")[..],
        ),
    ] {
        let presented = Bridged::of(&decode(pod).expect("a review")).expect("one");
        assert_eq!(presented.body, image.trim_ascii());
    }
}

#[test]
fn what_the_plugin_is_not_asked_about_is_not_presented() {
    let mut deployment = pod("CREATE", "");
    deployment["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let object = deployment["request"]["object"].take();
    deployment["request"]["object"] = json!({"spec": {"template": object}});
    let mut without_images = pod("CREATE", "");
    without_images["request"]["object"]["spec"] = json!({});
    for review in [deployment, without_images, pod("DELETE", ""), pod("UPDATE", "status"), pod("CREATE", "binding")] {
        assert!(presented(&review).is_none(), "{review}");
    }
}

#[test]
fn an_image_review_is_the_pod_that_is_known_of_it() {
    let review = json!({
        "apiVersion": "imagepolicy.k8s.io/v1alpha1", "kind": "ImageReview",
        "spec": {
            "containers": [{"image": "a"}, {"image": "b"}], "namespace": "shop",
            "annotations": {"my.image-policy.k8s.io/ticket": "1"}
        }
    });
    let first = presented(&review).expect("one");
    let body: Value = serde_json::from_slice(&first.body).expect("JSON");
    let read = decode(&first.body).expect("an AdmissionReview");
    assert_eq!((first.protocol, first.api_version), (read.protocol, read.api_version));
    assert_eq!((read.uid, read.record.kind.as_deref()), (first.uid.clone(), Some("Pod")));
    assert_ne!(presented(&review).expect("one").uid, first.uid, "each call has its own");
    let object = &body["request"]["object"];
    let images: Vec<&Value> =
        object["spec"]["containers"].as_array().expect("a list").iter().map(|container| &container["image"]).collect();
    assert_eq!(images, ["a", "b"]);
    assert_eq!(object["metadata"]["annotations"]["my.image-policy.k8s.io/ticket"], "1");
    assert_eq!((&body["request"]["namespace"], &body["request"]["operation"]), (&json!("shop"), &json!("CREATE")));
    let empty = json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "spec": {"containers": []}});
    assert!(presented(&empty).is_none());
}
