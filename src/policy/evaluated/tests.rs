//! One verdict, however it is come by: live for the first time, from memory, by an engine that was compiled anew, and
//! from what the history keeps of the review.

use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::policy::gatekeeper::GatekeeperPolicy;
use crate::policy::rego::RegoPolicy;
use crate::policy::settings::{Dialect, GatekeeperSettings, Manifest, RegoModule, RegoSettings};
use crate::review::decision::ReviewRecord;
use crate::review::decode::decode;
use crate::review::redact::Redaction;
use crate::review::strict;
use crate::review::view::{ImageView, ObjectView, object, object_hash};

const REVIEWS: usize = 10_000;

const OBJECTS: &str = "package main
deny[msg] { not input.metadata.labels.team; msg := sprintf(\"%s has no team\", [input.metadata.name]) }
deny[msg] { c := input.spec.containers[_]; endswith(c.image, \":latest\"); msg := sprintf(\"%s runs %s\", [c.name, c.image]) }
warn[msg] { count(input.spec.containers) > 2; msg := \"many containers\" }";

const IMAGES: &str = "package images
deny[msg] { image := input.spec.containers[_].image; not startswith(image, \"registry.acmecorp.com/\"); msg := image }";

fn rego(entrypoint: &str, text: &str) -> RegoPolicy {
    let module = RegoModule { file: "p.rego".into(), text: text.into(), dialect: None };
    let settings = RegoSettings {
        files: Vec::new(),
        modules: vec![module],
        data: Vec::new(),
        entrypoint: entrypoint.into(),
        dialect: Dialect::Auto,
        input: None,
    };
    RegoPolicy::compile(&settings).expect("it compiles")
}

fn gatekeeper() -> GatekeeperPolicy {
    let rego = "package g\nviolation[{\"msg\": msg}] { c := input.review.object.spec.containers[_]; \
                not startswith(c.image, input.parameters.repo); msg := sprintf(\"%v of %v\", [c.name, input.review.namespace]) }";
    let template = json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "spec": {
            "crd": {"spec": {"names": {"kind": "Repo"}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego}]
        }
    });
    let constraint = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Repo", "metadata": {"name": "ours"},
        "spec": {"match": {"excludedNamespaces": ["kube-*"]}, "parameters": {"repo": "registry.acmecorp.com/"}}
    });
    let manifests =
        [template, constraint].map(|json| Manifest { file: "g.yaml".into(), line: 1, json }).into_iter().collect();
    let settings = GatekeeperSettings { files: Vec::new(), manifests, judge_partial: true };
    GatekeeperPolicy::compile(&settings).expect("it compiles")
}

fn pod(rng: &mut Rng) -> Value {
    let containers: Vec<Value> = (0..rng.usize(1..4))
        .map(|at| {
            let host = ["registry.acmecorp.com/", "quay.io/acme/", ""][rng.usize(0..3)];
            let tag = ["1.2", "latest", "2"][rng.usize(0..3)];
            json!({"name": format!("c{at}"), "image": format!("{host}app-{}:{tag}", rng.u8(0..40))})
        })
        .collect();
    let namespace = ["shop", "kube-system", "web"][rng.usize(0..3)];
    let labels = if rng.bool() { json!({"team": "a"}) } else { json!({"app": "b"}) };
    let name = format!("pod-{}", rng.u16(0..500));
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": format!("u-{}", rng.u64(..)), "operation": "CREATE", "namespace": namespace, "name": name,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "alice"},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels, "uid": rng.u64(..).to_string()},
                "spec": {"containers": containers}
            }
        }
    })
}

/// The views that a review has now, and those that the history can make of it later.
struct Seen {
    image: (String, [u8; 32]),
    object: (String, [u8; 32]),
    later_image: String,
    later_object: String,
}

fn seen(body: &str) -> Seen {
    let review = decode(body.as_bytes()).expect("a review");
    let document = strict::parse(body.as_bytes()).expect("JSON");
    let encoded = ObjectView::of(&review, &document).encode();
    let record: ReviewRecord =
        serde_json::from_str(&serde_json::to_string(&*review.record).expect("JSON")).expect("as it is kept");
    let later_image = ImageView::of(&record).encoded().to_owned();
    let part = &body.as_bytes()[review.object.clone().expect("an object")];
    let kept = Redaction::of(part).object(&object(part).expect("JSON"));
    let later_object = format!("{{\"image\":{later_image},\"object\":{kept}}}");
    let image = (review.view.encoded().to_owned(), *review.view.hash());
    Seen { image, object: (encoded.clone(), object_hash(&encoded)), later_image, later_object }
}

#[test]
fn it_is_the_same_live_from_memory_compiled_anew_and_from_the_history() {
    let (objects, images, constraints) =
        (rego("data.main.deny", OBJECTS), rego("data.images.deny", IMAGES), gatekeeper());
    let (objects_again, images_again, constraints_again) =
        (rego("data.main.deny", OBJECTS), rego("data.images.deny", IMAGES), gatekeeper());
    let mut rng = Rng::with_seed(7);
    let mut denied = 0;
    for _ in 0..REVIEWS {
        let seen = seen(&pod(&mut rng).to_string());
        let object = Subject { view: View::Object, encoded: &seen.object.0 };
        let image = Subject { view: View::Image, encoded: &seen.image.0 };

        let live = objects.judge(&seen.object.1, object);
        assert_eq!(*objects.judge(&seen.object.1, object), *live);
        assert_eq!(objects_again.evaluate(object), *live);
        let later = Subject { view: View::Object, encoded: &seen.later_object };
        assert_eq!(objects_again.evaluate(later), *live, "from the kept object");

        let live = images.judge(&seen.image.1, image);
        assert_eq!(*images.judge(&seen.image.1, image), *live);
        assert_eq!(images_again.evaluate(Subject { view: View::Image, encoded: &seen.later_image }), *live);
        denied += usize::from(!live.violations.is_empty());

        let live = constraints.judge(&seen.object.1, object);
        assert_eq!(*constraints.judge(&seen.object.1, object), *live);
        assert_eq!(constraints_again.evaluate(object), *live);
    }
    assert!(denied > REVIEWS / 4 && denied < REVIEWS, "{denied} denied");
}
