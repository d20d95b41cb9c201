//! `rehearsal check --record`: what runs in a cluster, kept beside what came of it.

mod harness;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::process::Ended;
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, postgres, run, wait_for};
use serde_json::{Value, json};

const CONFIG: &str = "cluster: prod
policies:
- name: images
  mode: audit
  rollout: [{namespaces: [shop], mode: enforce}, {namespaces: [blog], mode: warn}]
  rules: [{id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}]
exemptions: [{namespaces: shop, images: 'docker.io/library/busybox:*', permanent: true, ticket: SEC-1}]
";

/// A pod of a Deployment, as an API server gives it.
fn pod(namespace: &str, deployment: &str, number: u8, image: &str) -> Value {
    let hash = "6d4cf56db6";
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{deployment}-{hash}-{number}"), "generateName": format!("{deployment}-{hash}-"),
            "namespace": namespace, "labels": {"pod-template-hash": hash}, "uid": format!("u{number}"),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-{hash}"), "controller": true}]
        },
        "spec": {"containers": [{"name": "main", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "main", "image": image, "imageID": format!("docker.io/library/x@sha256:{:064x}", number % 2)}
        ]}
    })
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a field");
    object.pointer_mut(parent).expect("its parent")[field] = value;
    object
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}).to_string()
}

/// A cluster with one of everything.
fn cluster() -> Vec<Value> {
    let done = |phase: &str| with(pod("shop", "migrate", 9, "nginx"), "/status/phase", json!(phase));
    vec![
        namespace("shop"),
        namespace("blog"),
        namespace("empty"),
        pod("shop", "web", 1, "nginx"),
        pod("shop", "web", 2, "nginx"),
        pod("shop", "tool", 1, "busybox"),
        pod("blog", "posts", 1, "nginx"),
        pod("lab", "try", 1, "nginx"),
        pod("lab", "fine", 1, "nginx:1.29"),
        done("Succeeded"),
        done("Failed"),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:1"}]}}}}),
    ]
}

fn record(dir: &Path, more: &[&str], input: &str) -> Ended {
    std::fs::write(dir.join("input.json"), input).expect("the test's directory is writable");
    run(dir, &[&["check", "--record", "-c", "rehearsal.yaml", "input.json"], more].concat())
}

async fn started(on_postgres: bool) -> Rehearsal {
    let builder = Rehearsal::builder().config(CONFIG);
    let server = || postgres::shared();
    let builder = if on_postgres { builder.on_postgres(&server().url(&server().database())) } else { builder };
    builder.start().await
}

/// Those that a list has, by namespace and name.
fn workloads(answer: &Value) -> Vec<(&str, &str, &str)> {
    let text = |one: &'_ Value, field: &str| -> &str { one[field].as_str().expect("text").to_owned().leak() };
    let listed = answer["workloads"].as_array().expect("a list").iter();
    listed.map(|one| (text(one, "namespace"), text(one, "workload"), text(one, "outlook"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_recorded_beside_a_running_replica_and_counted_nowhere() {
    for on_postgres in [false, true] {
        let rehearsal = started(on_postgres).await;
        rehearsal.review("/review/prod", &review("shop", "web", "nginx:1")).await;
        rehearsal.decisions("", 1).await;
        let before = counted(&rehearsal).await;

        let ended = record(rehearsal.dir(), &[], &list(&cluster()));
        assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stderr, "", "nothing is wrong");
        for line in [
            "12 objects, 7 violations",
            "What runs is 5 workloads of 6 pods, in 4 namespaces.",
            "Left out as done, succeeded or failed: 2 pods.",
            "Left out as neither namespaces nor pods: 1 Deployment.",
            "1 workload would be refused when a pod is next made (drain, eviction, scale-up)",
            "  shop  Deployment/web  2 pods  images/no-latest  nginx uses the tag latest",
            "1 workload would be let in with a warning",
            "1 workload would be let in, and only recorded",
            "1 workload would be let in by an exemption or a ticket",
            "4 workloads had no review since a policy was loaded as it is",
        ] {
            assert!(ended.stdout.lines().any(|own| own == line), "{line:?} in\n{}", ended.stdout);
        }

        let answer = rehearsal.get_json("/api/v1/inventory").await;
        assert_eq!(
            workloads(&answer),
            [
                ("shop", "Deployment/web", "refused"),
                ("blog", "Deployment/posts", "warned"),
                ("lab", "Deployment/try", "audited"),
                ("shop", "Deployment/tool", "exempted"),
                ("lab", "Deployment/fine", "clear"),
            ]
        );
        let web = &answer["workloads"][0];
        assert_eq!((&web["pods"], &web["namespace_labels"]), (&json!(2), &json!({"team": "shop"})));
        let digests: Vec<&Value> = web["images"].as_array().expect("a list").iter().map(|one| &one["digest"]).collect();
        assert_eq!(digests, [&json!(format!("sha256:{:064x}", 1)), &json!(format!("sha256:{:064x}", 0))]);
        assert_eq!(
            (&web["verdicts"][0]["reviewed"], &web["verdicts"][0]["violations"][0]["pods"]),
            (&json!(true), &json!(2))
        );
        assert_eq!(answer["workloads"][3]["verdicts"][0]["violations"][0]["exempted"]["ticket"], "SEC-1");
        assert_eq!(answer["workloads"][1]["last_review"], Value::Null);
        let figures = &answer["inventory"]["figures"];
        let expected = json!({"pods": 6, "namespaces": 4, "workloads": 5, "refused": 1, "unjudged": 0, "warned": 1,
            "audited": 1, "exempted": 1, "unreviewed": 4});
        assert_eq!((figures, &answer["inventory"]["whole"]), (&expected, &json!(true)));
        assert_eq!(answer["coverage"]["others"], json!({"Deployment": 1}));

        assert_eq!(counted(&rehearsal).await, before, "on Postgres: {on_postgres}");
        let page = rehearsal.get("/inventory?cluster=prod").await.text();
        for part in ["1 would be refused", "Deployment/web", "team=shop", "nginx uses the tag latest"] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}

/// All that reviews are counted in, and what they are known by.
async fn counted(rehearsal: &Rehearsal) -> Vec<String> {
    let summary = rehearsal.get_json("/api/v1/summary").await;
    let figures = ["reviews", "allowed", "denied", "failed", "would_reject", "unjudged", "dry_runs", "gaps"];
    let mut counted: Vec<String> = figures.iter().map(|figure| summary[figure].to_string()).collect();
    counted.push(rehearsal.get_json("/api/v1/decisions").await["decisions"].to_string());
    counted.push(rehearsal.metric("rehearsal_reviews_total", &[]).await.to_string());
    counted.push(run(rehearsal.dir(), &["rollout", "show", "-c", "rehearsal.yaml"]).stdout);
    counted
}

/// Of a pod of that Deployment.
fn review(namespace: &str, deployment: &str, image: &str) -> Value {
    let object = pod(namespace, deployment, 1, image);
    let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
    with(pod_review("u", namespace, &name, &[image]), "/request/object", object)
}

#[tokio::test]
async fn a_workload_is_named_by_the_house_rule_and_judged_as_its_next_pod() {
    let rehearsal = started(false).await;
    let job = |name: &str| {
        let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": true}]);
        let pod = with(pod("lab", "x", 1, "a:1"), "/metadata/ownerReferences", owner);
        with(with(pod, "/metadata/labels", json!({})), "/metadata/name", json!(format!("{name}-abcde")))
    };
    let alone = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "namespace": "lab"},
        "spec": {"containers": [{"name": "a", "image": "a:1"}]}, "status": {"phase": "Pending"}});
    // Nothing of either is in the next one.
    let going = with(pod("shop", "going", 1, "nginx"), "/metadata/deletionTimestamp", json!("2026-11-27T10:00:00Z"));
    let debugged =
        with(pod("shop", "seen", 1, "a:1"), "/spec/ephemeralContainers", json!([{"name": "d", "image": "nginx"}]));
    let input = list(&[namespace("lab"), job("nightly-28471234"), job("once"), alone, going, debugged]);
    let ended = record(rehearsal.dir(), &[], &input);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let answer = rehearsal.get_json("/api/v1/inventory?cluster=prod").await;
    assert_eq!(
        workloads(&answer),
        [
            ("shop", "Deployment/going", "refused"),
            ("lab", "CronJob/nightly", "clear"),
            ("lab", "Job/once", "clear"),
            ("lab", "Pod/alone", "clear"),
            ("shop", "Deployment/seen", "clear"),
        ]
    );
    let pages: Vec<Value> = {
        let first = rehearsal.get_json("/api/v1/inventory?limit=3&namespace=lab").await;
        let second = rehearsal.get_json("/api/v1/inventory?limit=2&after=1").await;
        vec![first, second]
    };
    assert_eq!((workloads(&pages[0]).len(), &pages[0]["next"]), (3, &Value::Null));
    assert_eq!((workloads(&pages[1])[0].1, &pages[1]["next"]), ("Job/once", &json!("3")));
    assert_eq!(workloads(&rehearsal.get_json("/api/v1/inventory?outlook=refused").await).len(), 1);
    assert_eq!(workloads(&rehearsal.get_json("/api/v1/inventory?unreviewed=false").await).len(), 0);
    for (query, parameter) in [("outlook=bad", "outlook"), ("id=x", "id"), ("after=-", "after"), ("since=1h", "since")]
    {
        let refused = rehearsal.get(&format!("/api/v1/inventory?{query}")).await;
        assert_eq!((refused.status, &refused.json()["error"]["parameter"]), (400, &json!(parameter)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_no_review_since_its_policy_was_loaded_is_told() {
    for on_postgres in [false, true] {
        let rehearsal = started(on_postgres).await;
        rehearsal.review("/review/prod", &review("shop", "web", "a:1")).await;
        rehearsal.review("/review/prod", &image_review("blog", &["docker.io/library/b:1"])).await;
        rehearsal.review("/review/elsewhere", &review("lab", "far", "a:1")).await;
        rehearsal.review("/review/prod", &with(review("lab", "dry", "a:1"), "/request/dryRun", json!(true))).await;
        rehearsal.decisions("", 4).await;
        let input = list(&[
            namespace("shop"),
            pod("shop", "web", 1, "a:1"),
            // Known as the pods that run its repositories.
            pod("blog", "posts", 1, "b:2"),
            pod("lab", "far", 1, "a:1"),
            pod("lab", "dry", 1, "a:1"),
        ]);
        let unreviewed = async || {
            let answer = rehearsal.get_json("/api/v1/inventory?cluster=prod&unreviewed=true").await;
            workloads(&answer).iter().map(|one| one.1.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(record(rehearsal.dir(), &[], &input).code, Some(0));
        assert_eq!(unreviewed().await, ["Deployment/dry", "Deployment/far"], "on Postgres: {on_postgres}");

        // The same history, and the policy as it is going to be.
        let path = rehearsal.dir().join("rehearsal.yaml");
        let text = std::fs::read_to_string(&path).expect("written at the start");
        let changed = text.replace("\"latest\"", "\"newest\"");
        assert_ne!(text, changed);
        std::fs::write(rehearsal.dir().join("next.yaml"), changed).expect("writable");
        let ended = run(rehearsal.dir(), &["check", "--record", "-c", "next.yaml", "input.json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(unreviewed().await.len(), 4, "{}", ended.stdout);
        let line = ended.stdout.lines().find(|line| line.contains("Deployment/web")).expect("its line");
        assert!(line.contains("last 2") && line.ends_with("images"), "{line}");
        assert!(ended.stdout.lines().any(|line| line.contains("Deployment/far") && line.contains("never")));
        let page = rehearsal.get("/inventory").await.text();
        assert!(page.contains("which is not the one in force here"), "{page}");
        let kept = rehearsal.get_json("/api/v1/inventory").await["kept"].clone();
        let first = kept[1]["id"].as_i64().expect("a number");
        let answer = rehearsal.get_json(&format!("/api/v1/inventory?id={first}&unreviewed=true")).await;
        assert_eq!(workloads(&answer).len(), 2, "an older one is as it was");
    }
}

#[tokio::test]
async fn pods_that_differ_in_their_generated_names_say_the_same_and_one_that_cannot_be_judged_is_told() {
    let teams = "package main
deny[msg] { not input.metadata.labels.team; msg := sprintf(\"Pod %s says not whose it is\", [input.metadata.name]) }";
    let config = CONFIG.replace(
        "exemptions:",
        "- {name: teams, mode: warn, rego: {files: [teams.rego], entrypoint: data.main.deny}}\nexemptions:",
    );
    let rehearsal = Rehearsal::builder().file("teams.rego", teams).config(&config).start().await;
    let many: Vec<Value> = (0..1_001).map(|n| json!({"name": format!("c{n}"), "image": format!("a:{n}")})).collect();
    let input = list(&[
        namespace("blog"),
        pod("blog", "posts", 1, "a:1"),
        pod("blog", "posts", 2, "a:1"),
        with(pod("shop", "huge", 1, "a:1"), "/spec/containers", json!(many)),
    ]);
    let ended = record(rehearsal.dir(), &[], &input);
    assert_eq!(ended.code, Some(2), "one could not be judged: {}", ended.stdout);
    let answer = rehearsal.get_json("/api/v1/inventory").await;
    assert_eq!(
        workloads(&answer),
        [("shop", "Deployment/huge", "unjudged"), ("blog", "Deployment/posts", "warned")],
        "it is recorded all the same"
    );
    let violations = &answer["workloads"][1]["verdicts"][1]["violations"];
    assert_eq!(violations.as_array().expect("a list").len(), 1, "{violations}");
    let first = (&violations[0]["message"], &violations[0]["pods"]);
    assert_eq!(first, (&json!("Pod posts says not whose it is"), &json!(2)));
    let huge = &answer["workloads"][0];
    assert_eq!((huge["images"].as_array().expect("a list").len(), &huge["more_images"]), (100, &json!(true)));
}

#[tokio::test]
async fn a_ticket_that_is_used_up_lets_no_next_pod_in_and_one_in_force_does() {
    let entries = "break_glass:
- {annotation: 'a.image-policy.k8s.io/short-*', value: break-glass, for: 1s}
- {annotation: 'a.image-policy.k8s.io/long-*', value: break-glass, for: 1h, users: alice}
";
    let rehearsal = Rehearsal::builder().config(&format!("{CONFIG}{entries}")).start().await;
    let (short, long) = ("a.image-policy.k8s.io/short-1", "a.image-policy.k8s.io/long-1");
    let showing = |object: Value, key: &str| with(object, "/metadata/annotations", json!({key: "break-glass"}));
    let of_pod = |deployment: &str, key: &str| {
        let object = showing(pod("shop", deployment, 1, "nginx"), key);
        let controller = json!({"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": []});
        let review = with(review("shop", deployment, "nginx"), "/request/object", object);
        with(review, "/request/userInfo", controller)
    };
    let by_alice = {
        let spec = json!({"containers": [{"name": "main", "image": "nginx"}]});
        let template = json!({"metadata": {"annotations": {long: "break-glass"}}, "spec": spec});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "api", "namespace": "shop"}, "spec": {"replicas": 1, "template": template}});
        let review = with(pod_review("u", "shop", "api", &["nginx"]), "/request/object", object);
        let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        with(with(review, "/request/kind", kind), "/request/userInfo", json!({"username": "alice", "groups": []}))
    };
    let outlooks = async || {
        let objects = [
            namespace("shop"),
            showing(pod("shop", "web", 1, "nginx"), short),
            showing(pod("shop", "api", 1, "nginx"), long),
            showing(pod("shop", "new", 1, "nginx"), short),
            showing(pod("shop", "anybody", 1, "nginx"), long),
        ];
        let ended = record(rehearsal.dir(), &[], &list(&objects));
        let answer = rehearsal.get_json("/api/v1/inventory?cluster=prod").await;
        let listed = workloads(&answer);
        let of = |name: &str| listed.iter().find(|one| one.1 == name).expect("it runs").2.to_owned();
        let names = ["Deployment/web", "Deployment/api", "Deployment/new", "Deployment/anybody"];
        (names.map(of), ended)
    };
    let (before, ended) = outlooks().await;
    assert_eq!(before, ["exempted", "refused", "exempted", "refused"], "{}", ended.stdout);

    for of in [&by_alice, &of_pod("api", long), &of_pod("web", short)] {
        let answered = rehearsal.review("/review/prod", of).await;
        assert!(answered.allowed(), "{}", answered.text());
    }
    wait_for("the ticket to be used up", || async {
        (!rehearsal.review("/review/prod", &of_pod("web", short)).await.allowed()).then_some(())
    })
    .await;
    wait_for("the history to know of both", || async {
        let uses = rehearsal.get_json("/api/v1/break-glass").await;
        (uses["uses"].as_array().expect("a list").len() == 2).then_some(())
    })
    .await;
    let (after, ended) = outlooks().await;
    assert_eq!(after, ["refused", "exempted", "exempted", "refused"], "{}", ended.stdout);
    assert!(ended.stdout.contains("2 workloads would be let in by an exemption or a ticket"), "{}", ended.stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    // Without the history nobody knows.
    let ended = run(rehearsal.dir(), &["check", "-c", "rehearsal.yaml", "input.json"]);
    let web = ended.stdout.lines().find(|line| line.contains("web-")).expect("its line");
    assert!(web.contains("break-glass"), "{}", ended.stdout);
}

#[tokio::test]
async fn what_is_not_covered_is_told() {
    let rehearsal = started(false).await;
    let whole = |answer: &Value| answer["inventory"]["whole"].clone();
    let fine = |namespace: &str| pod(namespace, "web", 1, "a:1");
    let cut = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": "t", "remainingItemCount": 40},
        "items": [fine("shop"), fine("blog")]});
    for (input, said) in [
        (list(&[fine("shop"), fine("blog")]), "No namespaces were in the input"),
        (list(&[namespace("shop"), namespace("blog"), fine("shop")]), "All pods are of the namespace shop"),
        (cut.to_string(), "the API server cut 1 list of the input, 40 objects missing"),
        (
            list(&[namespace("shop"), fine("blog"), with(fine("shop"), "/spec/containers", json!("none"))]),
            "1 pod could not be read",
        ),
    ] {
        let ended = record(rehearsal.dir(), &[], &input);
        assert!(ended.stdout.contains(said), "{said} in {}{}", ended.stdout, ended.stderr);
        let expected = if said.contains("could not be read") { Some(2) } else { Some(0) };
        assert_eq!(ended.code, expected, "{}", ended.stderr);
        let answer = rehearsal.get_json("/api/v1/inventory").await;
        assert_eq!(whole(&answer), json!(false), "{said}");
        let page = rehearsal.get("/inventory").await.text();
        assert!(page.contains("Not all of the cluster") && page.contains(said), "{said} in {page}");
    }
    assert_eq!(record(rehearsal.dir(), &[], &list(&[namespace("a"), fine("a"), fine("b")])).code, Some(0));
    assert_eq!(whole(&rehearsal.get_json("/api/v1/inventory").await), json!(true));
    let later = record(rehearsal.dir(), &["--cluster", "prod-ue"], &list(&[namespace("a")]));
    assert_eq!(later.code, Some(0));
    assert!(later.stdout.contains("No review came of prod-ue so far"), "{}", later.stdout);
    let several = rehearsal.get("/api/v1/inventory").await;
    assert!(several.status == 400 && several.text().contains("prod, prod-ue"), "{}", several.text());
    let none = rehearsal.get("/api/v1/inventory?cluster=none").await;
    assert!(none.status == 404 && none.text().contains("there is no inventory of none"), "{}", none.text());
    assert!(rehearsal.get("/inventory?cluster=none").await.text().contains("kubectl get ns,pods -A -o json"));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_told_and_the_check_is_there_all_the_same() {
    let rehearsal = started(false).await;
    let input = list(&cluster());
    for (config, more, said) in [
        ("policies: []", vec![], "--record needs the name of the cluster: give --cluster NAME, or `cluster` in the"),
        ("cluster: a", vec!["--cluster", "undeclared"], "is the name of what comes from senders that are not declared"),
        ("cluster: a", vec!["--cluster", "A b"], "is not a DNS label"),
        (DECLARED, vec![], "--record needs the name of the cluster: give --cluster with one of one, two"),
        (DECLARED, vec!["--cluster", "three"], "--cluster three is none of `clusters` in the configuration: one, two"),
    ] {
        std::fs::write(rehearsal.dir().join("c.yaml"), config).expect("writable");
        std::fs::write(rehearsal.dir().join("input.json"), &input).expect("writable");
        let ended = run(rehearsal.dir(), &[&["check", "--record", "-c", "c.yaml", "input.json"], &more[..]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{said} in {}", ended.stderr);
    }
    let nothing = record(rehearsal.dir(), &[], &list(&[]));
    assert_eq!((nothing.code, nothing.stderr.as_str()), (Some(2), "error: input.json holds no object\n"));
    let others = record(
        rehearsal.dir(),
        &[],
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}).to_string(),
    );
    assert_eq!((others.code, others.stdout.as_str()), (Some(2), "1 object, 0 violations\n"));
    assert!(
        others.stderr.contains("the inventory was not recorded: the input has neither pods nor namespaces"),
        "{}",
        others.stderr
    );
    let torn = record(rehearsal.dir(), &[], &input[..input.len() / 2]);
    assert!(torn.code == Some(2) && torn.stderr.contains("ends in the middle of an object"), "{}", torn.stderr);

    for away in ["data_dir: elsewhere", "store: {url: 'postgres://x@127.0.0.1:1/x'}"] {
        std::fs::write(rehearsal.dir().join("c.yaml"), format!("{CONFIG}{away}\n")).expect("writable");
        std::fs::write(rehearsal.dir().join("input.json"), &input).expect("writable");
        let ended = run(rehearsal.dir(), &["check", "--record", "-c", "c.yaml", "input.json"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stdout.ends_with("12 objects, 7 violations\n"), "{}", ended.stdout);
        assert!(ended.stderr.contains("error: the inventory was not recorded: "), "{}", ended.stderr);
    }
    assert!(!rehearsal.dir().join("elsewhere").exists(), "no history is made at a mistyped place");
}

const DECLARED: &str = "clusters: [{name: one, path_token_file: t}, {name: two, path_token_file: u}]";

#[tokio::test]
async fn standard_input_is_taken_and_what_a_machine_reads_stays_whole() {
    let rehearsal = started(false).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_rehearsal"))
        .args(["check", "--record", "-c", "rehearsal.yaml", "--cluster", "prod-eu", "--format", "json", "-"])
        .current_dir(rehearsal.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(list(&cluster()).as_bytes()).expect("it reads");
    let ended = Ended::from(child.wait_with_output().expect("it ends"));
    let checked: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(checked.as_array().expect("a list").len(), cluster().len());
    assert!(ended.stderr.contains("What runs is 5 workloads of 6 pods"), "{}", ended.stderr);
    assert_eq!(rehearsal.get_json("/api/v1/inventory").await["inventory"]["cluster"], "prod-eu");
}
