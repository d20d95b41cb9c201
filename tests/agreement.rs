//! One verdict everywhere: live in audit, live in enforce, on a desk, and on a desk again from what the history keeps, for
//! every kind of local policy.

mod harness;

use std::collections::BTreeMap;

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use harness::reviews::{image_review, pod_review};
use harness::{Builder, Rehearsal, run};
use serde_json::{Value, json};

const REVIEWS: usize = 10_000;

/// Of reviews at a time.
const IN_FLIGHT: usize = 8;

const IN_A_FILE: usize = 1_000;

/// Of what is sent again because its evaluation took longer than its limit, on a machine that is busy with other tests.
const ROUNDS: usize = 6;

/// A policy of each kind, and of each view that a policy may judge.
const CONFIG: &str = "history: {objects: all}
policies:
- name: images
  mode: MODE
  rules:
  - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}
  - {id: ours, allow: {registry: registry.acmecorp.com}, namespaces: ['shop-*', 'web-*']}
  - {id: pinned, require: digest, containers: init}
- name: objects
  mode: MODE
  rego: {files: [objects.rego], entrypoint: data.main.deny}
- name: reviews
  mode: MODE
  rego: {files: [reviews.rego], entrypoint: data.images.deny}
- name: library
  mode: MODE
  gatekeeper: {files: [library.yaml], judge_partial: true}
";

const OBJECTS: &str = "package main
deny[msg] { not input.metadata.labels.team; msg := sprintf(\"%v has no team\", [input.kind]) }
deny[msg] { c := input.spec.containers[_]; not c.resources; msg := sprintf(\"%v has no limits\", [c.name]) }
warn[msg] { count(input.spec.containers) > 2; msg := \"many containers\" }
";

const REVIEWS_REGO: &str = "package images
deny[msg] { c := input.spec.containers[_]; not re_match(\"^(registry\\\\.acmecorp\\\\.com|quay\\\\.io)/.+$\", c.image); msg := c.image }
deny[msg] { t := input.spec.annotations[k]; t == \"old\"; msg := sprintf(\"%v is old\", [k]) }
";

const LIBRARY: &str = "apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: repos}
spec:
  crd: {spec: {names: {kind: Repos}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package repos
      violation[{\"msg\": msg}] {
        c := input.review.object.spec.containers[_]
        not startswith(c.image, input.parameters.repo)
        msg := sprintf(\"%v of %v by %v\", [c.name, input.review.namespace, input.review.operation])
      }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: Repos
metadata: {name: ours}
spec:
  match: {excludedNamespaces: ['kube-*'], kinds: [{apiGroups: [''], kinds: [Pod]}]}
  parameters: {repo: registry.acmecorp.com/}
";

fn desk(mode: &str) -> Builder {
    Rehearsal::builder()
        .file("objects.rego", OBJECTS)
        .file("reviews.rego", REVIEWS_REGO)
        .file("library.yaml", LIBRARY)
        .file("desk.yaml", CONFIG.replace("MODE", mode))
        .config(&CONFIG.replace("MODE", mode))
}

// === what is asked ===

fn image(rng: &mut Rng) -> String {
    let host = ["registry.acmecorp.com/", "quay.io/acme/", "", "UPPER/"][rng.usize(0..4)];
    let tag = [":1.2", ":latest", "", "@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0"];
    format!("{host}app-{}{}", rng.u8(0..40), tag[rng.usize(0..4)])
}

/// Its namespace is its own: by it, it is found again.
fn generated(n: usize, rng: &mut Rng) -> (String, Value) {
    let namespace = format!("{}-{n}", ["shop", "web", "kube"][rng.usize(0..3)]);
    let images: Vec<String> = (0..rng.usize(1..4)).map(|_| image(rng)).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let review = match n % 5 {
        0 => {
            let mut review = image_review(&namespace, &images);
            let state = ["old", "new"][rng.usize(0..2)];
            review["spec"]["annotations"] = json!({"shop.image-policy.k8s.io/state": state});
            review
        }
        1 => workload(&namespace, &images, rng),
        2 => update(pod(&namespace, &images, rng), rng),
        _ => pod(&namespace, &images, rng),
    };
    (namespace, review)
}

fn pod(namespace: &str, images: &[&str], rng: &mut Rng) -> Value {
    let mut review = pod_review("u", namespace, "web", images);
    let object = &mut review["request"]["object"];
    object["metadata"]["labels"] = if rng.bool() { json!({"team": "a"}) } else { json!({"app": "b"}) };
    object["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "hunter2"}]);
    if rng.bool() {
        object["spec"]["containers"][0].as_object_mut().expect("a container").remove("resources");
    }
    if rng.u8(0..4) == 0 {
        object["spec"]["initContainers"] = json!([{"name": "first", "image": image(rng)}]);
    }
    review
}

fn workload(namespace: &str, images: &[&str], rng: &mut Rng) -> Value {
    let mut review = pod(namespace, images, rng);
    let request = &mut review["request"];
    let template = request["object"].take();
    request["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    request["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    request["object"] = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"team": "a"}}, "spec": {"template": template}
    });
    review
}

/// Of one image, or of nothing that counts.
fn update(mut review: Value, rng: &mut Rng) -> Value {
    let request = &mut review["request"];
    request["operation"] = json!("UPDATE");
    request["oldObject"] = request["object"].clone();
    match rng.bool() {
        true => request["oldObject"]["spec"]["containers"][0]["image"] = json!(image(rng)),
        false => request["oldObject"]["metadata"]["labels"] = json!({"before": "x"}),
    }
    review
}

// === what is said ===

/// `policy/rule image message`, in order: of what one verdict, or all, found.
fn found(policy: &str, violations: &Value) -> Vec<String> {
    let text = |one: &Value| format!("{policy}/{} {} {}", one["rule"], one["image"], one["message"]);
    violations.as_array().expect("a list").iter().map(text).collect()
}

/// Of a decision: what was found, and the verdict of each policy.
fn said(decision: &Value) -> (Vec<String>, Vec<String>) {
    let verdicts = decision["verdicts"].as_array().expect("a list");
    let violations = verdicts.iter().flat_map(|one| found(one["policy"].as_str().expect("a name"), &one["violations"]));
    let verdict = |one: &Value| format!("{} {} {:?}", one["policy"], one["verdict"], found("", &one["standing"]));
    (violations.collect(), verdicts.iter().map(verdict).collect())
}

/// Whether a violation is in force: those of a set `warn` never are.
fn rejects(decision: &Value) -> bool {
    let verdicts = decision["verdicts"].as_array().expect("a list");
    let mut violations = verdicts.iter().flat_map(|one| one["violations"].as_array().expect("a list"));
    violations.any(|one| one["mode"] == "enforce")
}

/// The decisions of one process on all reviews, by namespace.
async fn live(rehearsal: &Rehearsal, reviews: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut decided = BTreeMap::new();
    for round in 1..=ROUNDS {
        let left = reviews.iter().filter(|(namespace, _)| !decided.contains_key(*namespace));
        let path = format!("/review/round-{round}");
        let sent = stream::iter(left).map(|(_, review)| rehearsal.review(&path, review)).buffer_unordered(IN_FLIGHT);
        let count = sent.count().await;
        rehearsal.drained().await;
        let cluster = format!("round-{round}");
        let exported = run(rehearsal.dir(), &["export", "--config", "rehearsal.yaml", "--cluster", &cluster]).stdout;
        let decisions: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(decisions.len(), count);
        for decision in decisions {
            let verdicts = decision["verdicts"].as_array().expect("a list");
            if verdicts.iter().all(|verdict| verdict["verdict"] != "error") {
                decided.insert(decision["namespace"].as_str().expect("a namespace").to_owned(), decision);
            }
        }
        if decided.len() == reviews.len() {
            return decided;
        }
    }
    panic!("{} of {} were judged after {ROUNDS} rounds", decided.len(), reviews.len());
}

/// What a desk finds in each of `reviews`, in their order, over several files.
fn checked(reviews: impl Iterator<Item = Value>) -> Vec<Vec<String>> {
    let (mut desk, mut args) = (desk("audit"), vec!["check", "--config", "desk.yaml", "--format", "json"]);
    let reviews: Vec<Value> = reviews.collect();
    let names: Vec<String> = (0..reviews.len().div_ceil(IN_A_FILE)).map(|at| format!("{at}.json")).collect();
    for (name, items) in names.iter().zip(reviews.chunks(IN_A_FILE)) {
        desk = desk.file(name, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
        args.push(name);
    }
    let ended = run(desk.dir(), &args);
    let all: Vec<Value> = serde_json::from_str(&ended.stdout).expect("JSON");
    let one = |one: &Value| {
        assert_eq!(one["errors"], json!([]), "{one:#}");
        let violations = one["violations"].as_array().expect("a list").iter();
        violations.flat_map(|one| found(one["policy"].as_str().expect("a name"), &json!([one]))).collect()
    };
    all.iter().map(one).collect()
}

// === what is kept ===

/// The review as it can be asked again from the history: `decision` with its object.
fn again(decision: &Value) -> Value {
    let images = decision["images"].as_array().expect("a list");
    if decision["protocol"] == "ImageReview" {
        let texts: Vec<&str> = images.iter().map(|image| image["text"].as_str().expect("a text")).collect();
        let mut review = image_review(decision["namespace"].as_str().expect("a namespace"), &texts);
        review["spec"]["annotations"] = decision["annotations"].clone();
        return review;
    }
    let kind = &decision["kind"];
    let resource = if kind == "Pod" { "pods" } else { "deployments" };
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": decision["uid"], "operation": decision["operation"], "namespace": decision["namespace"],
            "name": decision["name"], "userInfo": {"username": decision["user"]},
            "kind": {"group": decision["group"], "version": "v1", "kind": kind},
            "resource": {"group": decision["group"], "version": "v1", "resource": resource},
            "object": decision["object"], "oldObject": before(decision, images),
        }
    })
}

/// Of an update: the images that are not new were there before it.
fn before(decision: &Value, images: &[Value]) -> Value {
    if decision["operation"] != "UPDATE" {
        return Value::Null;
    }
    let mut object = decision["object"].clone();
    for image in images.iter().filter(|image| image["new"] == true) {
        let list = if image["role"] == "init" { "initContainers" } else { "containers" };
        let containers = object["spec"][list].as_array_mut().expect("containers");
        containers.retain(|container| container["name"] != image["container"]);
    }
    object
}

async fn kept(rehearsal: &Rehearsal, decided: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let read = stream::iter(decided.iter()).map(|(namespace, decision)| async move {
        let path = format!("/api/v1/decisions/{}", decision["id"].as_str().expect("an id"));
        (namespace.clone(), again(&rehearsal.get_json(&path).await))
    });
    read.buffer_unordered(IN_FLIGHT).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_enforce_a_desk_and_the_history_say_the_same_of_ten_thousand_reviews() {
    let mut rng = Rng::with_seed(0x5eed);
    let reviews: BTreeMap<String, Value> = (0..REVIEWS).map(|n| generated(n, &mut rng)).collect();
    let audit = desk("audit").start().await;
    let audited = live(&audit, &reviews).await;
    let stored = kept(&audit, &audited).await;
    drop(audit);
    let enforced = live(&desk("enforce").start().await, &reviews).await;
    let at_the_desk = checked(reviews.values().cloned());
    let from_the_history = checked(stored.values().cloned());
    let mut of_policy: BTreeMap<String, usize> = BTreeMap::new();
    for (at, (namespace, review)) in reviews.iter().enumerate() {
        let ((violations, verdicts), denied) = (said(&audited[namespace]), &enforced[namespace]);
        assert_eq!(said(denied), (violations.clone(), verdicts), "enforced: {review:#}");
        assert_eq!(denied["answer"] == "denied", rejects(denied), "{denied:#}");
        assert_eq!(audited[namespace]["would_reject"], json!(!violations.is_empty()));
        assert_eq!(at_the_desk[at], violations, "on a desk: {review:#}");
        assert_eq!(from_the_history[at], violations, "from the history: {:#}", stored[namespace]);
        for violation in &violations {
            *of_policy.entry(violation.split_once('/').expect("policy/rule").0.to_owned()).or_default() += 1;
        }
    }
    assert!(of_policy.len() == 4 && of_policy.values().all(|count| *count > REVIEWS / 20), "{of_policy:?}");
}
