//! A second set of policies beside the live one: judged, compared, and never heard.

mod harness;

use harness::postgres::shared;
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, run, wait_for};
use serde_json::{Value, json};

/// In force: `latest` is rejected, another registry is told.
const LIVE: &str = "policies:
  - name: images
    mode: enforce
    rules:
      - {id: no-latest, deny: {tag: latest}, mode: audit}
      - {id: no-dev, deny: {tag: dev}}
      - {id: ours, allow: {registry: registry.acmecorp.com}, mode: warn}
";

/// `images` takes what is in force for too strict of `latest` and too lax of `old`, as heavily as can be; the others are of
/// other names and kinds.
const RULES: &str = "policies:
  - name: images
    mode: enforce
    rules:
      - {id: no-old, deny: {tag: old}}
      - {id: no-dev, deny: {tag: dev}}
";
const REGO: &str = "policies:
  - name: labels
    mode: enforce
    rego: {files: [rego/labels.rego], entrypoint: data.labels.deny}
  - name: images-rego
    mode: enforce
    rego: {files: [rego/images.rego], entrypoint: data.images.deny}
";
const LABELS: &str = "package labels
deny[msg] { not input.request.object.metadata.labels.team; msg := \"it says not whose it is\" }";
const IMAGES: &str = "package images
deny[msg] { image := input.spec.containers[_].image; endswith(image, \":old\"); msg := sprintf(\"%v is old\", [image]) }";

fn builder(config: &str) -> harness::Builder {
    let builder = Rehearsal::builder().config(config).file("rules.yaml", RULES).file("rego.yaml", REGO);
    std::fs::create_dir(builder.dir().join("rego")).expect("the test's directory is writable");
    builder.file("rego/labels.rego", LABELS).file("rego/images.rego", IMAGES)
}

fn with_candidates() -> String {
    format!("{LIVE}candidates: [rules.yaml, rego.yaml]\n")
}

fn reviews() -> Vec<(&'static str, Value)> {
    let ours = |tag: &str| format!("registry.acmecorp.com/web:{tag}");
    let pod = |uid: &str, image: &str| pod_review(uid, "shop", "web-1", &[image]);
    vec![
        ("/review/prod", pod("u-fine", &ours("1"))),
        ("/review/prod", pod("u-old", &ours("old"))),
        ("/review/prod", pod("u-latest", &ours("latest"))),
        ("/review/prod", pod("u-dev", &ours("dev"))),
        ("/review/prod", pod("u-hub", "nginx:old")),
        ("/review/prod", image_review("shop", &[&ours("old")])),
        ("/review/prod", image_review("shop", &[&ours("latest"), "nginx:dev"])),
    ]
}

/// Without what every answer has of its own: the decision's id.
fn anonymous(text: &str) -> String {
    let id = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").expect("an expression");
    id.replace_all(text, "ID").into_owned()
}

async fn answers(rehearsal: &Rehearsal) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for (path, body) in reviews() {
        let answer = rehearsal.review(path, &body).await;
        answers.push((answer.status, anonymous(&answer.text())));
    }
    answers
}

/// What a decision says but for what is its own and for its candidates.
fn without_candidates(decision: &Value) -> Value {
    let mut decision = decision.clone();
    let own = ["id", "at", "duration_us", "revision", "candidates", "object", "complete_until"];
    let fields = decision.as_object_mut().expect("an object");
    own.iter().for_each(|name| drop(fields.remove(*name)));
    for verdict in fields["verdicts"].as_array_mut().expect("a list") {
        verdict["duration_us"] = Value::Null;
    }
    serde_json::from_str(&anonymous(&decision.to_string())).expect("JSON")
}

async fn whole(rehearsal: &Rehearsal, decision: &Value) -> Value {
    rehearsal.get_json(&format!("/api/v1/decisions/{}", decision["id"].as_str().expect("an id"))).await
}

/// Once no candidate of them is pending.
async fn all_whole(rehearsal: &Rehearsal, count: usize) -> Vec<Value> {
    rehearsal.decisions("", count).await;
    wait_for("all candidates have said it", || async {
        let mut all = Vec::new();
        for decision in rehearsal.decisions("", count).await {
            all.push(whole(rehearsal, &decision).await);
        }
        let candidates = || all.iter().flat_map(|one| one["candidates"].as_array().expect("a list"));
        let is_done = candidates().all(|candidate| candidate["verdict"] != "pending");
        is_done.then(|| std::mem::take(&mut all))
    })
    .await
}

fn candidate<'a>(decision: &'a Value, name: &str) -> &'a Value {
    let mut all = decision["candidates"].as_array().expect("a list").iter();
    all.find(|candidate| candidate["policy"] == name).unwrap_or_else(|| panic!("{name} in {decision}"))
}

/// One that is known at once and one that is evaluated after the answer differed in it.
#[tokio::test]
async fn a_ticket_holds_for_every_candidate_alike_and_no_ceiling_does() {
    let config = format!("{}break_glass: {{annotation: '**', value: break-glass}}\n", with_candidates());
    let rehearsal = builder(&config).start().await;
    let ceiling = ["ceiling", "audit", "--for", "1h", "--ticket", "INC-1", "--config", "rehearsal.yaml"];
    assert_eq!(run(rehearsal.dir(), &ceiling).code, Some(0));
    wait_for("the ceiling", || async {
        let ready = rehearsal.get_json("/readyz").await;
        (ready["ceilings"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    let mut review = pod_review("u", "shop", "web", &["registry.acmecorp.com/web:old"]);
    review["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/ticket-7": "break-glass"});
    assert!(rehearsal.review("/review/prod", &review).await.allowed());
    let decision = all_whole(&rehearsal, 1).await.remove(0);
    for name in ["images", "images-rego", "labels"] {
        let said = candidate(&decision, name);
        assert_eq!((&said["verdict"], said.get("held_back")), (&json!("deny"), None), "{said}");
        assert_eq!((&said["mode"], &said["violations"][0]["mode"]), (&json!("enforce"), &json!("enforce")), "{said}");
        assert_eq!(said["violations"][0]["exempted"]["by"], "break-glass", "{said}");
    }
    let uses = rehearsal.get_json("/api/v1/break-glass").await;
    assert_eq!(uses["uses"], json!([]), "nothing in force stood against it");
}

#[tokio::test]
async fn nothing_of_candidates_reaches_an_answer_or_a_figure() {
    let (alone, beside) = (builder(LIVE).start().await, builder(&with_candidates()).start().await);
    assert_eq!(answers(&beside).await, answers(&alone).await);
    let count = reviews().len();
    let (mut with, mut without) = (all_whole(&beside, count).await, all_whole(&alone, count).await);
    for all in [&mut with, &mut without] {
        all.reverse();
    }
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(without_candidates(with), without_candidates(without));
        assert_eq!(with["candidates"].as_array().expect("a list").len(), 3);
        assert_eq!(without["candidates"], json!([]));
    }
    let figures = async |rehearsal: &Rehearsal| {
        let mut summary = rehearsal.get_json("/api/v1/summary?since=1h").await;
        let summary = summary.as_object_mut().expect("an object");
        ["complete_until", "since", "until"].iter().for_each(|name| drop(summary.remove(*name)));
        let would_reject = rehearsal.decisions("would_reject=true", 2).await.len();
        let violations = rehearsal.metric("rehearsal_violations_total", &[]).await;
        (json!(summary), would_reject, format!("{violations}"))
    };
    assert_eq!(figures(&beside).await, figures(&alone).await);
    // A rule of a candidate leads to no decision, and no page but its own names one.
    beside.decisions("rule=no-old", 0).await;
    let overview = beside.get("/").await.text();
    assert!(!overview.contains("no-old") && !overview.contains("images-rego"), "{overview}");
    let ready = beside.get_json("/readyz").await;
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn a_candidate_that_would_reject_everything_makes_nothing_wait_at_the_gate() {
    // Nothing in force can enforce: what does not fit is answered `allowed`, also where a candidate enforces.
    let config = "policies: [{name: images, rules: [{id: no-latest, deny: {tag: latest}}]}]\ncandidates: [rules.yaml]\n\
                  webhook: {limits: {max_in_flight_bytes: 1KiB, max_body: 1KiB}}";
    let rehearsal = builder(config).start().await;
    let ready = rehearsal.get_json("/readyz").await;
    assert_eq!(ready["ready"], true, "{ready}");
    let answer = rehearsal.review("/review/prod", &image_review("shop", &["nginx:old"])).await;
    assert!(answer.allowed(), "{}", answer.text());
}

async fn compares_both_ways(builder: harness::Builder) {
    let rehearsal = builder.start().await;
    for (path, body) in reviews() {
        rehearsal.review(path, &body).await;
    }
    let all = all_whole(&rehearsal, reviews().len()).await;
    let of_uid = |uid: &str| all.iter().find(|one| one["uid"] == uid).expect("a decision");
    let old = candidate(of_uid("u-old"), "images");
    assert_eq!((&old["beside"], &old["live"], &old["verdict"]), (&json!("images"), &json!("allow"), &json!("deny")));
    assert_eq!((&old["violations"][0]["rule"], &old["violations"][0]["mode"]), (&json!("no-old"), &json!("enforce")));
    assert!(old["version"].is_string() && old["duration_us"].is_u64(), "{old}");
    let latest = candidate(of_uid("u-latest"), "images");
    assert_eq!((&latest["live"], &latest["verdict"]), (&json!("deny"), &json!("allow")));
    // Of another name: beside all that is in force, and on an ImageReview's document.
    let rego = candidate(of_uid("u-old"), "images-rego");
    assert_eq!((&rego["beside"], &rego["live"], &rego["verdict"]), (&Value::Null, &json!("allow"), &json!("deny")));
    assert_eq!(rego["presented"], "image-review");
    let labels = candidate(of_uid("u-fine"), "labels");
    assert_eq!((&labels["live"], &labels["verdict"]), (&json!("allow"), &json!("deny")));

    let page = rehearsal.get(&format!("/decisions/{}", of_uid("u-old")["id"].as_str().expect("an id"))).await.text();
    assert!(page.contains("Candidate images would deny what policy images allows."), "{page}");
    assert!(page.contains("Candidate images-rego would deny what the policies in force allow."), "{page}");

    counts_lead_to_their_rows(&rehearsal).await;
    let label = ["policy=\"images\"", "live=\"allow\"", "candidate=\"deny\""];
    let differences = rehearsal.metric("rehearsal_candidate_differences_total", &label).await;
    assert!((differences - 2.0).abs() < 0.1, "{differences}");
    let denied = ["policy=\"labels\"", "verdict=\"deny\""];
    let verdicts = rehearsal.metric("rehearsal_candidate_verdicts_total", &denied).await;
    assert!(verdicts > 4.5, "{verdicts}");
}

async fn counts_lead_to_their_rows(rehearsal: &Rehearsal) {
    let found = rehearsal.get_json("/api/v1/candidates?since=1h").await;
    let counts = found["counts"].as_array().expect("a list");
    for one in counts {
        let text = |name: &str| one[name].as_str().expect("text").to_owned();
        let (candidate, live, said) = (text("candidate"), text("live"), text("verdict"));
        let query = format!("cluster=prod&candidate={candidate}&candidate_live={live}&candidate_verdict={said}");
        let count = one["reviews"].as_u64().expect("a count");
        assert_eq!(rehearsal.decisions(&query, count as usize).await.len() as u64, count, "{one}");
    }
    for name in ["images", "labels", "images-rego"] {
        let of_it = counts.iter().filter(|one| one["candidate"] == name);
        let all: u64 = of_it.map(|one| one["reviews"].as_u64().expect("a count")).sum();
        assert_eq!(all, reviews().len() as u64, "{name}: {found}");
    }
    let loaded: Vec<_> = found["loaded"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(loaded, ["images", "labels", "images-rego"]);
    let page = rehearsal.get("/candidates?since=1h").await.text();
    assert!(page.contains("the candidate would deny 2 that policy images allowed, and would allow"), "{page}");
    let link = "candidate=images&amp;candidate_live=allow&amp;candidate_verdict=deny";
    assert!(page.contains(link) || page.contains(&link.replace("&amp;", "&#38;")), "{page}");
    let alone = rehearsal.get("/api/v1/decisions?candidate_live=allow").await;
    assert_eq!(alone.status, 400, "{}", alone.text());
}

#[tokio::test]
async fn both_ways_of_a_difference_are_counted_and_lead_to_their_rows_on_sqlite() {
    compares_both_ways(builder(&with_candidates())).await;
}

#[tokio::test]
async fn both_ways_of_a_difference_are_counted_and_lead_to_their_rows_on_postgres() {
    let server = shared();
    compares_both_ways(builder(&with_candidates()).on_postgres(&server.url(&server.database()))).await;
}

#[tokio::test]
async fn a_secret_that_a_candidate_repeats_is_in_no_record() {
    let text = "package labels\ndeny[msg] { msg := sprintf(\"env is %v\", [input.request.object.spec.containers[_].env[_].value]) }";
    let rehearsal = builder(&with_candidates()).file("rego/labels.rego", text).start().await;
    let mut review = pod_review("u", "shop", "web-1", &["registry.acmecorp.com/web:1"]);
    review["request"]["object"]["spec"]["containers"][0]["env"] = json!([{"name": "KEY", "value": "hunter2hunter2"}]);
    rehearsal.review("/review/prod", &review).await;
    let decision = all_whole(&rehearsal, 1).await.remove(0);
    let said = candidate(&decision, "labels")["violations"][0]["message"].as_str().expect("a message").to_owned();
    assert!(said.starts_with("env is ") && !said.contains("hunter2"), "{said}");
    assert!(!decision.to_string().contains("hunter2"), "{decision}");
    for (path, content) in harness::files(&rehearsal.data_dir()) {
        let is_there = content.windows(14).any(|part| part == b"hunter2hunter2");
        assert!(!is_there, "{}", path.display());
    }
}

#[tokio::test]
async fn a_candidate_that_overruns_fails_no_review_and_is_left_alone_for_a_while() {
    let endless =
        "package labels\ndeny[msg] { numbers := numbers.range(1, 20000000); msg := sprintf(\"%v\", [count(numbers)]) }";
    let endless =
        endless.replace("numbers := numbers.range", "all := numbers.range").replace("[count(numbers)]", "[count(all)]");
    let rehearsal = builder(&with_candidates()).file("rego/labels.rego", endless).start().await;
    for number in 0..5 {
        let review =
            pod_review(&format!("u-{number}"), "shop", &format!("web-{number}"), &["registry.acmecorp.com/web:1"]);
        assert!(rehearsal.review("/review/prod", &review).await.allowed());
    }
    for decision in all_whole(&rehearsal, 5).await {
        assert_eq!(candidate(&decision, "labels")["verdict"], "error", "{decision}");
        assert_eq!(candidate(&decision, "images")["verdict"], "allow", "{decision}");
        assert_eq!((&decision["answer"], &decision["verdicts"][0]["verdict"]), (&json!("allowed"), &json!("allow")));
    }
    assert!(rehearsal.metric("rehearsal_policy_overruns_total", &[]).await < 0.5, "that is of what is in force");
}

#[tokio::test]
async fn a_candidate_changes_with_its_file_and_is_in_the_revision() {
    let rehearsal = builder(&with_candidates()).start().await;
    let revision =
        async || rehearsal.get_json("/api/v1/revisions").await["in_force"].as_str().expect("an id").to_owned();
    let before = revision().await;
    let kept = wait_for("its text", || async {
        let stored = rehearsal.get_json(&format!("/api/v1/revisions/{before}")).await;
        stored["text"]["candidates"].is_array().then_some(stored)
    })
    .await;
    assert_eq!(kept["text"]["candidates"][0]["rules"][0]["id"], "no-old");
    assert!(kept["text"]["candidates"][1]["rego"]["modules"][0]["text"].to_string().contains("not whose it is"));

    std::fs::write(rehearsal.dir().join("rules.yaml"), RULES.replace("old", "older")).expect("writable");
    wait_for("another revision", || async { (revision().await != before).then_some(()) }).await;
    let after = revision().await;
    rehearsal.review("/review/later", &image_review("shop", &["registry.acmecorp.com/web:older"])).await;
    let decision = whole(&rehearsal, &rehearsal.decision("cluster=later").await).await;
    assert_eq!((&decision["revision"], &candidate(&decision, "images")["verdict"]), (&json!(after), &json!("deny")));

    // With a mistake nothing of it is taken.
    let mistaken = RULES.replace("deny: {tag: old}", "deny: {tga: old}");
    std::fs::write(rehearsal.dir().join("rules.yaml"), mistaken).expect("writable");
    let said = wait_for("the mistake", || async {
        let ready = rehearsal.get_json("/readyz").await;
        let said = ready["degraded"].as_array().expect("a list").iter().filter_map(Value::as_str);
        said.map(str::to_owned).find(|said| said.contains("is in force, and not what is configured"))
    })
    .await;
    assert!(
        said.contains("rules.yaml:5:29: policies[0].rules[0].deny.tga: unknown field; did you mean tag?"),
        "{said}"
    );
    assert_eq!(revision().await, after);
    // A start with the mistake runs on what loaded last, candidates too.
    let rehearsal = rehearsal.restart().await;
    assert_eq!(rehearsal.get_json("/api/v1/revisions").await["in_force"], json!(after));
}

#[test]
fn a_mistake_names_the_candidate_s_file_line_and_column() {
    let check = |files: &[(&str, &str)], candidates: &str| {
        let mut builder = Rehearsal::builder();
        for (name, text) in files {
            builder = builder.file(name, text);
        }
        let config = format!("policies: []\ncandidates: [{candidates}]\n");
        let builder = builder.file("r.yaml", config);
        let ended = run(builder.dir(), &["config", "check", "r.yaml"]);
        (ended.code, ended.stderr.replace(&format!("{}/", builder.dir().display()), ""))
    };
    let at = "r.yaml:2:14: candidates[0]: ";
    for (text, expected) in [
        ("policy: []", "a.yaml:1:1: policy: unknown field; did you mean policies?"),
        ("", "policies: is missing; add `policies: ..`"),
        ("policies: [{name: a}]", "a.yaml:1:12: policies[0]: the policy has nothing to judge with"),
        ("policies: [{name: a, rules: [{id: b, deny: {tag: '['}}]}]\n", "ok"),
        (
            "policies:\n- name: a\n  webhook: {url: 'http://127.0.0.1:1/'}",
            "a.yaml:3:12: policies[0].webhook: a candidate is judged in place",
        ),
        (
            "policies: [{name: a, rules: [{id: b, require: tag}]}, {name: a, rules: [{id: b, require: tag}]}]",
            "another of the policies is called a",
        ),
        ("policies: [{name: a, rego: {files: [none.rego], entrypoint: data.a.deny}}]", "none.rego"),
        ("policies: [{name: a, rules: [{id: b, deny: {image_matches: '('}}]}]", "a.yaml:1:"),
    ] {
        let (code, said) = check(&[("a.yaml", text)], "a.yaml");
        if expected == "ok" {
            assert_eq!(code, Some(0), "{said}");
            continue;
        }
        assert!(code == Some(2) && said.contains(at) && said.contains(expected), "{text}\n{said}");
    }
    let (code, said) = check(&[], "gone.yaml");
    assert!(code == Some(2) && said.contains("gone.yaml: the file cannot be read"), "{said}");
    let one = "policies: [{name: a, rules: [{id: b, require: tag}]}]";
    let (code, said) = check(&[("a.yaml", one), ("b.yaml", one)], "a.yaml, b.yaml");
    let expected = "candidates[1]: b.yaml:1:19: policies[0].name: a candidate of another file is called a";
    assert!(code == Some(2) && said.contains(expected), "{said}");
}

#[test]
fn on_a_desk_candidates_are_shown_where_they_are_asked_for_and_fail_nothing() {
    let desk = builder(LIVE).file("r.yaml", with_candidates()).file(
        "pod.yaml",
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: 'registry.acmecorp.com/a:old'}]}}",
    );
    let listed = run(desk.dir(), &["config", "check", "r.yaml"]);
    assert!(listed.stdout.contains("  compared images (enforce): rules no-old, no-dev\n"), "{}", listed.stdout);
    let check = |more: &[&str]| run(desk.dir(), &[&["check", "--config", "r.yaml", "pod.yaml"][..], more].concat());
    let alone = check(&[]);
    assert_eq!((alone.stdout.as_str(), alone.code), ("1 object, 0 violations\n", Some(0)));
    let beside = check(&["--candidates"]);
    assert_eq!(
        beside.stdout.lines().collect::<Vec<_>>(),
        [
            "pod.yaml:1  Pod/p in default  candidate images/no-old     registry.acmecorp.com/a:old uses the tag old",
            "pod.yaml:1  Pod/p in default  candidate labels/deny       it says not whose it is",
            "pod.yaml:1  Pod/p in default  candidate images-rego/deny  registry.acmecorp.com/a:old is old",
            "1 object, 0 violations, 3 violations by candidates",
        ]
    );
    assert_eq!(beside.code, Some(0));
    let json: Value = serde_json::from_str(&check(&["--candidates", "--format", "json"]).stdout).expect("JSON");
    assert_eq!((&json[0]["violations"][0]["candidate"], &json[0]["errors"]), (&json!(true), &json!([])));
}
