//! Request bodies: captured ones and minimal ones.

use bytes::Bytes;
use serde_json::{Value, json};

use super::fixtures;

/// The bytes of a file under `tests/fixtures/captures`.
pub fn fixture(name: &str) -> Bytes {
    let path = fixtures().join("captures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Every captured request body, by file name, in order.
pub fn captures() -> Vec<(String, Bytes)> {
    let mut names: Vec<String> = std::fs::read_dir(fixtures().join("captures"))
        .expect("the captures are there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fixture(&name))).collect()
}

/// A minimal ImageReview, as kube-apiserver words it.
pub fn image_review(namespace: &str, images: &[&str]) -> Value {
    let containers: Vec<Value> = images.iter().map(|image| json!({ "image": image })).collect();
    json!({
        "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1", "metadata": {"creationTimestamp": null},
        "spec": {"containers": containers, "namespace": namespace}, "status": {"allowed": false}
    })
}

/// A minimal AdmissionReview v1 that creates a pod.
pub fn pod_review(uid: &str, namespace: &str, name: &str, images: &[&str]) -> Value {
    let containers: Vec<Value> = images
        .iter()
        .enumerate()
        .map(|(index, image)| json!({"name": format!("c{index}"), "image": image, "resources": {}}))
        .collect();
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid, "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": name, "namespace": namespace, "operation": "CREATE",
            "userInfo": {"username": "lab-admin", "groups": ["system:authenticated"]},
            "object": {
                "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace},
                "spec": {"containers": containers}, "status": {}
            },
            "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}
