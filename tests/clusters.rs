//! Who sent a review: proven by a client certificate or by a token in the path, or else recorded apart.

mod harness;

use std::path::Path;

use harness::certs::{Authority, Validity};
use harness::http::{Alpn, HttpClient};
use harness::reviews::{fixture, image_review, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::Value;

const TOKEN: &str = "CANARY-token-of-edge-4711";
const WRONG: &str = "CANARY-token-of-nobody-42";
const NEXT: &str = "CANARY-token-of-edge-4712";

/// Rules that judge only what is of the cluster `edge`.
const POLICIES: &str = "policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}, clusters: \
                        [edge]}]}]";

/// Over plain HTTP, where only a token proves anything.
async fn with_token() -> Rehearsal {
    let config = format!(
        "webhook: {{tls: off}}\nlog: {{level: trace}}\nclusters: [{{name: edge, path_token_file: edge.token}}]\n{POLICIES}"
    );
    Rehearsal::builder().config(&config).file("edge.token", format!("{TOKEN}\n")).start().await
}

async fn details(rehearsal: &Rehearsal, query: &str) -> Value {
    let listed = rehearsal.decision(query).await;
    rehearsal.get_json(&format!("/api/v1/decisions/{}", listed["id"].as_str().expect("an id"))).await
}

#[tokio::test]
async fn a_certificate_or_a_token_says_whose_a_review_is() {
    let authority = Authority::new("cluster");
    let config = format!(
        "webhook: {{tls: {{self_made: {{names: [a.test]}}, client_ca: ca.crt}}}}\nclusters:\n- {{name: prod, \
         client_subject: CN=kube-apiserver}}\n- {{name: edge, path_token_file: edge.token}}\n{POLICIES}"
    );
    let builder = Rehearsal::builder().config(&config).file("ca.crt", &authority.pem).file("edge.token", TOKEN);
    let rehearsal = builder.identity(authority.client("kube-apiserver", Validity::Day)).start().await;
    let other = authority.client("other", Validity::Day);
    for (uid, alpn) in [("one", Alpn::H1), ("two", Alpn::H2)] {
        // What the path says is nothing beside a certificate.
        let client = HttpClient::new(Some(&rehearsal.ca_pem()), Some(&other), alpn);
        let url = |path: &str| format!("{}{path}", rehearsal.webhook_url());
        let body = |who: &str| pod_review(&format!("{uid}-{who}"), "team", "web", &["nginx:1"]).to_string();
        assert!(rehearsal.post("/review/edge", body("certificate")).await.allowed());
        assert!(client.post(&url(&format!("/review/edge/{TOKEN}")), body("token")).await.allowed());
        assert!(client.post(&url("/review/prod"), body("neither")).await.allowed());
        let expected = [
            ("certificate", "prod", "CN=kube-apiserver"),
            ("token", "edge", "token:edge"),
            ("neither", "undeclared", "CN=other"),
        ];
        for (who, cluster, caller) in expected {
            let decision = details(&rehearsal, &format!("uid={uid}-{who}")).await;
            assert_eq!((&decision["cluster"], &decision["caller"]), (&cluster.into(), &caller.into()), "{uid} {who}");
        }
    }
    assert_eq!(rehearsal.metric("rehearsal_undeclared_reviews_total", &["reason=\"certificate\""]).await, 2.0);
    assert_eq!(rehearsal.get_json("/api/v1/summary").await["undeclared"], 2);
}

#[tokio::test]
async fn an_undeclared_sender_is_answered_as_ever_and_counted_apart() {
    let rehearsal = with_token().await;
    let proven = format!("/review/edge/{TOKEN}");
    let denied = |uid: &str| pod_review(uid, "team", "web", &["nginx:latest"]);
    // Whoever lost its token is judged as before: a rule that enforces goes on enforcing.
    for (uid, path) in
        [("good", proven.as_str()), ("bare", "/review/edge"), ("wrong", &format!("/review/edge/{WRONG}"))]
    {
        let answer = rehearsal.review(path, &denied(uid)).await;
        assert!(!answer.allowed(), "{uid}: {}", answer.text());
    }
    assert!(rehearsal.review(&format!("/review/far/{TOKEN}"), &denied("unknown")).await.allowed(), "no rule of it");
    assert!(rehearsal.post("/", image_review("team", &["nginx:latest"]).to_string()).await.allowed());
    let found = rehearsal.decisions("cluster=undeclared", 4).await;
    assert!(found.iter().all(|decision| decision["cluster"] == "undeclared"), "{found:?}");
    assert_eq!(rehearsal.decision("").await["uid"], "good", "the list holds what the figures count");
    assert_eq!(rehearsal.decision("namespace=team&answer=denied").await["uid"], "good");
    let bare = details(&rehearsal, "uid=bare").await;
    assert_eq!(bare["caller"], Value::Null);
    let note = "its sender is not declared; it was judged as one of the cluster edge";
    assert_eq!(bare["notes"], serde_json::json!([note]));
    let page = rehearsal.get(&format!("/decisions/{}", bare["id"].as_str().expect("an id"))).await.text();
    assert!(page.contains(note) && page.contains("unproven"), "{page}");
    let figures = |summary: &Value| ["reviews", "denied", "undeclared"].map(|name| summary[name].as_u64().expect(name));
    assert_eq!(figures(&rehearsal.get_json("/api/v1/summary").await), [1, 1, 4]);
    assert_eq!(figures(&rehearsal.get_json("/api/v1/summary?cluster=edge").await), [1, 1, 4]);
    assert_eq!(figures(&rehearsal.get_json("/api/v1/summary?cluster=undeclared").await), [4, 2, 4]);
    for page in ["/", "/decisions"] {
        let text = rehearsal.get(page).await.text();
        assert!(text.contains("4 reviews from undeclared senders"), "{page}: {text}");
    }
    for (reason, count) in [("unproven", 2.0), ("token", 2.0)] {
        let label = format!("reason=\"{reason}\"");
        assert_eq!(rehearsal.metric("rehearsal_undeclared_reviews_total", &[&label]).await, count, "{reason}");
    }
    assert!(rehearsal.log().contains("is not declared under `clusters`"), "{}", rehearsal.log());
}

#[tokio::test]
async fn a_token_is_exchanged_without_a_restart() {
    let rehearsal = with_token().await;
    let file = rehearsal.dir().join("edge.token");
    let cluster = async |token: &str, uid: &str| {
        let path = format!("/review/edge/{token}");
        assert!(rehearsal.review(&path, &pod_review(uid, "team", "web", &["nginx:1"])).await.allowed());
        rehearsal.decision(&format!("uid={uid}")).await["cluster"].as_str().expect("a name").to_owned()
    };
    let cluster = &cluster;
    assert_eq!((cluster(TOKEN, "a").await, cluster(NEXT, "b").await), ("edge".into(), "undeclared".into()));
    std::fs::write(&file, format!("{TOKEN}\n{NEXT}\n")).expect("writable");
    let mut tries = 0;
    wait_for("both tokens", || {
        tries += 1;
        let uid = format!("both-{tries}");
        async move { (cluster(NEXT, &uid).await == "edge").then_some(()) }
    })
    .await;
    assert_eq!(cluster(TOKEN, "c").await, "edge");
    // What cannot be used changes nothing, and is said.
    std::fs::write(&file, "short").expect("writable");
    wait_for("the fault", || async {
        rehearsal.get("/readyz").await.text().contains("holds no path token").then_some(())
    })
    .await;
    assert_eq!(cluster(NEXT, "d").await, "edge");
    std::fs::write(&file, NEXT).expect("writable");
    wait_for("the old one's end", || {
        tries += 1;
        let uid = format!("old-{tries}");
        async move { (cluster(TOKEN, &uid).await == "undeclared").then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_token_is_in_no_log_page_metric_database_or_journal() {
    let rehearsal = with_token().await;
    let body = || fixture("006-admission-v1-create-pod.json");
    let mut said = Vec::new();
    for token in [TOKEN, WRONG] {
        for path in ["/review/edge/", "/review/far/", "/review/Edge/", "/reviews/edge/", "/review/edge/more/", "/"] {
            said.push(rehearsal.post(&format!("{path}{token}?timeout=5s"), body()).await.text());
        }
        said.push(rehearsal.post(&format!("/review/edge/{token}/"), body()).await.text());
        said.push(rehearsal.post(&format!("/review/edge/{token}"), "no review").await.text());
    }
    // A path of one part is shown: no token is sent there by mistake of a kubeconfig's form.
    said.retain(|text| !text.contains("there is nothing at /CANARY"));
    rehearsal.decisions("cluster=undeclared", 3).await;
    for page in ["/", "/decisions", "/decisions?cluster=edge", "/metrics", "/readyz", "/api/v1/summary"] {
        said.push(rehearsal.get(page).await.text());
    }
    let decision = details(&rehearsal, "cluster=edge").await;
    let id = decision["id"].as_str().expect("an id");
    said.extend([decision.to_string(), rehearsal.get(&format!("/decisions/{id}")).await.text(), rehearsal.log()]);
    for text in &said {
        assert!(!text.contains("CANARY"), "{text}");
    }
    let mut files = 0;
    look_into(&rehearsal.data_dir(), &mut files);
    assert!(files > 3, "only {files} files");
}

/// Every file below `dir`, whole.
fn look_into(dir: &Path, files: &mut usize) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            look_into(&path, files);
            continue;
        }
        // A segment may be gone by now, its records in the database.
        let Ok(content) = std::fs::read(&path) else { continue };
        *files += 1;
        assert!(!content.windows(6).any(|window| window == b"CANARY"), "{}", path.display());
    }
}

#[tokio::test]
async fn the_page_of_clusters_tells_what_each_is_asked_by_and_what_ends() {
    let config = "webhook: {tls: {self_made: {names: [a.test]}}}\nclusters: [{name: edge, path_token_file: edge.token}]\n\
                  exemptions: [{ticket: SEC-12, reason: mirror, owner: edge, clusters: [edge], namespaces: [elsewhere], until: \
                  2100-01-01}]\n";
    let builder = Rehearsal::builder().config(&format!("{config}{POLICIES}")).file("edge.token", TOKEN);
    let rehearsal = builder.start().await;
    let fine = pod_review("fine", "team", "web", &["nginx:1"]);
    assert!(rehearsal.review(&format!("/review/edge/{TOKEN}"), &fine).await.allowed());
    let bad = pod_review("bad", "team", "api", &["nginx"]);
    assert!(!rehearsal.review(&format!("/review/edge/{TOKEN}"), &bad).await.allowed());
    assert!(!rehearsal.review("/review/edge", &pod_review("bare", "team", "web", &["nginx"])).await.allowed());
    // With the next heartbeat.
    let said = wait_for("what the replica says", || async {
        let said = rehearsal.get_json("/api/v1/clusters?cluster=edge").await;
        (said["clusters"][0]["unproven"] == 1).then_some(said)
    })
    .await;
    let edge = &said["clusters"][0];
    assert_eq!(edge["namespaces"], serde_json::json!({"ready": 0, "not": 1, "unknown": 0}), "{said}");
    assert_eq!(edge["protocols"], serde_json::json!(["AdmissionReview"]), "{said}");
    // The certificate lasts for ninety days, the exemption longer.
    assert_eq!(
        (&edge["next_end"]["of"], &edge["next_end"]["role"]),
        (&"certificate".into(), &"server".into()),
        "{said}"
    );
    assert!(edge["last_review_at"].is_string() && edge["replicas"].as_array().map(Vec::len) == Some(1), "{said}");
    assert_eq!(said["rules"][0]["clusters"][0]["namespaces"]["not"], 1, "{said}");
    let replica = &said["replicas"][0];
    assert_eq!(
        (&replica["version"], &replica["stopped"]),
        (&env!("CARGO_PKG_VERSION").into(), &false.into()),
        "{said}"
    );
    assert_eq!((&said["gaps"], edge.get("gaps")), (&serde_json::json!([]), None), "a gap is told once: {said}");
    let page = rehearsal.get("/clusters").await.text();
    for told in [
        "Ready for every rule",
        "AdmissionReview",
        "certificate server",
        "href=\"/rules/images/no-latest?cluster=edge&#38;gate=not",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(page.contains("1 review from undeclared senders"), "{page}");
    let list = rehearsal.get("/clusters?cluster=edge&gate=not").await.text();
    assert!(list.contains("1 namespace of edge in which a rule is not ready"), "{list}");
    assert!(list.contains("href=\"/namespaces/edge/team\"") && list.contains("not ready: 1 workload"), "{list}");
    let of_none = rehearsal.get("/clusters?gate=not").await;
    assert_eq!((of_none.status, of_none.text().contains("gate is of the namespaces of one cluster")), (400, true));
    assert!(rehearsal.get("/clusters?cluster=nowhere").await.text().contains("Nothing came of such a cluster"));
    assert_eq!(rehearsal.get("/api/v1/clusters?namespace=team").await.status, 400);
}
