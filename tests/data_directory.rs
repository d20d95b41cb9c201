//! A data directory that is held, read-only, full, or full later on.

mod harness;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use harness::reviews::{fixture, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::json;

const POD: &str = "002-admission-v1-create-pod.json";

#[tokio::test]
async fn a_data_directory_that_another_process_holds_is_named() {
    let rehearsal = Rehearsal::builder().start().await;
    let held = rehearsal.data_dir();
    let config = format!("data_dir: '{}'", held.display());
    let ended = Rehearsal::builder().config(&config).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&held.display().to_string()), "{}", ended.stderr);
    assert!(ended.stderr.contains("is held by process"), "{}", ended.stderr);
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed(), "the first one goes on");
}

#[tokio::test]
async fn a_read_only_data_directory_at_first_start_is_named() {
    let builder = Rehearsal::builder().unprivileged();
    std::fs::set_permissions(builder.dir(), std::fs::Permissions::from_mode(0o555)).expect("our own directory");
    let ended = builder.ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("rehearsal-data"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "no start lines");
}

#[tokio::test]
async fn with_history_there_a_read_only_directory_degrades_and_under_refuse_it_ends() {
    let mut rehearsal = Rehearsal::builder().unprivileged().start().await;
    rehearsal.post("/review", fixture(POD)).await;
    rehearsal.decisions("", 1).await;
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    seal(&rehearsal.data_dir());
    let rehearsal = rehearsal.restart().await;
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed(), "it answers");
    let ready = rehearsal.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_ne!(ready.json()["degraded"], json!([]), "{}", ready.text());
    let summary = rehearsal.get_json("/api/v1/summary").await;
    assert_ne!(summary["gaps"], json!([]), "{summary}");
    let data_dir = rehearsal.data_dir();
    let config = format!("data_dir: '{}'\njournal: {{on_failure: refuse}}", data_dir.display());
    let ended = Rehearsal::builder().unprivileged().config(&config).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("rehearsal-data"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_full_disk_at_first_start_is_named() {
    let ended = Rehearsal::builder().full_disk().ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("rehearsal-data"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "no start lines");
}

/// Waits until `/readyz` names as degraded something or nothing.
async fn degraded(rehearsal: &Rehearsal, status: u16, expected: bool) {
    wait_for(&format!("/readyz {status}, degraded: {expected}"), || async {
        let ready = rehearsal.get("/readyz").await;
        (ready.status == status && (ready.json()["degraded"] != json!([])) == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_fills_up_opens_a_gap_and_answers_go_on() {
    let rehearsal = Rehearsal::builder().limited_disk().start().await;
    assert!(rehearsal.review("/review/lab", &pod_review("before", "n", "p", &["nginx"])).await.allowed());
    rehearsal.decisions("", 1).await;
    rehearsal.fill_disk();
    let started = Instant::now();
    for n in 0..10 {
        let review = pod_review(&format!("during-{n}"), "n", "p", &["nginx"]);
        assert!(rehearsal.review("/review/lab", &review).await.allowed());
    }
    assert!(started.elapsed() < Duration::from_secs(10), "none waits longer than journal.max_wait");
    degraded(&rehearsal, 200, true).await;
    let summary = rehearsal.get_json("/api/v1/summary").await;
    assert_ne!(summary["gaps"], json!([]), "open, and shown: {summary}");
    rehearsal.free_disk();
    degraded(&rehearsal, 200, false).await;
    assert!(rehearsal.review("/review/lab", &pod_review("after", "n", "p", &["nginx"])).await.allowed());
    rehearsal.decision("uid=after").await;
    let kept = rehearsal.get_json("/api/v1/decisions?limit=1000").await["decisions"].as_array().map_or(0, Vec::len);
    let summary = wait_for("the closed gap", || async {
        let summary = rehearsal.get_json("/api/v1/summary").await;
        summary["gaps"][0]["to"].is_string().then_some(summary)
    })
    .await;
    let missed: u64 = summary["gaps"].as_array().expect("a list").iter().filter_map(|gap| gap["count"].as_u64()).sum();
    assert_eq!(kept as u64 + missed, 12, "each is in the history or in the gap: {summary}");
    assert!(missed > 0, "{summary}");
}

#[tokio::test]
async fn a_disk_that_fills_up_under_refuse_fails_reviews_until_there_is_room() {
    let rehearsal = Rehearsal::builder().limited_disk().config("journal: {on_failure: refuse}").start().await;
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
    rehearsal.fill_disk();
    let response = rehearsal.post("/review", fixture(POD)).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.json()["kind"], "Status");
    degraded(&rehearsal, 503, true).await;
    rehearsal.free_disk();
    degraded(&rehearsal, 200, false).await;
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
}

/// Read-only for its owner, all the way down.
fn seal(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            seal(&path);
        } else {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("ours");
        }
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o500)).expect("ours");
}
