//! Break-glass over the real binary: tickets in annotations, who may, how long, and what is remembered of them.

mod harness;

use std::path::Path;

use harness::backend::{Backend, Script};
use harness::http::Response;
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

const KEY: &str = "a.image-policy.k8s.io/ticket-7";
const CONTROLLER: &str = "system:serviceaccount:kube-system:replicaset-controller";

const POLICIES: &str = "
policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}, {id: hub, deny: {registry: quay.io}}]}]
";

/// With `images` in enforce, and one entry of break-glass with these fields.
async fn with(fields: &str) -> Rehearsal {
    let entry = format!("break_glass: {{annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass{fields}}}");
    Rehearsal::builder().config(&format!("{POLICIES}{entry}")).start().await
}

fn showing(mut review: Value, annotations: Value) -> Value {
    let metadata = match review["request"]["object"]["spec"].get("template") {
        Some(_) => &mut review["request"]["object"]["spec"]["template"]["metadata"],
        None => &mut review["request"]["object"]["metadata"],
    };
    metadata["annotations"] = annotations;
    review
}

fn by(mut review: Value, user: &str, groups: &[&str]) -> Value {
    review["request"]["userInfo"] = json!({"username": user, "groups": groups});
    review
}

/// A pod that nothing made, with the ticket.
fn pod(namespace: &str, name: &str, image: &str) -> Value {
    showing(pod_review("u", namespace, name, &[image]), json!({KEY: "break-glass"}))
}

/// A Deployment, with the ticket in its template.
fn deployment(name: &str, image: &str) -> Value {
    let mut review = pod_review("u", "shop", name, &[image]);
    let request = &mut review["request"];
    request["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let spec = request["object"]["spec"].take();
    request["object"] = json!({"kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"replicas": 1, "template": {"metadata": {}, "spec": spec}}});
    showing(review, json!({KEY: "break-glass"}))
}

/// A pod of the Deployment `name`, with the ticket, as the controller makes it.
fn pod_of(name: &str, image: &str) -> Value {
    let mut review = pod("shop", &format!("{name}-5f-x"), image);
    let metadata = &mut review["request"]["object"]["metadata"];
    metadata["labels"] = json!({"pod-template-hash": "5f"});
    metadata["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": format!("{name}-5f"), "controller": true}]);
    by(review, CONTROLLER, &["system:serviceaccounts"])
}

fn message(response: &Response) -> String {
    response.verdict()["status"]["message"].as_str().unwrap_or_default().to_owned()
}

async fn uses(rehearsal: &Rehearsal, query: &str, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} uses"), || async {
        let listed = rehearsal.get_json(&format!("/api/v1/break-glass?{query}")).await;
        let listed = listed["uses"].as_array().expect("a list").clone();
        assert!(listed.len() <= count, "{listed:?}");
        (listed.len() == count).then_some(listed)
    })
    .await
}

async fn counted(rehearsal: &Rehearsal) -> u64 {
    rehearsal.metric("rehearsal_break_glass_uses_total", &["policy=\"images\""]).await.round() as u64
}

#[tokio::test]
async fn a_ticket_lets_a_workload_through_and_the_first_use_is_told() {
    let rehearsal = with("").await;
    let plain = rehearsal.review("/review/prod", &pod_review("u", "shop", "web", &["nginx"])).await;
    assert!(!plain.allowed(), "without a ticket");
    for _ in 0..2 {
        assert!(rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed());
    }
    let first = uses(&rehearsal, "", 1).await.remove(0);
    assert_eq!((counted(&rehearsal).await, rehearsal.log().matches("break-glass: the first use").count()), (1, 1));
    for (field, value) in [
        ("cluster", "prod"),
        ("namespace", "shop"),
        ("workload", "Pod/web"),
        ("ticket", KEY),
        ("person", "lab-admin"),
        ("without", "denied"),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    assert_eq!(first["rules"], json!(["images/no-latest"]));
    let decisions = rehearsal.decisions("answer=allowed", 2).await;
    for decision in &decisions {
        let exempted = &decision["verdicts"][0]["violations"][0]["exempted"];
        let expected = json!({"by": "break-glass", "ticket": KEY, "person": "lab-admin", "since": first["at"],
            "until": first["until"], "without": "denied"});
        assert_eq!((exempted, &decision["would_reject"]), (&expected, &json!(false)), "{decision}");
    }
    assert_eq!(first["decision"], decisions[1]["id"], "the older one of the two");
    let page = rehearsal.get(&format!("/decisions/{}", first["decision"].as_str().expect("an id"))).await.text();
    for part in ["broke the glass", "person lab-admin", "by images/no-latest", ">break-glass</span>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(rehearsal.metric("rehearsal_violations_total", &["mode=\"break-glass\""]).await > 1.5);
    let stated = harness::run(rehearsal.dir(), &["export", "--config", "rehearsal.yaml", "--format", "csv"]);
    assert!(stated.stdout.contains("person lab-admin, without it denied"), "{}", stated.stdout);
}

#[tokio::test]
async fn the_end_of_a_ticket_that_two_entries_take_is_the_later_one() {
    let entry = |rule: &str, lasts: &str| {
        format!("{{annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass, rules: {rule}, for: {lasts}}}")
    };
    let entries = format!("break_glass: [{}, {}]", entry("no-latest", "1h"), entry("hub", "2h"));
    let rehearsal = Rehearsal::builder().config(&format!("{POLICIES}{entries}")).start().await;
    assert!(rehearsal.review("/review/prod", &pod("shop", "web", "quay.io/nginx")).await.allowed());
    let first = uses(&rehearsal, "", 1).await.remove(0);
    assert_eq!(first["rules"], json!(["images/hub", "images/no-latest"]));
    let decision = rehearsal.decisions("answer=allowed", 1).await.remove(0);
    let violations = decision["verdicts"][0]["violations"].as_array().expect("a list").clone();
    let mut ends: Vec<&str> = violations.iter().map(|one| one["exempted"]["until"].as_str().expect("an end")).collect();
    ends.sort_unstable();
    assert!(ends[0] < ends[1], "{decision}");
    assert_eq!(first["until"], ends[1], "{decision}");
}

#[tokio::test]
async fn each_field_must_match() {
    for (fields, is_through) in [
        (", policies: images, rules: [no-*], clusters: prod, namespaces: shop, users: lab-*, groups: 'system:*'", true),
        (", policies: other", false),
        (", rules: hub", false),
        (", clusters: test", false),
        (", namespaces: [blog, 'team-*']", false),
        (", users: alice", false),
        (", groups: sre", false),
    ] {
        let rehearsal = with(fields).await;
        let response = rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await;
        assert_eq!(response.allowed(), is_through, "{fields}: {}", response.text());
        for other in [json!({KEY: "break-glas"}), json!({"a.image-policy.k8s.io/tick": "break-glass"})] {
            let review = showing(pod_review("u", "shop", "web", &["nginx"]), other);
            assert!(!rehearsal.review("/review/prod", &review).await.allowed(), "{fields}");
        }
    }
}

#[tokio::test]
async fn a_ticket_is_used_up_after_its_time_also_over_a_restart() {
    let rehearsal = with(", for: 1500ms").await;
    assert!(rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed());
    let first = uses(&rehearsal, "", 1).await.remove(0);
    let (at, until) = (first["at"].as_str().expect("a time"), first["until"].as_str().expect("a time"));
    let told = format!(
        "images/no-latest: nginx uses the tag latest. The break-glass ticket {KEY} is used up: first used at {at} by \
         lab-admin, ended at {until}"
    );
    wait_for("a ticket that is used up", || async {
        let response = rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await;
        (!response.allowed()).then(|| assert_eq!(message(&response), told))
    })
    .await;
    let denied = rehearsal.decision("answer=denied").await;
    let whole = rehearsal.get_json(&format!("/api/v1/decisions/{}", denied["id"].as_str().expect("an id"))).await;
    assert!(whole["notes"][0].as_str().is_some_and(|note| note.contains("is used up")), "{whole}");
    let is_first = async |rehearsal: &Rehearsal| {
        let response = rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await;
        assert_eq!(message(&response), told);
    };
    assert!(rehearsal.review("/review/prod", &pod("shop", "other", "nginx")).await.allowed(), "another workload");
    uses(&rehearsal, "", 2).await;
    let data_dir = rehearsal.data_dir();
    // From its own disk, without what the history has.
    let mut rehearsal = rehearsal;
    rehearsal.kill9();
    let history: Vec<_> =
        harness::files(&data_dir).into_iter().map(|(path, _)| path).filter(|path| is_history(path)).collect();
    assert!(!history.is_empty(), "{data_dir:?}");
    history.iter().for_each(|path| std::fs::remove_file(path).expect("ours"));
    let rehearsal = rehearsal.restart().await;
    is_first(&rehearsal).await;
    uses(&rehearsal, "", 2).await;
    // From the history, without its own disk.
    std::fs::remove_file(data_dir.join("tickets.json")).expect("it was kept");
    let rehearsal = rehearsal.restart().await;
    is_first(&rehearsal).await;
    assert_eq!(counted(&rehearsal).await, 0);
}

fn is_history(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("history.sqlite"))
}

#[tokio::test]
async fn pods_inherit_from_their_workload_s_own_review() {
    let rehearsal = with(", users: [alice], groups: [sre]").await;
    let review = async |review: Value| rehearsal.review("/review/prod", &review).await.allowed();
    assert!(!review(pod_of("web", "nginx")).await, "nobody made the Deployment yet");
    assert!(!review(by(deployment("web", "nginx"), "mallory", &["sre"])).await, "both are asked for");
    assert!(!review(by(deployment("web", "nginx"), "alice", &["dev"])).await);
    assert!(review(by(deployment("web", "nginx"), "alice", &["dev", "sre"])).await);
    assert!(review(pod_of("web", "nginx")).await);
    assert!(!review(pod_of("other", "nginx")).await, "another Deployment");
    assert!(!review(by(pod_of("web", "nginx"), "mallory", &["dev"])).await, "an owner that anybody can write");
    assert!(!rehearsal.review("/review/prod", &image_of_ticket("shop", "nginx")).await.allowed(), "it names no user");
    let first = uses(&rehearsal, "", 1).await.remove(0);
    assert_eq!((&first["person"], &first["workload"]), (&json!("alice"), &json!("Deployment/web")), "{first}");
    for decision in rehearsal.decisions("answer=allowed", 2).await {
        assert_eq!(decision["verdicts"][0]["violations"][0]["exempted"]["person"], "alice", "{decision}");
    }
}

/// Where the rules are of pods alone, nothing stands against the Deployment, but who made it is remembered.
#[tokio::test]
async fn who_made_a_workload_is_remembered_where_only_its_pods_are_judged() {
    let config = "
policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}, kinds: [Pod]}]}]
break_glass: [{annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass, users: [alice]}]";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let review = async |review: Value| rehearsal.review("/review/prod", &review).await.allowed();
    assert!(review(by(deployment("web", "nginx"), "mallory", &[])).await, "it is not judged");
    assert!(!review(pod_of("web", "nginx")).await, "mallory may not");
    let mut dry = by(deployment("web", "nginx"), "alice", &[]);
    dry["request"]["dryRun"] = json!(true);
    assert!(review(dry).await);
    assert!(!review(pod_of("web", "nginx")).await, "a dry run changes nothing");
    assert!(review(by(deployment("web", "nginx"), "alice", &[])).await);
    assert!(review(pod_of("web", "nginx")).await);
    let first = uses(&rehearsal, "", 1).await.remove(0);
    assert_eq!((&first["person"], &first["workload"]), (&json!("alice"), &json!("Deployment/web")), "{first}");
    assert!(review(by(deployment("web", "nginx"), "mallory", &[])).await);
    assert!(!review(pod_of("web", "nginx")).await, "what mallory changed is not alice's any more");
}

fn image_of_ticket(namespace: &str, image: &str) -> Value {
    let mut review = image_review(namespace, &[image]);
    review["spec"]["annotations"] = json!({KEY: "break-glass"});
    review
}

#[tokio::test]
async fn an_image_review_names_no_user() {
    let rehearsal = with("").await;
    assert!(rehearsal.review("/review/prod", &image_of_ticket("shop", "nginx")).await.allowed());
    let first = uses(&rehearsal, "namespace=shop", 1).await.remove(0);
    assert_eq!(first["person"], "unknown: ImageReview names no user");
    assert_eq!(first["workload"], "pods running docker.io/library/nginx");
    let decision = rehearsal.decision("answer=allowed").await;
    assert_eq!(decision["verdicts"][0]["violations"][0]["exempted"]["person"], "unknown: ImageReview names no user");
}

#[tokio::test]
async fn a_dry_run_and_what_is_denied_all_the_same_use_nothing_up() {
    let rehearsal = with(", rules: no-latest").await;
    let mut dry = pod("shop", "web", "nginx");
    dry["request"]["dryRun"] = json!(true);
    assert!(rehearsal.review("/review/prod", &dry).await.allowed());
    assert!(
        !rehearsal.review("/review/prod", &pod("shop", "web", "quay.io/a/b")).await.allowed(),
        "hub stands against it"
    );
    rehearsal.decisions("", 2).await;
    assert_eq!(counted(&rehearsal).await, 0);
    let list = rehearsal.get("/decisions").await.text();
    assert_eq!(list.matches("break-glass, not used").count(), 2, "{list}");
    for (query, why) in
        [("dry_run=true", "a dry run uses none"), ("rule=no-latest&answer=denied", "denied all the same")]
    {
        let decision = rehearsal.decision(query).await;
        let page = rehearsal.get(&format!("/decisions/{}", decision["id"].as_str().expect("an id"))).await.text();
        let told = "person lab-admin, would let it through, and was not used: ";
        assert!(page.contains(told) && page.contains(why) && !page.contains("let through by"), "{query}: {page}");
    }
    assert!(rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed());
    uses(&rehearsal, "", 1).await;
    assert_eq!(counted(&rehearsal).await, 1);
}

#[tokio::test]
async fn an_exemption_costs_no_ticket() {
    let config = format!(
        "{POLICIES}
break_glass: {{annotation: '**', value: break-glass}}
exemptions: [{{namespaces: shop, permanent: true, ticket: SEC-1}}]"
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    assert!(rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed());
    let decision = rehearsal.decision("").await;
    assert_eq!(decision["verdicts"][0]["violations"][0]["exempted"]["by"], "exemption", "{decision}");
    assert_eq!(counted(&rehearsal).await, 0);
}

#[tokio::test]
async fn a_webhook_is_loosened_only_where_it_says_so() {
    let backend = Backend::start(Script::deny("not this one"));
    for (more, mode, allowed) in [("", "enforce", false), (", overridable: true", "enforce", true), ("", "audit", true)]
    {
        let config = format!(
            "policies: [{{name: gate, mode: {mode}, webhook: {{url: '{}/', speaks: admission-review{more}}}}}]
break_glass: [{{annotation: '**/ticket-*', value: break-glass}}]",
            backend.url
        );
        let rehearsal = Rehearsal::builder().config(&config).start().await;
        let response = rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await;
        assert_eq!(response.allowed(), allowed, "{mode}{more}");
        let recorded = rehearsal.decision(if allowed { "rule=gate" } else { "answer=denied" }).await;
        let exempted = &recorded["verdicts"][0]["violations"][0]["exempted"];
        assert_eq!(exempted.is_null(), !allowed, "{recorded}");
        // A verdict that comes late uses it too.
        let first = uses(&rehearsal, "", usize::from(allowed)).await;
        let without = if mode == "enforce" { "denied" } else { "allowed" };
        assert!(first.iter().all(|first| first["without"] == without), "{first:?}");
    }
}

#[tokio::test]
async fn uses_are_listed_in_pages_newest_first() {
    let rehearsal = with("").await;
    for n in 0..5 {
        let namespace = if n == 3 { "blog" } else { "shop" };
        assert!(rehearsal.review("/review/prod", &pod(namespace, &format!("p{n}"), "nginx")).await.allowed());
    }
    uses(&rehearsal, "", 5).await;
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = rehearsal.get_json(&format!("/api/v1/break-glass?limit=2&after={after}")).await;
        let listed = page["uses"].as_array().expect("a list").iter();
        names.extend(listed.map(|one| one["workload"].as_str().expect("a name").to_owned()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(names, ["Pod/p4", "Pod/p3", "Pod/p2", "Pod/p1", "Pod/p0"]);
    assert_eq!(uses(&rehearsal, "namespace=blog&cluster=prod", 1).await[0]["workload"], "Pod/p3");
    uses(&rehearsal, "cluster=other", 0).await;
    let wrong = rehearsal.get("/api/v1/break-glass?rule=x").await;
    assert_eq!((wrong.status, wrong.json()["error"]["parameter"].clone()), (400, json!("rule")));
}

#[tokio::test]
async fn a_change_of_it_is_taken_without_a_restart_and_a_mistake_is_not() {
    let text = |entry: &str| format!("{}break_glass: {entry}\n", POLICIES.trim_start());
    let rehearsal = Rehearsal::builder()
        .file("c.yaml", POLICIES)
        .args(&["serve", "--config", "c.yaml"])
        .env("REHEARSAL_JOURNAL_MAX_WAIT", "5s")
        .start()
        .await;
    assert!(!rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed());
    let write = |entry: &str| {
        std::fs::write(rehearsal.dir().join("c.new"), text(entry)).expect("ours");
        std::fs::rename(rehearsal.dir().join("c.new"), rehearsal.dir().join("c.yaml")).expect("ours");
    };
    write("{annotation: '**', value: break-glass}");
    wait_for("break-glass in force", || async {
        rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed().then_some(())
    })
    .await;
    write("{annotation: 'ticket', value: break-glass}");
    let told = "c.yaml:2:27: break_glass.annotation: only annotations whose key holds `.image-policy.k8s.io/` reach a \
                policy, so this matches none; right would be *.image-policy.k8s.io/ticket-*";
    wait_for("the mistake", || async { rehearsal.get("/readyz").await.text().contains(told).then_some(()) }).await;
    let checked = harness::run(rehearsal.dir(), &["config", "check", "c.yaml"]);
    assert!(checked.code == Some(2) && checked.stderr.contains(told), "{checked:?}");
    assert!(rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed(), "the old stays in force");
    let rehearsal = rehearsal.restart().await;
    assert!(
        rehearsal.review("/review/prod", &pod("shop", "web", "nginx")).await.allowed(),
        "as what loaded last has it"
    );
    let id = rehearsal.get_json("/api/v1/revisions").await["in_force"].as_str().expect("an id").to_owned();
    let revision = rehearsal.get_json(&format!("/api/v1/revisions/{id}")).await;
    assert_eq!(revision["text"]["break_glass"][0]["annotation"], "**", "{revision}");
}

#[tokio::test]
async fn a_check_shows_that_a_ticket_would_let_it_through() {
    let rehearsal = with("").await;
    std::fs::write(rehearsal.dir().join("pod.json"), pod_text()).expect("ours");
    let args = ["check", "--config", "rehearsal.yaml", "-n", "shop", "--cluster", "prod", "pod.json"];
    let checked = harness::run(rehearsal.dir(), &args);
    let shown = "break-glass images/no-latest";
    assert!(checked.code == Some(0) && checked.stdout.contains(shown), "{checked:?}");
    let found = harness::run(rehearsal.dir(), &[&args[..], &["--format", "json"]].concat());
    let found: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!(found[0]["violations"][0]["exempted"]["without"], "denied", "{found}");
    assert_eq!(counted(&rehearsal).await, 0);
    let rehearsal = with(", users: alice").await;
    std::fs::write(rehearsal.dir().join("pod.json"), pod_text()).expect("ours");
    assert_eq!(harness::run(rehearsal.dir(), &args).code, Some(1), "nobody knows who will deploy it");
}

fn pod_text() -> String {
    pod("shop", "web", "nginx")["request"]["object"].to_string()
}
