//! Every row of the bad-input table, on sockets without manners where a client would be too polite.

mod harness;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::backend::{Backend, Script};
use harness::http::{Alpn, HttpClient};
use harness::process::memory;
use harness::raw::{self, RawConnection};
use harness::reviews::{fixture, image_review, pod_review};
use harness::{DEADLINE, Rehearsal, wait_for};
use http::{Method, Request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const POD: &str = "002-admission-v1-create-pod.json";
const VERSIONS: [Alpn; 2] = [Alpn::H1, Alpn::H2];

async fn gated(backend: &Backend, more: &str) -> Rehearsal {
    let config = format!(
        "{more}\npolicies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    Rehearsal::builder().config(&config).start().await
}

async fn raw_h1(rehearsal: &Rehearsal) -> RawConnection {
    raw::connect(rehearsal.webhook(), Some(&rehearsal.ca_pem()), Alpn::H1).await
}

fn client(rehearsal: &Rehearsal, alpn: Alpn) -> HttpClient {
    HttpClient::new(Some(&rehearsal.ca_pem()), None, alpn)
}

fn h1_post(length: usize) -> String {
    format!(
        "POST /review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn full(body: Bytes) -> BoxBody<Bytes, Infallible> {
    Full::new(body).boxed()
}

// === the body ===

fn broken_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let whole = fixture(POD).to_vec();
    let text = String::from_utf8(whole.clone()).expect("UTF-8");
    let twice = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let mut bad_utf8 = whole.clone();
    let at = text.find("two-images").expect("the pod's name");
    bad_utf8[at] = 0xff;
    let nested = format!(r#"{{"kind":"ImageReview","deep":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    vec![
        ("not JSON", b"kind: AdmissionReview".to_vec()),
        ("empty", Vec::new()),
        ("a BOM", [b"\xef\xbb\xbf".as_slice(), &whole].concat()),
        ("two documents", [whole.as_slice(), b"{}"].concat()),
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("bad UTF-8", bad_utf8),
        ("nested over 128", nested.into_bytes()),
        (
            "a duplicate key at the top",
            twice(r#"{"kind":"AdmissionReview""#, r#"{"kind":"ImageReview","kind":"AdmissionReview""#),
        ),
        ("a duplicate key deep inside", twice(r#""image":"#, r#""image":"evil:latest","image":"#)),
        ("an escaped duplicate key", twice(r#""image":"#, r#""im\u0061ge":"evil:latest","image":"#)),
        (
            "annotations as a list",
            serde_json::to_vec(&json!({
                "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1",
                "spec": {"containers": [{"image": "nginx"}], "namespace": "n", "annotations": ["a"]}
            }))
            .expect("JSON"),
        ),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_review_is_a_400_with_the_position_and_goes_nowhere() {
    let backend = Backend::start(Script::allow());
    let rehearsal = gated(&backend, "").await;
    for alpn in VERSIONS {
        let client = client(&rehearsal, alpn);
        for (what, body) in broken_bodies() {
            let response = client.post(&format!("{}/review", rehearsal.webhook_url()), body).await;
            assert_eq!(response.status, 400, "{what}: {}", response.text());
            let text = response.text();
            assert!(text.contains(" at line ") && text.contains(" column "), "{what}: {text}");
        }
    }
    assert_eq!(backend.received().len(), 0, "never forwarded");
    assert_eq!(rehearsal.get_json("/api/v1/decisions").await["decisions"], json!([]), "no decision");
    let counted = rehearsal.metric("rehearsal_refused_total", &[]).await;
    assert!(counted >= (2 * broken_bodies().len()) as f64, "counted: {counted}");
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
}

#[tokio::test]
async fn another_kind_is_a_400_that_names_what_is_accepted() {
    let rehearsal = Rehearsal::builder().start().await;
    let mut v2: Value = serde_json::from_slice(&fixture(POD)).expect("JSON");
    v2["apiVersion"] = json!("admission.k8s.io/v2");
    let mut unnamed = image_review("n", &["nginx"]);
    unnamed.as_object_mut().expect("an object").remove("kind");
    for body in [json!({"kind": "Pod", "apiVersion": "v1"}), v2, unnamed, json!([]), json!("ImageReview"), json!(null)]
    {
        let response = rehearsal.review("/review", &body).await;
        assert_eq!(response.status, 400, "{body}");
        for accepted in ["ImageReview", "imagepolicy.k8s.io/v1alpha1", "admission.k8s.io/v1"] {
            assert!(response.text().contains(accepted), "{accepted} in {}", response.text());
        }
    }
}

// === what is asked for ===

#[tokio::test]
async fn method_path_and_media_type_are_checked_in_that_order() {
    let rehearsal = Rehearsal::builder().start().await;
    for alpn in VERSIONS {
        let client = client(&rehearsal, alpn);
        for (method, path, media_type, status) in [
            (Method::GET, "/review", "application/json", 405),
            (Method::GET, "/image_policy", "text/plain", 405),
            (Method::PUT, "/", "application/json", 405),
            (Method::DELETE, "/review/lab", "application/json", 405),
            (Method::POST, "/nowhere", "text/plain", 404),
            (Method::POST, "/review/Not_A_Label", "application/json", 404),
            (Method::POST, "/review", "text/plain", 415),
            (Method::POST, "/review", "application/jsonp", 415),
            (Method::POST, "/review", "application/json; charset=utf-8", 200),
            (Method::POST, "/review", "Application/JSON", 200),
        ] {
            let url = format!("{}{path}", rehearsal.webhook_url());
            let headers = [("content-type", media_type)];
            let response = client.send(method.clone(), &url, &headers, fixture(POD)).await.expect("an answer");
            assert_eq!(response.status, status, "{method} {path} {media_type}: {}", response.text());
            if status == 405 {
                assert_eq!(response.header("allow"), Some("POST"), "{method} {path}");
            }
        }
        let bare = client.send(Method::POST, &format!("{}/", rehearsal.webhook_url()), &[], fixture(POD)).await;
        assert_eq!(bare.expect("an answer").status, 415, "no media type at all");
    }
}

#[tokio::test]
async fn an_early_answer_lets_the_client_finish_and_see_it() {
    let rehearsal = Rehearsal::builder().start().await;
    let large = Bytes::from(vec![b' '; 5 * 1024 * 1024]);
    for alpn in VERSIONS {
        let client = client(&rehearsal, alpn);
        for (method, media_type, status) in [(Method::PUT, "application/json", 405), (Method::POST, "text/plain", 415)]
        {
            let url = format!("{}/review", rehearsal.webhook_url());
            let answer = client.send(method, &url, &[("content-type", media_type)], large.clone()).await;
            let answer = answer.unwrap_or_else(|error| panic!("{alpn:?} {status}: {}", error.0));
            assert_eq!(answer.status, status, "{alpn:?}");
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_that_the_client_sees() {
    let rehearsal = Rehearsal::builder().config("webhook: {limits: {max_body: 256KiB}}").start().await;
    let over = vec![b' '; 256 * 1024 + 1];
    for alpn in VERSIONS {
        let response =
            client(&rehearsal, alpn).post(&format!("{}/review", rehearsal.webhook_url()), over.clone()).await;
        assert_eq!(response.status, 413, "{alpn:?}");
    }
    let mut review = pod_review("large", "team-a", "large", &["nginx:1.25"]).to_string().into_bytes();
    review.resize(256 * 1024, b' ');
    assert!(rehearsal.post("/review", review).await.allowed(), "exactly the limit");
}

#[tokio::test]
async fn endless_chunks_end_in_a_413_and_memory_stays_flat() {
    let rehearsal = Rehearsal::builder().config("webhook: {limits: {max_body: 1MiB}}").start().await;
    endless(&rehearsal).await;
    let before = memory(rehearsal.pid(), "VmRSS");
    for _ in 0..8 {
        endless(&rehearsal).await;
    }
    let grown = memory(rehearsal.pid(), "VmRSS").saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more after 8 endless bodies");
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
}

/// Chunks until the other side has had enough: 413, then closed.
async fn endless(rehearsal: &Rehearsal) {
    let mut connection = raw_h1(rehearsal).await;
    let head = "POST /review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    connection.send(head).await;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 {
        match tokio::time::timeout(DEADLINE, connection.try_send(&chunk)).await.expect("it reads or closes") {
            Ok(()) => sent += 0x10000,
            Err(_) => break,
        }
    }
    assert!(sent < 32 * 1024 * 1024, "4 x max_body are read, not {sent} bytes");
    let response = connection.response().await;
    assert_eq!(response.status, 413, "{}", response.head);
}

// === the head ===

#[tokio::test]
async fn content_length_and_transfer_encoding_together_get_one_answer_and_the_end() {
    let rehearsal = Rehearsal::builder().start().await;
    let review = image_review("smuggled", &["nginx"]).to_string();
    let smuggled = format!("{}{review}", h1_post(review.len()));
    for order in
        [["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"]]
    {
        let mut connection = raw_h1(&rehearsal).await;
        let head = format!(
            "POST /review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\r\n\r\n",
            order.join("\r\n")
        );
        connection.send(format!("{head}0\r\n\r\n{smuggled}")).await;
        let response = connection.response().await;
        assert_eq!(response.status, 400, "{}", response.head);
        let rest = connection.closed(DEADLINE).await;
        assert!(rest.is_empty(), "a second answer: {}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(rehearsal.get_json("/api/v1/decisions?namespace=smuggled").await["decisions"], json!([]));
}

#[tokio::test]
async fn no_host_is_a_400() {
    let rehearsal = Rehearsal::builder().start().await;
    let mut connection = raw_h1(&rehearsal).await;
    connection.send("GET /review HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 400, "before the method is looked at");
    for head in [
        "POST https://localhost/review HTTP/1.1\r\n",
        "POST /review HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere\r\n",
        "POST /review HTTP/1.1\r\nHost:\r\n",
        "POST /review HTTP/1.0\r\n",
    ] {
        let mut connection = raw_h1(&rehearsal).await;
        let body = fixture(POD);
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.send([head.as_bytes(), &body].concat()).await;
        let response = connection.response().await;
        assert_eq!(response.status, 400, "{head}: {}", response.head);
        assert!(response.text().contains("Host"), "{head}: {}", response.text());
    }
}

#[tokio::test]
async fn over_a_hundred_headers_is_a_431() {
    let rehearsal = Rehearsal::builder().start().await;
    for alpn in VERSIONS {
        let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
        let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        headers.push(("content-type", "application/json"));
        let url = format!("{}/review", rehearsal.webhook_url());
        let answer = client(&rehearsal, alpn).send(Method::POST, &url, &headers, fixture(POD)).await;
        assert_eq!(answer.expect("an answer").status, 431, "{alpn:?}");
    }
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
}

#[tokio::test]
async fn garbage_instead_of_http_or_tls_harms_nobody() {
    let rehearsal = Rehearsal::builder().start().await;
    let mut plain = raw::tcp(rehearsal.webhook()).await;
    plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    plain.closed(DEADLINE).await;
    let mut inside = raw_h1(&rehearsal).await;
    inside.send([0_u8, 1, 2, 3, 255, 254, b'\r', b'\n', b'\r', b'\n']).await;
    inside.closed(DEADLINE).await;
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
}

// === time ===

const SHORT: &str = "webhook: {timeouts: {handshake: 400ms, header: 400ms, body: 400ms, idle: 400ms}}";

#[tokio::test]
async fn the_slow_are_closed_in_time_and_others_unaffected() {
    let rehearsal = Rehearsal::builder().config(SHORT).start().await;
    let started = Instant::now();
    let mut silent = raw::tcp(rehearsal.webhook()).await;
    let mut no_request = raw_h1(&rehearsal).await;
    let mut half_head = raw_h1(&rehearsal).await;
    half_head.send("POST /review HTTP/1.1\r\nHost: local").await;
    let mut half_body = raw_h1(&rehearsal).await;
    half_body.send(format!("{}{{\"kind\":", h1_post(1000))).await;
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
    assert!(started.elapsed() < Duration::from_secs(3), "others wait for nobody");
    for (what, connection) in [
        ("no ClientHello", &mut silent),
        ("no request", &mut no_request),
        ("half a head", &mut half_head),
        ("half a body", &mut half_body),
    ] {
        let said = String::from_utf8_lossy(&connection.closed(Duration::from_secs(5)).await).into_owned();
        assert!(!said.contains(" 200 "), "{what}: {said}");
    }
}

#[tokio::test]
async fn a_head_that_drips_is_closed_in_time() {
    let rehearsal = Rehearsal::builder().config(SHORT).start().await;
    let mut connection = raw_h1(&rehearsal).await;
    let started = Instant::now();
    while connection.try_send("X").await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(5), "a byte now and then keeps it open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let rehearsal = Rehearsal::builder().config(SHORT).start().await;
    let mut connection = raw_h1(&rehearsal).await;
    let body = fixture(POD);
    connection.send([h1_post(body.len()).as_bytes(), &body].concat()).await;
    assert_eq!(connection.response().await.status, 200);
    connection.closed(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_age() {
    let rehearsal = Rehearsal::builder().config("webhook: {timeouts: {connection_age: 1s}}").start().await;
    let mut connection = raw_h1(&rehearsal).await;
    let body = fixture(POD);
    let started = Instant::now();
    loop {
        connection.send([h1_post(body.len()).as_bytes(), &body].concat()).await;
        let response = connection.response().await;
        assert_eq!(response.status, 200, "busy to the end");
        if response.closes() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "still kept alive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.closed(Duration::from_secs(5)).await;
}

// === many at once ===

/// A review that is in flight until `backend` is released.
async fn occupy(rehearsal: &Rehearsal, backend: &Backend) -> tokio::task::JoinHandle<u16> {
    let already = backend.received().len();
    let (client, url) = (rehearsal.client().clone(), format!("{}/review", rehearsal.webhook_url()));
    let task = tokio::spawn(async move { client.post(&url, fixture(POD)).await.status });
    backend.wait_received(already + 1).await;
    task
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_limit_an_enforcing_policy_means_503() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    for limit in ["max_in_flight: 1", "max_in_flight_bytes: 4KiB, max_body: 4KiB"] {
        let rehearsal = gated(&backend, &format!("webhook: {{limits: {{{limit}}}}}")).await;
        let first = occupy(&rehearsal, &backend).await;
        let started = Instant::now();
        let response = rehearsal.post("/review", fixture(POD)).await;
        assert_eq!(response.status, 503, "{limit}: {}", response.text());
        assert_eq!(response.json()["kind"], "Status", "{limit}");
        assert!(started.elapsed() < Duration::from_secs(2), "at once");
        backend.release();
        assert_eq!(first.await.expect("no panic"), 200, "{limit}");
        backend.hold();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_limit_without_one_it_is_allowed_and_counted_as_unjudged() {
    let backend = Backend::start(Script::allow());
    for (overload, status) in [("answer", 200), ("refuse", 503)] {
        backend.hold();
        let config = format!(
            "overload: {overload}\nwarn_wait: 15s\nwebhook: {{limits: {{max_in_flight: 1}}}}\npolicies: [{{name: gate, \
             mode: warn, timeout: 20s, webhook: {{url: '{}/', speaks: admission-review}}}}]",
            backend.url
        );
        let rehearsal = Rehearsal::builder().config(&config).start().await;
        let first = occupy(&rehearsal, &backend).await;
        let response = rehearsal.post("/review/lab", fixture(POD)).await;
        assert_eq!(response.status, status, "{overload}: {}", response.text());
        if status == 200 {
            assert!(response.allowed());
            assert_eq!(response.verdict()["uid"], "3d0cef2f-2da2-4fcf-9257-f39145515a60");
            assert!(rehearsal.review("/review/lab", &image_review("n", &["nginx"])).await.allowed());
        }
        backend.release();
        assert_eq!(first.await.expect("no panic"), 200);
        rehearsal.decisions("", 1).await;
        let (allowed, unjudged) = if status == 200 { (2.0, 2.0) } else { (0.0, 1.0) };
        assert!((rehearsal.metric("rehearsal_unjudged_total", &[]).await - allowed).abs() < 0.1, "{overload}");
        wait_for("the summary", || async {
            (rehearsal.get_json("/api/v1/summary").await["unjudged"].as_f64() == Some(unjudged)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_http2_connection_carries_a_large_body_beside_a_hundred_small_ones() {
    let rehearsal = Rehearsal::builder().start().await;
    let sender = raw::h2(rehearsal.webhook(), Some(&rehearsal.ca_pem())).await;
    let uri = format!("{}/review/lab", rehearsal.webhook_url());
    let request = |body: BoxBody<Bytes, Infallible>| {
        Request::post(&uri).header("content-type", "application/json").body(body).expect("a request")
    };
    // A body that never ends: it must take nobody's window.
    let (drip, dripping) = raw::dripping();
    let slow = tokio::spawn(sender.clone().send_request(request(dripping.boxed())));
    drip.send(Bytes::from_static(b"{")).await.expect("read");
    let mut large = fixture(POD).to_vec();
    large.resize(6 * 1024 * 1024, b' ');
    let large = tokio::spawn(sender.clone().send_request(request(full(large.into()))));
    let small: Vec<_> = (0..100)
        .map(|n| {
            let body = pod_review(&format!("small-{n}"), "team-a", &format!("p{n}"), &["nginx:1"]).to_string();
            tokio::spawn(sender.clone().send_request(request(full(body.into()))))
        })
        .collect();
    for (n, call) in small.into_iter().enumerate() {
        let response =
            tokio::time::timeout(DEADLINE, call).await.expect("in time").expect("no panic").expect("answered");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(answer["response"]["uid"], format!("small-{n}"));
    }
    let response = tokio::time::timeout(DEADLINE, large).await.expect("in time").expect("no panic").expect("answered");
    assert_eq!(response.status(), 200);
    assert!(!slow.is_finished(), "its body has not ended");
    drop(drip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_after_its_body_is_still_recorded() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let rehearsal = gated(&backend, "").await;
    let mut connection = raw_h1(&rehearsal).await;
    let body = fixture(POD);
    connection.send([h1_post(body.len()).as_bytes(), &body].concat()).await;
    backend.wait_received(1).await;
    drop(connection);
    backend.release();
    let decision = rehearsal.decision("").await;
    assert_eq!(decision["answer"], "allowed");
    assert_eq!(decision["uid"], "3d0cef2f-2da2-4fcf-9257-f39145515a60");
}
