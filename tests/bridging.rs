//! Webhooks that are asked about reviews of the protocol that they do not speak.

mod harness;

use harness::backend::{Backend, Reply, Script};
use harness::peers::peer;
use harness::process::Process;
use harness::reviews::{captures, fixture, pod_review};
use harness::{Rehearsal, free_port, wait_for};
use serde_json::{Value, json};

/// A Pod, and what a real API server's plugin sent for it.
const POD: &str = "002-admission-v1-create-pod.json";
const IMAGES: &str = "001-image-review.json";

async fn behind(backend: &Backend, speaks: &str, mode: &str) -> Rehearsal {
    let config = format!(
        "policies: [{{name: gate, mode: {mode}, webhook: {{url: '{}/judge', speaks: {speaks}, bridge: true}}}}]",
        backend.url
    );
    Rehearsal::builder().config(&config).start().await
}

/// The whole of the only decision.
async fn detail(rehearsal: &Rehearsal) -> Value {
    let decision = rehearsal.decision("").await;
    rehearsal.get_json(&format!("/api/v1/decisions/{}", decision["id"].as_str().expect("an id"))).await
}

#[tokio::test]
async fn a_pod_is_judged_as_the_image_review_that_the_plugin_would_have_sent() {
    let denial = json!({"allowed": false, "reason": "no \"latest\"", "auditAnnotations": {"seen": "yes"}});
    let backend = Backend::start(Script::judge(move |request| request.answer(denial.clone())));
    let rehearsal = behind(&backend, "image-review", "enforce").await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert_eq!(backend.received().remove(0).body, fixture(IMAGES).trim_ascii());
    let answer = response.json();
    assert_eq!((&answer["kind"], &answer["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
    let verdict = response.verdict();
    assert_eq!(verdict["uid"], serde_json::from_slice::<Value>(&fixture(POD)).expect("JSON")["request"]["uid"]);
    assert_eq!(verdict["allowed"], false);
    assert_eq!(verdict["status"]["message"], "no \"latest\"");
    assert_eq!((&verdict["status"]["code"], &verdict["status"]["reason"]), (&json!(403), &json!("Forbidden")));
    assert_eq!(verdict["auditAnnotations"]["seen"], "yes");
    assert_eq!(verdict.get("reason"), None, "nothing of the other protocol: {verdict}");
    let decision = detail(&rehearsal).await;
    assert_eq!((&decision["answer"], &decision["code"]), (&json!("denied"), &json!(403)));
    assert_eq!(decision["verdicts"][0]["violations"][0]["rule"], "gate");
    assert_eq!(decision["verdicts"][0]["presented"], "image-review");
}

#[tokio::test]
async fn an_allowing_image_review_keeps_its_annotations() {
    let allow = json!({"allowed": true, "reason": "fine", "auditAnnotations": {"seen": "yes"}});
    let backend = Backend::start(Script::judge(move |request| request.answer(allow.clone())));
    let rehearsal = behind(&backend, "image-review", "enforce").await;
    let verdict = rehearsal.post("/", fixture(POD)).await.verdict();
    assert_eq!((&verdict["allowed"], &verdict["auditAnnotations"]["seen"]), (&json!(true), &json!("yes")));
    assert_eq!((verdict.get("reason"), verdict.get("status")), (None, None), "{verdict}");
}

#[tokio::test]
async fn of_all_captures_only_pods_that_come_or_change_are_presented() {
    let backend = Backend::start(Script::allow());
    let rehearsal = behind(&backend, "image-review", "enforce").await;
    let mut expected = 0;
    for (name, body) in captures() {
        let review: Value = serde_json::from_slice(&body).expect("JSON");
        let is_asked = review["kind"] == "ImageReview" || review["request"]["kind"]["kind"] == "Pod";
        assert!(rehearsal.post("/", body).await.allowed(), "{name}");
        expected += usize::from(is_asked);
        assert_eq!(backend.received().len(), expected, "{name}");
        let received = backend.received();
        assert!(received.iter().all(|request| request.json()["kind"] == "ImageReview"), "{name}");
    }
    assert!(expected > 10, "{expected} of the captures");
    let none = rehearsal.decisions("", captures().len()).await;
    let none = none.iter().filter(|decision| decision["verdicts"][0]["verdict"] == "none");
    assert_eq!(none.count(), captures().len() - expected, "what was not asked has no verdict");
}

#[tokio::test]
async fn images_are_asked_for_once_each_time() {
    let backend = Backend::start(Script::allow());
    let rehearsal = behind(&backend, "image-review", "enforce").await;
    let review = pod_review("u", "team-a", "web", &["nginx:1", "nginx:1", "redis:7"]);
    for asked in [1, 2] {
        assert!(rehearsal.review("/", &review).await.allowed());
        assert_eq!(backend.received().len(), asked, "nothing is kept for the next review");
    }
    let containers = json!([{"image": "nginx:1"}, {"image": "nginx:1"}, {"image": "redis:7"}]);
    assert_eq!(backend.received()[0].json()["spec"]["containers"], containers);
}

#[tokio::test]
async fn an_image_review_is_judged_as_a_pod() {
    let denial = json!({
        "allowed": false, "status": {"message": "no", "code": 422, "details": {"name": "x"}},
        "warnings": ["mind"], "auditAnnotations": {"seen": "yes"}
    });
    let backend = Backend::start(Script::judge(move |request| request.answer(denial.clone())));
    let rehearsal = behind(&backend, "admission-review", "enforce").await;
    let response = rehearsal.post("/", fixture(IMAGES)).await;
    let sent = backend.received().remove(0).json();
    assert_eq!((&sent["kind"], &sent["request"]["operation"]), (&json!("AdmissionReview"), &json!("CREATE")));
    let came: Value = serde_json::from_slice(&fixture(IMAGES)).expect("JSON");
    let images = |containers: &Value| -> Vec<Value> {
        containers.as_array().expect("a list").iter().map(|container| container["image"].clone()).collect()
    };
    assert_eq!(images(&sent["request"]["object"]["spec"]["containers"]), images(&came["spec"]["containers"]));
    assert_eq!(sent["request"]["object"]["metadata"]["annotations"], came["spec"]["annotations"]);
    let answer = response.json();
    assert_eq!((&answer["kind"], &answer["apiVersion"]), (&came["kind"], &came["apiVersion"]));
    let status = response.verdict();
    assert_eq!((&status["allowed"], &status["reason"]), (&json!(false), &json!("no")));
    assert_eq!(status["auditAnnotations"]["seen"], "yes");
    let names: Vec<&str> = status.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["allowed", "reason", "auditAnnotations"]);
    let decision = detail(&rehearsal).await;
    assert_eq!(decision["verdicts"][0]["presented"], "pod");
}

#[tokio::test]
async fn a_patch_over_a_bridge_is_an_error() {
    let patch = json!({"allowed": true, "patchType": "JSONPatch", "patch": "W10="});
    let backend = Backend::start(Script::judge(move |request| request.answer(patch.clone())));
    let rehearsal = behind(&backend, "admission-review", "enforce").await;
    let response = rehearsal.post("/", fixture(IMAGES)).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.text().contains("it has a patch"), "{}", response.text());
    assert!(rehearsal.metric("rehearsal_backend_errors_total", &["kind=\"invalid\""]).await > 0.5);
}

#[tokio::test]
async fn a_rehearsed_webhook_has_its_bridge_and_a_failing_one_its_failure() {
    let backend = Backend::start(Script::deny("not yet"));
    let rehearsal = behind(&backend, "image-review", "warn").await;
    let verdict = rehearsal.post("/", fixture(POD)).await.verdict();
    assert_eq!(verdict["warnings"][0], "would be rejected by gate/gate: not yet");
    backend.play(Script::reply(Reply::of(200, "application/json", r#"{"kind":"AdmissionReview"}"#)));
    let rehearsal = behind(&backend, "image-review", "enforce").await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert_eq!(response.status, 503, "{}", response.text());
}

#[tokio::test]
async fn without_a_bridge_the_other_protocol_is_not_asked() {
    let backend = Backend::start(Script::deny("no"));
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: image-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    assert!(rehearsal.post("/", fixture(POD)).await.allowed());
    assert_eq!(backend.received().len(), 0);
}

/// As on a managed cluster: pods come by a ValidatingWebhookConfiguration, and it is asked as the plugin would ask it.
#[tokio::test]
async fn the_real_kube_image_bouncer_judges_pods_over_a_bridge() {
    let Some(program) = peer("kube-image-bouncer") else { return };
    let port = free_port();
    let mut command = std::process::Command::new(program);
    let process = Process::spawn(command.env("BOUNCER_PORT", port.to_string()));
    let url = format!("http://127.0.0.1:{port}/image_policy");
    let config = format!(
        "policies: [{{name: bouncer, mode: enforce, webhook: {{url: '{url}', speaks: image-review, bridge: true}}}}]"
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let client = rehearsal.client();
    wait_for("the bouncer", || async {
        assert_eq!(process.ended(), None, "{}", process.stderr());
        client.try_post(&url, fixture(IMAGES)).await.ok().filter(|response| response.status == 200)
    })
    .await;
    assert!(rehearsal.post("/", fixture(POD)).await.allowed());
    let verdict = rehearsal.review("/", &pod_review("u", "team-a", "web", &["a:1", "nginx"])).await.verdict();
    assert_eq!(verdict["allowed"], false);
    assert_eq!(verdict["status"]["message"], "Images using latest tag are not allowed");
}
