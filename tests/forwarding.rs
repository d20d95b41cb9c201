//! A faithful proxy: what the API server gets is what the enforcing backend said, and more only where it is ours to say.

mod harness;

use std::time::{Duration, Instant};

use harness::backend::{Backend, Received, Reply, Script, Tls, Transport};
use harness::certs::{Authority, Identity, Validity};
use harness::reviews::{fixture, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

const POD: &str = "002-admission-v1-create-pod.json";
/// `nginx` without a tag, in an ImageReview and in a v1 AdmissionReview.
const LATEST_IMAGE: &str = "004-image-review.json";
const LATEST_POD: &str = "006-admission-v1-create-pod.json";

fn gate(backend: &Backend, mode: &str, more: &str) -> String {
    format!("{{name: gate, mode: {mode}, webhook: {{url: '{}/judge', speaks: admission-review}}{more}}}", backend.url)
}

async fn behind(backend: &Backend) -> Rehearsal {
    Rehearsal::builder().config(&format!("policies: [{}]", gate(backend, "enforce", ""))).start().await
}

fn patch() -> Value {
    json!({
        "allowed": true, "patchType": "JSONPatch", "warnings": ["from the backend"],
        "patch": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL21ldGFkYXRhL2xhYmVscyIsInZhbHVlIjp7fX1d",
        "auditAnnotations": {"mutated": "yes"}, "futureField": {"kept": [1, 2.50, null]}
    })
}

#[tokio::test]
async fn an_allowing_answer_passes_with_its_patch_its_warnings_and_what_nobody_knows() {
    // As text: a number that is read and written again loses its last zero.
    let backend = Backend::start(Script::judge(|request| {
        let mut reply = request.answer(patch());
        reply.body = String::from_utf8_lossy(&reply.body).replace("2.5", "2.50").into_bytes().into();
        reply
    }));
    let rehearsal = behind(&backend).await;
    let response = rehearsal.post("/", fixture(POD)).await;
    let verdict = response.verdict();
    for (field, value) in patch().as_object().expect("an object") {
        if field != "auditAnnotations" {
            assert_eq!(&verdict[field], value, "{field}");
        }
    }
    assert_eq!(verdict["auditAnnotations"]["mutated"], "yes");
    assert!(verdict["auditAnnotations"]["decision"].is_string(), "ours stands beside it: {verdict}");
    assert!(response.text().contains("2.50"), "numbers keep their text: {}", response.text());
}

#[tokio::test]
async fn a_denial_passes_with_code_message_reason_and_details() {
    let denial = json!({
        "allowed": false,
        "status": {
            "code": 422, "message": "no  such\timage: \u{2014} \"x\"", "reason": "Invalid",
            "details": {"name": "two-images", "causes": [{"field": "spec", "message": "bad"}]}
        },
        "auditAnnotations": {"decision": "the backend's key wins"}
    });
    let said = denial.clone();
    let backend = Backend::start(Script::judge(move |request| request.answer(said.clone())));
    let rehearsal = behind(&backend).await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert_eq!(response.status, 200);
    let verdict = response.verdict();
    assert_eq!(verdict["status"], denial["status"]);
    assert_eq!(verdict["auditAnnotations"]["decision"], "the backend's key wins");
    let decision = rehearsal.decision("").await;
    assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!("denied"), &json!(false)));
    assert_eq!(decision["verdicts"][0]["violations"][0]["message"], denial["status"]["message"]);
    assert_eq!(decision["verdicts"][0]["violations"][0]["rule"], "gate", "a webhook has one rule, its name");
}

#[tokio::test]
async fn only_the_named_headers_go_out() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/judge', speaks: admission-review, token_file: token}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().file("token", "s3cr3t\n").config(&config).start().await;
    let url = format!("{}/review/lab?timeout=2s", rehearsal.webhook_url());
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer of-the-api-server"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let sent = rehearsal.client().send(http::Method::POST, &url, &headers, fixture(POD)).await.expect("an answer");
    assert!(sent.allowed());
    let received = backend.wait_received(1).await.remove(0);
    assert_eq!(received.method, http::Method::POST);
    assert_eq!(received.uri.path(), "/judge");
    let mut names: Vec<&str> = received.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let known = ["accept", "authorization", "content-length", "content-type", "host", "traceparent", "user-agent"];
    assert_eq!(names, known);
    assert_eq!(received.headers["authorization"], "Bearer s3cr3t");
    let trace = received.headers["traceparent"].to_str().expect("ASCII");
    assert!(trace.contains("0af7651916cd43dd8448eb211c80319c"), "{trace}");
    let timeout = told(&received);
    // 2 s less a margin of 10 % and what was used up on the way.
    assert!(timeout <= Duration::from_millis(1800) && timeout > Duration::from_millis(1000), "{timeout:?}");
}

/// The time that a webhook is told to take: `?timeout=1850ms`.
fn told(request: &Received) -> Duration {
    let value = request.uri.query().and_then(|query| query.strip_prefix("timeout=")).expect("the rest of the budget");
    Duration::from_millis(value.strip_suffix("ms").expect("in ms").parse().expect("a number"))
}

#[tokio::test]
async fn the_budget_is_the_api_server_s_and_at_most_the_policy_s() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies: [{{name: gate, mode: enforce, timeout: 3s, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    for (query, low, high) in [("", 2500, 3000), ("?timeout=30s", 2500, 3000), ("?timeout=1s", 500, 900)] {
        assert!(rehearsal.post(&format!("/{query}"), fixture(POD)).await.allowed());
        let timeout = told(&backend.received().pop().expect("a request")).as_millis();
        assert!((low..=high).contains(&timeout), "{query:?}: {timeout} ms, {low} to {high} expected");
    }
}

#[tokio::test]
async fn a_budget_that_runs_out_is_a_failure_in_time() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let rehearsal = behind(&backend).await;
    let started = Instant::now();
    let response = rehearsal.post("/?timeout=1s", fixture(POD)).await;
    assert_eq!(response.status, 503);
    assert!(started.elapsed() < Duration::from_secs(1), "before the API server gives up: {:?}", started.elapsed());
}

// === several policies ===

fn rules(mode: &str) -> String {
    format!(
        "{{name: images, mode: {mode}, rules: [{{id: no-latest, deny: {{tag: latest}}, message: '{{image}} uses the \
         tag latest', help: 'Pin a version: https://pins.test/'}}]}}"
    )
}

async fn with(policies: &[String]) -> Rehearsal {
    let config = format!("report: {{public_url: 'https://report.test'}}\npolicies: [{}]", policies.join(", "));
    Rehearsal::builder().config(&config).start().await
}

#[tokio::test]
async fn a_local_denial_has_code_403_the_rule_the_help_and_the_link() {
    let rehearsal = with(&[rules("enforce")]).await;
    let verdict = rehearsal.post("/", fixture(LATEST_POD)).await.verdict();
    assert_eq!((&verdict["allowed"], &verdict["status"]["code"]), (&json!(false), &json!(403)));
    let id = rehearsal.decision("").await["id"].as_str().expect("an id").to_owned();
    let message = verdict["status"]["message"].as_str().expect("a message");
    assert!(message.starts_with("images/no-latest: nginx uses the tag latest"), "{message}");
    assert!(message.contains("Pin a version: https://pins.test/"), "{message}");
    assert!(message.ends_with(&format!("https://report.test/decisions/{id}")), "{message}");
    let verdict = rehearsal.post("/image_policy", fixture(LATEST_IMAGE)).await.verdict();
    let reason = verdict["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("images/no-latest: nginx uses the tag latest"), "{reason}");
}

#[tokio::test]
async fn two_denials_are_joined_in_policy_order() {
    let backend = Backend::start(Script::deny("Images using latest tag are not allowed"));
    let rehearsal = with(&[gate(&backend, "enforce", ""), rules("enforce")]).await;
    let verdict = rehearsal.post("/", fixture(LATEST_POD)).await.verdict();
    assert_eq!(verdict["status"]["code"], 403);
    let message = verdict["status"]["message"].as_str().expect("a message");
    let joined = "Images using latest tag are not allowed; images/no-latest: nginx uses the tag latest";
    assert!(message.starts_with(joined), "{message}");
}

#[tokio::test]
async fn denial_beats_failure_beats_allow() {
    let broken = Backend::start(Script::judge(|_| Reply::of(500, "text/plain", "no")));
    let allowing = Backend::start(Script::allow());
    let rehearsal = with(&[gate(&broken, "enforce", ""), rules("enforce")]).await;
    let response = rehearsal.post("/", fixture(LATEST_POD)).await;
    assert!(!response.allowed(), "the rule denies, whatever the backend would have said");
    let other = gate(&allowing, "enforce", "").replace("name: gate", "name: other");
    let rehearsal = with(&[other, gate(&broken, "enforce", "")]).await;
    let response = rehearsal.post("/", fixture(LATEST_POD)).await;
    assert_eq!(response.status, 500);
}

#[tokio::test]
async fn what_audit_and_warn_would_have_rejected_is_said_beside_the_backend_s_answer() {
    let backend =
        Backend::start(Script::judge(|request| request.answer(json!({"allowed": true, "warnings": ["theirs first"]}))));
    let rehearsal = with(&[gate(&backend, "enforce", ""), rules("warn")]).await;
    let verdict = rehearsal.post("/", fixture(LATEST_POD)).await.verdict();
    assert_eq!(verdict["warnings"][0], "theirs first");
    let ours = verdict["warnings"][1].as_str().expect("a warning");
    assert!(ours.starts_with("would be rejected by images/no-latest: nginx uses the tag latest"), "{ours}");
    assert_eq!(verdict["auditAnnotations"]["would-reject"], "images/no-latest");
}

#[tokio::test]
async fn warnings_are_at_most_ten_and_the_rest_a_number() {
    let rehearsal = with(&[rules("warn")]).await;
    let images: Vec<String> = (0..25).map(|n| format!("registry.test/{}/image-{n}", "deep".repeat(60))).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let verdict = rehearsal.review("/", &pod_review("many", "team-a", "many", &images)).await.verdict();
    let warnings: Vec<&str> =
        verdict["warnings"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(warnings.len() <= 11, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 256), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("15 more")), "{warnings:?}");
}

#[tokio::test]
async fn a_patch_passes_only_alone() {
    let first = Backend::start(Script::judge(|request| request.answer(patch())));
    let second = Backend::start(Script::judge(|request| request.answer(patch())));
    let other = gate(&second, "enforce", "").replace("name: gate", "name: other");
    // A second patch is that policy's error, and errors of an enforcing policy fail.
    let rehearsal = with(&[gate(&first, "enforce", ""), other]).await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.text().contains("other"), "{}", response.text());
    // A rehearsed one is never applied.
    let rehearsal = with(&[gate(&first, "warn", "")]).await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert!(response.allowed());
    assert!(response.verdict().get("patch").is_none(), "{}", response.text());
    // Nor beside a denial.
    let rehearsal = with(&[gate(&first, "enforce", ""), rules("enforce")]).await;
    let response = rehearsal.post("/", fixture(LATEST_POD)).await;
    assert!(!response.allowed());
    assert!(response.verdict().get("patch").is_none(), "{}", response.text());
}

// === webhooks that are not waited for ===

#[tokio::test]
async fn the_answer_is_there_while_the_audit_backend_still_holds_its_request() {
    let backend = Backend::start(Script::deny("not yet"));
    backend.hold();
    let rehearsal = with(&[gate(&backend, "audit", "")]).await;
    let response = rehearsal.post("/", fixture(POD)).await;
    assert!(response.allowed());
    backend.wait_received(1).await;
    let decision = rehearsal.decision("").await;
    assert_eq!(decision["verdicts"][0]["verdict"], "pending");
    assert_eq!(decision["would_reject"], false);
    backend.release();
    let decision = wait_for("the amendment", || async {
        let decision = rehearsal.decision("").await;
        (decision["verdicts"][0]["verdict"] == "deny").then_some(decision)
    })
    .await;
    assert_eq!(decision["would_reject"], true);
    assert_eq!(decision["verdicts"][0]["violations"][0]["message"], "not yet");
    wait_for("the roll-up", || async {
        let summary = rehearsal.get_json("/api/v1/summary").await;
        (summary["reviews"] == 1 && summary["would_reject"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_warn_backend_is_waited_for_no_longer_than_warn_wait() {
    let backend = Backend::start(Script::deny("think about it"));
    let config = format!("warn_wait: 300ms\npolicies: [{}]", gate(&backend, "warn", ""));
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let verdict = rehearsal.post("/", fixture(POD)).await.verdict();
    assert_eq!(verdict["allowed"], true);
    assert_eq!(verdict["warnings"].as_array().map(Vec::len), Some(1), "in time, so it is told: {verdict}");
    assert!(verdict["warnings"][0].as_str().is_some_and(|text| text.contains("think about it")), "{verdict}");
    backend.hold();
    let started = Instant::now();
    let verdict = rehearsal.post("/", fixture(POD)).await.verdict();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    assert!(verdict.get("warnings").is_none(), "{verdict}");
    backend.release();
    wait_for("both verdicts", || async {
        let decisions = rehearsal.decisions("would_reject=true", 2).await;
        decisions.iter().all(|decision| decision["verdicts"][0]["verdict"] == "deny").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_has_its_own_limit_of_calls() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review, max_in_flight: 1}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let client = rehearsal.client().clone();
    let url = format!("{}/", rehearsal.webhook_url());
    let first = tokio::spawn(async move { client.post(&url, fixture(POD)).await });
    backend.wait_received(1).await;
    let second = rehearsal.post("/", fixture(POD)).await;
    assert_eq!(second.status, 503, "{}", second.text());
    backend.release();
    assert!(first.await.expect("no panic").allowed());
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_backend_that_keeps_failing_is_left_alone_for_a_while_and_asked_again() {
    let backend = Backend::start(Script::judge(|_| Reply::of(500, "text/plain", "down")));
    let rehearsal = behind(&backend).await;
    let asked = wait_for("the breaker", || async {
        let response = rehearsal.post("/", fixture(POD)).await;
        (response.status == 503).then(|| backend.received().len())
    })
    .await;
    assert!(asked >= 2, "one failure is not an outage: {asked}");
    let open = rehearsal.get("/metrics").await.text();
    let breaker: Vec<&str> = open.lines().filter(|line| line.contains("breaker") && line.contains("gate")).collect();
    assert!(breaker.iter().any(|line| line.ends_with(" 1")), "shown in metrics: {breaker:?}");
    // It is asked again after a pause.
    wait_for("another try", || async {
        rehearsal.post("/", fixture(POD)).await;
        (backend.received().len() > asked).then_some(())
    })
    .await;
}

// === transports ===

fn tls_gate(backend: &Backend) -> String {
    format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review, ca: backend-ca.crt, \
         client_certificate: client.crt, client_key: client.key}}}}]",
        backend.url
    )
}

/// In front of `backend`, with a client certificate, trusting `ca_pem`.
async fn behind_tls(backend: &Backend, client: &Identity, ca_pem: &str) -> Rehearsal {
    Rehearsal::builder()
        .file("backend-ca.crt", ca_pem)
        .file("client.crt", &client.certificate_pem)
        .file("client.key", &client.key_pem)
        .config(&tls_gate(backend))
        .start()
        .await
}

fn mutual(authority: &Authority, alpn: &'static [&'static [u8]]) -> Script {
    let tls = Tls { alpn, client_ca_pem: Some(authority.pem.clone()), ..Tls::default() };
    Script::allow().over(Transport::Tls(tls))
}

#[tokio::test]
async fn backends_speak_http_1_and_2_over_mutual_tls() {
    let authority = Authority::new("who may ask");
    let client = authority.client("rehearsal", Validity::Day);
    let h1: &[&[u8]] = &[b"http/1.1"];
    let h2: &[&[u8]] = &[b"h2"];
    for (alpn, version) in [(h1, http::Version::HTTP_11), (h2, http::Version::HTTP_2)] {
        let backend = Backend::start(mutual(&authority, alpn));
        let rehearsal = behind_tls(&backend, &client, &backend.ca_pem).await;
        assert!(rehearsal.post("/", fixture(POD)).await.allowed(), "{version:?}");
        let received = backend.wait_received(1).await.remove(0);
        assert_eq!(received.version, version);
        assert_eq!(received.client_certificate.as_deref(), Some(client.chain()[0].as_ref()));
    }
}

#[tokio::test]
async fn a_backend_with_a_foreign_certificate_is_not_asked() {
    let foreign = Authority::new("foreign");
    let client = foreign.client("rehearsal", Validity::Day);
    let backend = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let rehearsal = behind_tls(&backend, &client, &foreign.pem).await;
    assert_eq!(rehearsal.post("/", fixture(POD)).await.status, 503);
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn a_rotated_client_certificate_and_ca_are_used_without_a_restart() {
    let authority = Authority::new("who may ask");
    let first = authority.client("first", Validity::Day);
    let backend = Backend::start(mutual(&authority, &[b"http/1.1"]));
    let rehearsal = behind_tls(&backend, &first, &backend.ca_pem).await;
    assert!(rehearsal.post("/", fixture(POD)).await.allowed());
    let second = authority.client("second", Validity::Day);
    std::fs::write(rehearsal.dir().join("client.key"), &second.key_pem).expect("writable");
    std::fs::write(rehearsal.dir().join("client.crt"), &second.certificate_pem).expect("writable");
    wait_for("the new client certificate", || async {
        rehearsal.post("/", fixture(POD)).await;
        let presented = backend.received().pop().expect("a request").client_certificate;
        (presented.as_deref() == Some(second.chain()[0].as_ref())).then_some(())
    })
    .await;
    // A CA that did not sign the backend's certificate.
    std::fs::write(rehearsal.dir().join("backend-ca.crt"), &authority.pem).expect("writable");
    wait_for("the new CA", || async { (rehearsal.post("/", fixture(POD)).await.status == 503).then_some(()) }).await;
}

#[tokio::test]
async fn a_rotated_token_is_sent_without_a_restart() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review, token_file: token}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().file("token", "first").config(&config).start().await;
    assert!(rehearsal.post("/", fixture(POD)).await.allowed());
    std::fs::write(rehearsal.dir().join("token"), "second").expect("writable");
    wait_for("the new token", || async {
        rehearsal.post("/", fixture(POD)).await;
        let sent = backend.received().pop().expect("a request").headers["authorization"].clone();
        (sent == "Bearer second").then_some(())
    })
    .await;
}
