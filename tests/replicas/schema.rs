//! What is said of a database that this binary does not work with, and what goes on all the same.

use crate::harness::{Rehearsal, wait_for};
use crate::{Database, send, uids};

/// As a later version leaves a database with which a binary of `works_with` still works.
fn later(database: &Database, works_with: &str) {
    database.psql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, '', 0)",
    );
    database.psql(&format!("INSERT INTO compatibility (schema, works_with) VALUES (99, {works_with})"));
}

fn undo(database: &Database) {
    database.psql("DELETE FROM _sqlx_migrations WHERE version = 99; DELETE FROM compatibility WHERE schema = 99");
}

/// It answers and journals; `/readyz`, pages and API say why there is no more than that.
async fn answers_and_journals(replica: &Rehearsal, known: &str, uid: &str) {
    send(replica, [uid.to_owned()]).await;
    let said = format!("its schema 99 needs one that knows 98, this one knows {known}. Run that version");
    wait_for("/readyz to say so", || async {
        let ready = replica.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        ready.text().contains(&said).then_some(())
    })
    .await;
    for path in ["/", "/decisions", "/api/v1/summary"] {
        let closed = replica.get(path).await;
        assert_eq!(closed.status, 503, "{path}: {}", closed.text());
        assert!(closed.text().contains(&said), "{path}: {}", closed.text());
    }
    assert!(replica.metric("rehearsal_journal_backlog_records", &[]).await > 0.5);
}

#[tokio::test]
async fn a_newer_schema_stops_drain_and_report_and_no_answer() {
    let database = Database::new();
    let old = database.serving("lab", "").start().await;
    send(&old, uids("before", 1)).await;
    old.decision("").await;
    let known = database.schema();
    later(&database, "98");
    answers_and_journals(&old, &known, "running").await;
    let old = old.restart().await;
    answers_and_journals(&old, &known, "restarted").await;
    let first = database.serving("lab", "").start().await;
    answers_and_journals(&first, &known, "first").await;
    let strict = database.serving("lab", "journal: {on_failure: refuse}").start().await;
    answers_and_journals(&strict, &known, "strict").await;
    assert_eq!(database.psql("SELECT count(*) FROM decisions"), "1");
    // Nothing was lost meanwhile.
    undo(&database);
    for replica in [&old, &first, &strict] {
        wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
        replica.decisions("", 5).await;
        let ready = replica.get("/readyz").await;
        assert_eq!(ready.json()["degraded"], serde_json::json!([]), "{}", ready.text());
    }
}

#[tokio::test]
async fn a_newer_schema_that_names_this_version_is_worked_with() {
    let database = Database::new();
    let old = database.serving("lab", "").start().await;
    later(&database, "1");
    send(&old, uids("running", 1)).await;
    old.decisions("", 1).await;
    let old = old.restart().await;
    send(&old, uids("restarted", 1)).await;
    old.decisions("", 2).await;
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_by_name() {
    let database = Database::new();
    let body = "SELECT CASE $1 WHEN 'server_version_num' THEN '130011' ELSE '13.11' END";
    let version = format!("CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS $$ {body} $$");
    database.psql(&version);
    database.psql(&format!("ALTER DATABASE {} SET search_path = public, pg_catalog", database.name));
    let said =
        format!("127.0.0.1:{}/{} is PostgreSQL 13.11: Rehearsal needs 14 or newer", database.port(), database.name);
    for builder in [database.serving("lab", ""), database.migrate()] {
        let ended = builder.ends().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_first_start_that_is_not_let_in_ends_and_a_later_one_answers() {
    let database = Database::new();
    let wrong = database.serving("lab", "").file("pg.txt", "hunter2 canary");
    let ended = wrong.ends().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("password authentication failed"), "{}", ended.stderr);
    assert!(ended.stderr.contains("Check the user and the password file"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    let let_in = database.serving("lab", "").start().await;
    std::fs::write(let_in.dir().join("pg.txt"), "hunter2 canary").expect("ours");
    let later = let_in.restart().await;
    send(&later, uids("u", 1)).await;
    let ready = later.get("/readyz").await;
    assert!(ready.status == 200 && ready.text().contains("password authentication failed"), "{}", ready.text());
    std::fs::write(later.dir().join("pg.txt"), crate::harness::postgres::PASSWORD).expect("ours");
    wait_for("the report", || async { (later.get("/").await.status == 200).then_some(()) }).await;
    later.decisions("", 1).await;
}
