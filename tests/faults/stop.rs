//! A process that is told to stop, and clients that do.

use crate::harness::backend::{Backend, Script};
use crate::harness::http::Alpn;
use crate::harness::reviews::pod_review;
use crate::harness::{Rehearsal, raw, wait_for};
use crate::history;
use crate::load::Load;
use crate::stores::{Kind, on_both};

on_both![told_to_stop_under_load_it_ends_with_every_answer_in_the_history];

async fn told_to_stop_under_load_it_ends_with_every_answer_in_the_history(kind: Kind) {
    let mut rehearsal = kind.builder("webhook: {tls: off}\nshutdown: {delay: 200ms}").start().await;
    let mut load = Load::begin(&rehearsal, "stop", 8);
    load.reach(100).await;
    rehearsal.sigterm();
    // Nobody is told to go: they end when nobody answers any more.
    let outcome = load.until_nobody_answers().await;
    assert_eq!(rehearsal.exit_code().await, Some(0));
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let log = rehearsal.log();
    assert!(log.contains("stopped: every decision is in the history"), "{log}");
    let rehearsal = rehearsal.restart().await;
    let rows = history::holds(&rehearsal, &outcome.answered).await;
    assert_eq!(history::missed(&rehearsal).await, 0);
    assert!(rows.len() - outcome.answered.len() <= 8, "at most what was on its way to each client");
}

/// One connection that has sent a review, or the first half of one.
async fn sent(rehearsal: &Rehearsal, uid: &str, whole: bool) -> raw::RawConnection {
    let mut connection = raw::connect(rehearsal.webhook(), None, Alpn::H1).await;
    let body = pod_review(uid, "team-a", "web", &["nginx"]).to_string();
    let sent = if whole { &body[..] } else { &body[..body.len() / 2] };
    let head = "POST /review/lab HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length";
    connection.send(format!("{head}: {}\r\n\r\n{sent}", body.len())).await;
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_is_recorded_once_its_review_has_come_whole() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "webhook: {{tls: off}}\npolicies: [{{name: gate, mode: enforce, timeout: 20s, webhook: {{url: '{}/', speaks: \
         admission-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let mut judged = Vec::new();
    for n in 0..20 {
        judged.push(sent(&rehearsal, &format!("judged-{n}"), true).await);
        drop(sent(&rehearsal, &format!("half-{n}"), false).await);
    }
    backend.wait_received(20).await;
    // All of them leave while they are judged, and others before anybody has looked at what they sent.
    drop(judged);
    backend.release();
    for n in 0..20 {
        drop(sent(&rehearsal, &format!("at-once-{n}"), true).await);
    }
    wait_for("the halves", || async {
        let broken = rehearsal.metric("rehearsal_refused_total", &["reason=\"broken_body\""]).await;
        (broken > 19.5).then_some(())
    })
    .await;
    let judged = (0..20).map(|n| format!("judged-{n}")).collect();
    let rows = wait_for("those that were judged", || async {
        let rows = history::rows(&rehearsal).await;
        history::uids(&rows).is_superset(&judged).then_some(rows)
    })
    .await;
    assert!(history::uids(&rows).iter().all(|uid| !uid.starts_with("half")));
    history::holds(&rehearsal, &judged).await;
    assert_eq!(history::missed(&rehearsal).await, 0);
}
