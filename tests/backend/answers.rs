//! What is sent, what comes back, and when.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::scripted::{Backend, Reply, Script};
use bytes::Bytes;
use http::{HeaderValue, Method};
use rehearsal::backend::Question;
use rehearsal::backend::answer::BackendError;
use rehearsal::review::decision::Protocol;
use serde_json::json;

use crate::setup::{LONG, SHORT, Setup, invalid, question, within};

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
        came_in: Protocol::ImageReview,
        ..question()
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
