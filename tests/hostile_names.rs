//! Names that a page, a terminal, a log or a spreadsheet would obey.

mod harness;

use harness::Rehearsal;
use harness::reviews::pod_review;
use serde_json::json;

#[tokio::test]
async fn hostile_names_are_inert_in_pages_json_and_logs() {
    let hostile = [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "a\nINJECTED level=error",
        "evil\u{202e}gnp.latest",
        "\"><img src=x>",
    ];
    let config = "policies: [{name: images, mode: warn, rules: [{id: approved, allow: {registry: 'none.test'}}]},
        {name: other, rules: [{id: approved, allow: {registry: 'none.test'}}]}]
exemptions: [{policy: other, namespaces: '**', until: 2199-01-01, ticket: '<script>alert(2)</script>', owner: '\"><img src=x>', reason: '\"><img src=x>'}]";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    for (n, text) in hostile.iter().enumerate() {
        let mut review = pod_review(&format!("hostile-{n}"), "team-a", text, &[text]);
        review["request"]["namespace"] = json!(text);
        review["request"]["userInfo"]["username"] = json!(text);
        let response = rehearsal.review("/review/lab", &review).await;
        assert!(response.allowed(), "{text:?}");
        for warning in response.verdict()["warnings"].as_array().expect("warnings") {
            let warning = warning.as_str().expect("text");
            assert!(!warning.contains(['\n', '\u{202e}']), "a terminal would obey: {warning:?}");
        }
    }
    let decisions = rehearsal.decisions("", hostile.len()).await;
    for decision in &decisions {
        let n: usize = decision["uid"].as_str().and_then(|uid| uid.rsplit('-').next()?.parse().ok()).expect("a uid");
        assert_eq!(decision["name"], hostile[n], "exact in JSON");
        assert_eq!(decision["images"][0]["text"], hostile[n]);
        let page = rehearsal.get(&format!("/decisions/{}", decision["id"].as_str().expect("an id"))).await.text();
        assert_inert(&page);
    }
    let exemptions = rehearsal.get_json("/api/v1/exemptions").await;
    let one = format!("/exemptions/{}", exemptions["exemptions"][0]["id"].as_str().expect("an id"));
    for page in [
        "/",
        "/exemptions",
        &one,
        "/report",
        "/policies",
        "/agreement",
        "/agreement?webhook=%3Cscript%3Ealert(1)%3C/script%3E&local=%22%3E%3Cimg%20src=x%3E",
        "/decisions",
        "/decisions?namespace=%3Cscript%3Ealert(1)%3C/script%3E",
        "/clusters",
        "/clusters?cluster=lab&gate=unknown",
        "/clusters?cluster=lab&gate=not",
        "/health",
    ] {
        assert_inert(&rehearsal.get(page).await.text());
    }
    let log = rehearsal.log();
    assert!(!log.lines().any(|line| line.starts_with("INJECTED")), "{log}");
    assert!(!log.contains('\u{202e}'), "{log}");
}

fn assert_inert(page: &str) {
    assert!(page.contains("<html"), "a page: {page}");
    for text in ["<script>alert", "<img src=x", "\u{202e}"] {
        assert!(!page.contains(text), "{text:?} in a page");
    }
}
