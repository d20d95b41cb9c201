//! A proxy in front that signs people in.

use http::Method;

use crate::harness::Rehearsal;
use crate::harness::http::Response;
use crate::setup::{POLICIES, Person, TEAMS, fill};

fn behind(from: &str, more: &str) -> crate::harness::Builder {
    let proxy = format!("  proxy: {{from: ['{from}']{more}}}");
    let roles = TEAMS.replace("roles: {auditor: [audit]}", "roles: {auditor: [audit], admin: [root]}");
    Rehearsal::builder().config(&format!("report:\n  auth: proxy\n{proxy}{roles}{POLICIES}"))
}

async fn asked(rehearsal: &Rehearsal, path: &str, headers: &[(&str, &str)]) -> Response {
    Person::at(rehearsal).send(Method::GET, path, headers, "").await
}

#[tokio::test]
async fn the_headers_of_the_proxy_say_who_somebody_is() {
    let rehearsal = behind("127.0.0.0/8", "").start().await;
    let root =
        [("x-forwarded-user", "0815"), ("x-forwarded-email", "root@example.com"), ("x-forwarded-groups", "x,root")];
    fill(&rehearsal).await;
    let all = crate::harness::wait_for("all decisions", || async {
        let page = asked(&rehearsal, "/api/v1/decisions", &root).await.json();
        (page["decisions"].as_array().map(Vec::len) == Some(7)).then_some(page)
    });
    all.await;
    let page = asked(&rehearsal, "/", &root).await.text();
    assert!(page.contains("root@example.com") && !page.contains("Sign out"), "{page}");
    let sam = [("x-forwarded-user", "sam"), ("x-forwarded-groups", "shop-people")];
    let own = asked(&rehearsal, "/api/v1/decisions", &sam).await.json();
    assert_eq!(own["decisions"].as_array().map(Vec::len), Some(3));
    assert_eq!(asked(&rehearsal, "/?namespace=blog", &sam).await.status, 403);
    assert_eq!(asked(&rehearsal, "/metrics", &sam).await.status, 403, "figures of all namespaces");
    assert_eq!(asked(&rehearsal, "/metrics", &root).await.status, 200);
    // A proxy may hand on a token of the provider's.
    let with_token = [root[0], root[1], root[2], ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")];
    assert_eq!(asked(&rehearsal, "/", &with_token).await.status, 200);

    let nobody = asked(&rehearsal, "/", &[]).await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.text().contains("nobody is signed in"), "{}", nobody.text());
    let nil = asked(&rehearsal, "/", &[("x-forwarded-user", "nil")]).await;
    assert_eq!(nil.status, 403);
    assert!(nil.text().contains("ask platform@example.com"), "{}", nil.text());
    for (name, value) in
        [("x-forwarded-user", "a\tb"), ("x-forwarded-email", &"x".repeat(300)), ("x-forwarded-groups", "a\u{1}")]
    {
        let hostile = [("x-forwarded-user", "root"), ("x-forwarded-groups", "root"), (name, value)];
        let Ok(_) = http::HeaderValue::from_str(value) else { continue };
        assert_eq!(asked(&rehearsal, "/", &hostile).await.status, 400, "{name}");
    }
    let hostile =
        asked(&rehearsal, "/", &[("x-forwarded-user", "<script>alert(1)</script>"), ("x-forwarded-groups", "root")])
            .await;
    assert_eq!(hostile.status, 200);
    assert!(!hostile.text().contains("<script>"), "{}", hostile.text());

    let log = asked(&rehearsal, "/api/v1/access", &root).await.json();
    let log = log["accesses"].as_array().expect("a list");
    let of = |event: &str| log.iter().filter(|entry| entry["event"] == event).count();
    assert_eq!(of("sign-in"), 3, "once for each of them: {log:?}");
    assert!(of("refusal") >= 4, "{log:?}");
    assert!(log.iter().any(|entry| entry["user"] == "root@example.com" && entry["means"] == "proxy"), "{log:?}");
}

#[tokio::test]
async fn headers_from_anywhere_else_are_refused_and_counted() {
    let rehearsal = behind("10.9.8.7", ", headers: remote").env("REHEARSAL_ADMIN_LISTEN", "127.0.0.1:0").start().await;
    for name in ["remote-user", "x-forwarded-user", "x-forwarded-groups", "remote-email"] {
        let response = asked(&rehearsal, "/", &[(name, "root")]).await;
        assert_eq!(response.status, 403, "{name}");
        assert!(response.text().contains("although it names somebody"), "{}", response.text());
    }
    let plain = asked(&rehearsal, "/", &[]).await;
    assert_eq!(plain.status, 401);
    assert!(plain.text().contains("did not come from there"), "{}", plain.text());
    assert_eq!(asked(&rehearsal, "/metrics", &[("remote-user", "root")]).await.status, 403);
    let metrics = Person::at(&rehearsal).get(&format!("{}/metrics", admin(&rehearsal))).await.text();
    assert!(metrics.contains("rehearsal_access_refusals_total{reason=\"peer\"} 5"), "{metrics}");
}

/// The URL of the admin listener.
fn admin(rehearsal: &Rehearsal) -> String {
    let stdout = rehearsal.stdout();
    let line = stdout.lines().find_map(|line| line.strip_prefix("admin ")).expect("a start line");
    line.to_owned()
}
