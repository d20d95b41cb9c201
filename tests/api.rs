//! `/api/v1`: its fields, its filters, its pages, its figures.

mod harness;

use harness::reviews::{captures, fixture, image_review, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

const FIELDS: [&str; 19] = [
    "answer",
    "at",
    "cluster",
    "dry_run",
    "duration_us",
    "id",
    "images",
    "kind",
    "name",
    "namespace",
    "operation",
    "protocol",
    "redacted",
    "revision",
    "uid",
    "user",
    "verdicts",
    "workload",
    "would_reject",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

async fn with_captures() -> Rehearsal {
    let rehearsal = Rehearsal::builder().start().await;
    for (_, body) in captures() {
        assert!(rehearsal.post("/review/lab", body).await.allowed());
    }
    rehearsal.decisions("", captures().len()).await;
    rehearsal
}

#[tokio::test]
async fn every_field_is_always_present() {
    let rehearsal = with_captures().await;
    for decision in rehearsal.decisions("", captures().len()).await {
        let present = keys(&decision);
        for field in FIELDS {
            assert!(present.contains(&field), "{field} in {decision}");
        }
        for image in decision["images"].as_array().expect("a list") {
            for field in ["text", "registry", "repository", "tag", "digest", "error", "container", "role"] {
                assert!(keys(image).contains(&field), "{field} in {image}");
            }
        }
        for verdict in decision["verdicts"].as_array().expect("a list") {
            for field in ["policy", "mode", "verdict", "violations", "standing", "error", "duration_us"] {
                assert!(keys(verdict).contains(&field), "{field} in {verdict}");
            }
            for list in ["violations", "standing"] {
                for violation in verdict[list].as_array().expect("a list") {
                    for field in ["rule", "mode", "image", "message"] {
                        assert!(keys(violation).contains(&field), "{field} in {violation}");
                    }
                }
            }
        }
        let at = decision["at"].as_str().expect("a time");
        assert!(at.len() == "2026-11-23T10:16:40.384Z".len() && at.ends_with('Z'), "RFC 3339 with ms: {at}");
    }
}

#[tokio::test]
async fn filters_select() {
    let config = r"
policies:
  - name: images
    rules:
      - {id: no-latest, deny: {tag: latest}}
      - {id: blocked, deny: {registry: blocked.test}, mode: enforce}
";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let mut dry = pod_review("u-dry", "team-a", "dry", &["nginx"]);
    dry["request"]["dryRun"] = json!(true);
    for (cluster, review) in [
        ("east", pod_review("u-clean", "team-a", "clean", &["nginx:1.25"])),
        ("east", pod_review("u-latest", "team-a", "latest", &["nginx"])),
        ("west", pod_review("u-blocked", "team-b", "blocked", &["blocked.test/x:1"])),
        ("west", dry),
        ("west", image_review("team-b", &["registry.test/deep/path/app:v2"])),
    ] {
        rehearsal.review(&format!("/review/{cluster}"), &review).await;
    }
    rehearsal.decisions("", 5).await;
    for (query, uids) in [
        ("cluster=east", vec!["u-latest", "u-clean"]),
        ("cluster=nowhere", vec![]),
        ("namespace=team-b", vec!["-", "u-blocked"]),
        ("rule=no-latest", vec!["u-dry", "u-latest"]),
        ("policy=images", vec!["u-dry", "u-blocked", "u-latest"]),
        ("policy=images&rule=blocked", vec!["u-blocked"]),
        ("policy=other", vec![]),
        ("image=nginx", vec!["u-dry", "u-latest"]),
        ("image=nginx:*", vec!["u-clean"]),
        ("image=registry.test/**", vec!["-"]),
        ("image=*blocked.test*/*", vec!["u-blocked"]),
        ("uid=u-clean", vec!["u-clean"]),
        ("answer=denied", vec!["u-blocked"]),
        ("answer=failed", vec![]),
        ("would_reject=true", vec!["u-dry", "u-latest"]),
        ("would_reject=false&cluster=east", vec!["u-clean"]),
        ("dry_run=true", vec!["u-dry"]),
        ("dry_run=false&rule=no-latest", vec!["u-latest"]),
    ] {
        let page = rehearsal.get_json(&format!("/api/v1/decisions?{query}")).await;
        let found: Vec<&str> = page["decisions"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|decision| decision["uid"].as_str().unwrap_or("-"))
            .collect();
        assert_eq!(found, uids, "{query}, newest first");
        assert_eq!(page["next"], Value::Null, "{query}");
    }
}

#[tokio::test]
async fn pages_are_walked_to_the_end_once_each() {
    let rehearsal = with_captures().await;
    let all = rehearsal.get_json("/api/v1/decisions?limit=1000").await;
    let all: Vec<String> = ids(&all);
    assert_eq!(all.len(), captures().len());
    let mut walked = Vec::new();
    let mut after = String::new();
    loop {
        let page = rehearsal.get_json(&format!("/api/v1/decisions?limit=7{after}")).await;
        walked.extend(ids(&page));
        // What comes in between does not move the pages.
        rehearsal.post("/review/other", fixture("016-image-review.json")).await;
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(walked, all);
}

fn ids(page: &Value) -> Vec<String> {
    let decisions = page["decisions"].as_array().expect("a list").iter();
    decisions.map(|decision| decision["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn since_and_until_are_half_open() {
    let rehearsal = with_captures().await;
    let all = rehearsal.decisions("", captures().len()).await;
    let newest = all[0]["at"].as_str().expect("a time").to_owned();
    let until = rehearsal.get_json(&format!("/api/v1/decisions?limit=1000&until={newest}")).await;
    let since = rehearsal.get_json(&format!("/api/v1/decisions?limit=1000&since={newest}")).await;
    assert!(ids(&since).contains(&all[0]["id"].as_str().expect("an id").to_owned()), "since is in it");
    assert_eq!(ids(&until).len() + ids(&since).len(), all.len(), "until is not");
}

#[tokio::test]
async fn the_summary_counts_and_leaves_dry_runs_out() {
    let rehearsal = with_captures().await;
    let summary = wait_for("the roll-ups", || async {
        let summary = rehearsal.get_json("/api/v1/summary").await;
        (summary["reviews"] == 25).then_some(summary)
    })
    .await;
    // 004 to 007, 010 and 011 name something without a version or by latest; 017 and 018 are dry runs.
    for (figure, expected) in
        [("allowed", 25), ("denied", 0), ("failed", 0), ("would_reject", 6), ("unjudged", 0), ("dry_runs", 2)]
    {
        assert_eq!(summary[figure], expected, "{figure}: {summary}");
    }
    assert_eq!(summary["gaps"], json!([]));
    for time in ["since", "until", "complete_until"] {
        assert!(summary[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}: {summary}");
    }
    assert_eq!(rehearsal.get_json("/api/v1/summary?dry_run=include").await["reviews"], 27);
    assert_eq!(rehearsal.get_json("/api/v1/summary?dry_run=only").await["reviews"], 2);
    assert_eq!(rehearsal.get_json("/api/v1/summary?namespace=mynamespace").await["reviews"], 25);
    assert_eq!(rehearsal.get_json("/api/v1/summary?cluster=elsewhere").await["reviews"], 0);
    assert_eq!(rehearsal.get_json("/api/v1/summary?until=2020-01-01T00:00:00Z").await["reviews"], 0);
}

#[tokio::test]
async fn a_bad_parameter_is_a_400_that_names_it() {
    let rehearsal = Rehearsal::builder().start().await;
    for (path, parameter) in [
        ("/api/v1/decisions?since=yesterday", "since"),
        ("/api/v1/decisions?until=2026-13-01", "until"),
        ("/api/v1/decisions?limit=0", "limit"),
        ("/api/v1/decisions?limit=1001", "limit"),
        ("/api/v1/decisions?limit=many", "limit"),
        ("/api/v1/decisions?after=nonsense", "after"),
        ("/api/v1/decisions?answer=maybe", "answer"),
        ("/api/v1/decisions?would_reject=2", "would_reject"),
        ("/api/v1/decisions?dry_run=only", "dry_run"),
        ("/api/v1/decisions?colour=red", "colour"),
        ("/api/v1/summary?dry_run=maybe", "dry_run"),
        ("/api/v1/summary?since=1", "since"),
        ("/api/v1/summary?limit=1", "limit"),
    ] {
        let response = rehearsal.get(path).await;
        assert_eq!(response.status, 400, "{path}: {}", response.text());
        assert!(response.text().contains(parameter), "{path}: {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    }
}
