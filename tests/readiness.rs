//! Which rules are ready where: pages, API and the command, over real reviews and inventories.

mod harness;

use harness::backend::{Backend, Script};
use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, postgres, run, wait_for};
use serde_json::{Value, json};

const CONFIG: &str = "cluster: prod
readiness: {quiet: 1ms}
policies:
- name: images
  mode: audit
  rules:
  - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest', help: Pin a version.}
  - {id: pinned, require: digest}
candidates: [candidate.yaml]
";

const CANDIDATE: &str = "policies: [{name: images-next, rules: [{id: approved, allow: {registry: registry.test}}]}]";

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A pod of a Deployment, as an API server gives it.
fn pod(namespace: &str, deployment: &str, images: &[&str]) -> Value {
    let hash = "6d4cf56db6";
    let containers: Vec<Value> =
        images.iter().enumerate().map(|(at, image)| json!({"name": format!("c{at}"), "image": image})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{deployment}-{hash}-abcde"), "generateName": format!("{deployment}-{hash}-"),
            "namespace": namespace, "labels": {"pod-template-hash": hash},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-{hash}"), "controller": true}]
        },
        "spec": {"containers": containers},
        "status": {"phase": "Running"}
    })
}

fn review(namespace: &str, deployment: &str, images: &[&str]) -> Value {
    let mut review = pod_review("u", namespace, deployment, images);
    review["request"]["object"] = pod(namespace, deployment, images);
    review["request"]["name"] = review["request"]["object"]["metadata"]["name"].clone();
    review
}

async fn started(config: &str, on_postgres: bool) -> Rehearsal {
    let builder = Rehearsal::builder().file("candidate.yaml", CANDIDATE).config(config);
    let server = || postgres::shared();
    let builder = if on_postgres { builder.on_postgres(&server().url(&server().database())) } else { builder };
    builder.start().await
}

/// Three workloads in `shop`, of which two would be rejected by `no-latest`; one in `pay` and one in `blog`, which would not.
async fn populated(on_postgres: bool) -> Rehearsal {
    let rehearsal = started(CONFIG, on_postgres).await;
    let pinned = format!("registry.test/pay/api@{DIGEST}");
    let reviews = [
        review("shop", "web", &["nginx", "registry.test/shop/web:1"]),
        review("shop", "cart", &["nginx", "registry.test/shop/cart"]),
        review("shop", "fine", &["registry.test/shop/fine:1"]),
        review("pay", "api", &[&pinned]),
        review("blog", "posts", &["registry.test/blog/posts:3"]),
    ];
    for review in &reviews {
        rehearsal.review("/review/prod", review).await;
    }
    rehearsal.decisions("", reviews.len()).await;
    rehearsal
}

fn record(rehearsal: &Rehearsal, items: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(rehearsal.dir().join("input.json"), list.to_string()).expect("the test's directory is writable");
    let ended = run(rehearsal.dir(), &["check", "--record", "-c", "rehearsal.yaml", "input.json"]);
    // 1: a violation is no mistake here.
    assert!(matches!(ended.code, Some(0 | 1)), "{}{}", ended.stdout, ended.stderr);
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

async fn of_rule(rehearsal: &Rehearsal, rule: &str, query: &str) -> Value {
    rehearsal.get_json(&format!("/api/v1/rules/images/{rule}{query}")).await
}

/// Each namespace and its words.
fn words(answer: &Value) -> Vec<(String, String)> {
    let text = |one: &Value, field: &str| one[field].as_str().expect("text").to_owned();
    let census = answer["census"].as_array().expect("a list").iter();
    census.map(|one| (text(one, "namespace"), text(one, "words"))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(namespace, words)| ((*namespace).to_owned(), (*words).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_ready_where_nothing_would_be_rejected_and_all_was_seen() {
    for on_postgres in [false, true] {
        let rehearsal = populated(on_postgres).await;
        let answer = of_rule(&rehearsal, "no-latest", "").await;
        assert_eq!(
            words(&answer),
            pairs(&[
                ("shop", "not ready: 2 workloads"),
                ("blog", "ready, of what was seen"),
                ("pay", "ready, of what was seen"),
            ]),
            "on Postgres: {on_postgres}"
        );
        assert_eq!(answer["sentence"], "images/no-latest is ready in 2 of 3 namespaces; not ready in 1.");
        assert_eq!(answer["workloads"], json!({"known": 5, "seen": 5, "rejected": 2, "exempted": 0}));
        // 1 - 0.05^(1/2)
        let at_most = answer["bound"]["at_most"].as_f64().expect("a number");
        assert!((at_most - 0.776_393_202_25).abs() < 1e-9, "{at_most}");
        assert_eq!((&answer["bound"]["seen"], &answer["bound"]["rejected"]), (&json!(2), &json!(0)));

        record(
            &rehearsal,
            &[
                namespace("shop"),
                namespace("pay"),
                namespace("blog"),
                pod("pay", "api", &[&format!("registry.test/pay/api@{DIGEST}")]),
                pod("pay", "ledger", &["registry.test/pay/ledger:1"]),
                pod("blog", "posts", &["registry.test/blog/posts:3"]),
                // As it is by now.
                pod("shop", "cart", &["registry.test/shop/cart:2"]),
            ],
        );
        let answer = of_rule(&rehearsal, "no-latest", "").await;
        assert_eq!(
            words(&answer),
            pairs(&[("shop", "not ready: 1 workload"), ("pay", "unseen: 1 of 2"), ("blog", "ready")]),
            "on Postgres: {on_postgres}"
        );
        assert_eq!(answer["census"][1]["unseen_names"], json!(["Deployment/ledger"]));
        let listed = of_rule(&rehearsal, "no-latest", "?workloads=rejected").await["listed"].clone();
        assert_eq!(listed.as_array().expect("a list").len(), 1);
        assert_eq!((&listed[0]["workload"], &listed[0]["by"]), (&json!("Deployment/web"), &json!("review")));
        assert_eq!(listed[0]["violations"][0]["message"], "nginx uses the tag latest");
        let decision = listed[0]["decision"].as_str().expect("an id");
        assert_eq!(rehearsal.get(&format!("/decisions/{decision}")).await.status, 200);
        let of_pinned = of_rule(&rehearsal, "pinned", "?namespace=pay&workloads=rejected").await;
        assert_eq!(words(&of_pinned), pairs(&[("pay", "not ready: 1 workload")]));
        assert_eq!(of_pinned["listed"][0]["by"], "inventory");
        for (path, status) in [
            ("images/nothing", 404),
            ("nobody/pinned", 404),
            ("images/pinned?workloads=bad", 400),
            ("images/pinned?since=1h", 400),
        ] {
            assert_eq!(rehearsal.get(&format!("/api/v1/rules/{path}")).await.status, status, "{path}");
        }
    }
}

/// With a window that ends now, what was judged an hour ago by this text would be called too new.
#[tokio::test]
async fn a_rule_that_just_began_to_judge_is_too_new_and_one_that_was_just_violated_is_not_quiet() {
    let config = CONFIG.replace("quiet: 1ms", "quiet: 7d");
    let rehearsal = started(&config, false).await;
    rehearsal.review("/review/prod", &review("shop", "web", &["nginx"])).await;
    rehearsal.review("/review/prod", &review("pay", "api", &["a.test/b:1"])).await;
    rehearsal.review("/review/prod", &review("shop", "web", &["nginx:1.29"])).await;
    rehearsal.decisions("", 3).await;
    let answer = of_rule(&rehearsal, "no-latest", "").await;
    assert_eq!(
        words(&answer),
        pairs(&[
            ("shop", "not quiet: violated within the last hour"),
            ("pay", "too new: first judged within the last hour")
        ])
    );
    assert_eq!((&answer["rollout"], &answer["bound"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn every_figure_leads_to_as_many_rows() {
    let rehearsal = populated(false).await;
    record(&rehearsal, &[namespace("pay"), pod("pay", "ledger", &["registry.test/pay/ledger:1"])]);
    let number = regex::Regex::new(
        r#"<a (?:class="[^"]*" )?href="(/(?:rules|decisions)[^"?]*)\?([^"]*)">(?:<span class="label">[^<]*</span> <span class="value">)?([0-9,]+)<"#,
    )
    .expect("a pattern");
    let mut followed = Vec::new();
    for page in
        ["/rules", "/rules?cluster=prod&namespace=shop", "/rules/images/no-latest", "/rules/images/pinned?gate=not"]
    {
        let text = rehearsal.get(page).await.text().to_owned();
        for found in number.captures_iter(&text) {
            let query = found[2].replace("&#38;", "&").replace("&amp;", "&");
            let said: usize = found[3].replace(',', "").parse().expect("a number");
            let what = format!("{page}: {}?{query}", &found[1]);
            let rows = rows(&rehearsal, &found[1], &query).await;
            assert_eq!(rows, said, "{what}");
            followed.push(what);
        }
    }
    assert!(followed.len() > 30, "{followed:#?}");
    assert!(followed.iter().any(|what| what.contains("candidate_verdict=deny")), "{followed:#?}");
    let page = rehearsal.get("/rules/images/no-latest").await.text().to_owned();
    let decisions = regex::Regex::new(r#"href="/decisions\?([^"]*)""#).expect("a pattern");
    let query = decisions.captures(&page).expect("of the last violation")[1].replace("&#38;", "&");
    let list = rehearsal.get_json(&format!("/api/v1/decisions?{query}")).await;
    assert!(!list["decisions"].as_array().expect("a list").is_empty(), "{query}");
}

/// Those of the page that a figure leads to: counted on the page itself.
async fn rows(rehearsal: &Rehearsal, path: &str, query: &str) -> usize {
    if path == "/decisions" {
        let list = rehearsal.get_json(&format!("/api/v1/decisions?{query}&limit=1000")).await;
        return list["decisions"].as_array().expect("a list").len();
    }
    let page = rehearsal.get(&format!("{path}?{query}")).await.text().to_owned();
    let table = |class: &str| {
        let at = page.find(&format!("<table class=\"{class}\">")).map(|at| &page[at..]);
        let body = at.and_then(|table| table.split("</table>").next()).unwrap_or_default();
        body.matches("<th scope=\"row\">").count()
    };
    if path == "/rules" {
        table("census")
    } else if query.contains("workloads=") {
        table("running verdicts")
    } else {
        table("census places")
    }
}

#[tokio::test]
async fn what_is_proposed_loads_and_does_what_it_says() {
    let rehearsal = populated(false).await;
    let answer = of_rule(&rehearsal, "no-latest", "").await;
    let rollout = answer["rollout"].as_str().expect("YAML");
    let exemptions = answer["exemptions"].as_str().expect("YAML");
    assert_eq!(
        rollout,
        "rollout:\n  - {rules: [no-latest], clusters: [prod], namespaces: [blog, pay], mode: enforce}\n"
    );
    assert_eq!(exemptions.matches("- policy: images").count(), 1, "both need what one namespace needs: {exemptions}");
    for page in ["/rules/images/no-latest"] {
        let page = rehearsal.get(page).await.text().to_owned();
        assert!(page.contains("namespaces: [blog, pay], mode: enforce"), "{page}");
    }

    let promoted =
        CONFIG.replace("  mode: audit\n", &format!("  mode: audit\n  {}\n", rollout.trim_end().replace('\n', "\n  ")));
    std::fs::write(rehearsal.dir().join("promoted.yaml"), format!("{promoted}{exemptions}")).expect("writable");
    let checked = run(rehearsal.dir(), &["config", "check", "promoted.yaml"]);
    assert_eq!(checked.code, Some(0), "{}{}\n{promoted}{exemptions}", checked.stdout, checked.stderr);

    let next = started(&format!("{promoted}{exemptions}"), false).await;
    for (namespace, deployment, images, allowed) in [
        ("pay", "api", &["nginx"][..], false),
        ("shop", "web", &["nginx", "registry.test/shop/web:1"], true),
        ("shop", "cart", &["nginx", "registry.test/shop/cart"], true),
        ("shop", "other", &["registry.test/other/other"], true),
    ] {
        let answer = next.review("/review/prod", &review(namespace, deployment, images)).await;
        assert_eq!(answer.json()["response"]["allowed"], json!(allowed), "{namespace}/{deployment}");
    }
    next.decisions("", 4).await;
    let answer = of_rule(&next, "no-latest", "?namespace=shop").await;
    assert_eq!(answer["workloads"], json!({"known": 3, "seen": 3, "rejected": 1, "exempted": 2}), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_the_same_with_and_without_a_url() {
    for on_postgres in [false, true] {
        let rehearsal = populated(on_postgres).await;
        record(
            &rehearsal,
            &[namespace("shop"), namespace("pay"), pod("pay", "ledger", &["registry.test/pay/ledger:1"])],
        );
        let report = rehearsal.report_url().to_owned();
        for (args, code, lines) in [
            (
                &["--rule", "images/no-latest"][..],
                1,
                &[
                    "prod/shop: not ready: 2 workloads",
                    "  would be rejected: Deployment/cart, Deployment/web",
                    "prod/pay: unseen: 1 of 2",
                    "  unseen: Deployment/ledger",
                    "prod/blog: ready, of what was seen",
                    "not ready: images/no-latest in 1 of 3 namespaces",
                ][..],
            ),
            (
                &["--rule", "images/no-latest", "--namespace", "bl*", "--cluster", "prod"],
                0,
                &["prod/blog: ready, of what was seen", "ready: images/no-latest in 1 namespace"],
            ),
            (
                &["--rule", "images/no-latest", "--namespace", "pay", "--namespace", "blog"],
                2,
                &[
                    "prod/pay: unseen: 1 of 2",
                    "  unseen: Deployment/ledger",
                    "prod/blog: ready, of what was seen",
                    "not known: images/no-latest in 1 of 2 namespaces",
                ],
            ),
            (
                &["--rule", "images/no-latest", "--namespace", "prod-*"],
                2,
                &["not known: images/no-latest, since no workload is known of such a namespace"],
            ),
        ] {
            for way in [&["--url", report.as_str()][..], &["--config", "rehearsal.yaml"]] {
                let ended = run(rehearsal.dir(), &[&["ready"], args, way].concat());
                assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), lines, "{args:?} {way:?}: {}", ended.stderr);
                assert_eq!(ended.code, Some(code), "{args:?} {way:?}");
            }
        }
        for way in [&["--url", report.as_str()][..], &["--config", "rehearsal.yaml"]] {
            let ended = run(rehearsal.dir(), &[&["ready", "--rule", "images/nothing"], way].concat());
            assert_eq!(ended.code, Some(2));
            assert!(ended.stderr.starts_with("not known: no rule images/nothing is loaded"), "{}", ended.stderr);
        }
    }
    let nobody = tempfile::tempdir().expect("a directory");
    let ended = run(nobody.path(), &["ready", "--rule", "images/no-latest", "--url", "http://127.0.0.1:9"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("127.0.0.1:9 does not answer"), "{}", ended.stderr);
    let ended = run(nobody.path(), &["ready", "--rule", "images"]);
    assert!(ended.stderr.contains("POLICY/RULE") && ended.code == Some(2), "{}", ended.stderr);
}

#[tokio::test]
async fn a_workload_that_only_image_reviews_tell_of_is_the_one_that_runs() {
    let rehearsal = started(CONFIG, false).await;
    rehearsal.review("/review/prod", &image_review("blog", &["docker.io/library/posts:1"])).await;
    rehearsal.decisions("", 1).await;
    record(
        &rehearsal,
        &[namespace("blog"), namespace("shop"), pod("blog", "web", &["posts:2"]), pod("shop", "x", &["x:1"])],
    );
    let answer = of_rule(&rehearsal, "no-latest", "").await;
    assert_eq!(words(&answer), pairs(&[("shop", "unseen: 1 of 1"), ("blog", "ready")]));
}

/// Policy and rule, and its counts of workloads.
async fn rules(rehearsal: &Rehearsal) -> Vec<(String, Value)> {
    let answer = rehearsal.get_json("/api/v1/rules").await;
    let text = |one: &Value, field: &str| one[field].as_str().expect("text").to_owned();
    let rules = answer["rules"].as_array().expect("a list").iter();
    rules.map(|one| (format!("{}/{}", text(one, "policy"), text(one, "rule")), one["workloads"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_rego_are_known_once_violated_and_a_webhook_is_one_that_no_exemption_clears() {
    let rego = "package main
deny[msg] { not input.metadata.labels.team; msg := \"it says not whose it is\" }";
    let backend = Backend::start(Script::deny("not from here"));
    let config = format!(
        "cluster: prod
readiness: {{quiet: 1ms}}
policies:
- {{name: teams, rego: {{files: [teams.rego], entrypoint: data.main.deny}}}}
- {{name: gate, mode: audit, webhook: {{url: '{}/judge', speaks: admission-review}}}}
exemptions: [{{policy: gate, namespaces: pay, permanent: true, ticket: SEC-1}}]
",
        backend.url
    );
    let rehearsal = Rehearsal::builder().file("teams.rego", rego).config(&config).start().await;
    let mut labelled = review("pay", "api", &["a.test/b:1"]);
    labelled["request"]["object"]["metadata"]["labels"]["team"] = json!("pay");
    rehearsal.review("/review/prod", &labelled).await;
    // A webhook in audit is not waited for: its verdict comes later.
    let counts = json!({"known": 1, "seen": 1, "rejected": 1, "exempted": 0});
    let of_gate = wait_for("the webhook's verdict", || async {
        let found = rules(&rehearsal).await;
        found.iter().find(|(name, of)| name == "gate/gate" && *of == counts).map(|_| found.clone())
    })
    .await;
    let any = json!({"known": 1, "seen": 1, "rejected": 0, "exempted": 0});
    assert_eq!(of_gate[0], ("teams/*".to_owned(), any), "nobody knows what its rules are called");
    for path in ["/rules", "/rules/teams/*", "/rules/gate/gate?workloads=rejected"] {
        assert_eq!(rehearsal.get(path).await.status, 200, "{path}");
    }
    let gate = rehearsal.get_json("/api/v1/rules/gate/gate").await;
    assert_eq!((&gate["version"], &gate["exemptions"]), (&Value::Null, &Value::Null));
    let page = rehearsal.get("/rules/gate/gate").await.text().to_owned();
    assert!(page.contains("overridable: true"), "{page}");
    let whole = rehearsal.get_json("/api/v1/rules/teams/*").await;
    let rollout = "rollout:\n  - {clusters: [prod], namespaces: [pay], mode: enforce}\n";
    assert_eq!(whole["rollout"], rollout, "of all its rules");

    rehearsal.review("/review/prod", &review("shop", "web", &["a.test/b:1"])).await;
    let known = wait_for("the rule's name", || async {
        let found = rules(&rehearsal).await;
        let own: Vec<_> = found.into_iter().filter(|(name, _)| name.starts_with("teams/")).collect();
        own.iter().all(|(name, _)| name != "teams/*").then_some(own)
    })
    .await;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].1, json!({"known": 2, "seen": 2, "rejected": 1, "exempted": 0}));
    let rule = rehearsal.get_json(&format!("/api/v1/rules/{}", known[0].0)).await;
    let yaml = rule["exemptions"].as_str().expect("YAML");
    assert!(yaml.contains("workloads: [Deployment/web]"), "no image is to blame: {yaml}");
}

#[tokio::test]
async fn another_rule_may_change_and_this_one_s_evidence_stays() {
    let rehearsal = populated(false).await;
    let before = words(&of_rule(&rehearsal, "no-latest", "").await);
    assert_eq!(words(&of_rule(&rehearsal, "pinned", "").await).len(), 3);
    let path = rehearsal.dir().join("rehearsal.yaml");
    let text = std::fs::read_to_string(&path).expect("written at the start");
    let changed = text.replace("\"digest\"", "[\"digest\",\"tag\"]");
    assert_ne!(text, changed, "{text}");
    std::fs::write(&path, changed).expect("writable");
    let revision = async || of_rule(&rehearsal, "pinned", "").await["revision"].clone();
    let old = revision().await;
    wait_for("the change to be in force", || async { (revision().await != old).then_some(()) }).await;
    assert_eq!(words(&of_rule(&rehearsal, "no-latest", "").await), before);
    let unseen = words(&of_rule(&rehearsal, "pinned", "").await);
    assert_eq!(unseen, pairs(&[("blog", "unseen: 1 of 1"), ("pay", "unseen: 1 of 1"), ("shop", "unseen: 3 of 3")]));
}

#[tokio::test]
async fn many_rules_are_told_a_page_at_a_time() {
    let rules: Vec<String> =
        (0..81).map(|number| format!("{{id: rule-{number:02}, deny: {{tag: t{number}}}}}")).collect();
    let config = format!("policies: [{{name: images, mode: audit, rules: [{}]}}]", rules.join(", "));
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let first = rehearsal.get("/rules").await.text();
    assert!(first.contains("1 to 80 of 81 rules of the policies in force"), "{first}");
    assert!(first.contains("rule-79") && !first.contains("rule-80"), "{first}");
    assert!(first.contains("href=\"/rules?after=80\""), "{first}");
    assert!(first.len() < 100_000, "{} bytes", first.len());
    let last = rehearsal.get("/rules?after=80").await.text();
    assert!(last.contains("81 to 81 of 81 rules") && last.contains("rule-80") && !last.contains("rule-79"), "{last}");
    let beyond = rehearsal.get("/rules?after=200").await.text();
    assert!(beyond.contains("1 to 80 of 81 rules"), "a list of which rules were removed begins again: {beyond}");
    assert_eq!(rehearsal.get_json("/api/v1/rules").await["rules"].as_array().map(Vec::len), Some(81));
}

#[tokio::test]
async fn a_text_to_copy_that_is_too_long_for_a_page_is_told_of_and_in_the_api() {
    let rehearsal = Rehearsal::builder().config(CONFIG).file("candidate.yaml", CANDIDATE).start().await;
    for number in 0..260 {
        let review = pod_review(
            &format!("u{number}"),
            &format!("shop-{number}"),
            "web",
            &[&format!("own.test/app-{number}/web")],
        );
        rehearsal.review("/review/prod", &review).await;
    }
    rehearsal.drained().await;
    let answer = of_rule(&rehearsal, "no-latest", "").await;
    let yaml = answer["exemptions"].as_str().expect("YAML");
    assert!(yaml.len() > 20_000 && yaml.contains("app-259"), "{yaml}");
    let page = rehearsal.get("/rules/images/no-latest").await.text();
    let said = format!("Its {} lines are too many for a page: they are <code>exemptions</code>", yaml.lines().count());
    assert!(page.contains(&said) && page.len() < 100_000, "{} bytes: {page}", page.len());
}
