//! `rehearsal check`: files judged on a desk, with the words of `serve`.

mod harness;

use std::io::Write as _;
use std::process::{Command, Stdio};

use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, run};
use serde_json::{Value, json};

const CONFIG: &str = "policies:
- name: images
  mode: enforce
  rules:
  - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}
  - {id: ours, allow: {registry: registry.acmecorp.com}, mode: warn}
- name: teams
  rego: {files: [teams.rego], entrypoint: data.main.deny}
";

const TEAMS: &str = "package main
deny[msg] { not input.metadata.labels.team; msg := sprintf(\"%s %s says not whose it is\", [input.kind, input.metadata.name]) }";

const FILES: &str = "# what runs
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {team: a}}
spec: {template: {spec: {containers: [{name: a, image: nginx}]}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: one, labels: {team: b}}, spec: {containers: [{name: a, image: 'registry.acmecorp.com/a:1'}]}}
- {apiVersion: batch/v1, kind: CronJob, metadata: {name: two}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: 'x:1'}]}}}}}}
";

fn desk(config: &str) -> harness::Builder {
    Rehearsal::builder().file("r.yaml", config).file("teams.rego", TEAMS).file("all.yaml", FILES)
}

#[test]
fn every_object_is_judged_and_named_with_its_place() {
    let desk = desk(CONFIG);
    let ended = run(desk.dir(), &["check", "--config", "r.yaml", "all.yaml"]);
    assert_eq!(
        ended.stdout.lines().collect::<Vec<_>>(),
        [
            "all.yaml:2   Deployment/web in shop  enforce images/no-latest  nginx uses the tag latest",
            "all.yaml:2   Deployment/web in shop  warn images/ours          nginx is not from an allowed registry",
            "all.yaml:11  CronJob/two in default  warn images/ours          x:1 is not from an allowed registry",
            "all.yaml:11  CronJob/two in default  audit teams/deny          CronJob two says not whose it is",
            "3 objects, 4 violations",
        ]
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn the_exit_code_is_by_what_reaches_fail_on() {
    let desk = desk(&CONFIG.replace("mode: enforce", "mode: audit"))
        .file("fine.yaml", pod("registry.acmecorp.com/a:1").to_string());
    let code = |args: &[&str]| run(desk.dir(), &[&["check", "-c", "r.yaml"], args].concat()).code;
    assert_eq!(code(&["all.yaml"]), Some(0), "nothing enforces");
    assert_eq!(code(&["--fail-on", "warn", "all.yaml"]), Some(1));
    assert_eq!(code(&["--fail-on", "audit", "fine.yaml"]), Some(0));
    assert_eq!(code(&["--fail-on", "never", "all.yaml"]), Some(0));
    assert_eq!(code(&["absent.yaml"]), Some(2));
    let text = run(desk.dir(), &["check", "teams.rego"]);
    assert_eq!(text.code, Some(2), "{}", text.stdout);
}

fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"team": "a"}}, "spec": {"containers": [{"name": "a", "image": image}]}})
}

#[test]
fn reviews_and_standard_input_are_taken() {
    let desk = desk(CONFIG)
        .file("review.json", pod_review("u", "shop", "web", &["nginx"]).to_string())
        .file("image.json", image_review("shop", &["nginx"]).to_string());
    let ended = run(desk.dir(), &["check", "-c", "r.yaml", "--format", "json", "review.json", "image.json"]);
    let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    for (at, name) in [(0, "AdmissionReview/web"), (1, "ImageReview")] {
        assert_eq!((&found[at]["object"], &found[at]["namespace"]), (&name.into(), &"shop".into()));
        assert_eq!(found[at]["violations"][0]["rule"], "no-latest");
    }

    let mut child = Command::new(env!("CARGO_BIN_EXE_rehearsal"))
        .args(["check", "-c", "r.yaml", "-n", "elsewhere", "-"])
        .current_dir(desk.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(pod("nginx").to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with("-:1  Pod/p in elsewhere  enforce images/no-latest"), "{stdout}");
}

/// Of every kind that makes pods, and of what `kubectl get --raw` gives, whose items say no kind.
#[test]
fn every_kind_of_workload_is_judged_and_so_are_lists_as_json() {
    let pod = json!({"spec": {"containers": [{"name": "a", "image": "nginx"}]}});
    let of = |version: &str, kind: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "labels": {"team": "a"}}, "spec": spec});
    let template = || json!({"template": pod});
    let items = [
        of("v1", "Pod", pod["spec"].clone()),
        of("v1", "ReplicationController", template()),
        of("apps/v1", "Deployment", template()),
        of("apps/v1", "ReplicaSet", template()),
        of("apps/v1", "StatefulSet", template()),
        of("apps/v1", "DaemonSet", template()),
        of("batch/v1", "Job", template()),
        of("batch/v1", "CronJob", json!({"jobTemplate": {"spec": template()}})),
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x", "labels": {"team": "a"}}, "template": pod}),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let bare = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {"continue": "t", "remainingItemCount": 3},
        "items": [{"metadata": {"name": "bare", "labels": {"team": "a"}}, "spec": template()}]});
    let desk = desk(CONFIG)
        .file("list.json", serde_json::to_string_pretty(&list).expect("JSON"))
        .file("bare.json", bare.to_string());
    let ended = run(desk.dir(), &["check", "-c", "r.yaml", "--format", "json", "list.json", "bare.json"]);
    let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let found = found.as_array().expect("a list");
    assert_eq!(found.len(), items.len() + 1, "{}", ended.stdout);
    let mut line = 0;
    for (one, item) in found.iter().zip(&items) {
        assert_eq!(one["object"], format!("{}/x", item["kind"].as_str().expect("a kind")));
        assert_eq!(one["violations"][0]["rule"], "no-latest", "{one}");
        assert!(one["line"].as_u64() > Some(line), "{one}");
        line = one["line"].as_u64().expect("a line");
    }
    assert_eq!(found[items.len()]["object"], "Deployment/bare");
    assert_eq!(found[items.len()]["violations"][0]["rule"], "no-latest");
    let cut = "warning: the API server gave only a part of 1 list, and has 3 objects more: ask for all of it";
    assert!(ended.stderr.contains(cut), "{}", ended.stderr);
}

#[test]
fn that_a_webhook_was_not_asked_is_told() {
    let webhook = "- {name: gate, mode: enforce, webhook: {url: 'https://127.0.0.1:1/', ca: /nowhere/ca.crt, speaks: image-review}}";
    let ended = run(desk(&format!("{CONFIG}{webhook}\n")).dir(), &["check", "-c", "r.yaml", "all.yaml"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "note: webhooks were not asked: gate\n"));
    assert!(ended.stdout.ends_with("3 objects, 4 violations\n"), "{}", ended.stdout);
}

/// What a desk has not, a desk does not need.
#[test]
fn certificates_and_keys_of_the_listener_are_not_asked_for() {
    let config = format!("webhook: {{tls: {{certificate: /nowhere/tls.crt, key: /nowhere/tls.key}}}}\n{CONFIG}");
    let ended = run(desk(&config).dir(), &["check", "-c", "r.yaml", "all.yaml"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn machines_are_told_too() {
    let desk = desk(CONFIG);
    let sarif: Value =
        serde_json::from_str(&run(desk.dir(), &["check", "-c", "r.yaml", "--format", "sarif", "all.yaml"]).stdout)
            .expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let levels: Vec<_> = results.iter().map(|result| result["level"].as_str().expect("a level")).collect();
    assert_eq!(levels, ["error", "warning", "warning", "note"]);
    assert_eq!(results[2]["locations"][0]["physicalLocation"]["region"]["startLine"], 11);

    let junit = run(desk.dir(), &["check", "-c", "r.yaml", "--format", "junit", "all.yaml"]).stdout;
    assert!(junit.contains("tests=\"3\" failures=\"1\" errors=\"0\""), "{junit}");
    assert!(junit.contains("enforce images/no-latest: nginx uses the tag latest</failure>"), "{junit}");
}

#[test]
fn what_is_exempted_is_suppressed_and_said_as_the_api_says_it() {
    let exemption = "exemptions: [{namespaces: shop, ticket: SEC-1, until: 2999-12-01}]\n";
    let desk = desk(&format!("{exemption}{CONFIG}"));
    let format = |format: &str| run(desk.dir(), &["check", "-c", "r.yaml", "--format", format, "all.yaml"]);
    let json: Value = serde_json::from_str(&format("json").stdout).expect("JSON");
    let found = &json[0]["violations"][0]["exempted"];
    let exempted = json!({"by": "exemption", "id": found["id"], "ticket": "SEC-1", "owner": null, "reason": null,
        "until": "2999-12-02T00:00:00.000Z"});
    assert_eq!((found, found["id"].is_string()), (&exempted, true));
    let sarif: Value = serde_json::from_str(&format("sarif").stdout).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let suppressed: Vec<bool> = results.iter().map(|result| result["suppressions"].is_array()).collect();
    assert_eq!((suppressed, &results[0]["level"]), (vec![true, true, false, false], &json!("error")));
    assert_eq!(format("table").code, Some(0), "nothing that is not exempted enforces");
}

/// A manifest of a pull request could else write lines of the table, and colour them.
#[test]
fn what_a_manifest_says_is_no_word_to_a_terminal() {
    let mut evil = pod("nginx:latest\n-:1  Pod/a  all is well \u{1b}[31m");
    evil["metadata"]["name"] = json!("a\u{1b}[31mred\nx");
    let desk = desk(CONFIG).file("evil.json", evil.to_string());
    let text = run(desk.dir(), &["check", "-c", "r.yaml", "evil.json"]).stdout;
    assert!(text.lines().count() > 1, "{text}");
    assert!(text.lines().all(|line| line.starts_with("evil.json:1 ") || line.starts_with("1 object")), "{text:?}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let junit = run(desk.dir(), &["check", "-c", "r.yaml", "--format", "junit", "evil.json"]).stdout;
    assert!(!junit.contains('\u{1b}'), "{junit:?}");
}

#[test]
fn a_list_in_a_list_is_not_passed_over() {
    let inner = json!({"kind": "PodList", "apiVersion": "v1", "items": [pod("nginx")]});
    let outer = json!({"kind": "List", "apiVersion": "v1", "items": [inner]});
    let desk = desk(CONFIG).file("nested.json", outer.to_string()).file("nested.yaml", format!("# YAML\n{outer}"));
    for file in ["nested.json", "nested.yaml"] {
        let ended = run(desk.dir(), &["check", "-c", "r.yaml", file]);
        assert_eq!(ended.code, Some(2), "{}", ended.stdout);
        assert!(ended.stderr.contains("is a list in a list"), "{}", ended.stderr);
    }
}

/// The same policy, live and on a desk.
#[tokio::test]
async fn it_says_what_the_running_process_says() {
    let rehearsal = Rehearsal::builder().file("teams.rego", TEAMS).config(CONFIG).start().await;
    let desk = desk(CONFIG);
    for (n, images) in
        [&["nginx"][..], &["registry.acmecorp.com/a:1"], &["a:1", "b", "UPPER/Case"]].into_iter().enumerate()
    {
        let review = pod_review("u", "shop", "web", images);
        rehearsal.review(&format!("/review/c{n}"), &review).await;
        let live = rehearsal.decision(&format!("cluster=c{n}")).await;
        let live: Vec<String> = live["verdicts"].as_array().expect("verdicts").iter().flat_map(found).collect();
        let desk = desk.clone().file("r.json", review.to_string());
        let ended = run(desk.dir(), &["check", "-c", "r.yaml", "--format", "json", "r.json"]);
        let checked: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(found(&checked[0]), live, "{images:?}");
    }
}

fn found(of: &Value) -> Vec<String> {
    let violations = of["violations"].as_array().expect("violations").iter();
    violations.map(|one| format!("{} {} {}", one["rule"], one["mode"], one["message"])).collect()
}
