//! A data directory that is held, read-only, full, or full later on.

mod harness;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use harness::reviews::{fixture, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

const POD: &str = "002-admission-v1-create-pod.json";

#[tokio::test]
async fn a_data_directory_that_another_process_holds_is_named() {
    let rehearsal = Rehearsal::builder().start().await;
    let (held, ca_pem) = (rehearsal.data_dir(), rehearsal.ca_pem());
    let leaf = std::fs::read(held.join("tls/tls.crt")).expect("a leaf");
    // Other names would have the leaf made anew.
    let tls = "webhook: {tls: {self_made: {names: [another.test]}}}";
    let config = format!("data_dir: '{}'\n{tls}", held.display());
    let ended = Rehearsal::builder().config(&config).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&held.display().to_string()), "{}", ended.stderr);
    assert!(ended.stderr.contains("is held by process"), "{}", ended.stderr);
    assert_eq!(rehearsal.ca_pem(), ca_pem, "nothing of it was touched");
    assert_eq!(std::fs::read(held.join("tls/tls.crt")).expect("a leaf"), leaf);
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
    permit(&rehearsal.data_dir(), 0o400, 0o500);
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
async fn where_the_journal_cannot_be_read_nobody_says_up_to_when_the_history_is_complete() {
    let mut rehearsal = Rehearsal::builder().unprivileged().start().await;
    rehearsal.post("/review", fixture(POD)).await;
    rehearsal.decisions("", 1).await;
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    permit(&rehearsal.data_dir().join("journal"), 0o400, 0o500);
    let rehearsal = rehearsal.restart().await;
    let ready = rehearsal.get("/readyz").await;
    assert!(ready.text().contains("cannot read its journal"), "{}", ready.text());
    let summary = rehearsal.get_json("/api/v1/summary").await;
    assert_eq!((&summary["complete_until"], &summary["behind"][0]["stored_until"]), (&Value::Null, &Value::Null));
    assert_eq!(ready.json()["complete_until"], Value::Null);
    let page = rehearsal.get("/").await.text();
    assert!(
        page.contains("cannot read its journal") && page.contains("No review is known to be missing here"),
        "{page}"
    );
    for text in [ready.text(), summary.to_string(), page] {
        assert!(!text.contains("1970-") && !text.contains("safe in its journal"), "{text}");
    }
}

#[tokio::test]
async fn a_page_does_not_say_that_decisions_wait_where_they_are_lost() {
    let nowhere = "postgres://rehearsal@127.0.0.1:1/rehearsal";
    let rehearsal = Rehearsal::builder().limited_disk().on_postgres(nowhere).start().await;
    let page = rehearsal.get("/").await;
    assert!(page.status == 503 && page.text().contains("their decisions wait in the journal"), "{}", page.text());
    rehearsal.fill_disk();
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed(), "it answers");
    let page = rehearsal.get("/").await;
    assert!(page.status == 503 && page.text().contains("Decisions made now are in no journal"), "{}", page.text());
    assert!(!page.text().contains("their decisions wait in the journal"), "{}", page.text());
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

#[tokio::test]
async fn a_full_journal_is_said_once_in_the_log_and_by_readyz_until_there_is_room() {
    let rehearsal = Rehearsal::builder().config("journal: {max_size: 64MiB, durability: process}").start().await;
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut other = SqliteConnection::connect(&url).await.expect("SQLite takes several processes");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    const SAID: &str = "the journal has reached its max_size";
    for number in 0..40 {
        assert!(rehearsal.review("/review", &large_review(number)).await.allowed(), "answers go on");
        if rehearsal.log().contains(SAID) {
            break;
        }
    }
    for number in 0..3 {
        assert!(rehearsal.review("/review", &large_review(100 + number)).await.allowed());
    }
    let ready = rehearsal.get("/readyz").await.text();
    assert!(ready.contains(SAID), "{ready}");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("given back");
    degraded(&rehearsal, 200, false).await;
    let log = rehearsal.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains(SAID)).collect();
    assert!(said.len() == 1 && said[0].contains("ERROR") && said[0].contains("decisions are not recorded"), "{log}");
}

/// One of 2 MiB, all of which its record keeps.
fn large_review(number: u32) -> Value {
    let text = format!("{number} {}", "x".repeat(2 << 20));
    json!({
        "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "kind": "ImageReview",
        "spec": {
            "containers": [{"image": "nginx:1.27"}],
            "annotations": {"a.image-policy.k8s.io/note": text},
            "namespace": "default",
        },
    })
}

#[tokio::test]
async fn a_history_that_another_process_locks_is_named_and_caught_up_with() {
    let rehearsal = Rehearsal::builder().start().await;
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut other = SqliteConnection::connect(&url).await.expect("SQLite takes several processes");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed(), "answers do not wait for it");
    degraded(&rehearsal, 200, true).await;
    let ready = rehearsal.get("/readyz").await.text();
    assert!(ready.contains("decisions wait in the journal"), "{ready}");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("given back");
    rehearsal.decision("").await;
    degraded(&rehearsal, 200, false).await;
}

#[tokio::test]
async fn the_replica_s_id_stays_over_a_restart_and_a_broken_one_is_named() {
    let mut rehearsal = Rehearsal::builder().start().await;
    let path = rehearsal.data_dir().join("replica");
    let id = std::fs::read_to_string(&path).expect("made at the first start");
    rehearsal.kill9();
    let rehearsal = rehearsal.restart().await;
    assert_eq!(std::fs::read_to_string(&path).expect("kept"), id);
    // It answers all the same, since there is a history.
    std::fs::write(&path, "torn").expect("ours");
    let mut rehearsal = rehearsal.restart().await;
    let ready = rehearsal.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("holds no replica id"), "{}", ready.text());
    assert!(rehearsal.post("/review", fixture(POD)).await.allowed());
    rehearsal.kill9();
    assert_eq!(std::fs::read_to_string(&path).expect("left alone"), "torn");
    std::fs::remove_file(rehearsal.data_dir().join("history.sqlite")).expect("ours");
    let config = format!("data_dir: '{}'", rehearsal.data_dir().display());
    let ended = Rehearsal::builder().config(&config).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("rehearsal-data/replica"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_restart_goes_on_serving_the_clusters_that_reviews_named() {
    let mut rehearsal = Rehearsal::builder().start().await;
    assert!(rehearsal.post("/review/foo", fixture(POD)).await.allowed());
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    let rehearsal = rehearsal.restart().await;
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut history = SqliteConnection::connect(&url).await.expect("SQLite takes several processes");
    let spans = "SELECT count(*) FROM presence p JOIN clusters c ON c.id = p.cluster WHERE c.name = 'foo'";
    // The first of them was sent a review.
    let history = tokio::sync::Mutex::new(&mut history);
    wait_for("a span of each of two processes", || async {
        let found: i64 = sqlx::query_scalar(spans).fetch_one(&mut **history.lock().await).await.expect("readable");
        (found == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_history_that_was_read_only_after_a_kill_is_written_as_soon_as_it_can_be() {
    let mut rehearsal = Rehearsal::builder().unprivileged().start().await;
    rehearsal.post("/review", fixture(POD)).await;
    rehearsal.decisions("", 1).await;
    rehearsal.kill9();
    let data_dir = rehearsal.data_dir();
    assert!(data_dir.join("history.sqlite-wal").exists() && data_dir.join("history.sqlite-shm").exists());
    permit(&data_dir, 0o400, 0o500);
    let rehearsal = rehearsal.restart().await;
    degraded(&rehearsal, 200, true).await;
    rehearsal.decisions("", 1).await;
    permit(&data_dir, 0o600, 0o700);
    degraded(&rehearsal, 200, false).await;
    assert!(rehearsal.review("/review/lab", &pod_review("after", "n", "p", &["nginx"])).await.allowed());
    rehearsal.decisions("", 2).await;
    degraded(&rehearsal, 200, false).await;
}

/// Gives files and directories these rights, all the way down.
fn permit(dir: &std::path::Path, files: u32, directories: u32) {
    let directory = |mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).expect("ours");
    directory(0o700);
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            permit(&path, files, directories);
        } else {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(files)).expect("ours");
        }
    }
    directory(directories);
}
