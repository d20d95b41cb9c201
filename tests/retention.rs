//! What the real binary deletes, keeps and says of it.

mod harness;

use std::fs;
use std::path::Path;

use harness::postgres::shared;
use harness::process::Ended;
use harness::reviews::pod_review;
use harness::{DEADLINE, Rehearsal, run, wait_for};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

/// A hundred days in the key of a decision.
const HUNDRED_DAYS: i64 = (100 * 86_400_000) << 21;

fn hold(rehearsal: &Rehearsal, args: &[&str]) -> Ended {
    hold_in(rehearsal.dir(), args)
}

fn hold_in(dir: &Path, args: &[&str]) -> Ended {
    run(dir, &[&["hold"], args, &["--config", "rehearsal.yaml"]].concat())
}

/// Waits for the first that this process makes.
async fn a_pass_ends(rehearsal: &Rehearsal) {
    wait_for("a pass", || async {
        (rehearsal.metric("rehearsal_retention_last_timestamp_seconds", &[]).await > 0.5).then_some(())
    })
    .await;
}

/// As if all of it had been decided a hundred days ago.
async fn age(rehearsal: &Rehearsal) {
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut history = SqliteConnection::connect(&url).await.expect("the history");
    let days = 100 * 86_400_000_i64;
    for statement in [
        format!("UPDATE decisions SET key = key - {HUNDRED_DAYS}"),
        format!("UPDATE decision_rules SET key = key - {HUNDRED_DAYS}"),
        format!("UPDATE decision_repositories SET key = key - {HUNDRED_DAYS}"),
        format!("UPDATE rollup_totals SET bucket = bucket - {days}"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut history).await.expect("an update");
    }
    history.close().await.expect("closed");
}

#[tokio::test]
async fn plain_decisions_go_after_ninety_days_and_pages_say_so() {
    let mut rehearsal = Rehearsal::builder().config("{}").start().await;
    for (number, image) in ["nginx:1", "nginx:2", "nginx:latest"].into_iter().enumerate() {
        let review = pod_review(&format!("u{number}"), "n", "p", &[image]);
        assert!(rehearsal.review("/review/lab", &review).await.allowed());
    }
    rehearsal.decisions("", 3).await;
    let summary = rehearsal.get_json("/api/v1/summary?since=200d").await;
    assert_eq!(summary["recountable_since"], serde_json::Value::Null);
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    age(&rehearsal).await;

    let rehearsal = rehearsal.restart().await;
    wait_for("the plain ones are gone", || async {
        let gone = rehearsal.metric("rehearsal_retention_deleted_rows_total", &["rows=\"decisions\""]).await;
        (gone > 1.5).then_some(())
    })
    .await;
    a_pass_ends(&rehearsal).await;
    assert_eq!(rehearsal.decision("").await["would_reject"], true);
    let summary = rehearsal.get_json("/api/v1/summary?since=200d").await;
    assert_eq!((&summary["reviews"], &summary["would_reject"]), (&3.into(), &1.into()), "figures stay: {summary}");
    assert!(summary["recountable_since"].is_string(), "{summary}");
    let overview = rehearsal.get("/?since=200d").await.text();
    assert!(overview.contains("Cannot be recounted before"), "{overview}");
    assert!(overview.contains("allowed ones without a finding before"), "{overview}");
    assert!(!rehearsal.get("/?since=24h").await.text().contains("Cannot be recounted"));
    let list = rehearsal.get("/decisions").await.text();
    assert!(list.contains("Not all before"), "{list}");
    assert!(!rehearsal.get("/decisions?would_reject=true").await.text().contains("Not all before"));
    assert!(rehearsal.log().contains("deleted what was due"), "{}", rehearsal.log());
}

#[tokio::test]
async fn a_hold_keeps_what_would_be_due_and_its_end_lets_it_go() {
    let mut rehearsal = Rehearsal::builder().config("{}").start().await;
    assert!(rehearsal.review("/review/lab", &pod_review("u", "n", "p", &["nginx:1"])).await.allowed());
    rehearsal.decisions("", 1).await;
    assert_eq!(hold(&rehearsal, &["list"]).stdout, "no holds\n");
    let added = hold(&rehearsal, &["add", "--from", "2020-01-01", "--to", "2199-12-31", "--reason", "audit 7"]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert_eq!(added.stdout, "hold 1 keeps 2020-01-01T00:00:00.000Z to 2199-12-31T23:59:59.999Z: audit 7\n");
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    age(&rehearsal).await;

    let mut rehearsal = rehearsal.restart().await;
    a_pass_ends(&rehearsal).await;
    rehearsal.decisions("", 1).await;
    let listed = hold(&rehearsal, &["list"]).stdout;
    assert!(listed.starts_with("1  2020-01-01T00:00:00.000Z to 2199-12-31T23:59:59.999Z  holds  added 2"), "{listed}");
    assert!(listed.ends_with("  audit 7\n"), "{listed}");
    let ended = hold(&rehearsal, &["end", "1"]);
    assert!(ended.stdout.starts_with("hold 1 has ended since "), "{}{}", ended.stdout, ended.stderr);
    assert!(hold(&rehearsal, &["list"]).stdout.contains("  ended "));
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    let rehearsal = rehearsal.restart().await;
    wait_for("what was held is gone", || async {
        let page = rehearsal.get_json("/api/v1/decisions").await;
        page["decisions"].as_array().expect("a list").is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_hold_cannot_be_is_said() {
    let rehearsal = Rehearsal::builder().config("{}").start().await;
    let wrong = |args: &[&str], said: &str| {
        let ended = hold(&rehearsal, args);
        assert_ne!(ended.code, Some(0), "{args:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    };
    wrong(
        &["add", "--from", "2026-02-01", "--to", "2026-01-01", "--reason", "x"],
        "a hold's span begins before it ends",
    );
    wrong(&["add", "--from", "yesterday", "--to", "2026-01-01", "--reason", "x"], "write RFC 3339");
    wrong(
        &["add", "--from", "2026-01-01", "--to", "2026-01-02", "--reason", " "],
        "say something: whoever reads the list must know",
    );
    wrong(&["end", "7"], "there is no hold 7");
    fs::write(rehearsal.dir().join("rehearsal.yaml"), "data_dir: nowhere").expect("writable");
    wrong(&["list"], "there is no history at");
}

#[tokio::test]
async fn a_hold_on_postgres_binds_every_replica() {
    let server = shared();
    let database = server.database();
    let replica = || Rehearsal::builder().config("retention: {decisions: 7d}").on_postgres(&server.url(&database));
    let (first, second) = (replica(), replica());
    let mut made = first.clone().args(&["generate", "--decisions", "400", "--days", "10"]).spawn();
    assert_eq!(made.wait(3 * DEADLINE).await, Some(0), "{}", made.stderr());
    let due = "SELECT count(*) FROM decisions WHERE answer = 0 AND NOT would_reject AND \
               key < ((extract(epoch FROM now()) - 8 * 86400)::bigint * 1000) << 21";
    let held = server.psql(&database, due);
    assert_ne!(held, "0", "some are due");
    let span = ["add", "--from", "2020-01-01", "--to", "2199-12-31", "--reason", "audit"];
    let added = hold_in(first.dir(), &span);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let first = first.start().await;
    a_pass_ends(&first).await;
    assert_eq!(server.psql(&database, due), held, "its own hold");
    let second = second.start().await;
    a_pass_ends(&second).await;
    assert_eq!(server.psql(&database, due), held, "the other one's hold");
    assert!(hold(&second, &["end", "1"]).stdout.starts_with("hold 1 has ended"));
    let _first = first.restart().await;
    wait_for("what was held is gone", || async { (server.psql(&database, due) == "0").then_some(()) }).await;
}
