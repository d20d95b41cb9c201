//! What somebody sees who may see some namespaces: those, and nothing of any other.

use serde_json::{Value, json};

use crate::harness::backend::{Backend, Script};
use crate::harness::{Rehearsal, run, wait_for};
use crate::setup::{POLICIES, Person, TEAMS, asking, fill, users};

/// What must be on no page of the shop's people.
const OTHERS: [&str; 5] = ["secret", "blog", "seventh", "uid-l1", "uid-x1"];

/// Every page and every part of the API that shows something of the history, with what they may ask for.
const PATHS: [&str; 61] = [
    "/",
    "/?since=7d",
    "/?cluster=prod",
    "/?namespace=shop-eu",
    "/decisions",
    "/decisions?image=*",
    "/decisions?rule=blocked",
    "/decisions?uid=uid-x1",
    "/decisions?q=test",
    "/decisions?q=e",
    "/agreement",
    "/agreement?webhook=gate&local=images",
    "/candidates",
    "/clusters",
    "/clusters?cluster=prod&gate=unknown",
    "/clusters?cluster=prod&gate=not",
    "/inventory",
    "/inventory?outlook=audited",
    "/exemptions",
    "/exemptions?since=30d",
    "/policies",
    "/policies?rule=images/no-latest",
    "/namespaces",
    "/namespaces/prod/shop",
    "/images",
    "/images?repository=blocked.test/shop",
    "/images?unreadable=true",
    "/images/reference?image=nginx",
    "/rules",
    "/rules/images/no-latest",
    "/rules/images/no-latest?workloads=known",
    "/rules/images/blocked?workloads=rejected",
    "/report",
    "/report?since=7d&namespace=shop",
    "/api/v1/summary",
    "/api/v1/chart",
    "/api/v1/agreement",
    "/api/v1/agreement?webhook=gate&local=images",
    "/api/v1/candidates",
    "/api/v1/clusters",
    "/api/v1/decisions?limit=1000",
    "/api/v1/export",
    "/api/v1/names?q=e",
    "/api/v1/hits?of=rules",
    "/api/v1/hits?of=namespaces",
    "/api/v1/hits?of=images",
    "/api/v1/images",
    "/api/v1/images/reference?image=nginx",
    "/api/v1/inventory",
    "/api/v1/namespaces",
    "/api/v1/namespaces/prod/shop",
    "/api/v1/rules",
    "/api/v1/rules/images/no-latest?workloads=known",
    "/api/v1/break-glass",
    "/api/v1/ceilings",
    "/api/v1/exemptions",
    "/api/v1/policies",
    "/api/v1/report",
    "/api/v1/report/file?format=html",
    "/api/v1/report/file?format=md",
    "/api/v1/revisions",
];

/// What is of all of them, or of others.
const REFUSED: [&str; 11] = [
    "/access",
    "/api/v1/access",
    "/health",
    "/api/v1/health",
    "/metrics",
    "/api/v1/clusters?cluster=seventh",
    "/namespaces/prod",
    "/namespaces/prod/blog",
    "/namespaces/seventh/shop",
    "/api/v1/namespaces/prod",
    "/api/v1/namespaces/prod/secret-project",
];

/// What runs in the shop, and beside it.
async fn record(rehearsal: &Rehearsal) {
    let pod = |namespace: &str, image: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{namespace}-runs"), "namespace": namespace},
               "spec": {"containers": [{"name": "c", "image": image}]}, "status": {"phase": "Running"}})
    };
    let namespaces = ["shop", "blog", "secret-project"];
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut items: Vec<Value> = namespaces.iter().map(|name| namespace(name)).collect();
    items.extend([pod("shop", "nginx"), pod("blog", "blog.test/web:latest"), pod("secret-project", "nginx")]);
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
    std::fs::write(rehearsal.dir().join("runs.json"), list.to_string()).expect("writable");
    let ended = run(rehearsal.dir(), &["check", "--record", "--cluster", "prod", "-c", "rehearsal.yaml", "runs.json"]);
    assert!(ended.stdout.contains("What runs is 3 workloads"), "{}{}", ended.stdout, ended.stderr);
}

fn total(value: &Value) -> Value {
    let of = |name: &str| value[name].clone();
    json!([of("reviews"), of("allowed"), of("denied"), of("would_reject"), of("unjudged"), of("undeclared")])
}

#[tokio::test]
async fn figures_lists_and_names_are_of_their_namespaces_alone() {
    let rehearsal = asking("").start().await;
    let root = Person::signed_in(&rehearsal, "root").await;
    fill(&rehearsal).await;
    let all = root.sees(7).await;
    let mut sam = Person::signed_in(&rehearsal, "sam").await;
    let own = sam.sees(3).await;
    let uids: Vec<&str> = own.iter().filter_map(|one| one["uid"].as_str()).collect();
    assert_eq!(uids, ["uid-s3", "uid-s2", "uid-s1"]);

    assert_eq!(total(&sam.json("/api/v1/summary").await), json!([3, 2, 1, 2, null, null]));
    assert_eq!(total(&root.clone().json("/api/v1/summary").await), json!([7, 5, 2, 5, 0, 0]));
    assert_eq!(total(&sam.json("/api/v1/summary?cluster=prod&namespace=shop").await), json!([2, 1, 1, 1, null, null]));
    assert_eq!(sam.json("/api/v1/decisions?image=*test*").await["decisions"].as_array().map(Vec::len), Some(2));
    assert_eq!(sam.json("/api/v1/decisions?uid=uid-x1").await["decisions"], json!([]));
    assert_eq!(sam.json("/api/v1/decisions?rule=blocked").await["decisions"].as_array().map(Vec::len), Some(1));
    assert_eq!(sam.json("/api/v1/break-glass").await["uses"], json!([]));

    record(&rehearsal).await;
    let exemptions = sam.json("/api/v1/exemptions").await;
    let (one, whole) = (&exemptions["exemptions"][0], root.clone().json("/api/v1/exemptions").await);
    assert_eq!((&one["ticket"], &one["uses"], &one["namespaces"]), (&json!("SEC-7"), &json!(1), &json!([])));
    assert_eq!(whole["exemptions"][0]["namespaces"], json!(["shop", "secret-project"]), "it takes in others, too");
    let of_one = ["", "/api/v1"].map(|of| format!("{of}/exemptions/{}", one["id"].as_str().expect("an id")));
    for path in PATHS.into_iter().chain(of_one.iter().map(String::as_str)) {
        let page = sam.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        for other in OTHERS {
            // What they asked for themselves is said back; "blog" and such must not come from elsewhere.
            let text = page
                .text()
                .replace("uid=uid-x1", "")
                .replace("value=\"uid-x1\"", "")
                .replace("</span> uid-x1<span", "");
            assert!(!text.contains(other), "{path} says {other}:\n{text}");
        }
    }
    let clusters = sam.json("/api/v1/clusters").await;
    let names: Vec<&Value> =
        clusters["clusters"].as_array().expect("a list").iter().map(|one| &one["cluster"]).collect();
    assert_eq!((names, &clusters["replicas"]), (vec![&json!("prod")], &Value::Null), "{clusters}");
    for of_replicas in ["replicas", "protocols", "unproven", "lag_ms", "next_end"] {
        assert_eq!(clusters["clusters"][0][of_replicas], Value::Null, "{of_replicas}: {clusters}");
    }
    let page = sam.get("/clusters").await.text();
    assert!(!page.contains("Replicas") && !page.contains("Unproven"), "{page}");
    let of_all = root.clone().json("/api/v1/clusters").await;
    assert_eq!(
        (of_all["clusters"].as_array().map(Vec::len), of_all["replicas"].is_array()),
        (Some(3), true),
        "{of_all}"
    );
    assert!(sam.get("/report").await.text().contains("SEC-7"), "they use it");
    let overview = sam.get("/").await.text();
    assert!(overview.contains("shop-eu") && !overview.contains("Unjudged"), "{overview}");
    assert!(root.clone().get("/").await.text().contains("secret-project"));

    let foreign =
        all.iter().find(|one| one["uid"] == "uid-x1").and_then(|one| one["id"].as_str()).expect("an id").to_owned();
    let unknown = "0190a000-0000-7000-8000-000000000000";
    for (path, is_page) in [("/decisions/", true), ("/api/v1/decisions/", false)] {
        let (theirs, nobodys) =
            (sam.get(&format!("{path}{foreign}")).await, sam.get(&format!("{path}{unknown}")).await);
        assert_eq!((theirs.status, nobodys.status), (404, 404));
        let same = |text: String, id: &str| text.replace(id, "ID");
        assert_eq!(same(theirs.text(), &foreign), same(nobodys.text(), unknown), "the same words");
        assert!(
            theirs.text().contains("or it is not yours to see: ask platform@example.com"),
            "{is_page}: {}",
            theirs.text()
        );
    }
    let mine = own[0]["id"].as_str().expect("an id");
    assert_eq!(sam.get(&format!("/decisions/{mine}")).await.status, 200);
    assert_eq!(sam.json(&format!("/api/v1/decisions/{mine}")).await["uid"], "uid-s3");
}

/// What is asked for by an id is looked at one by one.
#[tokio::test]
async fn every_part_of_the_api_is_asked_here() {
    const BY_ID: [&str; 3] = ["/api/v1/decisions/{id}", "/api/v1/exemptions/{id}", "/api/v1/revisions/{id}"];
    let rehearsal = asking("").start().await;
    let document = Person::signed_in(&rehearsal, "sam").await.json("/api/v1/openapi.json").await;
    let asked = || PATHS.into_iter().chain(REFUSED).filter_map(|path| path.split('?').next());
    let is_of = |path: &str, template: &str| {
        let (path, template): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        path.len() == template.len() && path.iter().zip(&template).all(|(part, of)| part == of || of.starts_with('{'))
    };
    for template in document["paths"].as_object().expect("paths").keys() {
        let is_there = template == "/api/v1/openapi.json"
            || BY_ID.contains(&template.as_str())
            || asked().any(|path| is_of(path, template));
        assert!(is_there, "{template}");
    }
}

/// What a webhook says of others is not told, nor that it says anything.
#[tokio::test]
async fn what_a_webhook_says_is_of_their_namespaces_alone() {
    let backend = Backend::start(Script::deny("no"));
    let webhook =
        format!("{{name: gate, mode: audit, webhook: {{url: '{}/', speaks: admission-review}}}}", backend.url);
    let report = format!("report:\n  auth: users\n  users:\n{}{TEAMS}", users());
    let rehearsal = Rehearsal::builder().config(&format!("{report}{POLICIES}  - {webhook}\n")).start().await;
    let mut root = Person::signed_in(&rehearsal, "root").await;
    fill(&rehearsal).await;
    let counted = |said: &Value| said["pairs"][0]["cells"].as_array().map_or(0, Vec::len);
    let all = wait_for("every verdict", || async {
        let said = root.clone().json("/api/v1/agreement").await;
        let pair = &said["pairs"][0];
        (pair["reviews"] == 7 && pair["error"] == 0).then_some(said)
    })
    .await;
    assert_eq!(counted(&all), 1, "all are denied by both: {all}");
    let mut sam = Person::signed_in(&rehearsal, "sam").await;
    let own = sam.json("/api/v1/agreement").await;
    assert_eq!((&own["pairs"][0]["reviews"], &own["pairs"][0]["agreed"]), (&json!(3), &json!(3)), "{own}");
    for path in ["/agreement", "/agreement?webhook=gate&local=images", "/api/v1/agreement", "/decisions?webhook=gate"] {
        let text = sam.get(path).await.text();
        assert!(OTHERS.iter().all(|other| !text.contains(other)), "{path}: {text}");
    }
    assert!(root.get("/agreement").await.text().contains("of 7 reviews"));
}

/// What takes a cluster and a namespace.
const ASKED: [&str; 28] = [
    "/",
    "/decisions",
    "/decisions/tail",
    "/agreement",
    "/candidates",
    "/clusters",
    "/exemptions",
    "/images",
    "/inventory",
    "/namespaces",
    "/policies",
    "/rules",
    "/rules/images/no-latest",
    "/api/v1/exemptions",
    "/api/v1/policies",
    "/report",
    "/api/v1/summary",
    "/api/v1/agreement",
    "/api/v1/chart",
    "/api/v1/decisions",
    "/api/v1/export",
    "/api/v1/images",
    "/api/v1/namespaces",
    "/api/v1/rules",
    "/api/v1/rules/images/no-latest",
    "/api/v1/break-glass",
    "/api/v1/report",
    "/api/v1/report/file",
];

#[tokio::test]
async fn a_link_to_what_is_somebody_elses_says_whom_to_ask() {
    let rehearsal = asking("").start().await;
    let mut sam = Person::signed_in(&rehearsal, "sam").await;
    for (query, ask) in [
        ("namespace=blog", "Blog (blog@example.com)"),
        ("cluster=prod&namespace=blog", "Blog (blog@example.com)"),
        ("namespace=secret-project", "platform@example.com"),
        ("cluster=seventh&namespace=shop", "platform@example.com"),
        ("cluster=seventh", "Blog (blog@example.com)"),
    ] {
        for path in ASKED {
            let response = sam.get(&format!("{path}?{query}")).await;
            let text = response.text();
            assert_eq!(response.status, 403, "{path}?{query}: {text}");
            assert!(text.contains(&format!("is not yours to see: ask {ask}")), "{path}?{query}: {text}");
        }
    }
    let revision = sam.json("/api/v1/revisions").await["in_force"].as_str().expect("a name").to_owned();
    for path in [format!("/revisions/{revision}"), format!("/api/v1/revisions/{revision}")] {
        assert_eq!(sam.get(&path).await.status, 403, "{path}");
    }
    for path in REFUSED {
        assert_eq!(sam.get(path).await.status, 403, "{path}");
    }
    // Of a cluster's own objects, and of images that others alone ask for, nobody learns whether there are any.
    for path in ["/images/reference?image=secret.test/plan:latest", "/images/reference?image=none"] {
        assert_eq!(sam.get(path).await.status, 404, "{path}");
    }
    assert!(!sam.get("/").await.text().contains("href=\"/access\""));
    let mut vic = Person::signed_in(&rehearsal, "vic").await;
    assert_eq!((vic.get("/access").await.status, vic.get(&format!("/revisions/{revision}")).await.status), (403, 200));
    let mut ada = Person::signed_in(&rehearsal, "ada").await;
    assert_eq!(ada.get("/access").await.status, 200);
    let refusals = ada.accesses("event=refusal&user=sam").await;
    // Some of so many have a row, and the count of the others comes with the next one.
    assert_eq!(refusals.len(), 20);
    let metrics = ada.get("/metrics").await.text();
    // Of the revision twice, and of vic.
    let refused = 5 * ASKED.len() + REFUSED.len() + 3;
    assert!(metrics.contains(&format!("rehearsal_access_refusals_total{{reason=\"rights\"}} {refused}")), "{metrics}");
}
