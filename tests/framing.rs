//! Where a request ends, and what its bytes cost while they come: on sockets without manners.

mod harness;

use bytes::Bytes;
use harness::http::Alpn;
use harness::process::memory;
use harness::raw::{self, RawConnection};
use harness::reviews::{fixture, image_review};
use harness::{DEADLINE, Rehearsal, wait_for};
use http::Request;
use http_body_util::BodyExt;

const HEAD: &str = "POST /review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

async fn raw_h1(rehearsal: &Rehearsal) -> RawConnection {
    raw::connect(rehearsal.webhook(), Some(&rehearsal.ca_pem()), Alpn::H1).await
}

/// A whole request with a review of `namespace`.
fn request(namespace: &str) -> String {
    let review = image_review(namespace, &["nginx:1"]).to_string();
    format!("{HEAD}Content-Length: {}\r\n\r\n{review}", review.len())
}

/// The chunks of a review of `namespace`.
fn chunks(namespace: &str) -> String {
    let review = image_review(namespace, &["nginx:1"]).to_string();
    format!("{:x}\r\n{review}\r\n0\r\n\r\n", review.len())
}

#[tokio::test]
async fn after_a_doubtful_end_of_a_body_nothing_is_read_as_a_request() {
    let rehearsal = Rehearsal::builder().start().await;
    let length = chunks("one").len();
    for (framing, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked".to_owned(), 200),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"), 200),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive".to_owned(), 200),
        ("Transfer-Encoding: gzip, chunked".to_owned(), 400),
        ("Transfer-Encoding: chunked, chunked".to_owned(), 400),
        ("Transfer-Encoding: chunked, identity".to_owned(), 400),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked".to_owned(), 400),
        ("Transfer-Encoding: xchunked".to_owned(), 400),
        ("Transfer-Encoding : chunked".to_owned(), 400),
        ("X: a\r\n Transfer-Encoding: chunked".to_owned(), 400),
        (format!("Content-Length: {length}\r\nContent-Length: 5"), 400),
        (format!("Content-Length: +{length}"), 400),
        (format!("Content-Length: {length}, {length}"), 400),
    ] {
        let mut connection = raw_h1(&rehearsal).await;
        connection.send(format!("{HEAD}{framing}\r\n\r\n{}{}", chunks("one"), request("smuggled"))).await;
        let response = connection.response().await;
        assert_eq!(response.status, status, "{framing}: {}", response.head);
        let rest = connection.closed(DEADLINE).await;
        assert!(rest.is_empty(), "{framing}: a second answer: {}", String::from_utf8_lossy(&rest));
    }
    rehearsal.decisions("namespace=one", 3).await;
    assert_eq!(rehearsal.get_json("/api/v1/decisions?namespace=smuggled").await["decisions"], serde_json::json!([]));
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let rehearsal = Rehearsal::builder().start().await;
    let mut connection = raw_h1(&rehearsal).await;
    connection.send(format!("{}{}{}", request("a"), request("b"), request("c"))).await;
    for _ in 0..3 {
        assert_eq!(connection.response().await.status, 200);
    }
    let namespaces = rehearsal.decisions("", 3).await;
    let namespaces: Vec<_> = namespaces.iter().rev().map(|decision| decision["namespace"].clone()).collect();
    assert_eq!(namespaces, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_body_of_tiny_chunks_costs_little_more_than_its_bytes() {
    const SENT: u64 = 256 * 1024;
    let rehearsal = Rehearsal::builder().start().await;
    let mut connection = raw_h1(&rehearsal).await;
    connection.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n")).await;
    let before = memory(rehearsal.pid(), "VmRSS");
    let thousand = "1\r\n \r\n".repeat(1024);
    for _ in 0..SENT / 1024 {
        connection.send(&thousand).await;
    }
    let review = image_review("tiny", &["nginx:1"]).to_string();
    connection.send(format!("{:x}\r\n{review}\r\n", review.len())).await;
    // All of it has been read when the answer is there: the end is all that is missing.
    let held = memory(rehearsal.pid(), "VmRSS").saturating_sub(before);
    connection.send("0\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
    let after = memory(rehearsal.pid(), "VmRSS").saturating_sub(before);
    let most = held.max(after);
    assert!(most < 4 << 20, "{most} bytes for {} KiB in chunks of one byte", SENT / 1024);
}

#[tokio::test]
async fn bodies_that_are_announced_and_do_not_come_take_no_room_from_others() {
    let limits = "webhook: {limits: {max_body: 1MiB, max_in_flight_bytes: 2MiB}}";
    let rehearsal = Rehearsal::builder().config(limits).start().await;
    let mut announced = Vec::new();
    for _ in 0..4 {
        let mut connection = raw_h1(&rehearsal).await;
        connection.send(format!("{HEAD}Content-Length: 1048576\r\n\r\n{{")).await;
        announced.push(connection);
    }
    wait_for("them to be read", || async {
        (rehearsal.metric("rehearsal_connections", &["listener=\"webhook\""]).await >= 4.0).then_some(())
    })
    .await;
    let review = fixture("002-admission-v1-create-pod.json");
    let answer = rehearsal.post("/review", review).await;
    assert!(answer.verdict()["auditAnnotations"]["decision"].is_string(), "judged: {}", answer.text());
    assert!(rehearsal.metric("rehearsal_unjudged_total", &[]).await < 0.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_find_no_room_are_answered_from_their_beginnings() {
    let limits = "webhook: {limits: {max_body: 1MiB, max_in_flight_bytes: 1MiB}}";
    let rehearsal = Rehearsal::builder().config(limits).start().await;
    let sender = raw::h2(rehearsal.webhook(), Some(&rehearsal.ca_pem())).await;
    let uri = format!("{}/review/lab", rehearsal.webhook_url());
    let post = |body| Request::post(&uri).header("content-type", "application/json").body(body).expect("a request");
    let beginning = fixture("002-admission-v1-create-pod.json");
    let mut open = Vec::new();
    for _ in 0..2 {
        let (drip, dripping) = raw::dripping();
        let call = tokio::spawn(sender.clone().send_request(post(dripping.boxed())));
        drip.send(beginning.clone()).await.expect("read");
        // Two of these are more than there is room for.
        drip.send(Bytes::from(vec![b' '; 600 * 1024])).await.expect("read");
        drip.send(Bytes::from_static(b" ")).await.expect("read");
        open.push((drip, call));
    }
    let mut judged = 0;
    for (drip, call) in open {
        drop(drip);
        let response =
            tokio::time::timeout(DEADLINE, call).await.expect("in time").expect("no panic").expect("answered");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(answer["response"]["uid"], "3d0cef2f-2da2-4fcf-9257-f39145515a60", "{answer}");
        assert_eq!(answer["response"]["allowed"], true);
        judged += usize::from(answer["response"]["auditAnnotations"]["decision"].is_string());
    }
    assert_eq!(judged, 1, "the other one is unjudged");
    assert!((rehearsal.metric("rehearsal_unjudged_total", &["cluster=\"lab\""]).await - 1.0).abs() < 0.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_http_2_body_gets_its_413_and_ends_no_other_stream() {
    let rehearsal = Rehearsal::builder().config("webhook: {limits: {max_body: 1MiB}}").start().await;
    let sender = raw::h2(rehearsal.webhook(), Some(&rehearsal.ca_pem())).await;
    let uri = format!("{}/review/lab", rehearsal.webhook_url());
    let post = |body| Request::post(&uri).header("content-type", "application/json").body(body).expect("a request");
    let (drip, dripping) = raw::dripping();
    let endless = tokio::spawn(sender.clone().send_request(post(dripping.boxed())));
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let pushed = async { while drip.send(chunk.clone()).await.is_ok() {} };
    tokio::select! {
        response = endless => {
            let response = response.expect("no panic").expect("an answer, not a reset");
            assert_eq!(response.status(), 413);
        }
        () = async { pushed.await; std::future::pending().await } => {}
        () = tokio::time::sleep(DEADLINE) => panic!("no answer in time"),
    }
    let review = fixture("002-admission-v1-create-pod.json");
    let other = sender.clone().send_request(post(http_body_util::Full::new(review).boxed())).await;
    assert_eq!(other.expect("the connection lives").status(), 200);
}
