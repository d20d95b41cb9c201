//! A data directory that is held, read-only, or no longer writable.

mod harness;

use std::os::unix::fs::PermissionsExt;

use harness::Rehearsal;
use harness::reviews::fixture;
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
