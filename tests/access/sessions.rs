//! Sessions in either database: they end in time, are known to every replica, and to nobody who reads the database.

use sha2::{Digest, Sha256};

use crate::harness::{postgres, wait_for};
use crate::setup::{PASSWORD, Person, asking, field, users};

#[tokio::test]
async fn a_session_ends_after_its_idle_time_and_in_any_case_after_its_absolute_time() {
    for (limits, uses) in [("{idle: 1s, absolute: 1h}", false), ("{idle: 1h, absolute: 2s}", true)] {
        let rehearsal = asking(&format!("  sessions: {limits}\n")).start().await;
        let person = Person::signed_in(&rehearsal, "root").await;
        if uses {
            assert_eq!(person.clone().get("/").await.status, 200);
        } else {
            // Without a request for that long.
            tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        }
        wait_for(limits, || async { (person.clone().get("/").await.status == 303).then_some(()) }).await;
        assert_eq!(Person::signed_in(&rehearsal, "root").await.get("/").await.status, 200, "a new one lasts");
    }
}

#[tokio::test]
async fn a_user_who_is_gone_or_has_another_password_is_signed_out_by_a_reload() {
    let (hashes, file) = (users(), "users.yaml");
    let dedented = hashes.replace("    - ", "- ");
    let config = format!("report: {{auth: users, users: {{file: {file}}}, {}}}", "roles: {auditor: [audit]}");
    let rehearsal = crate::harness::Rehearsal::builder().config(&config).file(file, &dedented).start().await;
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
