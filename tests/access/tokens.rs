//! What programs show.

use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::run;
use crate::setup::{Person, asking, fill};

pub fn token(name: &str, more: &str) -> String {
    let hash: String = Sha256::digest(format!("rhp_{name}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("    - {{name: {name}, hash: 'sha256:{hash}', {more}}}\n")
}

#[tokio::test]
async fn a_token_sees_what_its_role_or_its_team_sees_until_it_ends() {
    let tokens = [
        token("all", "role: viewer, until: 2100-01-01"),
        token("log", "role: auditor, until: 2100-01-01"),
        token("shop", "role: namespace-viewer, team: Shop, until: 2100-01-01"),
        token("old", "role: admin, until: 2020-01-01"),
    ];
    let rehearsal = asking(&format!("  tokens:\n{}", tokens.concat())).start().await;
    fill(&rehearsal).await;
    Person::signed_in(&rehearsal, "root").await.sees(7).await;
    let ask = async |token: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        Person::at(&rehearsal).send(Method::GET, path, &[("authorization", &bearer)], "").await
    };
    let count = |response: crate::harness::http::Response| response.json()["decisions"].as_array().map(Vec::len);
    assert_eq!(count(ask("rhp_all", "/api/v1/decisions").await), Some(7));
    assert_eq!(count(ask("rhp_shop", "/api/v1/decisions").await), Some(3));
    assert_eq!(ask("rhp_shop", "/api/v1/summary?namespace=blog").await.status, 403);
    assert_eq!(ask("rhp_shop", "/metrics").await.status, 403, "figures of all namespaces");
    assert_eq!(ask("rhp_all", "/metrics").await.status, 200);
    assert_eq!(
        (ask("rhp_all", "/api/v1/access").await.status, ask("rhp_log", "/api/v1/access").await.status),
        (403, 200)
    );
    for wrong in ["rhp_old", "rhp_none", "rhp_", "all", "<script>"] {
        let response = ask(wrong, "/api/v1/summary").await;
        assert_eq!(response.status, 401, "{wrong}: {}", response.text());
        let expected = json!({"error": {"parameter": null, "message": "this token is unknown here, or it has ended"}});
        assert_eq!(response.json(), expected, "{wrong}");
    }
    // A token is asked for nothing that changes something.
    assert_eq!(
        Person::at(&rehearsal).send(Method::POST, "/sign-out", &[("authorization", "Bearer rhp_all")], "").await.status,
        403
    );
    let log = ask("rhp_log", "/api/v1/access?user=shop").await.json();
    let means: Vec<_> = log["accesses"].as_array().expect("a list").iter().map(|entry| &entry["means"]).collect();
    assert_eq!(means, [&json!("token"); 3], "its first use, and what it was refused: {log}");
}

#[tokio::test]
async fn a_gate_shows_its_token_to_a_report_that_asks() {
    let rehearsal = asking(&format!("  tokens:\n{}", token("gate", "role: viewer, until: 2100-01-01"))).start().await;
    fill(&rehearsal).await;
    Person::signed_in(&rehearsal, "root").await.sees(7).await;
    let (dir, url) = (rehearsal.dir(), rehearsal.report_url());
    std::fs::write(dir.join("token.txt"), "rhp_gate\n").expect("writable");
    std::fs::write(dir.join("nothing.txt"), "secret").expect("writable");
    let ask = |more: &[&str]| run(dir, &[&["ready", "--rule", "images/no-latest", "--url", url][..], more].concat());
    let refused = ask(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);
    let mistaken = ask(&["--token-file", "nothing.txt"]);
    assert_eq!(mistaken.code, Some(2));
    assert!(mistaken.stderr.contains("nothing.txt holds no token"), "{}", mistaken.stderr);
    assert!(!mistaken.stderr.contains("secret"), "{}", mistaken.stderr);
    let shown = ask(&["--token-file", "token.txt"]);
    assert_eq!(shown.code, Some(1), "{}", shown.stderr);
    assert!(shown.stdout.contains("not ready"), "{}", shown.stdout);
}
