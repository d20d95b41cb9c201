//! Sessions in either database: they end in time, are known to every replica, and to nobody who reads the database.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{DEADLINE, Rehearsal, postgres, wait_for};
use crate::setup::{PASSWORD, Person, asking, field, users};

const MINUTES: i64 = 60;

/// As if that of every session had been so many seconds earlier. Answers the latest.
async fn age(rehearsal: &Rehearsal, column: &str, seconds: i64) -> i64 {
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut history = SqliteConnection::connect(&url).await.expect("the history");
    let statement = format!("UPDATE sessions SET {column} = {column} - {}", seconds * 1_000);
    sqlx::query(AssertSqlSafe(statement)).execute(&mut history).await.expect("an update");
    let latest = sqlx::query_scalar(AssertSqlSafe(format!("SELECT max({column}) FROM sessions")));
    let latest = latest.fetch_one(&mut history).await.expect("a session");
    history.close().await.expect("closed");
    latest
}

#[tokio::test]
async fn a_session_ends_after_its_idle_time_and_in_any_case_after_its_absolute_time() {
    let rehearsal = asking("  sessions: {idle: 1h, absolute: 8h}\n").start().await;
    let status = async |person: &Person| person.clone().get("/").await.status;
    let person = Person::signed_in(&rehearsal, "root").await;
    let before = age(&rehearsal, "seen_at", 50 * MINUTES).await;
    assert_eq!(status(&person).await, 200, "it is used in time");
    let after = age(&rehearsal, "seen_at", 50 * MINUTES).await;
    assert!(after > before, "which is noted: {after} after {before}");
    assert_eq!(status(&person).await, 200, "and so it lasts");
    age(&rehearsal, "seen_at", 61 * MINUTES).await;
    assert_eq!(status(&person).await, 303, "without a request for that long it ends");

    let person = Person::signed_in(&rehearsal, "root").await;
    age(&rehearsal, "ends_at", 7 * 60 * MINUTES).await;
    assert_eq!(status(&person).await, 200);
    age(&rehearsal, "ends_at", 61 * MINUTES).await;
    assert_eq!(status(&person).await, 303, "in use or not");
    assert_eq!(status(&Person::signed_in(&rehearsal, "root").await).await, 200, "a new one lasts");
}

/// What is used was noted once a minute, and an idle time of less ended what was in use.
#[tokio::test]
async fn a_short_idle_time_ends_nothing_that_is_in_use() {
    let rehearsal = asking("  sessions: {idle: 1m, absolute: 8h}\n").start().await;
    let person = Person::signed_in(&rehearsal, "root").await;
    let before = age(&rehearsal, "seen_at", 40).await;
    assert_eq!(person.clone().get("/").await.status, 200);
    let after = age(&rehearsal, "seen_at", 0).await;
    assert!(after > before, "{after} after {before}");
}

#[tokio::test]
async fn a_user_who_is_gone_or_has_another_password_is_signed_out_by_a_reload() {
    let (hashes, file) = (users(), "users.yaml");
    let dedented = hashes.replace("    - ", "- ");
    let config = format!("report: {{auth: users, users: {{file: {file}}}, {}}}", "roles: {auditor: [audit]}");
    let rehearsal = Rehearsal::builder().config(&config).file(file, &dedented).start().await;
    let (root, vic) = (Person::signed_in(&rehearsal, "root").await, Person::signed_in(&rehearsal, "vic").await);
    let ada = Person::signed_in(&rehearsal, "ada").await;
    let gone = dedented.lines().filter(|line| !line.contains("name: root"));
    let changed: Vec<String> = gone
        .map(|line| match line.contains("name: vic") {
            true => format!("- {{name: vic, hash: '{}', role: viewer}}", crate::setup::hash("another password")),
            false => line.to_owned(),
        })
        .collect();
    std::fs::write(rehearsal.dir().join(file), changed.join("\n")).expect("writable");
    for person in [root, vic] {
        wait_for("signed out", || async { (person.clone().get("/").await.status == 303).then_some(()) }).await;
    }
    assert_eq!(ada.clone().get("/").await.status, 200, "who is as before stays");
    let mut vic = Person::at(&rehearsal);
    assert_eq!(vic.sign_in("vic", PASSWORD).await.status, 401);
    assert_eq!(vic.sign_in("vic", "another password").await.status, 303);

    // A file with mistakes changes nothing.
    std::fs::write(rehearsal.dir().join(file), "- {name: root, hash: nonsense, role: admin}\n").expect("writable");
    wait_for("a mistake that is told", || async {
        let log = rehearsal.log();
        log.contains("users.yaml:1:22: [0].hash: it is not the hash of a password").then_some(())
    })
    .await;
    assert!(!rehearsal.log().contains("nonsense"), "what may be a password is not shown");
    assert_eq!(ada.clone().get("/").await.status, 200);
}

/// It was counted as unchanged, or where nobody had asked for it not at all.
#[tokio::test]
async fn a_reload_after_which_others_may_look_is_counted_as_a_change() {
    let hashes = users().replace("    - ", "- ");
    let config = "report: {auth: users, users: {file: users.yaml}}";
    let rehearsal = crate::harness::Rehearsal::builder().config(config).file("users.yaml", &hashes).start().await;
    let root = Person::signed_in(&rehearsal, "root").await;
    let reloads = async || {
        let metrics = root.clone().get("/metrics").await.text();
        let count = |line: &str| line.strip_prefix("rehearsal_reloads_total{result=\"").map(str::to_owned);
        let mut found: Vec<String> = metrics.lines().filter_map(count).collect();
        found.sort();
        found
    };
    assert_eq!(reloads().await, ["changed\"} 0", "failed\"} 0", "unchanged\"} 0"]);
    let gone = hashes.lines().filter(|line| !line.contains("name: vic"));
    std::fs::write(rehearsal.dir().join("users.yaml"), gone.collect::<Vec<_>>().join("\n")).expect("writable");
    let expected = ["changed\"} 1", "failed\"} 0", "unchanged\"} 0"];
    wait_for("a reload that is counted", || async { (reloads().await == expected).then_some(()) }).await;
}

#[tokio::test]
async fn replicas_share_sessions_and_the_access_log() {
    let server = postgres::shared();
    let url = server.url(&server.database());
    let (one, other) = (asking("").on_postgres(&url).start().await, asking("").on_postgres(&url).start().await);
    let mut person = Person::signed_in(&one, "root").await;
    let mut there = Person { base: other.report_url().to_owned(), ..person.clone() };
    let page = there.get("/").await;
    assert_eq!(page.status, 200, "signed in at one, known to the other");
    let entries = there.accesses("").await;
    assert_eq!((entries.len(), entries[0]["event"].as_str()), (1, Some("sign-in")));
    let csrf = field(&page.text(), "csrf");
    assert_eq!(there.post("/sign-out", &[("csrf", &csrf), ("everywhere", "true")]).await.status, 303);
    assert_eq!(person.get("/").await.status, 303, "signed out at the other");
}

/// It went on for half an hour to whoever had signed out.
#[tokio::test]
async fn who_follows_a_list_sees_nothing_more_after_a_sign_out() {
    let rehearsal = asking("").start().await;
    let mut person = Person::signed_in(&rehearsal, "root").await;
    let csrf = field(&person.get("/").await.text(), "csrf");
    let place = person.base.trim_start_matches("http://").to_owned();
    let mut follower = TcpStream::connect(&place).await.expect("it listens");
    let cookie = &person.cookies["rehearsal"];
    let asked = format!(
        "GET /decisions/tail HTTP/1.1\r\nHost: {place}\r\nCookie: rehearsal={cookie}\r\nConnection: close\r\n\r\n"
    );
    follower.write_all(asked.as_bytes()).await.expect("sent");
    let mut head = [0; 15];
    follower.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200 OK", "they may see it");
    assert_eq!(person.post("/sign-out", &[("csrf", &csrf), ("everywhere", "true")]).await.status, 303);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, follower.read_to_end(&mut rest)).await;
    ended.expect("it ends by itself").expect("whole");
}

#[tokio::test]
async fn the_database_holds_hashes_of_what_cookies_hold() {
    let rehearsal = asking("").start().await;
    let person = Person::signed_in(&rehearsal, "root").await;
    let cookie = &person.cookies["rehearsal"];
    let secret = base64_decoded(cookie);
    let stored = std::fs::read(rehearsal.data_dir().join("history.sqlite")).expect("the history");
    let log = std::fs::read(rehearsal.data_dir().join("history.sqlite-wal")).unwrap_or_default();
    let holds =
        |needle: &[u8]| [&stored, &log].iter().any(|bytes| bytes.windows(needle.len()).any(|part| part == needle));
    assert!(holds(&Sha256::digest(&secret)), "its hash");
    assert!(!holds(&secret) && !holds(cookie.as_bytes()) && !holds(PASSWORD.as_bytes()));
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64")
}
