//! `rehearsal bouncer` in the place of kube-image-bouncer: its flags, endpoints, verdicts and messages.

mod harness;

use harness::Rehearsal;
use harness::certs::Authority;
use harness::http::Response;
use harness::reviews::{fixture, image_review, pod_review};
use serde_json::{Value, json};

const LATEST: &str = "Images using latest tag are not allowed";

async fn bouncer(args: &[&str]) -> Rehearsal {
    Rehearsal::builder().args(&[&["bouncer", "--port", "0", "--report", "127.0.0.1:0"], args].concat()).start().await
}

/// A v1beta1 review, which is what kube-image-bouncer was made for.
fn v1beta1(images: &[&str]) -> Value {
    let mut review = pod_review("u", "team-a", "web", images);
    review["apiVersion"] = json!("admission.k8s.io/v1beta1");
    review
}

/// Allowed, and the message of a denial.
fn outcome(response: &Response) -> (bool, Option<String>) {
    let verdict = response.verdict();
    let message = [&verdict["reason"], &verdict["status"]["message"]].into_iter().find_map(Value::as_str);
    (response.allowed(), message.map(str::to_owned))
}

/// What kube-image-bouncer answers, and where we differ: see the file's own `about`.
fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(harness::fixtures().join("bouncer.json")).expect("the table");
    let mut table: Value = serde_json::from_str(&text).expect("JSON");
    std::mem::take(table["cases"].as_array_mut().expect("cases"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("text")).collect()
}

#[tokio::test]
async fn every_case_of_its_tables_on_both_paths() {
    let mut cases = cases();
    assert!(cases.len() > 10, "{} cases", cases.len());
    while let Some(first) = cases.first().cloned() {
        let (alike, rest) = cases.into_iter().partition(|case| case["whitelist"] == first["whitelist"]);
        cases = rest;
        let whitelist = texts(&first["whitelist"]).join(",");
        let flags = ["--registry-whitelist", &whitelist];
        let rehearsal = bouncer(if whitelist.is_empty() { &[] } else { &flags }).await;
        let alike: Vec<Value> = alike;
        for case in &alike {
            assert_case(&rehearsal, case).await;
        }
    }
}

async fn assert_case(rehearsal: &Rehearsal, case: &Value) {
    let (containers, init) = (texts(&case["containers"]), texts(&case["init_containers"]));
    let all: Vec<&str> = containers.iter().chain(&init).copied().collect();
    let mut pod = v1beta1(&containers);
    let init = init.iter().enumerate().map(|(n, image)| json!({"name": format!("i{n}"), "image": image}));
    pod["request"]["object"]["spec"]["initContainers"] = init.collect();
    let expected = (case["allowed"] == json!(true), case["message"].as_str().map(str::to_owned));
    for (path, review) in [("/", pod), ("/image_policy", image_review("team-a", &all))] {
        let response = rehearsal.review(path, &review).await;
        assert_eq!(outcome(&response), expected, "{path}: {case}");
        assert_eq!(response.json()["apiVersion"], review["apiVersion"], "{path}: {case}");
    }
}

#[tokio::test]
async fn flags_and_variables_mean_the_same() {
    let rehearsal = Rehearsal::builder()
        .args(&["bouncer", "--report", "127.0.0.1:0"])
        .env("BOUNCER_PORT", "0")
        .env("BOUNCER_REGISTRY_WHITELIST", "registry.acmecorp.com")
        .env("BOUNCER_DEBUG", "true")
        .start()
        .await;
    assert!(!rehearsal.webhook().tls, "without certificate and key it speaks plain HTTP, as the original does");
    assert!(!rehearsal.review("/", &v1beta1(&["nginx:1"])).await.allowed());
    assert!(rehearsal.review("/", &v1beta1(&["registry.acmecorp.com/web:1"])).await.allowed());
}

#[tokio::test]
async fn certificate_and_key_turn_tls_on() {
    let authority = Authority::new("cluster");
    let server = authority.server(&[]);
    let rehearsal = Rehearsal::builder()
        .file("tls.crt", &server.certificate_pem)
        .file("tls.key", &server.key_pem)
        .args(&["bouncer", "-p", "0", "-c", "tls.crt", "-k", "tls.key", "--report", "127.0.0.1:0"])
        .trust(&authority.pem)
        .start()
        .await;
    assert!(rehearsal.webhook().tls);
    let url = format!("https://localhost:{}/image_policy", rehearsal.webhook().addr.port());
    let response = rehearsal.client().post(&url, fixture("004-image-review.json")).await;
    assert_eq!(outcome(&response), (false, Some(LATEST.to_owned())));
}

#[tokio::test]
async fn it_can_rehearse_instead_and_keeps_history_either_way() {
    let enforcing = bouncer(&[]).await;
    assert!(!enforcing.post("/image_policy", fixture("004-image-review.json")).await.allowed());
    let decision = enforcing.decision("").await;
    assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!("denied"), &json!(false)));
    assert_eq!(enforcing.get("/").await.status, 200, "the report works as in serve");
    for mode in ["audit", "warn"] {
        let rehearsing = bouncer(&["--mode", mode]).await;
        assert!(rehearsing.post("/image_policy", fixture("004-image-review.json")).await.allowed(), "{mode}");
        let decision = rehearsing.decision("").await;
        assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!("allowed"), &json!(true)), "{mode}");
    }
}
