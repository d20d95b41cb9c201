//! `rehearsal bouncer` in the place of kube-image-bouncer: its flags, endpoints, verdicts and messages.

mod harness;

use harness::Rehearsal;
use harness::certs::Authority;
use harness::http::Response;
use harness::reviews::{fixture, image_review, pod_review};
use serde_json::{Value, json};

const LATEST: &str = "Images using latest tag are not allowed";
const FOREIGN: &str = "Images from a non whitelisted registry";

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

#[tokio::test]
async fn without_a_whitelist_only_latest_is_refused() {
    let rehearsal = bouncer(&[]).await;
    for (images, allowed) in [
        (vec!["nginx"], false),
        (vec!["nginx:latest"], false),
        (vec!["nginx:1.25", "busybox"], false),
        (vec!["localhost:5000/redis"], false),
        (vec!["nginx:1.25"], true),
        (vec!["nginx@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0"], true),
        (vec!["gcr.io/acme/web:1", "quay.io/x/y:v2"], true),
    ] {
        for (path, review) in [("/image_policy", image_review("n", &images)), ("/", v1beta1(&images))] {
            let response = rehearsal.review(path, &review).await;
            let message = (!allowed).then(|| LATEST.to_owned());
            assert_eq!(outcome(&response), (allowed, message), "{path} {images:?}: its words, without our prefix");
            assert_eq!(response.json()["apiVersion"], review["apiVersion"]);
        }
    }
}

#[tokio::test]
async fn the_whitelist_holds_on_both_paths_and_for_every_container() {
    let rehearsal = bouncer(&["--registry-whitelist", "registry.acmecorp.com,quay.io:443,docker.io"]).await;
    for (image, expected) in [
        ("registry.acmecorp.com/web:1", None),
        ("nginx:1.25", None),
        ("docker.io/library/nginx:1.25", None),
        ("quay.io:443/acme/agent:v1", None),
        ("quay.io/acme/agent:v1", Some(FOREIGN)),
        ("gcr.io/acme/web:1", Some(FOREIGN)),
        ("registry.acmecorp.com.evil.test/web:1", Some(FOREIGN)),
        ("registry.acmecorp.com/web", Some(LATEST)),
    ] {
        // The original's first gap: its whitelist was never asked on this path.
        for (path, review) in [("/image_policy", image_review("n", &[image])), ("/", v1beta1(&[image]))] {
            let (allowed, message) = outcome(&rehearsal.review(path, &review).await);
            assert_eq!(allowed, expected.is_none(), "{path} {image}");
            if let Some(expected) = expected {
                assert!(
                    message.as_deref().is_some_and(|message| message.starts_with(expected)),
                    "{image}: {message:?}"
                );
            }
        }
    }
    // Its second gap: init containers went unseen.
    let mut review = v1beta1(&["nginx:1.25"]);
    review["request"]["object"]["spec"]["initContainers"] = json!([{"name": "i", "image": "gcr.io/acme/init:1"}]);
    assert!(!rehearsal.review("/", &review).await.allowed());
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
