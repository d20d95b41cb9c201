//! Reviews while it reloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::harness::backend::{Backend, Script};
use super::harness::reviews::{fixture, image_review};
use super::harness::{Rehearsal, wait_for};
use super::setup::{denies, on, revision, wait_for_reloads, write};

const RULES: usize = 10_000;

fn many(mode: &str) -> String {
    let mut text = format!("policies:\n  - name: images\n    mode: {mode}\n    rules:\n");
    for number in 0..RULES {
        text.push_str(&format!("      - {{id: r{number}, deny: {{image: 'registry-{number}.example.com/**'}}}}\n"));
    }
    text
}

/// Sends reviews one after the other until it is told to stop. Each is answered.
async fn send(rehearsal: &Rehearsal, sender: usize, stop: &AtomicBool, sent: &AtomicU64) {
    while !stop.load(Ordering::Acquire) {
        let number = sent.fetch_add(1, Ordering::AcqRel);
        let review = image_review(&format!("team-{sender}"), &[&format!("nginx:1.{}", number % 5)]);
        let answer = rehearsal.review("/review/lab", &review).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.allowed(), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_ten_thousand_rules_are_loaded() {
    let rehearsal = Arc::new(on(&denies("latest")).start().await);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (rehearsal, stop, sent) = (Arc::clone(&rehearsal), Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move { send(&rehearsal, sender, &stop, &sent).await })
        })
        .collect();
    let more = |count: u64| {
        let sent = &sent;
        let from = sent.load(Ordering::Acquire);
        wait_for("more reviews", move || async move { (sent.load(Ordering::Acquire) >= from + count).then_some(()) })
    };
    more(20).await;
    let mut seen = vec![revision(&rehearsal).await];
    for (round, mode) in ["enforce", "audit"].into_iter().enumerate() {
        write(rehearsal.dir(), "c.yaml", &many(mode));
        wait_for_reloads(&rehearsal, "changed", round as u64 + 1).await;
        more(20).await;
        seen.push(revision(&rehearsal).await);
    }
    stop.store(true, Ordering::Release);
    for sender in senders {
        sender.await.expect("every review is answered");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "{seen:?}");
    rehearsal.drained().await;
    let refused = rehearsal.metric("rehearsal_refused_total", &[]).await
        + rehearsal.metric("rehearsal_unjudged_total", &[]).await;
    assert!(refused < 0.5, "{refused}");
}

#[tokio::test]
async fn a_review_ends_with_what_it_began_with() {
    let webhook = Backend::start(Script::deny("no"));
    webhook.hold();
    let gate = |mode: &str| {
        format!(
            "policies: [{{name: gate, mode: {mode}, webhook: {{url: '{}/', speaks: admission-review}}}}]\n",
            webhook.url
        )
    };
    let rehearsal = on(&gate("enforce")).start().await;
    let before = revision(&rehearsal).await;
    let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
    let begun = tokio::spawn(async move { client.post(&url, fixture("006-admission-v1-create-pod.json")).await });
    webhook.wait_received(1).await;
    write(rehearsal.dir(), "c.yaml", &gate("audit"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    webhook.release();
    assert!(!begun.await.expect("no panic").allowed(), "it was in enforce when it came");
    assert_eq!(rehearsal.decision("").await["revision"], before.as_str());
    assert!(rehearsal.post("/review/lab", fixture("006-admission-v1-create-pod.json")).await.allowed());
}
