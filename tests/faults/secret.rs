//! A canary in every place of a secret, looked for in everything that is written or shown.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::harness::backend::{Backend, Reply, Script};
use crate::harness::reviews::pod_review;
use crate::harness::{Rehearsal, files, postgres, run};
use crate::stores::{Kind, on_both};

const CANARY: &str = "canary-6b1f0c-sings";

/// A pod with the canary wherever a pod has secrets.
fn pod() -> Value {
    let mut review = pod_review("pod", "team-a", "web", &["nginx"]);
    let object = &mut review["request"]["object"];
    object["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": CANARY}]);
    object["spec"]["containers"][0]["args"] = json!([format!("--password={CANARY}"), "--token", CANARY]);
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"password\":\"{CANARY}\"}}")});
    review["request"]["oldObject"] = object.clone();
    review
}

/// A Secret or a ConfigMap.
fn data(kind: &str) -> Value {
    let mut review = pod_review(kind, "team-a", "web", &["nginx"]);
    let named = json!({"group": "", "version": "v1", "kind": kind});
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    review["request"]["kind"] = named.clone();
    review["request"]["requestKind"] = named;
    review["request"]["object"] = json!({
        "kind": kind, "apiVersion": "v1", "metadata": {"name": "web", "namespace": "team-a"},
        "data": {"encoded": encoded, "plain": CANARY}, "stringData": {"plain": CANARY}, "binaryData": {"encoded": encoded}
    });
    review
}

fn silent(what: &str, content: &[u8]) {
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    for form in [CANARY, &encoded] {
        let found = content.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "{what} holds {form}");
    }
}

fn no_file_has_it(rehearsal: &Rehearsal) {
    let files = files(&rehearsal.data_dir());
    assert!(!files.is_empty(), "the data directory is elsewhere");
    for (path, content) in files {
        silent(&path.display().to_string(), &content);
    }
}

on_both![a_canary_secret_is_in_no_journal_database_page_or_log];

async fn a_canary_secret_is_in_no_journal_database_page_or_log(kind: Kind) {
    // A webhook that repeats what it was sent, under a token that is a secret too.
    let gossip = Script::judge(|received| {
        let review: Value = serde_json::from_slice(&received.body).expect("a review");
        Reply::json(&json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "response": {"uid": review["request"]["uid"], "allowed": false,
                "status": {"message": format!("the password is {CANARY}")}}
        }))
    });
    let backend = Backend::start(gossip);
    let config = format!(
        "webhook: {{tls: off}}\nhistory: {{objects: all}}\nlog: {{level: trace}}\npolicies: [{{name: gossip, mode: warn, \
         timeout: 5s, webhook: {{url: '{}/', speaks: admission-review, token_file: token}}}}]\nwarn_wait: 5s",
        backend.url
    );
    let mut rehearsal = kind.builder(&config).file("token", CANARY).start().await;
    for review in [pod(), data("Secret"), data("ConfigMap")] {
        assert_eq!(rehearsal.review("/review/lab", &review).await.status, 200);
    }
    assert_eq!(backend.received().len(), 3, "it was asked, with all that came");
    let rows = rehearsal.decisions("", 3).await;
    rehearsal.drained().await;
    let mut pages = vec!["/".to_owned(), "/decisions".to_owned(), "/api/v1/decisions".to_owned()];
    pages.extend(["/api/v1/summary", "/metrics", "/readyz"].map(str::to_owned));
    for row in &rows {
        let id = row["id"].as_str().expect("an id");
        pages.extend([format!("/decisions/{id}"), format!("/api/v1/decisions/{id}")]);
    }
    for page in pages {
        let response = rehearsal.get(&page).await;
        assert_eq!(response.status, 200, "{page}");
        silent(&page, &response.body);
    }
    let inspected = run(rehearsal.dir(), &["journal", "inspect", "rehearsal-data"]);
    assert!(inspected.stdout.contains("object"), "{}", inspected.stdout);
    silent("journal inspect", inspected.stdout.as_bytes());
    for format in ["ndjson", "csv"] {
        let exported = run(rehearsal.dir(), &["export", "--format", format, "--config", "rehearsal.yaml"]);
        assert!(exported.stdout.lines().count() >= rows.len(), "{}{}", exported.stdout, exported.stderr);
        silent(&format!("export as {format}"), exported.stdout.as_bytes());
        silent("what export says", exported.stderr.as_bytes());
    }
    // As it stands on the disk while it runs, and once everything is closed.
    no_file_has_it(&rehearsal);
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    no_file_has_it(&rehearsal);
    if let Kind::Postgres = kind {
        let dumped = postgres::shared().dump();
        assert!(dumped.contains("team-a"), "the history is in it");
        silent("the database", dumped.as_bytes());
    }
    silent("the log", rehearsal.log().as_bytes());
    silent("standard output", rehearsal.stdout().as_bytes());
    assert!(rehearsal.log().contains("TRACE") || rehearsal.log().contains("DEBUG"), "the log at its finest");
}
