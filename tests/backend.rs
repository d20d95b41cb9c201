//! The client of a remote webhook against a real one over real sockets.

#[path = "harness/backend.rs"]
mod scripted;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Version};
use prometheus_client::registry::Registry;
use rehearsal::backend::answer::{BackendAnswer, BackendError};
use rehearsal::backend::metrics::Metrics;
use rehearsal::backend::{Backend as Client, BackendSetupError, Question};
use rehearsal::policy::settings::{Speaks, WebhookSettings};
use rehearsal::review::decision::Protocol;
use scripted::tls::{Signer, Tls, client_identity};
use scripted::{Backend, Reply, Script, Transport};
use serde_json::json;
use tempfile::TempDir;

const UID: &str = "8d64b1f2-0000-4000-8000-000000000001";
/// Long enough for every answer that comes.
const LONG: Duration = Duration::from_secs(10);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(300);

/// A client, and what it was made from.
struct Setup {
    settings: WebhookSettings,
    registry: Registry,
    metrics: Metrics,
    dir: TempDir,
}

// === impl Setup ===

impl Setup {
    fn of(backend: &Backend) -> Self {
        Self::at(&format!("{}/judge", backend.url))
    }

    fn at(url: &str) -> Self {
        let settings = WebhookSettings {
            url: url.parse().expect("a URL"),
            speaks: Speaks::AdmissionReview,
            timeout: LONG,
            ca: None,
            client_identity: None,
            token_file: None,
            max_in_flight: 64,
        };
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        Self { settings, registry, metrics, dir: tempfile::tempdir().expect("a directory") }
    }

    /// Trusts the backend's CA.
    fn trusting(backend: &Backend) -> Self {
        let mut setup = Self::of(backend);
        setup.settings.ca = Some(setup.file("ca.crt", &backend.ca_pem));
        setup
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn client(&self) -> Arc<Client> {
        Arc::new(self.try_client().expect("a client"))
    }

    fn try_client(&self) -> Result<Client, BackendSetupError> {
        Client::new("gate", &self.settings, &self.metrics)
    }

    fn assert_metric(&self, line: &str) {
        let mut metrics = String::new();
        prometheus_client::encoding::text::encode(&mut metrics, &self.registry).expect("text");
        assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    }
}

fn review() -> Bytes {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": UID, "operation": "CREATE", "object": {"kind": "Pod"}}
    });
    review.to_string().into()
}

fn question() -> Question {
    Question {
        body: review(),
        protocol: Protocol::AdmissionReview,
        api_version: "admission.k8s.io/v1",
        uid: Some(UID.to_owned()),
        traceparent: None,
        budget: LONG,
    }
}

fn within(budget: Duration) -> Question {
    Question { budget, ..question() }
}

async fn invalid(script: Script, why: &str) {
    let backend = Backend::start(script);
    let error = Setup::of(&backend).client().ask(question()).await.expect_err(why);
    let BackendError::Invalid(problem) = &error else { panic!("{why}: {error:?}") };
    assert!(problem.contains(why), "{problem} says nothing of {why}");
    assert_eq!(backend.received().len(), 1, "{why}: asked once");
}

fn unreachable(result: Result<BackendAnswer, BackendError>) -> String {
    match result {
        Err(BackendError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}

// === what is sent, what comes back ===

#[tokio::test]
async fn the_received_bytes_go_out_untouched_with_five_headers_and_what_is_left() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let backend = Backend::start(Script::deny("no"));
    let mut setup = Setup::at(&format!("{}/judge/pods?team=a&timeout=9s&b", backend.url));
    setup.settings.token_file = Some(setup.file("token", "s3cret\n"));
    let client = setup.client();
    let trace = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

    for name in ["002-admission-v1-create-pod.json", "007-admission-v1-create-deployment.json"] {
        let body: Bytes = fs::read(captures.join(name)).expect("a capture").into();
        let uid = serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")["request"]["uid"].clone();
        let uid = uid.as_str().map(str::to_owned);
        let asked = Question { body: body.clone(), uid, traceparent: Some(trace.clone()), ..question() };
        let answer = client.ask(asked).await.expect("an answer");
        assert_eq!((answer.allowed, answer.violation_text()), (false, "no"));
        assert_eq!(backend.received().last().expect("asked").body, body, "{name}");
    }

    let received = backend.received().remove(0);
    assert_eq!((received.method, received.uri.path()), (Method::POST, "/judge/pods"));
    let query = received.uri.query().expect("a query");
    let left = query.strip_prefix("team=a&b&timeout=").and_then(|rest| rest.strip_suffix("ms")).expect(query);
    let left: u64 = left.parse().expect("milliseconds");
    assert!((5_000..=10_000).contains(&left), "{left} ms of 10 s are left");
    let length = received.body.len().to_string();
    let mut headers: Vec<_> = received.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.sort_unstable();
    let host = backend.addr.to_string();
    let agent = format!("rehearsal/{}", env!("CARGO_PKG_VERSION"));
    let expected: [(&str, &[u8]); 7] = [
        ("accept", b"application/json"),
        ("authorization", b"Bearer s3cret"),
        ("content-length", length.as_bytes()),
        ("content-type", b"application/json"),
        ("host", host.as_bytes()),
        ("traceparent", trace.as_bytes()),
        ("user-agent", agent.as_bytes()),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn an_image_review_is_asked_and_answered_in_its_own_protocol() {
    let backend = Backend::start(Script::deny("no latest"));
    let asked = Question {
        body: Bytes::from_static(br#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","spec":{}}"#),
        protocol: Protocol::ImageReview,
        api_version: "imagepolicy.k8s.io/v1alpha1",
        uid: None,
        traceparent: None,
        budget: LONG,
    };
    let answer = Setup::of(&backend).client().ask(asked).await.expect("an answer");
    assert_eq!((answer.allowed, answer.violation_text()), (false, "no latest"));
    assert!(!backend.received()[0].headers.contains_key("traceparent"));
    assert!(!backend.received()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn every_success_that_the_api_server_takes_is_taken_and_every_media_type() {
    for (status, media_type) in [(200, "text/html"), (201, "application/json"), (206, "text/plain; charset=utf-8")] {
        let script = Script::judge(move |received| Reply { status, ..received.allowed() });
        let backend = Backend::start(script);
        let client = Setup::of(&backend).client();
        assert!(client.ask(question()).await.expect("an answer").allowed, "{status}");
        backend.play(Script::judge(move |received| Reply::of(200, media_type, received.allowed().body)));
        assert!(client.ask(question()).await.expect("an answer").allowed, "{media_type}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_an_error_of_the_answer() {
    let said = |body: &'static str| Script::reply(Reply::of(200, "application/json", body));
    invalid(said("{}"), "no response").await;
    invalid(said("ok"), "not JSON").await;
    invalid(said(""), "empty").await;
    invalid(Script::reply(Reply::of(204, "application/json", "")), "empty").await;
    invalid(Script::judge(|received| received.answer(json!({}))), "no field allowed").await;
    invalid(Script::judge(|received| received.answer(json!({"allowed": "true"}))), "a string").await;
    invalid(said(r#"{"kind":"ImageReview","response":{"allowed":true}}"#), "kind").await;
    invalid(said(r#"{"apiVersion":"admission.k8s.io/v1beta1","response":{"allowed":true}}"#), "apiVersion").await;
    invalid(said(r#"{"response":{"uid":"another","allowed":true}}"#), "uid").await;
    invalid(said(r#"{"response":{"allowed":true},"response":{"allowed":false}}"#), "not JSON").await;
    for status in [207, 400, 401, 404, 418] {
        invalid(Script::judge(move |received| Reply { status, ..received.allowed() }), &status.to_string()).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Backend::start(Script::allow());
    for status in [301, 302, 307, 308] {
        let to = Reply::of(status, "text/plain", "").header("location", format!("{}/judge", other.url));
        invalid(Script::reply(to), "redirects").await;
    }
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn an_answer_is_read_up_to_3_mib() {
    let padded = |bytes: usize| {
        Script::judge(move |received| {
            let mut reply = received.allowed();
            reply.body = [reply.body.as_ref(), &vec![b' '; bytes]].concat().into();
            reply
        })
    };
    let backend = Backend::start(padded(2 << 20));
    assert!(Setup::of(&backend).client().ask(question()).await.expect("an answer").allowed);
    invalid(padded(4 << 20), "over 3 MiB").await;
}

#[tokio::test]
async fn its_own_429_and_5xx_keep_retry_after_and_the_beginning_of_the_text() {
    let busy = r#"{"kind":"Status","apiVersion":"v1","message":"too many","code":429}"#;
    let backend = Backend::start(Script::reply(Reply::of(429, "application/json", busy).header("retry-after", "7")));
    let client = Setup::of(&backend).client();
    let error = client.ask(question()).await.expect_err("busy");
    assert_eq!(error.to_string(), "it answered 429 Too Many Requests: too many");
    let BackendError::Status { status, retry_after, body, .. } = error else { panic!("{error:?}") };
    assert_eq!((status.as_u16(), retry_after, &body[..]), (429, Some(HeaderValue::from_static("7")), busy.as_bytes()));

    backend.play(Script::reply(Reply::of(500, "text/plain", "x\n".repeat(100_000))));
    let error = client.ask(question()).await.expect_err("broken");
    assert!(error.to_string().starts_with("it answered 500 Internal Server Error: x x x"), "{error}");
    let BackendError::Status { status, retry_after, body, .. } = error else { panic!("{error:?}") };
    assert_eq!((status.as_u16(), retry_after, body.len()), (500, None, 64 << 10));
}

// === time ===

#[tokio::test]
async fn the_smaller_of_budget_and_timeout_ends_a_call() {
    for script in [Script::never(), Script::half_then_hang()] {
        let backend = Backend::start(script);
        let mut setup = Setup::of(&backend);
        let error = setup.client().ask(within(SHORT)).await.expect_err("late");
        assert!(matches!(error, BackendError::Late(limit) if limit == SHORT), "{error:?}");
        setup.settings.timeout = SHORT;
        let begun = Instant::now();
        let error = setup.client().ask(question()).await.expect_err("late");
        assert!(matches!(error, BackendError::Late(limit) if limit == SHORT), "{error:?}");
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG);
        setup.assert_metric(r#"rehearsal_backend_errors_total{policy="gate",kind="late"} 2"#);
        setup.assert_metric(r#"rehearsal_backend_in_flight{policy="gate"} 0"#);
    }
}

#[tokio::test]
async fn a_held_call_is_answered_when_it_is_released() {
    let backend = Backend::start(Script::allow());
    let client = Setup::of(&backend).client();
    backend.hold();
    let held = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.ask(question()).await }
    });
    backend.wait_received(1).await;
    let late = client.ask(within(SHORT)).await.expect_err("held too");
    assert!(matches!(late, BackendError::Late(_)), "{late:?}");
    assert!(!held.is_finished());
    backend.release();
    assert!(held.await.expect("no panic").expect("an answer").allowed);
}

#[tokio::test]
async fn more_than_max_in_flight_wait_a_moment_and_are_refused() {
    let backend = Backend::start(Script::allow());
    let mut setup = Setup::of(&backend);
    setup.settings.max_in_flight = 2;
    let client = setup.client();
    backend.hold();
    let held: Vec<_> = (0..2)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.ask(question()).await })
        })
        .collect();
    backend.wait_received(2).await;
    setup.assert_metric(r#"rehearsal_backend_in_flight{policy="gate"} 2"#);
    let error = client.ask(question()).await.expect_err("full");
    assert!(matches!(error, BackendError::Full(2)), "{error:?}");
    assert_eq!(backend.received().len(), 2, "the third was never sent");

    let waiting = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.ask(question()).await }
    });
    backend.release();
    for call in held.into_iter().chain([waiting]) {
        assert!(call.await.expect("no panic").expect("an answer").allowed);
    }
}

// === connections ===

#[tokio::test]
async fn calls_share_connections() {
    let backend = Backend::start(Script::allow());
    let client = Setup::of(&backend).client();
    for _ in 0..5 {
        client.ask(question()).await.expect("an answer");
    }
    assert_eq!(backend.connections(), 1);
    assert!(backend.received().iter().all(|received| received.version == Version::HTTP_11));
}

#[tokio::test]
async fn a_connection_closed_while_pooled_is_replaced_without_a_word() {
    for transport in [Transport::Plain, Transport::Tls(Tls::default())] {
        let backend = Backend::start(Script::allow().over(transport));
        let setup = if backend.ca_pem.is_empty() { Setup::of(&backend) } else { Setup::trusting(&backend) };
        let client = setup.client();
        for _ in 0..5 {
            client.ask(question()).await.expect("an answer");
            backend.close_connections().await;
        }
        assert_eq!(backend.connections(), 5);
    }
}

#[tokio::test]
async fn a_connection_closed_under_a_request_is_replaced_once() {
    let backend = Backend::start(Script::hang_up_on_reuse());
    let client = Setup::of(&backend).client();
    client.ask(question()).await.expect("an answer");
    assert!(client.ask(question()).await.expect("an answer of a new connection").allowed);
    let received = backend.received();
    let connections: Vec<_> = received.iter().map(|received| received.connection).collect();
    assert_eq!(connections, [1, 1, 2], "asked again on a new connection");
    assert_eq!(received[1].body, received[2].body);

    backend.play(Script::hang_up());
    let why = unreachable(client.ask(question()).await);
    assert!(why.contains("ended without an answer"), "{why}");
    assert_eq!(backend.received().len(), 5, "once on the old connection, once on a new one, never a third time");
}

#[tokio::test]
async fn a_new_connection_that_fails_is_not_tried_again() {
    let hangs_up = Backend::start(Script::hang_up());
    let why = unreachable(Setup::of(&hangs_up).client().ask(question()).await);
    assert!(why.contains("ended without an answer"), "{why}");
    assert_eq!(hangs_up.received().len(), 1);

    let resets = Backend::start(Script::half_then_reset());
    let why = unreachable(Setup::of(&resets).client().ask(question()).await);
    assert!(why.contains("broke off"), "{why}");
    assert_eq!(resets.received().len(), 1);

    let closes = Backend::start(Script::close_at_once());
    unreachable(Setup::of(&closes).client().ask(question()).await);
    assert_eq!((closes.received().len(), closes.connections()), (0, 1));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound");
    let why = unreachable(Setup::at(&format!("http://{nobody}/")).client().ask(question()).await);
    assert!(why.starts_with("it could not be reached") && why.contains("refused"), "{why}");
    let why = unreachable(Setup::at("http://no-such-host.invalid/").client().ask(question()).await);
    assert!(why.starts_with("it could not be reached"), "{why}");
}

#[tokio::test]
async fn a_breaker_opens_and_a_probe_closes_it() {
    let backend = Backend::start(Script::reply(Reply::of(500, "text/plain", "down")));
    let setup = Setup::of(&backend);
    let client = setup.client();
    for _ in 0..5 {
        assert!(matches!(client.ask(question()).await, Err(BackendError::Status { .. })));
    }
    let error = client.ask(question()).await.expect_err("open");
    let BackendError::BreakerOpen { failures: 5, retry_in } = error else { panic!("{error:?}") };
    assert!(retry_in <= Duration::from_millis(600), "{retry_in:?}");
    assert_eq!(backend.received().len(), 5, "not asked while it is open");
    setup.assert_metric(r#"rehearsal_backend_breaker{policy="gate"} 2"#);
    setup.assert_metric(r#"rehearsal_backend_errors_total{policy="gate",kind="status"} 5"#);
    setup.assert_metric(r#"rehearsal_backend_errors_total{policy="gate",kind="breaker_open"} 1"#);
    setup.assert_metric(r#"rehearsal_backend_duration_seconds_count{policy="gate"} 5"#);

    backend.play(Script::allow());
    tokio::time::sleep(retry_in).await;
    assert!(client.ask(question()).await.expect("the probe passes").allowed);
    setup.assert_metric(r#"rehearsal_backend_breaker{policy="gate"} 0"#);
}

// === TLS ===

#[tokio::test]
async fn http_2_where_both_speak_it_and_http_1_where_not() {
    const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (alpn, version) in [(BOTH, Version::HTTP_2), (&BOTH[1..], Version::HTTP_11), (&[], Version::HTTP_11)] {
        let backend = Backend::start(Script::allow().over(Transport::Tls(Tls { alpn, ..Tls::default() })));
        let client = Setup::trusting(&backend).client();
        client.ask(question()).await.expect("an answer");
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { client.ask(question()).await })
            })
            .collect();
        for call in calls {
            assert!(call.await.expect("no panic").expect("an answer").allowed);
        }
        assert!(backend.received().iter().all(|received| received.version == version), "{version:?}");
        assert!(version == Version::HTTP_11 || backend.connections() == 1, "one HTTP/2 connection serves all");
    }
}

#[tokio::test]
async fn an_http_2_backend_that_resets_or_hangs_is_an_error_in_time() {
    let over = |script: Script| script.over(Transport::Tls(Tls::default()));
    let backend = Backend::start(over(Script::half_then_reset()));
    let client = Setup::trusting(&backend).client();
    unreachable(client.ask(question()).await);
    backend.play(Script::half_then_hang());
    let late = client.ask(within(SHORT)).await.expect_err("hangs");
    assert!(matches!(late, BackendError::Late(_)), "{late:?}");
    backend.play(Script::allow());
    assert!(client.ask(question()).await.expect("the connection goes on").allowed);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_of_an_unknown_ca_is_refused() {
    let other = Tls { name: "other.example", ..Tls::default() };
    let backend = Backend::start(Script::allow().over(Transport::Tls(other)));
    let why = unreachable(Setup::trusting(&backend).client().ask(question()).await);
    assert!(why.contains("other.example"), "{why}");

    let backend = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let stranger = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let mut setup = Setup::of(&backend);
    setup.settings.ca = Some(setup.file("ca.crt", &stranger.ca_pem));
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.contains("is ca the certificate of the CA"), "{why}");
    assert!(backend.received().is_empty());

    let ssh = Backend::start(Script::allow().over(Transport::NotTls));
    let mut setup = Setup::of(&ssh);
    setup.settings.ca = Some(setup.file("ca.crt", &stranger.ca_pem));
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.starts_with("it could not be reached"), "{why}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_in_the_ca_file_itself() {
    for signed_by in [Signer::Itself, Signer::ItselfAsCa] {
        let tls = Tls { signed_by, ..Tls::default() };
        let backend = Backend::start(Script::allow().over(Transport::Tls(tls)));
        assert!(Setup::trusting(&backend).client().ask(question()).await.expect("an answer").allowed, "{signed_by:?}");

        let misnamed = Tls { signed_by, name: "other.example", ..Tls::default() };
        let backend = Backend::start(Script::allow().over(Transport::Tls(misnamed)));
        unreachable(Setup::trusting(&backend).client().ask(question()).await);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_absence_explained() {
    let (client_ca_pem, certificate, key) = client_identity("rehearsal");
    let tls = Tls { client_ca_pem: Some(client_ca_pem), ..Tls::default() };
    let backend = Backend::start(Script::allow().over(Transport::Tls(tls)));
    let mut setup = Setup::trusting(&backend);
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.contains("client_certificate") || why.contains("CertificateRequired"), "{why}");

    setup.settings.client_identity = Some((setup.file("client.crt", &certificate), setup.file("client.key", &key)));
    let client = setup.client();
    assert!(client.ask(question()).await.expect("an answer").allowed);
    assert!(backend.received()[0].client_certificate.is_some());
    let roles: Vec<_> = client.ends().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["webhook_ca", "webhook_client"]);
    assert_eq!(client.files().count(), 3);
}

// === files ===

#[tokio::test]
async fn a_new_token_is_used_without_dropping_a_connection() {
    let backend = Backend::start(Script::allow());
    let mut setup = Setup::of(&backend);
    let token = setup.file("token", "first");
    setup.settings.token_file = Some(token.clone());
    let client = setup.client();
    for (content, sent) in [("first", "Bearer first"), ("second\n", "Bearer second"), ("", "Bearer second")] {
        fs::write(&token, content).expect("written");
        let reloaded = client.reload();
        assert_eq!(reloaded.is_err(), content.is_empty(), "an empty token is refused, the old one kept");
        client.ask(question()).await.expect("an answer");
        assert_eq!(backend.received().last().expect("asked").headers["authorization"], sent);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_new_ca_is_used_from_the_next_call_on_and_a_broken_one_never() {
    let backend = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let stranger = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let mut setup = Setup::of(&backend);
    let ca = setup.file("ca.crt", &stranger.ca_pem);
    setup.settings.ca = Some(ca.clone());
    let client = setup.client();
    unreachable(client.ask(question()).await);

    fs::write(&ca, &backend.ca_pem).expect("written");
    client.reload().expect("a good CA");
    client.ask(question()).await.expect("an answer");

    fs::write(&ca, "-----BEGIN CERTIFICATE-----\nhalf a fi").expect("written");
    let error = client.reload().expect_err("half a file");
    assert_eq!(error.field, "ca");
    client.ask(question()).await.expect("the old one is kept");
    assert_eq!(backend.connections(), 2, "one that was refused, one that lives");
}

#[test]
fn what_cannot_work_is_refused_with_its_field() {
    let (_, certificate, key) = client_identity("one");
    let (_, _, other_key) = client_identity("two");
    let mut setup = Setup::at("https://localhost:1/");
    let ca = setup.file("ca.crt", &certificate);
    let key = setup.file("client.key", &key);
    let other_key = setup.file("other.key", &other_key);
    let empty = setup.file("empty", "");
    let words = setup.file("words", "two words");
    let missing = setup.dir.path().join("missing");
    let good = WebhookSettings { ca: Some(ca.clone()), ..setup.settings.clone() };

    let cases = [
        ("url", WebhookSettings { url: "/judge".parse().expect("a path"), ..good.clone() }),
        ("ca", WebhookSettings { url: "http://localhost/".parse().expect("a URL"), ..good.clone() }),
        ("ca", WebhookSettings { ca: Some(missing.clone()), ..good.clone() }),
        ("ca", WebhookSettings { ca: Some(empty.clone()), ..good.clone() }),
        ("client_certificate", WebhookSettings { client_identity: Some((empty.clone(), key.clone())), ..good.clone() }),
        ("client_certificate", WebhookSettings { client_identity: Some((ca.clone(), other_key)), ..good.clone() }),
        ("client_key", WebhookSettings { client_identity: Some((ca.clone(), missing)), ..good.clone() }),
        ("client_key", WebhookSettings { client_identity: Some((ca.clone(), empty.clone())), ..good.clone() }),
        ("token_file", WebhookSettings { token_file: Some(empty), ..good.clone() }),
        ("token_file", WebhookSettings { token_file: Some(words), ..good.clone() }),
        ("max_in_flight", WebhookSettings { max_in_flight: 0, ..good.clone() }),
    ];
    for (field, settings) in cases {
        setup.settings = settings;
        let error = setup.try_client().expect_err(field);
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().len() > field.len() + 20, "{error}");
    }
    setup.settings = WebhookSettings { client_identity: Some((ca, key)), ..good };
    setup.try_client().expect("the good one");
}
