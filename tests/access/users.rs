//! A name and a password.

use std::process::Stdio;

use http::Method;

use crate::harness::Rehearsal;
use crate::setup::{PASSWORD, Person, asking, field, form};

#[tokio::test]
async fn nobody_sees_anything_before_they_sign_in() {
    let rehearsal = asking("").start().await;
    let mut person = Person::at(&rehearsal);
    for path in ["/", "/decisions?cluster=prod&image=a%26b", "/inventory", "/candidates", "/access", "/nowhere"] {
        let response = person.get(path).await;
        assert_eq!(response.status, 303, "{path}");
        let to = response.header("location").expect("a way").to_owned();
        assert!(to.starts_with("/sign-in?to="), "{to}");
        assert_eq!(field(&person.get(&to).await.text(), "to"), path);
    }
    for path in ["/api/v1/summary", "/api/v1/decisions", "/api/v1/access", "/api/v1/nowhere", "/metrics"] {
        let response = person.get(path).await;
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Bearer")), "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(person.get(path).await.status, 200, "{path}");
    }
    let style = person.get("/sign-in").await.text();
    let style = style.split("href=\"/assets/").nth(1).and_then(|rest| rest.split('"').next()).expect("an asset");
    assert_eq!(person.get(&format!("/assets/{style}")).await.status, 200);
}

#[tokio::test]
async fn a_password_lets_in_and_a_session_ends_when_it_is_signed_out() {
    let rehearsal = asking("").start().await;
    let mut person = Person::at(&rehearsal);
    let refused = person.sign_in("root", "wrong").await;
    let unknown = person.sign_in("mallory", PASSWORD).await;
    assert_eq!((refused.status, unknown.status), (401, 401));
    let told =
        |text: String| text.split("role=\"alert\">").nth(1).and_then(|rest| rest.split('<').next().map(str::to_owned));
    assert!(told(refused.text()).is_some_and(|told| told.contains("do not go together")));
    assert_eq!(told(refused.text()), told(unknown.text()), "the same words for both");
    let response = person.sign_in("root", PASSWORD).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/decisions?tz=UTC")));
    let set: Vec<&str> = response.headers.get_all("set-cookie").iter().filter_map(|set| set.to_str().ok()).collect();
    let session = set.iter().find(|set| set.starts_with("rehearsal=")).expect("a session");
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "plain HTTP on loopback: {session}");
    let page = person.get("/").await.text();
    assert!(page.contains("root") && page.contains("Sign out"), "{page}");

    // Another one in its place: the first is worth nothing any more.
    let before = person.clone();
    assert_eq!(person.sign_in("root", PASSWORD).await.status, 303);
    assert_ne!(before.cookies["rehearsal"], person.cookies["rehearsal"]);
    assert_eq!(before.clone().get("/").await.status, 303);

    let other = Person::signed_in(&rehearsal, "root").await;
    let csrf = field(&person.get("/").await.text(), "csrf");
    assert_eq!(person.clone().post("/sign-out", &[("csrf", &csrf)]).await.status, 303);
    assert_eq!(person.get("/").await.status, 303, "its cookie is worth nothing");
    assert_eq!(other.clone().get("/").await.status, 200, "another browser stays");

    let mut third = Person::signed_in(&rehearsal, "root").await;
    let vic = Person::signed_in(&rehearsal, "vic").await;
    let csrf = field(&third.get("/").await.text(), "csrf");
    assert_eq!(third.post("/sign-out", &[("csrf", &csrf), ("everywhere", "true")]).await.status, 303);
    assert_eq!(other.clone().get("/").await.status, 303, "everywhere");
    assert_eq!(vic.clone().get("/").await.status, 200, "somebody else stays");

    let mut root = Person::signed_in(&rehearsal, "root").await;
    let log = root.accesses("").await;
    let told: Vec<String> = log
        .iter()
        .rev()
        .map(|entry| format!("{} {}", entry["event"].as_str().expect("a word"), entry["user"].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        "refusal root",
        "refusal mallory",
        "sign-in root",
        "sign-in root",
        "sign-in root",
        "sign-out root",
        "sign-in root",
        "sign-in vic",
        "sign-out root",
        "sign-in root",
    ];
    assert_eq!(told, expected);
    assert!(log.iter().all(|entry| entry["peer"] == "127.0.0.1" && entry["means"] == "users"), "{log:?}");
    assert_eq!(root.accesses("event=sign-out&user=root").await.len(), 2);
    let page = root.get("/access?event=refusal").await.text();
    assert!(page.contains("2 entries") && page.contains("mallory"), "{page}");
}

#[tokio::test]
async fn what_changes_something_is_a_post_with_a_token_of_this_browser() {
    let rehearsal = asking("").start().await;
    let mut person = Person::signed_in(&rehearsal, "root").await;
    let csrf = field(&person.get("/").await.text(), "csrf");
    let mut other = Person::signed_in(&rehearsal, "vic").await;
    let foreign = field(&other.get("/").await.text(), "csrf");
    assert_eq!(person.get(&format!("/sign-out?csrf={csrf}")).await.status, 405);
    for shown in ["", "wrong", &foreign] {
        assert_eq!(person.post("/sign-out", &[("csrf", shown)]).await.status, 403, "{shown}");
    }
    for path in ["/", "/decisions", "/access", "/api/v1/access", "/sign-in/callback"] {
        assert_eq!(person.post(path, &[("csrf", &csrf)]).await.status, 405, "{path}");
    }
    assert_eq!(person.get("/").await.status, 200, "still signed in");
    // A form from elsewhere, with or without a cookie of ours.
    let fields = [("csrf", foreign.as_str()), ("name", "root"), ("password", PASSWORD)];
    let mut stranger = Person::at(&rehearsal);
    assert_eq!(stranger.post("/sign-in", &fields).await.status, 403);
    stranger.get("/sign-in").await;
    assert_eq!(stranger.post("/sign-in", &fields).await.status, 403);
    assert_eq!(stranger.get("/").await.status, 303);
    let long = form(&[("csrf", &csrf), ("name", &"x".repeat(20_000))]);
    assert_eq!(stranger.send(Method::POST, "/sign-in", &[], &long).await.status, 400);
    for to in ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        let page = stranger.get(&format!("/sign-in?to={}", crate::setup::encoded(to))).await.text();
        assert_eq!(field(&page, "to"), "/", "{to}");
    }
    assert_eq!(person.accesses("event=refusal").await.len(), 5);
}

#[tokio::test]
async fn attempts_are_limited_by_name() {
    let rehearsal = asking("").start().await;
    let mut person = Person::at(&rehearsal);
    for _ in 0..10 {
        assert_eq!(person.sign_in("vic", "wrong").await.status, 401);
    }
    let late = person.sign_in("vic", PASSWORD).await;
    assert_eq!(late.status, 429, "{}", late.text());
    let wait: u64 = late.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=301).contains(&wait), "{wait}");
    assert_eq!(person.sign_in("root", PASSWORD).await.status, 303, "another name");
}

#[tokio::test]
async fn who_has_neither_a_role_nor_a_team_gets_no_further_and_is_told_whom_to_ask() {
    let rehearsal = asking("").start().await;
    let mut person = Person::at(&rehearsal);
    let response = person.sign_in("nil", PASSWORD).await;
    assert_eq!(response.status, 403);
    assert!(response.text().contains("ask platform@example.com"), "{}", response.text());
    assert_eq!(person.get("/").await.status, 303);
}

#[tokio::test]
async fn the_command_makes_hashes_that_let_in_and_tokens_that_are_known() {
    let command = |args: &[&str], input: &str| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rehearsal"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let hash = command(&["user", "hash"], "pässword one\nignored\n");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let made = command(&["user", "token"], "");
    let part = |name: &str| made.lines().find_map(|line| line.strip_prefix(name)).expect("a line").to_owned();
    let (token, token_hash) = (part("token: "), part("hash: "));
    let users = format!("- {{name: ana, hash: '{}', role: viewer}}\n", hash.trim());
    let tokens = format!("[{{name: robot, hash: '{token_hash}', role: viewer, until: 2100-01-01}}]");
    let rehearsal = Rehearsal::builder()
        .config(&format!("report: {{auth: users, users: {{file: users.yaml}}, tokens: {tokens}}}"))
        .file("users.yaml", users)
        .start()
        .await;
    let mut ana = Person::at(&rehearsal);
    assert_eq!(ana.sign_in("ana", "pässword one").await.status, 303);
    assert_eq!(ana.get("/").await.status, 200);
    let mut robot = Person::at(&rehearsal);
    let bearer = format!("Bearer {token}");
    let answer = robot.send(Method::GET, "/api/v1/summary", &[("authorization", &bearer)], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Whoever signed in on the way ended on an empty page.
#[tokio::test]
async fn what_was_sent_without_a_session_is_not_gone_back_to() {
    let rehearsal = asking("").start().await;
    let mut person = Person::at(&rehearsal);
    let response = person.post("/sign-out", &[("csrf", "old")]).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/sign-in?to=/")));
    let page = person.get("/sign-in?to=/sign-out").await.text();
    assert_eq!(field(&page, "to"), "/", "it is no page");
}
