//! The page of what was in force when, and what is in force where.

use serde_json::{Value, json};

use super::harness::wait_for;
use super::setup::{on, wait_for_reloads, write};

const CONFIG: &str = "policies:
  - name: images
    mode: enforce
    rollout: [{namespaces: blog, mode: warn}]
    rules:
      - {id: no-latest, deny: {tag: latest}}
      - {id: hub, mode: audit, deny: {registry: quay.io}}
";

#[tokio::test]
async fn revisions_modes_and_coverage_are_told() {
    let rehearsal = on(CONFIG).start().await;
    for namespace in ["shop", "blog", "kube-system"] {
        let review = super::harness::reviews::pod_review("u", namespace, "web", &["registry.test/web:1"]);
        assert!(rehearsal.review("/review/prod", &review).await.allowed());
    }
    rehearsal.decisions("", 3).await;
    let first = rehearsal.get_json("/api/v1/policies").await["in_force"].as_str().expect("a name").to_owned();
    write(rehearsal.dir(), "c.yaml", &CONFIG.replace("id: hub, mode: audit", "id: hub, mode: warn"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    write(rehearsal.dir(), "c.yaml", CONFIG);
    wait_for_reloads(&rehearsal, "changed", 2).await;
    let answer = wait_for("three loads", || async {
        let answer = rehearsal.get_json("/api/v1/policies").await;
        (answer["revisions"].as_array().is_some_and(|all| all.len() == 3)).then_some(answer)
    })
    .await;
    let runs = answer["revisions"].as_array().expect("a list");
    assert!(runs[0]["revision"] == first.as_str() && runs[2]["revision"] == first.as_str(), "it came back: {answer}");
    assert_eq!(runs[1]["changes"], "policy images: rule hub changed", "{answer}");
    assert_eq!((&runs[2]["changes"], runs[0]["replicas"].as_object().map(|all| all.len())), (&json!(null), Some(1)));

    let rules = [
        json!({"policy": "images", "rule": "no-latest", "audit": 0, "warn": 2, "enforce": 1, "held_back": 1}),
        json!({"policy": "images", "rule": "hub", "audit": 3, "warn": 0, "enforce": 0, "held_back": 0}),
    ];
    assert_eq!(answer["rules"], json!(rules));
    let held = rehearsal.get_json("/api/v1/policies?rule=images/no-latest&held_back=true").await;
    let system = json!([{"cluster": "prod", "namespace": "kube-system", "mode": "warn", "asked": "enforce", "by": "policy",
        "held_back": ["at most warn in the system namespaces"]}]);
    assert_eq!(held["modes"], system);
    let cluster = &answer["coverage"]["clusters"][0];
    assert_eq!((&cluster["namespaces"], &cluster["unreviewed"]), (&json!({"reviewed": 3, "known": 3}), &json!([])));
    assert_eq!(answer["coverage"]["kinds"], json!([{"kind": "Pod", "reviewed": 3, "known": 3}]));

    let page = rehearsal.get("/policies").await.text();
    for said in [
        "1 policy is in force; all 3 namespaces that are known were reviewed",
        "policy images: rule hub changed",
        "in force here",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    let links = regex::Regex::new(r#"<a[^>]*href="/policies\?([^"]*rule=[^"]+)"[^>]*>(\d+)</a>"#).expect("a pattern");
    let mut followed = 0;
    for link in links.captures_iter(&page) {
        let query = link[1].replace("&amp;", "&").replace("&#38;", "&");
        let listed = rehearsal.get(&format!("/policies?{query}")).await.text();
        let rows = listed.matches("data-label=\"By\"").count();
        assert_eq!(link[2].parse::<usize>().expect("a number"), rows, "{query}\n{listed}");
        followed += 1;
    }
    assert_eq!(followed, 4, "{page}");
    let second = runs[1]["revision"].as_str().expect("a name");
    let changed = rehearsal.get_json(&format!("/api/v1/revisions/{second}")).await;
    assert_eq!(changed["compared_with"], first.as_str());
    let signs: Vec<(&str, &str)> = changed["changes"][0]["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (line["sign"].as_str().expect("a sign"), line["text"].as_str().expect("a text").trim()))
        .filter(|(sign, _)| *sign != "same")
        .collect();
    assert_eq!(signs, [("removed", "\"mode\": \"audit\","), ("added", "\"mode\": \"warn\",")]);
    let page = rehearsal.get(&format!("/revisions/{second}")).await.text();
    assert!(page.contains("<span class=\"added\">+") && page.contains("policy images: rule hub changed"), "{page}");
    let same = rehearsal.get(&format!("/revisions/{second}?from={second}")).await.text();
    assert!(same.contains("nothing that judges is another"), "{same}");
    assert_eq!(rehearsal.get(&format!("/revisions/{second}?from=none")).await.status, 404);
    assert_eq!(rehearsal.get("/policies?rule=images/none").await.status, 400);
}

#[tokio::test]
async fn why_what_is_configured_is_not_in_force_is_told_until_it_is_mended() {
    let rehearsal = on(CONFIG).start().await;
    assert_eq!(rehearsal.get_json("/api/v1/policies").await["mistaken"], json!(null));
    write(rehearsal.dir(), "c.yaml", &CONFIG.replace("mode: enforce", "mode: enforced"));
    wait_for_reloads(&rehearsal, "failed", 1).await;
    let mistaken = rehearsal.get_json("/api/v1/policies").await["mistaken"].clone();
    let line = mistaken["mistakes"][0].as_str().expect("a sentence");
    assert!(
        line.contains("c.yaml:3:") && line.contains("enforced") && mistaken["at_start"] == json!(false),
        "{mistaken}"
    );
    let page = rehearsal.get("/policies").await.text();
    assert!(page.contains("What is configured is not in force") && page.contains("c.yaml:3:"), "{page}");
    // Another mistake, and the same trouble: since the first of them.
    write(rehearsal.dir(), "c.yaml", &CONFIG.replace("deny: {tag: latest}", "deny: {tags: latest}"));
    wait_for_reloads(&rehearsal, "failed", 2).await;
    let other: Value = rehearsal.get_json("/api/v1/policies").await["mistaken"].clone();
    assert!(other["since"] == mistaken["since"] && other["mistakes"] != mistaken["mistakes"], "{other}");
    write(rehearsal.dir(), "c.yaml", CONFIG);
    wait_for_reloads(&rehearsal, "unchanged", 1).await;
    assert!(!rehearsal.get("/policies").await.text().contains("is not in force"));
}
