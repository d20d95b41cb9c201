//! An OPA as a webhook: a scripted one, and the real one, which judges as we do.

mod harness;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use harness::backend::{Backend, Reply, Script};
use harness::peers::Opa;
use harness::reviews::{captures, fixture, image_review, pod_review};
use harness::{Rehearsal, fixtures};
use serde_json::{Value, json};

const POD: &str = "002-admission-v1-create-pod.json";
const IMAGES: &str = "001-image-review.json";

/// One webhook that is an OPA.
fn webhook(name: &str, url: &str) -> String {
    format!("{{name: {name}, mode: enforce, webhook: {{url: '{url}', speaks: opa}}}}")
}

async fn with(policies: &[String]) -> Rehearsal {
    Rehearsal::builder().config(&format!("policies: [{}]", policies.join(", "))).start().await
}

fn said(body: &str) -> Script {
    Script::reply(Reply::of(200, "application/json", body.to_owned()))
}

// === scripted ===

#[tokio::test]
async fn either_review_is_sent_as_the_path_wants_it() {
    let backend = Backend::start(said("[]"));
    let path = |path: &str| format!("{}{path}", backend.url);
    for (at, wrapped) in [("/", false), ("/v0/data/p/deny", false), ("/v1/data/p/deny", true)] {
        backend.play(said(if wrapped { r#"{"result":[]}"# } else { "[]" }));
        let rehearsal = with(&[webhook("opa", &path(at))]).await;
        for name in [POD, IMAGES] {
            let response = rehearsal.post("/", fixture(name)).await;
            assert!(response.allowed(), "{at} {name}");
            let sent = backend.received().pop().expect("asked");
            assert_eq!(sent.uri.path(), at);
            let around: (&[u8], &[u8]) = if wrapped { (b"{\"input\":", b"}") } else { (b"", b"") };
            assert_eq!(sent.body, [around.0, &fixture(name), around.1].concat(), "{at} {name}");
        }
    }
}

#[tokio::test]
async fn rows_are_violations_of_their_own_rules_and_their_texts_the_denial() {
    let row = |id: &str, name: &str| {
        json!({
            "id": id, "resource": {"kind": "pods", "namespace": "mynamespace", "name": name},
            "resolution": {"message": format!("{id} says no to myrepo/myimage:v1")}
        })
    };
    let rows =
        json!({"result": [row("whitelist", "two-images"), row("other", "another"), row("pinned", "two-images")]});
    let backend = Backend::start(Script::reply(Reply::json(&rows)));
    let rehearsal = with(&[webhook("opa", &format!("{}/v1/data/admission/deny", backend.url))]).await;
    let verdict = rehearsal.post("/", fixture(POD)).await.verdict();
    let message = "whitelist says no to myrepo/myimage:v1, pinned says no to myrepo/myimage:v1";
    assert_eq!((&verdict["allowed"], &verdict["status"]["code"]), (&json!(false), &json!(403)));
    assert_eq!(verdict["status"]["message"], message);
    let decision = rehearsal.decision("").await;
    let violations = decision["verdicts"][0]["violations"].as_array().expect("a list");
    let rules: Vec<&str> = violations.iter().filter_map(|one| one["rule"].as_str()).collect();
    assert_eq!(rules, ["whitelist", "pinned"]);
    assert_eq!(violations[0]["image"], "myrepo/myimage:v1");
    let page = rehearsal.get_json("/api/v1/decisions?policy=opa&rule=pinned").await;
    assert_eq!(page["decisions"].as_array().map(Vec::len), Some(1), "a rule of the history as any other");
}

#[tokio::test]
async fn an_undefined_document_is_a_failure_and_never_an_allow() {
    let missing = Reply::of(404, "application/json", r#"{"code":"undefined_document"}"#);
    for (path, reply) in [
        ("/v1/data/p/allow", Reply::of(200, "application/json", "{}")),
        ("/v0/data/p/allow", missing.clone()),
        ("/", missing),
    ] {
        let backend = Backend::start(Script::reply(reply));
        let rehearsal = with(&[webhook("opa", &format!("{}{path}", backend.url))]).await;
        let response = rehearsal.post("/", fixture(POD)).await;
        assert_eq!(response.status, 503, "{path}: {}", response.text());
        assert!(response.text().contains("is undefined for this review"), "{path}: {}", response.text());
        assert_eq!(rehearsal.decision("").await["verdicts"][0]["verdict"], "error", "{path}");
    }
}

#[test]
fn a_url_that_names_no_document_is_a_mistake_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("rehearsal.yaml");
    let text =
        "policies:\n- name: opa\n  webhook: {url: 'http://127.0.0.1:8181/v1/policies', speaks: opa, bridge: true}\n";
    std::fs::write(&file, text).expect("written");
    let ended = harness::run(dir.path(), &["config", "check", "rehearsal.yaml"]);
    assert_ne!(ended.code, Some(0));
    let said = ended.stdout + &ended.stderr;
    for line in [
        "3:18: policies[0].webhook.url: `/v1/policies` names no document of an OPA; right would be /v1/data/PACKAGE/RULE, \
         /v0/data/PACKAGE/RULE or /",
        "3:76: policies[0].webhook.bridge: an OPA is sent reviews of both protocols as they came; right would be a webhook \
         without it",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

// === the real one ===

/// Of one set of reviews.
const ROUNDS: usize = 5;

const WHITELIST: &str = "examples/container-image-whitelist.rego";

fn modules(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| fixtures().join(name)).collect()
}

async fn opa(modules: &[PathBuf]) -> Option<Opa> {
    Opa::start(&modules.iter().map(PathBuf::as_path).collect::<Vec<_>>()).await
}

/// The same policy, judged in place.
fn in_place(entrypoint: &str, modules: &[&Path]) -> String {
    let files: Vec<String> = modules.iter().map(|module| format!("'{}'", module.display())).collect();
    format!("{{name: ours, mode: enforce, rego: {{files: [{}], entrypoint: {entrypoint}}}}}", files.join(", "))
}

/// Verdict, and every rule with its image and message: what one policy says of a decision's images, standing ones too.
fn opinion(decision: &Value, policy: &str) -> (bool, Vec<String>) {
    let verdicts = decision["verdicts"].as_array().expect("a list");
    let verdict = verdicts.iter().find(|verdict| verdict["policy"] == policy).expect("it judged");
    assert!(verdict["verdict"] == "allow" || verdict["verdict"] == "deny", "{verdict}");
    let lists = [&verdict["violations"], &verdict["standing"]].into_iter().filter_map(Value::as_array);
    let mut found: Vec<String> =
        lists.flatten().map(|one| format!("{} {} {}", one["rule"], one["image"], one["message"])).collect();
    found.sort();
    (!found.is_empty(), found)
}

/// Sends reviews until both policies have judged all of them, and gives how many both denied. They agree on every one.
///
/// On a machine that is busy with other tests, an evaluation in place may take longer than its limit: an error, and not
/// another verdict. What has been judged is remembered, so that the next round is short.
async fn agreed(rehearsal: &Rehearsal, cluster: &str, bodies: &[Bytes]) -> usize {
    for round in 1..=ROUNDS {
        for body in bodies {
            rehearsal.post(&format!("/review/{cluster}-{round}"), body.clone()).await;
        }
        let decisions = rehearsal.decisions(&format!("cluster={cluster}-{round}"), bodies.len()).await;
        let has_error = |decision: &&Value| {
            decision["verdicts"].as_array().expect("a list").iter().any(|verdict| verdict["verdict"] == "error")
        };
        let denials = decisions.iter().filter(|decision| !has_error(decision)).filter(|decision| {
            let (ours, theirs) = (opinion(decision, "ours"), opinion(decision, "theirs"));
            assert_eq!(ours, theirs, "{decision:#}");
            ours.0
        });
        let denials = denials.count();
        match decisions.iter().find(has_error) {
            None => return denials,
            Some(decision) if round == ROUNDS => panic!("still an error: {decision:#}"),
            Some(_) => {}
        }
    }
    unreachable!("the last round ends in one or the other")
}

#[tokio::test]
async fn the_real_one_and_we_say_the_same_of_every_capture_and_a_thousand_reviews() {
    let Some(opa) = opa(&modules(&[WHITELIST, "opa/matches.rego"])).await else { return };
    let whitelist = fixtures().join(WHITELIST);
    let url = format!("{}/v1/data/admission/deny", opa.url);
    let rehearsal = with(&[in_place("data.admission.deny", &[&whitelist]), webhook("theirs", &url)]).await;
    let captures: Vec<Bytes> = captures().into_iter().map(|(_, body)| body).collect();
    let denials = agreed(&rehearsal, "captures", &captures).await;
    assert!(denials > 10, "{denials} of the captures");
    let mut random = fastrand::Rng::with_seed(0x0a11_0ca7);
    let mut denials = 0;
    for batch in ["a", "b"] {
        let bodies: Vec<Bytes> = (0..500).map(|_| generated(&mut random).to_string().into()).collect();
        denials += agreed(&rehearsal, batch, &bodies).await;
    }
    assert!((300..800).contains(&denials), "{denials} of 1,000");
}

/// Images near the policy's pattern, and texts that a message has to quote.
const TEXTS: [&str; 16] = [
    "registry.acmecorp.com/app:1",
    "registry.acmecorp.com/team/app@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0",
    "registry.acmecorp.com/a",
    "registry.acmecorp.com/app:2",
    "registry.acmecorp.com/app:3",
    "registry.acmecorp.com/app:4",
    "registryXacmecorp.com/dot",
    "registry.acmecorp.com/",
    "registry.acmecorp.com",
    " registry.acmecorp.com/space",
    "evil.io/registry.acmecorp.com/app",
    "nginx",
    "nginx:latest",
    "a\"b\\c",
    "tab\there",
    "ünïcode/東京:1",
];

fn generated(random: &mut fastrand::Rng) -> Value {
    let images: Vec<&str> = (0..random.usize(1..4)).map(|_| TEXTS[random.usize(..TEXTS.len())]).collect();
    let (namespace, name) = (["shop", "default", "kube-system"][random.usize(..3)], format!("web-{}", random.u16(..)));
    if random.u8(..8) == 0 {
        return image_review(namespace, &images);
    }
    let mut review = pod_review(&random.u64(..).to_string(), namespace, &name, &images);
    let request = &mut review["request"];
    match random.u8(..10) {
        0 => {
            request["operation"] = json!("UPDATE");
            request["oldObject"] = request["object"].clone();
            request["oldObject"]["spec"]["containers"][0]["image"] = json!(TEXTS[random.usize(..TEXTS.len())]);
        }
        1 => {
            request["operation"] = json!("DELETE");
            request["oldObject"] = request["object"].take();
        }
        2 => {
            let object =
                json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": request["object"]}});
            request["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
            request["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
            request["object"] = object;
        }
        3 => {
            request["object"]["metadata"] = json!({"generateName": "web-", "namespace": namespace});
            request["name"].take();
        }
        4 => request["object"]["spec"]["initContainers"] = json!([{"name": "i", "image": "nginx:init"}]),
        5 => review["apiVersion"] = json!("admission.k8s.io/v1beta1"),
        _ => {}
    }
    review
}

#[tokio::test]
async fn the_real_system_main_passes_as_it_answers() {
    let modules = modules(&["opa/main.rego", "opa/deny.rego"]);
    let Some(opa) = opa(&modules).await else { return };
    let rehearsal = with(&[webhook("opa", &format!("{}/", opa.url))]).await;
    let mut denials = 0;
    for (name, body) in captures().into_iter().filter(|(name, _)| name.contains("admission-v1-")) {
        let direct = rehearsal.client().post(&opa.url, body.clone()).await.json()["response"].clone();
        let through = rehearsal.post("/", body).await.verdict();
        for field in ["allowed", "uid", "status"] {
            assert_eq!(through.get(field), direct.get(field), "{name}");
        }
        denials += usize::from(direct["allowed"] == json!(false));
    }
    assert!(denials > 3, "{denials} of the captures");
    let decision = &rehearsal.decisions("answer=denied", denials).await[0];
    assert_eq!(decision["verdicts"][0]["violations"][0]["rule"], "main");
}

#[tokio::test]
async fn the_real_one_s_other_documents_are_read_by_their_shapes() {
    let Some(opa) = opa(&modules(&["opa/images.rego", "opa/deny.rego"])).await else { return };
    let latest = image_review("shop", &["nginx:latest", "a:1"]);
    let fine = image_review("shop", &["nginx:1"]);
    let pod = pod_review("u", "shop", "web", &["nginx:latest"]);
    let violation = "image <nginx:latest> uses latest";
    for (path, review, expected) in [
        ("/v1/data/images/violation", &latest, Some(("violation", violation))),
        ("/v0/data/images/violation", &pod, Some(("violation", violation))),
        ("/v1/data/images/violation", &fine, None),
        ("/v1/data/images/allow", &latest, Some(("allow", "data.images.allow is not true"))),
        ("/v0/data/images/allow", &fine, None),
        ("/v1/data/images/review", &latest, Some(("review", "no latest here"))),
        ("/v0/data/images/review", &fine, None),
        (
            "/v1/data/kubernetes/admission/deny",
            &pod,
            Some(("deny", "image nginx:latest is not from registry.acmecorp.com")),
        ),
    ] {
        let rehearsal = with(&[webhook("opa", &format!("{}{path}", opa.url))]).await;
        let response = rehearsal.review("/", review).await;
        assert_eq!(response.allowed(), expected.is_none(), "{path}: {}", response.text());
        let verdict = &rehearsal.decision("").await["verdicts"][0];
        let violation = &verdict["violations"][0];
        assert_eq!(violation["rule"].as_str().zip(violation["message"].as_str()), expected, "{path}");
    }
    // Its own words pass too, and what is undefined fails.
    let rehearsal = with(&[webhook("opa", &format!("{}/v1/data/images/review", opa.url))]).await;
    assert_eq!(rehearsal.review("/", &fine).await.verdict()["auditAnnotations"]["judge"], "opa");
    for path in ["/v1/data/images/of_an_image_review", "/v0/data/images/of_an_image_review", "/"] {
        let rehearsal = with(&[webhook("opa", &format!("{}{path}", opa.url))]).await;
        let response = rehearsal.review("/", &pod).await;
        assert_eq!(response.status, 503, "{path}: {}", response.text());
        assert!(response.text().contains("is undefined for this review"), "{path}: {}", response.text());
    }
}
