//! Every body that a real API server sent, through the configuration that nobody wrote.

mod harness;

use harness::Rehearsal;
use harness::backend::{Backend, Script};
use harness::reviews::{captures, fixture};
use serde_json::{Value, json};

/// What a capture is, by its number.
struct Expected {
    capture: &'static str,
    operation: &'static str,
    kind: Option<&'static str>,
    /// What the workload's text begins with, which is all of it but for an ImageReview of many images.
    workload: &'static str,
    name: Option<&'static str>,
    /// The pod's spec within the body; of an ImageReview its own.
    spec: &'static str,
    would_reject: bool,
    standing: usize,
}

const POD: &str = "/request/object/spec";
const TEMPLATE: &str = "/request/object/spec/template/spec";
const CRON_JOB: &str = "/request/object/spec/jobTemplate/spec/template/spec";
const POD_TEMPLATE: &str = "/request/object/template/spec";
const IMAGE_REVIEW: &str = "/spec";

const EXPECTED: [Expected; 26] = [
    image_review("001", "pods running docker.io/myrepo/myimage, registry.acmecorp.com/init", false),
    created("002", "Pod", "Pod/two-images", POD),
    created("003", "Pod", "Pod/two-images", POD),
    image_review("004", "pods running docker.io/library/nginx", true),
    generated("005"),
    generated("006"),
    rejected(created("007", "Deployment", "Deployment/web", TEMPLATE)),
    created("008", "StatefulSet", "StatefulSet/db", TEMPLATE),
    created("009", "DaemonSet", "DaemonSet/agent", TEMPLATE),
    rejected(created("010", "Job", "Job/once", TEMPLATE)),
    rejected(created("011", "ReplicationController", "ReplicationController/nginx-latest", TEMPLATE)),
    image_review("012", "pods running docker.io/myrepo/myimage, registry.acmecorp.com/init", false),
    updated("013", "Pod", "Pod/two-images", POD, 0),
    updated("014", "Deployment", "Deployment/web", TEMPLATE, 1),
    updated("015", "Pod", "Pod/two-images", POD, 0),
    image_review("016", "pods running docker.io/library/nginx", false),
    created("017", "Pod", "Pod/dry", POD),
    created("018", "Pod", "Pod/dry", POD),
    created("019", "CronJob", "CronJob/nightly", CRON_JOB),
    created("020", "PodTemplate", "PodTemplate/tpl", POD_TEMPLATE),
    image_review("021", "pods running ", false),
    created("022", "Pod", "Pod/bad-image", POD),
    created("023", "Pod", "Pod/bad-image", POD),
    image_review("024", "pods running registry.acmecorp.com/team-0/svc-0, ", false),
    created("025", "Pod", "Pod/large", POD),
    created("026", "Pod", "Pod/large", POD),
];

const fn created(capture: &'static str, kind: &'static str, workload: &'static str, spec: &'static str) -> Expected {
    Expected {
        capture,
        operation: "CREATE",
        kind: Some(kind),
        workload,
        name: Some(workload.split_at(kind.len() + 1).1),
        spec,
        would_reject: false,
        standing: 0,
    }
}

const fn rejected(expected: Expected) -> Expected {
    Expected { would_reject: true, ..expected }
}

/// 005 and 006: a pod whose name the API server made from `gen-`.
const fn generated(capture: &'static str) -> Expected {
    Expected { name: Some("gen-bf87b"), would_reject: true, ..created(capture, "Pod", "Pod/gen-", POD) }
}

const fn updated(
    capture: &'static str,
    kind: &'static str,
    workload: &'static str,
    spec: &'static str,
    standing: usize,
) -> Expected {
    Expected { operation: "UPDATE", standing, ..created(capture, kind, workload, spec) }
}

/// An ImageReview names no workload and no object.
const fn image_review(capture: &'static str, workload: &'static str, would_reject: bool) -> Expected {
    Expected {
        capture,
        operation: "CREATE",
        kind: None,
        workload,
        name: None,
        spec: IMAGE_REVIEW,
        would_reject,
        standing: 0,
    }
}

fn numbered(number: &str) -> (String, Value) {
    let (name, body) = captures().into_iter().find(|(name, _)| name.starts_with(number)).expect("the capture");
    (name, serde_json::from_slice(&body).expect("JSON"))
}

/// (text, container, role) in the order of the pod's lists.
fn images_of(body: &Value, spec: &str) -> Vec<(String, Option<String>, String)> {
    let spec = body.pointer(spec).unwrap_or_else(|| panic!("{spec} in the body"));
    let lists = match body["kind"] == "ImageReview" {
        true => vec![("containers", "unknown")],
        false => vec![("initContainers", "init"), ("containers", "container"), ("ephemeralContainers", "ephemeral")],
    };
    let mut images = Vec::new();
    for (list, role) in lists {
        for container in spec[list].as_array().into_iter().flatten() {
            let text = container["image"].as_str().expect("an image").to_owned();
            images.push((text, container["name"].as_str().map(str::to_owned), role.to_owned()));
        }
    }
    images.sort();
    images
}

fn images_recorded(decision: &Value) -> Vec<(String, Option<String>, String)> {
    let mut images: Vec<_> = decision["images"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|image| {
            let text = |field: &str| image[field].as_str().map(str::to_owned);
            (text("text").expect("a text"), text("container"), text("role").expect("a role"))
        })
        .collect();
    images.sort();
    images
}

#[tokio::test]
async fn each_is_answered_in_its_own_version_and_uid() {
    let rehearsal = Rehearsal::builder().start().await;
    for expected in EXPECTED {
        let (file, body) = numbered(expected.capture);
        let path = if body["kind"] == "ImageReview" { "/image_policy" } else { "/" };
        let response = rehearsal.post(path, fixture(&file)).await;
        assert_eq!(response.header("content-type"), Some("application/json"), "{file}");
        let answer = response.json();
        assert_eq!(answer["apiVersion"], body["apiVersion"], "{file}");
        assert_eq!(answer["kind"], body["kind"], "{file}");
        assert!(response.allowed(), "{file}: audit rejects nothing");
        let verdict = response.verdict();
        if body["kind"] == "AdmissionReview" {
            assert_eq!(verdict["uid"], body["request"]["uid"], "{file}");
        }
        let annotations = &verdict["auditAnnotations"];
        let expected_annotation = if expected.would_reject { json!("images/no-latest") } else { Value::Null };
        assert_eq!(annotations["would-reject"], expected_annotation, "{file}: {annotations}");
        assert_eq!(annotations["decision"].as_str().map(str::len), Some(36), "{file}: {annotations}");
        assert!(verdict.get("warnings").is_none(), "{file}: audit tells the client nothing");
    }
}

#[tokio::test]
async fn each_is_recorded_with_what_it_is() {
    let rehearsal = Rehearsal::builder().start().await;
    for expected in EXPECTED {
        let (file, body) = numbered(expected.capture);
        let answer = rehearsal.post(&format!("/review/c{}", expected.capture), fixture(&file)).await.verdict();
        let decision = rehearsal.decision(&format!("cluster=c{}", expected.capture)).await;
        assert_eq!(decision["id"], answer["auditAnnotations"]["decision"], "{file}");
        assert_eq!(decision["protocol"], body["kind"], "{file}");
        assert_eq!(decision["operation"], expected.operation, "{file}");
        assert_eq!(decision["namespace"], "mynamespace", "{file}");
        assert_eq!(decision["kind"], json!(expected.kind), "{file}");
        assert_eq!(decision["name"], json!(expected.name), "{file}");
        let workload = decision["workload"].as_str().expect("a workload");
        assert!(workload.starts_with(expected.workload), "{file}: {workload}");
        assert_eq!(decision["uid"], body["request"]["uid"], "{file}");
        assert_eq!(decision["user"], body["request"]["userInfo"]["username"], "{file}");
        assert_eq!(decision["dry_run"], json!(body["request"]["dryRun"] == json!(true)), "{file}");
        assert_eq!(decision["answer"], "allowed", "{file}");
        assert_eq!(decision["would_reject"], expected.would_reject, "{file}");
        assert_eq!(images_recorded(&decision), images_of(&body, expected.spec), "{file}");
        let verdict = &decision["verdicts"][0];
        assert_eq!((&verdict["policy"], &verdict["mode"]), (&json!("images"), &json!("audit")), "{file}");
        let violations = verdict["violations"].as_array().expect("a list");
        assert_eq!(!violations.is_empty(), expected.would_reject, "{file}: {verdict}");
        assert_eq!(verdict["standing"].as_array().map(Vec::len), Some(expected.standing), "{file}: {verdict}");
    }
}

#[tokio::test]
async fn parts_of_references_are_recorded() {
    let rehearsal = Rehearsal::builder().start().await;
    rehearsal.post("/", fixture("009-admission-v1-create-daemonset.json")).await;
    rehearsal.post("/image_policy", fixture("021-image-review.json")).await;
    let daemon_set = rehearsal.decision("image=quay.io:443/acme/agent:v1@sha256:*").await;
    let image = &daemon_set["images"][0];
    assert_eq!(image["registry"], "quay.io:443");
    assert_eq!(image["repository"], "acme/agent");
    assert_eq!(image["tag"], "v1");
    let digest = "sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0";
    assert_eq!(image["digest"], digest);
    assert_eq!(image["error"], Value::Null);
    let unreadable = rehearsal.decision("image=UPPER/Case:bad%20tag!").await;
    for image in unreadable["images"].as_array().expect("a list") {
        assert!(image["error"].is_string(), "{image}");
        assert_eq!(image["repository"], Value::Null, "{image}");
    }
}

#[tokio::test]
async fn the_documentation_s_own_example_with_its_short_digest_is_judged() {
    let config = r"
policies:
  - name: images
    rules:
      - {id: no-latest, deny: {tag: latest}}
      - {id: approved, allow: {image: ['**']}}
      - {id: pinned, require: [digest]}
";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let body = std::fs::read(harness::fixtures().join("examples/image-review.json")).expect("the example");
    assert!(rehearsal.post("/image_policy", body).await.allowed());
    let decision = rehearsal.decision("").await;
    let rules: Vec<_> = decision["verdicts"][0]["violations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|violation| (violation["rule"].as_str().expect("a rule"), violation["image"].as_str().expect("an image")))
        .collect();
    let short = "myrepo/myimage@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed";
    for expected in [("approved", short), ("pinned", "myrepo/myimage:v1"), ("pinned", short)] {
        assert!(rules.contains(&expected), "{expected:?} in {rules:?}");
    }
    assert_eq!(rules.len(), 3, "{rules:?}");
}

#[tokio::test]
async fn each_reaches_a_backend_byte_for_byte() {
    let images = Backend::start(Script::allow());
    let objects = Backend::start(Script::allow());
    let config = format!(
        "policies:\n- {{name: i, mode: enforce, webhook: {{url: '{}/image_policy', speaks: image-review}}}}\n\
         - {{name: a, mode: enforce, webhook: {{url: '{}/review', speaks: admission-review}}}}\n",
        images.url, objects.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    for (file, body) in captures() {
        let (backend, other) = if file.contains("image-review") { (&images, &objects) } else { (&objects, &images) };
        let untouched = other.received().len();
        assert!(rehearsal.post("/review/lab", body.clone()).await.allowed(), "{file}");
        let received = backend.received().pop().expect("a request");
        assert_eq!(received.body, body, "{file}");
        assert_eq!(received.headers["content-type"], "application/json", "{file}");
        assert_eq!(other.received().len(), untouched, "{file}: a webhook is asked in its own protocol only");
    }
}

#[tokio::test]
async fn warnings_of_rules_in_warn_mode_reach_the_client() {
    let config = "policies:\n- name: images\n  mode: warn\n  rules:\n  \
                  - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}\n";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let verdict = rehearsal.post("/", fixture("006-admission-v1-create-pod.json")).await.verdict();
    assert_eq!(verdict["warnings"], json!(["would be rejected by images/no-latest: nginx uses the tag latest"]));
    let verdict = rehearsal.post("/image_policy", fixture("004-image-review.json")).await.verdict();
    assert!(verdict.get("warnings").is_none(), "an ImageReview has no such field: {verdict}");
    assert_eq!(verdict["auditAnnotations"]["would-reject"], "images/no-latest");
    // The Deployment's busybox:latest was there before: nothing that its update brings is wrong.
    let verdict = rehearsal.post("/", fixture("014-admission-v1-update-deployment.json")).await.verdict();
    assert!(verdict.get("warnings").is_none(), "{verdict}");
    assert_eq!(verdict["auditAnnotations"]["would-reject"], Value::Null);
}
