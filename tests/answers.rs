//! What a review is judged by, answered with and remembered as, where the easy way would be wrong.

mod harness;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::backend::{Backend, Script};
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, files, wait_for};
use serde_json::{Value, json};

const SECRET: &str = "hunter2-correct-horse";
const WORDS: &str = "the value hunter2-correct-horse is weak";

const RULES: &str = "{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}";

fn gate(backend: &Backend, mode: &str) -> String {
    format!("{{name: gate, mode: {mode}, webhook: {{url: '{}/', speaks: admission-review}}}}", backend.url)
}

async fn with(policies: &[String]) -> Rehearsal {
    Rehearsal::builder().config(&format!("policies: [{}]", policies.join(", "))).start().await
}

/// A review of anything.
fn admission(operation: &str, kind: &str, object: &Value, old: &Value) -> Value {
    let mut review = pod_review("u-1", "team-a", "it", &[]);
    let request = &mut review["request"];
    request["kind"] = json!({"group": "", "version": "v1", "kind": kind});
    request["operation"] = json!(operation);
    request["object"] = object.clone();
    request["oldObject"] = old.clone();
    review
}

fn pod(metadata: &Value, images: &[&str]) -> Value {
    let containers: Vec<Value> =
        images.iter().enumerate().map(|(n, image)| json!({"name": format!("c{n}"), "image": image})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}})
}

/// The verdict of one policy of a decision.
fn verdict<'a>(decision: &'a Value, policy: &str) -> &'a Value {
    let verdicts = decision["verdicts"].as_array().expect("a list");
    verdicts.iter().find(|verdict| verdict["policy"] == policy).expect("its verdict")
}

// === nothing to judge ===

#[tokio::test]
async fn what_has_no_images_is_none_and_is_forwarded_and_recorded() {
    let backend = Backend::start(Script::deny("not on my watch"));
    let rehearsal = with(&[RULES.to_owned(), gate(&backend, "enforce")]).await;
    let named = json!({"name": "it"});
    let reviews = [
        admission("DELETE", "Pod", &Value::Null, &pod(&named, &["nginx"])),
        admission("CONNECT", "PodExecOptions", &json!({"command": ["sh"]}), &Value::Null),
        admission("CREATE", "ConfigMap", &json!({"metadata": named, "data": {"image": "nginx"}}), &Value::Null),
    ];
    for (at, review) in reviews.iter().enumerate() {
        let response = rehearsal.review(&format!("/review/c{at}"), review).await;
        assert!(!response.allowed(), "the backend decides");
        assert_eq!(response.verdict()["status"]["message"], "not on my watch");
        let received = backend.received().pop().expect("it was forwarded");
        assert_eq!(received.body, review.to_string(), "byte for byte");
        let decision = rehearsal.decision(&format!("cluster=c{at}")).await;
        assert_eq!(decision["operation"], review["request"]["operation"]);
        assert_eq!(decision["images"], json!([]));
        assert_eq!(verdict(&decision, "images")["verdict"], "none");
        assert_eq!(verdict(&decision, "gate")["verdict"], "deny");
        assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!("denied"), &json!(false)));
    }
    assert_eq!(backend.received().len(), reviews.len());
}

// === webhooks that nobody waits for ===

#[tokio::test]
async fn an_audit_backend_that_hangs_does_not_take_the_grace_from_the_history() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "shutdown: {{grace: 15s}}\npolicies: [{}]",
        gate(&backend, "audit").replace("webhook:", "timeout: 30s, webhook:")
    );
    let mut rehearsal = Rehearsal::builder().config(&config).start().await;
    assert!(rehearsal.review("/", &pod_review("u", "team-a", "it", &["nginx"])).await.allowed());
    backend.wait_received(1).await;
    let started = Instant::now();
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    assert!(rehearsal.log().contains("every decision is in the history"), "{}", rehearsal.log());
    let rehearsal = rehearsal.restart().await;
    assert_eq!(rehearsal.decision("").await["verdicts"][0]["verdict"], "pending");
}

#[tokio::test]
async fn an_audit_backend_that_answers_while_the_process_stops_is_heard() {
    let backend = Backend::start(Script::deny("in the end"));
    backend.hold();
    let mut rehearsal = with(&[gate(&backend, "audit")]).await;
    assert!(rehearsal.review("/", &pod_review("u", "team-a", "it", &["nginx"])).await.allowed());
    backend.wait_received(1).await;
    rehearsal.sigterm();
    wait_for("the listener to close", || async { rehearsal.log().contains("stopping").then_some(()) }).await;
    backend.release();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    let rehearsal = rehearsal.restart().await;
    let decision = rehearsal.decision("").await;
    assert_eq!((&decision["verdicts"][0]["verdict"], &decision["would_reject"]), (&json!("deny"), &json!(true)));
    let summary = rehearsal.get_json("/api/v1/summary").await;
    assert_eq!((&summary["reviews"], &summary["would_reject"]), (&json!(1), &json!(1)), "counted once: {summary}");
}

// === never denied by a local policy ===

#[tokio::test]
async fn a_pod_that_is_there_can_be_labelled_and_deleted_and_not_given_another_image() {
    let rehearsal = with(&[RULES.to_owned()]).await;
    let (named, labelled) = (json!({"name": "it"}), json!({"name": "it", "labels": {"a": "b"}}));
    let deleted = json!({"name": "it", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    for (at, new, old, allowed, standing) in [
        ("labels", pod(&labelled, &["nginx"]), pod(&named, &["nginx"]), true, 1),
        ("deleting", pod(&deleted, &["nginx", "redis"]), pod(&named, &["nginx"]), true, 2),
        ("another", pod(&named, &["redis", "nginx"]), pod(&named, &["redis", "nginx:1"]), false, 1),
        ("kept", pod(&named, &["nginx", "redis:2"]), pod(&named, &["nginx", "redis:1"]), true, 1),
    ] {
        let response = rehearsal.review(&format!("/review/{at}"), &admission("UPDATE", "Pod", &new, &old)).await;
        assert_eq!(response.allowed(), allowed, "{at}");
        assert_eq!(response.verdict()["auditAnnotations"].get("would-reject"), None, "{at}");
        let decision = rehearsal.decision(&format!("cluster={at}")).await;
        assert_eq!(decision["would_reject"], false, "{at}");
        let verdict = verdict(&decision, "images");
        assert_eq!(verdict["standing"].as_array().map(Vec::len), Some(standing), "{at}: {verdict}");
        assert_eq!(verdict["verdict"], if allowed { "allow" } else { "deny" }, "{at}");
    }
}

/// A hundred old faults hid the new one, which was let through.
#[tokio::test]
async fn a_hundred_standing_violations_do_not_hide_a_new_one() {
    let rehearsal = with(&[RULES.to_owned()]).await;
    let old: Vec<String> = (0..120).map(|n| format!("i{n}")).collect();
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let new: Vec<&str> = old.iter().copied().chain(["evil"]).collect();
    let named = json!({"name": "it"});
    let review = admission("UPDATE", "Pod", &pod(&named, &new), &pod(&named, &old));
    let response = rehearsal.review("/", &review).await;
    assert!(!response.allowed());
    let message = response.verdict()["status"]["message"].as_str().expect("a message").to_owned();
    assert!(message.starts_with("images/no-latest: evil uses the tag latest"), "{message}");
}

#[tokio::test]
async fn over_a_thousand_images_are_an_error_of_the_policy() {
    let images: Vec<String> = (0..1001).map(|n| format!("i{n}")).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    for (mode, on_error, answer) in [
        ("enforce", "fail", "failed"),
        ("enforce", "deny", "denied"),
        ("enforce", "allow", "allowed"),
        ("warn", "fail", "allowed"),
        ("audit", "deny", "allowed"),
    ] {
        let policy = RULES.replace("mode: enforce", &format!("mode: {mode}, on_error: {on_error}"));
        let rehearsal = with(&[policy]).await;
        let response = rehearsal.review("/", &image_review("team-a", &images)).await;
        assert_eq!(response.status, if answer == "failed" { 503 } else { 200 }, "{mode} {on_error}");
        let decision = rehearsal.decision("").await;
        assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!(answer), &json!(false)));
        assert_eq!(decision["verdicts"][0]["verdict"], "error");
        let error = decision["verdicts"][0]["error"].as_str().expect("an error");
        assert!(error.contains("1001 images"), "{error}");
        if answer != "allowed" {
            assert!(response.text().contains("images") && response.text().contains(error), "{}", response.text());
            assert!(response.text().contains(decision["id"].as_str().expect("an id")), "{}", response.text());
        }
    }
}

// === annotations ===

#[tokio::test]
async fn the_list_of_rules_that_would_reject_is_cut_between_names() {
    let ids: Vec<String> = (0..40).map(|n| format!("rule-{n}-{}", "x".repeat(60))).collect();
    let rules: Vec<String> = ids.iter().map(|id| format!("{{id: {id}, deny: {{tag: latest}}}}")).collect();
    let rehearsal = with(&[format!("{{name: images, rules: [{}]}}", rules.join(", "))]).await;
    for review in [image_review("team-a", &["nginx"]), pod_review("u", "team-a", "it", &["nginx"])] {
        let annotations = rehearsal.review("/", &review).await.verdict()["auditAnnotations"].clone();
        let listed = annotations["would-reject"].as_str().expect("a list");
        assert!(listed.len() <= 1024 && listed.len() > 900, "{}", listed.len());
        for (name, id) in listed.split(',').zip(&ids) {
            assert_eq!(name, format!("images/{id}"));
        }
        assert_eq!(annotations["decision"].as_str().map(str::len), Some(36));
    }
}

// === secrets ===

fn files_with(dir: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let holds = |content: &[u8]| content.windows(needle.len()).any(|piece| piece == needle);
    files(dir).into_iter().filter(|(_, content)| holds(content)).map(|(path, _)| path).collect()
}

/// A webhook repeats what it was sent: a Secret's data, an old object's, a variable's.
#[tokio::test]
async fn a_secret_in_a_webhooks_words_reaches_the_api_server_and_no_file() {
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "stringData": {"p": SECRET}});
    let mut with_variable = pod(&json!({"name": "it"}), &["nginx:1"]);
    with_variable["spec"]["containers"][0]["env"] = json!([{"name": "P", "value": SECRET}]);
    let reviews = [
        admission("CREATE", "Secret", &secret, &Value::Null),
        admission("DELETE", "Secret", &Value::Null, &secret),
        admission("CREATE", "Pod", &with_variable, &Value::Null),
        admission("UPDATE", "Pod", &pod(&json!({"name": "it"}), &["nginx:1"]), &with_variable),
    ];
    for mode in ["enforce", "warn", "audit"] {
        let backend = Backend::start(Script::deny(WORDS));
        let rehearsal = with(&[gate(&backend, mode)]).await;
        for (at, review) in reviews.iter().enumerate() {
            let what = format!("{mode} {at}");
            let response = rehearsal.review(&format!("/review/c{at}"), review).await;
            if mode == "enforce" {
                assert_eq!(response.verdict()["status"]["message"], WORDS, "{what}: a faithful proxy");
            }
            let decision = wait_for("the verdict", || async {
                let decision = rehearsal.decision(&format!("cluster=c{at}")).await;
                (decision["verdicts"][0]["verdict"] == "deny").then_some(decision)
            })
            .await;
            let told = decision["verdicts"][0]["violations"][0]["message"].clone();
            assert_eq!(told, "the value [redacted] is weak", "{what}");
            assert_eq!(decision["redacted"], true, "{what}");
        }
        assert_eq!(files_with(&rehearsal.data_dir(), SECRET.as_bytes()), Vec::<String>::new(), "{mode}");
    }
}

#[tokio::test]
async fn only_a_verdict_that_rested_on_a_redacted_object_is_marked() {
    let backend = Backend::start(Script::allow());
    let asked = with(&[gate(&backend, "enforce")]).await;
    let other = with(&[gate(&backend, "enforce").replace("admission-review", "image-review"), RULES.to_owned()]).await;
    let mut with_variable = pod(&json!({"name": "it"}), &["nginx"]);
    with_variable["spec"]["containers"][0]["env"] = json!([{"name": "APP", "value": "nginx"}]);
    let review = admission("CREATE", "Pod", &with_variable, &Value::Null);
    asked.review("/review/secret", &review).await;
    assert_eq!(asked.decision("cluster=secret").await["redacted"], true);
    asked.review("/review/plain", &pod_review("u", "team-a", "it", &["nginx"])).await;
    assert_eq!(asked.decision("cluster=plain").await["redacted"], false);
    // Image rules do not see variables, and a webhook of the other protocol was not asked.
    other.review("/", &review).await;
    let decision = other.decision("").await;
    assert_eq!(decision["redacted"], false);
    assert_eq!(verdict(&decision, "images")["violations"][0]["message"], "nginx uses the tag latest");
}
