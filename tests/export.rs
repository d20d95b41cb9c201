//! `rehearsal export` over the real binary, beside a process that goes on writing.

mod harness;

use std::process::{Command, Stdio};

use harness::process::Ended;
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, postgres, run};
use serde_json::Value;

/// More than one page.
const MANY: usize = 1_203;

fn export(rehearsal: &Rehearsal, args: &[&str]) -> Ended {
    run(rehearsal.dir(), &[&["export", "--config", "rehearsal.yaml"], args].concat())
}

fn lines(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn some(rehearsal: &Rehearsal) {
    for (namespace, image) in [("a", "nginx:1"), ("a", "nginx:latest"), ("b", "nginx:latest")] {
        rehearsal.review("/review/prod", &image_review(namespace, &[image])).await;
    }
    let mut hostile = pod_review("uid-7", "a", "web", &["busybox:1"]);
    hostile["request"]["userInfo"]["username"] = "=HYPERLINK(\"http://x\",\"y\")".into();
    assert!(rehearsal.review("/review/lab", &hostile).await.allowed());
    rehearsal.decisions("", 4).await;
}

#[tokio::test]
async fn the_lines_are_what_the_api_says_and_every_filter_of_a_list_is_one_here() {
    let rehearsal = Rehearsal::builder().config("{}").start().await;
    some(&rehearsal).await;
    let all = lines(&export(&rehearsal, &[]));
    let listed = rehearsal.decisions("", 4).await;
    for (line, listed) in all.iter().zip(&listed) {
        let mut details =
            rehearsal.get_json(&format!("/api/v1/decisions/{}", listed["id"].as_str().expect("an id"))).await;
        for of_the_page in ["object", "behind", "complete_until"] {
            details.as_object_mut().expect("an object").remove(of_the_page);
        }
        assert_eq!(*line, details);
    }
    assert_eq!(all.len(), 4);
    let count = |args: &[&str]| lines(&export(&rehearsal, args)).len();
    assert_eq!(count(&["--cluster", "prod"]), 3);
    assert_eq!(count(&["--cluster", "prod", "--namespace", "a", "--would-reject", "true"]), 1);
    assert_eq!(count(&["--rule", "no-latest", "--policy", "images", "--to-blame"]), 2);
    assert_eq!(count(&["--image", "nginx:*", "--answer", "allowed", "--dry-run", "false"]), 3);
    assert_eq!(count(&["--repository", "docker.io/library/busybox", "--uid", "uid-7"]), 1);
    assert_eq!(count(&["--since", "1h", "--until", "30m"]), 0);
    assert_eq!(count(&["--since", "1h"]), 4);
    for (args, wrong) in [
        (["--since", "yesterday"], "--since: \"yesterday\" is not a time"),
        (["--answer", "maybe"], "--answer: \"maybe\" is none of allowed, denied, failed"),
        (["--would-reject", "1"], "--would-reject: \"1\" is"),
        (["--dry-run", "yes"], "--dry-run: \"yes\" is"),
        (["--format", "xlsx"], "possible values: ndjson, csv"),
    ] {
        let ended = export(&rehearsal, &args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ended.stderr.contains(wrong), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_table_has_a_line_of_names_and_no_formulas() {
    let rehearsal = Rehearsal::builder().config("{}").start().await;
    some(&rehearsal).await;
    let ended = export(&rehearsal, &["--format", "csv"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut rows = ended.stdout.split_terminator("\r\n");
    assert!(rows.next().expect("names").starts_with("id,at,cluster,caller,protocol,"));
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.len(), 4);
    assert!(
        rows[0].contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",uid-7,false,busybox:1,allowed,200,"),
        "{}",
        rows[0]
    );
    assert!(rows[1].contains("images/no-latest (audit): nginx:latest uses the tag latest"), "{}", rows[1]);
}

#[tokio::test]
async fn many_pages_are_one_export_and_a_reader_may_stop_early() {
    let rehearsal = Rehearsal::builder().config("journal: {durability: process}").start().await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..16 {
        let (client, url) = (rehearsal.client().clone(), format!("{}/review/prod", rehearsal.webhook_url()));
        senders.spawn(async move {
            for at in (sender..MANY).step_by(16) {
                client.post(&url, image_review("a", &[&format!("nginx:{at}")]).to_string()).await;
            }
        });
    }
    senders.join_all().await;
    harness::wait_for("all of them", || async {
        (rehearsal.get_json("/api/v1/summary").await["reviews"] == MANY).then_some(())
    })
    .await;
    let found = lines(&export(&rehearsal, &[]));
    let mut ids: Vec<&str> = found.iter().map(|line| line["id"].as_str().expect("an id")).collect();
    assert!(found.windows(2).all(|pair| pair[0]["at"].as_str() >= pair[1]["at"].as_str()), "newest first");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    let mut export = Command::new(env!("CARGO_BIN_EXE_rehearsal"))
        .args(["export", "--config", "rehearsal.yaml"])
        .current_dir(rehearsal.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(export.stdout.take());
    let ended = export.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[tokio::test]
async fn a_history_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = run(dir.path(), &["export"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("history.sqlite"), "{}", ended.stderr);
    assert!(!dir.path().join("rehearsal-data").exists(), "it makes none");
}

#[tokio::test]
async fn a_history_on_postgres_is_exported_by_its_own_connection() {
    let server = postgres::shared();
    let rehearsal = Rehearsal::builder().on_postgres(&server.url(&server.database())).start().await;
    some(&rehearsal).await;
    assert_eq!(lines(&export(&rehearsal, &[])).len(), 4);
    assert_eq!(lines(&export(&rehearsal, &["--rule", "no-latest", "--namespace", "b"])).len(), 1);
    let said = format!("{}{}", rehearsal.log(), run(rehearsal.dir(), &["config", "check", "rehearsal.yaml"]).stdout);
    assert!(said.contains("Postgres, 127.0.0.1:") && !said.contains(postgres::PASSWORD), "{said}");
}

#[test]
fn an_export_of_a_history_that_is_not_there_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let ended = run(directory.path(), &["export"]);
    assert_eq!(ended.code, Some(1));
    let expected = "there is no history at rehearsal-data/history.sqlite: name the configuration that";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}
