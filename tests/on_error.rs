//! What the API server gets when a webhook cannot judge: every way of failing, every `on_error`, both protocols.

mod harness;

use std::time::{Duration, Instant};

use harness::Rehearsal;
use harness::backend::{Backend, Received, Reply, Script};
use harness::http::Response;
use harness::reviews::fixture;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Unreachable,
    Late,
    TooMany,
    Internal,
    NotJson,
    WrongKind,
    WrongUid,
    WrongVersion,
    EmptyObject,
    NoStatus,
    CapitalAllowed,
    Redirect,
    NotFound,
    Endless,
}

const FAULTS: [Fault; 14] = [
    Fault::Unreachable,
    Fault::Late,
    Fault::TooMany,
    Fault::Internal,
    Fault::NotJson,
    Fault::WrongKind,
    Fault::WrongUid,
    Fault::WrongVersion,
    Fault::EmptyObject,
    Fault::NoStatus,
    Fault::CapitalAllowed,
    Fault::Redirect,
    Fault::NotFound,
    Fault::Endless,
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Protocol {
    ImageReview,
    AdmissionReview,
}

const PROTOCOLS: [Protocol; 2] = [Protocol::ImageReview, Protocol::AdmissionReview];

impl Fault {
    /// `WrongUid` has no meaning on an ImageReview, which carries none.
    fn applies(self, protocol: Protocol) -> bool {
        self != Self::WrongUid || protocol == Protocol::AdmissionReview
    }

    fn reply(self, request: &Received) -> Reply {
        let review = request.json();
        let image_review = review["kind"] == "ImageReview";
        let part = if image_review { "status" } else { "response" };
        let allowed = json!({"allowed": true, "uid": review["request"]["uid"]});
        let whole = json!({"apiVersion": review["apiVersion"], "kind": review["kind"], part: allowed});
        let with = |field: &str, value: Value| {
            let mut changed = whole.clone();
            changed[field] = value;
            Reply::json(&changed)
        };
        match self {
            Self::Unreachable | Self::Late => Reply::json(&whole),
            Self::TooMany => Reply::of(429, "text/plain", "slow down").header("retry-after", "7"),
            Self::Internal => Reply::of(500, "text/plain", "it fell over").header("retry-after", "9"),
            Self::NotJson => Reply::of(200, "application/json", "allowed"),
            Self::WrongKind => with("kind", json!(if image_review { "AdmissionReview" } else { "ImageReview" })),
            Self::WrongUid => with(part, json!({"allowed": true, "uid": "another"})),
            Self::WrongVersion => with("apiVersion", json!("admission.k8s.io/v2")),
            Self::EmptyObject => Reply::json(&json!({})),
            Self::NoStatus => with(part, Value::Null),
            Self::CapitalAllowed => with(part, json!({"Allowed": true, "uid": review["request"]["uid"]})),
            Self::Redirect => Reply::of(307, "text/plain", "").header("location", "/elsewhere"),
            Self::NotFound => Reply::of(404, "text/plain", "404 page not found"),
            // Past the 3 MiB that an answer may have.
            Self::Endless => with("padding", json!("x".repeat(3 * 1024 * 1024))),
        }
    }
}

impl Protocol {
    fn body(self) -> bytes::Bytes {
        fixture(match self {
            Self::ImageReview => "016-image-review.json",
            Self::AdmissionReview => "002-admission-v1-create-pod.json",
        })
    }

    fn speaks(self) -> &'static str {
        match self {
            Self::ImageReview => "image-review",
            Self::AdmissionReview => "admission-review",
        }
    }
}

/// A Rehearsal in front of a backend with one fault, and that backend.
struct Faulty {
    rehearsal: Rehearsal,
    backend: Backend,
    /// Where nobody listens, and nobody else can while this is open.
    _closed: TcpSocket,
}

/// Only the backend that is to be late is given a time that ends. A loaded machine must neither make the others late, nor
/// have its disk take longer than the journal waits: a decision that is missed is in no list.
async fn faulty(fault: Fault, protocol: Protocol, mode: &str, on_error: &str) -> Faulty {
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind(([127, 0, 0, 1], 0).into()).expect("loopback");
    let backend = Backend::start(Script::judge(move |request| fault.reply(request)));
    if fault == Fault::Late {
        backend.hold();
    }
    let url = match fault {
        Fault::Unreachable => format!("http://{}/", closed.local_addr().expect("bound")),
        _ => format!("{}/", backend.url),
    };
    let timeout = if fault == Fault::Late { "400ms" } else { "20s" };
    let config = format!(
        "warn_wait: 20s\njournal: {{durability: process, max_wait: 20s}}\npolicies: [{{name: gate, mode: {mode}, on_error: \
         {on_error}, timeout: {timeout}, webhook: {{url: '{url}', speaks: {}}}}}]",
        protocol.speaks()
    );
    Faulty { rehearsal: Rehearsal::builder().config(&config).start().await, backend, _closed: closed }
}

/// A failure that kubectl can show: a `metav1.Status` that names the policy and the decision.
fn assert_status_body(response: &Response, decision: &Value, what: &str) {
    let status = response.json();
    assert_eq!((&status["kind"], &status["apiVersion"]), (&json!("Status"), &json!("v1")), "{what}: {status}");
    assert_eq!(status["status"], "Failure", "{what}: {status}");
    assert_eq!(status["code"], response.status, "{what}: {status}");
    let message = status["message"].as_str().expect("a message");
    let id = decision["id"].as_str().expect("an id");
    assert!(message.contains("gate") && message.contains(id), "{what}: {message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_lets_the_cluster_decide() {
    for protocol in PROTOCOLS {
        for fault in FAULTS.into_iter().filter(|fault| fault.applies(protocol)) {
            let what = format!("{fault:?} {protocol:?}");
            let Faulty { rehearsal, backend, _closed } = faulty(fault, protocol, "enforce", "fail").await;
            let response = rehearsal.post("/review/lab", protocol.body()).await;
            let (status, retry_after) = match fault {
                Fault::TooMany => (429, Some("7")),
                Fault::Internal => (500, Some("9")),
                _ => (503, None),
            };
            assert_eq!(response.status, status, "{what}: {}", response.text());
            assert_eq!(response.header("retry-after"), retry_after, "{what}");
            let decision = rehearsal.decision("").await;
            assert_eq!(decision["answer"], "failed", "{what}");
            assert_eq!(decision["verdicts"][0]["verdict"], "error", "{what}");
            assert!(decision["verdicts"][0]["error"].is_string(), "{what}: {decision}");
            assert_status_body(&response, &decision, &what);
            if !matches!(fault, Fault::Unreachable) {
                assert_eq!(backend.received().len(), 1, "{what}: asked once, no redirect followed");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allow_answers_allowed() {
    for protocol in PROTOCOLS {
        for fault in FAULTS.into_iter().filter(|fault| fault.applies(protocol)) {
            let what = format!("{fault:?} {protocol:?}");
            let Faulty { rehearsal, backend: _backend, _closed } = faulty(fault, protocol, "enforce", "allow").await;
            let response = rehearsal.post("/review/lab", protocol.body()).await;
            assert!(response.allowed(), "{what}");
            let decision = rehearsal.decision("").await;
            assert_eq!(decision["answer"], "allowed", "{what}");
            assert_eq!(decision["would_reject"], false, "{what}");
            assert!(decision["verdicts"][0]["error"].is_string(), "{what}: {decision}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_answers_denied() {
    for protocol in PROTOCOLS {
        for fault in FAULTS.into_iter().filter(|fault| fault.applies(protocol)) {
            let what = format!("{fault:?} {protocol:?}");
            let Faulty { rehearsal, backend: _backend, _closed } = faulty(fault, protocol, "enforce", "deny").await;
            let response = rehearsal.post("/review/lab", protocol.body()).await;
            assert!(!response.allowed(), "{what}");
            let verdict = response.verdict();
            let message = match protocol {
                Protocol::ImageReview => &verdict["reason"],
                Protocol::AdmissionReview => &verdict["status"]["message"],
            };
            assert!(message.as_str().is_some_and(|message| message.contains("gate")), "{what}: {verdict}");
            let decision = rehearsal.decision("").await;
            assert_eq!(decision["answer"], "denied", "{what}");
            assert_eq!(decision["verdicts"][0]["verdict"], "error", "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_audit_and_warn_an_error_never_reaches_the_api_server() {
    for (mode, on_error) in [("audit", "fail"), ("audit", "deny"), ("warn", "fail"), ("warn", "deny")] {
        for protocol in PROTOCOLS {
            for fault in FAULTS.into_iter().filter(|fault| fault.applies(protocol)) {
                let what = format!("{fault:?} {protocol:?} {mode} {on_error}");
                let Faulty { rehearsal, backend: _backend, _closed } = faulty(fault, protocol, mode, on_error).await;
                let response = rehearsal.post("/review/lab", protocol.body()).await;
                assert!(response.allowed(), "{what}");
                assert!(response.verdict().get("warnings").is_none(), "{what}");
                let decision = harness::wait_for("the verdict", || async {
                    let decision = rehearsal.decision("").await;
                    (decision["verdicts"][0]["verdict"] != "pending").then_some(decision)
                })
                .await;
                assert_eq!(decision["verdicts"][0]["verdict"], "error", "{what}");
                assert_eq!(decision["answer"], "allowed", "{what}");
                assert_eq!(decision["would_reject"], false, "{what}: an error is evidence of nothing");
            }
        }
    }
}

#[tokio::test]
async fn a_late_backend_costs_no_more_than_its_timeout() {
    let Faulty { rehearsal, backend: _backend, _closed } =
        faulty(Fault::Late, Protocol::AdmissionReview, "enforce", "fail").await;
    let started = Instant::now();
    let response = rehearsal.post("/review/lab?timeout=30s", Protocol::AdmissionReview.body()).await;
    assert_eq!(response.status, 503);
    assert!(started.elapsed() >= Duration::from_millis(350), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// kube-image-bouncer answers so: only a `response` or `status`, which the API server's v1 would not take.
#[tokio::test]
async fn an_answer_without_uid_version_and_kind_is_repaired() {
    let backend = Backend::start(Script::judge(|request| match request.json()["kind"].as_str() {
        Some("AdmissionReview") => Reply::json(&json!({"response": {"allowed": false, "status": {"message": "no"}}})),
        _ => Reply::json(&json!({"status": {"allowed": false, "reason": "no"}})),
    }));
    for protocol in PROTOCOLS {
        let config = format!(
            "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: {}}}}}]",
            backend.url,
            protocol.speaks()
        );
        let rehearsal = Rehearsal::builder().config(&config).start().await;
        let sent: Value = serde_json::from_slice(&protocol.body()).expect("JSON");
        let response = rehearsal.post("/", protocol.body()).await;
        assert!(!response.allowed(), "{protocol:?}");
        let answer = response.json();
        assert_eq!((&answer["kind"], &answer["apiVersion"]), (&sent["kind"], &sent["apiVersion"]));
        if protocol == Protocol::AdmissionReview {
            assert_eq!(answer["response"]["uid"], sent["request"]["uid"]);
            assert_eq!(answer["response"]["status"]["message"], "no");
        } else {
            assert_eq!(answer["status"]["reason"], "no");
        }
    }
}

#[tokio::test]
async fn a_webhook_of_the_other_protocol_has_nothing_to_judge() {
    let backend = Backend::start(Script::deny("never asked"));
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: image-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    assert!(rehearsal.post("/", Protocol::AdmissionReview.body()).await.allowed());
    assert_eq!(rehearsal.decision("").await["verdicts"][0]["verdict"], "none");
    assert_eq!(backend.received().len(), 0);
}
