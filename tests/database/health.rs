//! The page that is read while the database is away is there.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::access::{Person, asking};
use super::setup::{Database, degraded};
use crate::harness::http::{Response, metric};
use crate::harness::{Rehearsal, wait_for};

/// Far less than a database that hangs is waited for elsewhere. (A loaded machine.)
const PROMPT: Duration = Duration::from_secs(12);

fn history(health: &Value) -> Value {
    let ways = health["ways"].as_array().expect("a list");
    ways.iter().find(|way| way["id"] == "history").expect("its way").clone()
}

/// Page and API: what is not known has a reason, and all else is there.
async fn is_told(rehearsal: &Rehearsal, why: &str) {
    let begun = Instant::now();
    let (page, api) = tokio::join!(rehearsal.get("/health"), rehearsal.get("/api/v1/health"));
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert_eq!((page.status, api.status), (200, 200), "{}{}", page.text(), api.text());
    let text = page.text();
    assert!(text.contains("Not known: the history could not be read.") && text.contains(why), "{why}: {text}");
    assert!(text.contains("rehearsal ceiling audit --for 2h"), "{text}");
    let health = api.json();
    let unknown = health["clusters"]["unknown"].as_str().expect("a reason");
    assert!(unknown.contains(why), "{unknown}");
    let history = history(&health);
    assert_eq!((&health["state"], &history["state"]), (&"degraded".into(), &"degraded".into()), "{health}");
    assert!(history["now"].as_str().expect("a sentence").contains("No answer waits for it"), "{history}");
    assert_eq!(rehearsal.get("/runbook").await.status, 200);
}

#[tokio::test]
async fn health_is_told_while_the_database_is_down_hangs_or_was_never_there() {
    let database = Database::new();
    let link = database.link().await;
    link.cut();
    let rehearsal = database.replica(link.port, "").start().await;
    degraded(&rehearsal, Some("cannot be reached")).await;
    is_told(&rehearsal, "it is not open").await;
    assert_eq!(rehearsal.get("/").await.status, 503, "as every other page");
    link.heal();
    degraded(&rehearsal, None).await;
    wait_for("a history that can be read", || async {
        let health = rehearsal.get_json("/api/v1/health").await;
        (health["clusters"]["unknown"].is_null()).then_some(())
    })
    .await;
    link.freeze();
    is_told(&rehearsal, "it did not answer within 2 s").await;
    link.heal();
    link.cut();
    is_told(&rehearsal, "").await;
}

/// One by the name of night.
fn token() -> String {
    let hash: String = Sha256::digest("rhp_night").iter().map(|byte| format!("{byte:02x}")).collect();
    format!("  tokens:\n    - {{name: night, hash: 'sha256:{hash}', role: viewer, until: 2100-01-01}}\n")
}

/// With it.
async fn bearer(rehearsal: &Rehearsal, path: &str) -> Response {
    Person::at(rehearsal).send(Method::GET, path, &[("authorization", "Bearer rhp_night")], "").await
}

#[tokio::test]
async fn whoever_was_signed_in_and_every_token_sees_it_then() {
    let database = Database::new();
    let link = database.link().await;
    let url = format!("postgres://{}@127.0.0.1:{}/{}", crate::harness::postgres::USER, link.port, database.name);
    let rehearsal = asking(&token()).on_postgres(&url).start().await;
    let mut root = wait_for("a history that lets people in", || async {
        let mut person = Person::at(&rehearsal);
        let response = person.sign_in("root", super::access::PASSWORD).await;
        (response.status == 303).then_some(person)
    })
    .await;
    let mut gone = Person::signed_in(&rehearsal, "vic").await;
    let mut sam = Person::signed_in(&rehearsal, "sam").await;
    let mut replaced = Person::signed_in(&rehearsal, "root").await;
    assert_eq!(replaced.get("/health").await.status, 200);
    let first = replaced.cookies.clone();
    assert_eq!(replaced.sign_in("root", super::access::PASSWORD).await.status, 303);
    replaced.cookies = first;
    for person in [&mut root, &mut gone] {
        assert_eq!(person.get("/health").await.status, 200);
    }
    assert_eq!(sam.get("/health").await.status, 403, "what is of no namespace");
    let page = gone.get("/").await.text();
    let cookies = gone.cookies.clone();
    assert_eq!(gone.post("/sign-out", &[("csrf", &super::access::field(&page, "csrf"))]).await.status, 303);
    gone.cookies = cookies;
    link.cut();
    for path in ["/health", "/api/v1/health", "/runbook"] {
        assert_eq!((root.get(path).await.status, bearer(&rehearsal, path).await.status), (200, 200), "{path}");
        assert_eq!(gone.get(path).await.status, 503, "whoever signed out is not signed in again: {path}");
        assert_eq!(replaced.get(path).await.status, 503, "nor by a session that another took the place of: {path}");
        assert!([302, 303, 401].contains(&Person::at(&rehearsal).get(path).await.status), "{path}");
    }
    assert_eq!(sam.get("/health").await.status, 403);
    assert_eq!(root.get("/decisions").await.status, 503, "every other page needs the history");
}

#[tokio::test]
async fn whoever_is_removed_while_the_database_is_down_is_not_let_in_any_more() {
    let database = Database::new();
    let link = database.link().await;
    let url = format!("postgres://{}@127.0.0.1:{}/{}", crate::harness::postgres::USER, link.port, database.name);
    let hashes = super::access::users().replace("    - ", "- ");
    let config = "report: {auth: users, users: {file: users.yaml}}";
    let rehearsal = Rehearsal::builder().config(config).file("users.yaml", &hashes).on_postgres(&url).start().await;
    let (mut vic, mut root) = wait_for("a history that lets people in", || async {
        let mut person = Person::at(&rehearsal);
        let response = person.sign_in("vic", super::access::PASSWORD).await;
        (response.status == 303).then_some((person, Person::signed_in(&rehearsal, "root").await))
    })
    .await;
    assert_eq!((vic.get("/health").await.status, root.get("/health").await.status), (200, 200));
    link.cut();
    assert_eq!(vic.get("/health").await.status, 200, "remembered");
    let left: Vec<&str> = hashes.lines().filter(|line| !line.contains("name: vic")).collect();
    std::fs::write(rehearsal.dir().join("users.yaml"), left.join("\n")).expect("writable");
    wait_for("the reload", || async { (vic.clone().get("/health").await.status == 303).then_some(()) }).await;
    assert_eq!(root.get("/health").await.status, 200, "who is as before stays");
}

#[tokio::test]
async fn the_use_of_a_token_leaves_a_trace_while_the_database_hangs() {
    let database = Database::new();
    let link = database.link().await;
    let url = format!("postgres://{}@127.0.0.1:{}/{}", crate::harness::postgres::USER, link.port, database.name);
    let rehearsal = asking(&token()).on_postgres(&url).start().await;
    wait_for("a history that lets people in", || async {
        (Person::at(&rehearsal).sign_in("root", super::access::PASSWORD).await.status == 303).then_some(())
    })
    .await;
    link.freeze();
    let begun = Instant::now();
    assert_eq!(bearer(&rehearsal, "/health").await.status, 200);
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    wait_for("its trace", || async {
        let log = rehearsal.log();
        log.lines().any(|line| line.contains("not in the access log") && line.contains("night")).then_some(())
    })
    .await;
    let metrics = bearer(&rehearsal, "/metrics").await.text();
    assert_eq!(metric(&metrics, "rehearsal_access_unlogged_total", &[]), 1.0);
}
