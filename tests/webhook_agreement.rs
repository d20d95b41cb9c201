//! Local policies beside a webhook: each figure of `/agreement` is exactly its decisions, and late verdicts find their cell.

mod harness;

use harness::backend::{Backend, Reply, Script};
use harness::browser::{Browser, Scheme, Screen};
use harness::reviews::pod_review;
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

const LOCAL: &str = "
  - name: images
    mode: audit
    rules:
      - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}
      - {id: ours, allow: {registry: registry.acmecorp.com}, namespaces: [shop]}
  - name: pinned
    mode: audit
    rules: [{id: digest, require: digest, namespaces: [strict]}]
";

const EXEMPTION: &str =
    "exemptions: [{policy: images, rule: no-latest, namespaces: [lab], reason: a trial, permanent: true}]\n";

/// Of namespaces by their names.
fn by_namespace() -> Script {
    Script::judge(|received| {
        let review: Value = serde_json::from_slice(&received.body).expect("JSON");
        match review["request"]["namespace"].as_str() {
            Some("denied") => received.answer(json!({"allowed": false, "status": {"message": "not here"}})),
            Some("broken") => Reply::of(500, "text/plain", "out of order"),
            _ => received.allowed(),
        }
    })
}

/// Nobody waits for the webhook, so that each of its verdicts comes late.
async fn judged() -> (Rehearsal, Backend) {
    let backend = Backend::start(by_namespace());
    let webhook =
        format!("{{name: gate, mode: audit, webhook: {{url: '{}/', speaks: admission-review}}}}", backend.url);
    let config = format!("{EXEMPTION}policies:{LOCAL}  - {webhook}\ncandidates: [next.yaml]\n");
    let candidate = "policies: [{name: next, rules: [{id: digest, require: digest}]}]";
    let rehearsal = Rehearsal::builder().config(&config).file("next.yaml", candidate).start().await;
    let fine = "registry.acmecorp.com/web:1";
    for (n, (namespace, image)) in [
        ("shop", fine),
        ("shop", fine),
        ("shop", "nginx"),
        ("shop", "nginx"),
        ("strict", fine),
        ("denied", fine),
        ("denied", "nginx"),
        ("broken", fine),
        ("broken", "nginx"),
        // Exempted: nothing stands against it.
        ("lab", "nginx"),
    ]
    .into_iter()
    .enumerate()
    {
        rehearsal.review("/review/prod", &pod_review(&format!("u{n}"), namespace, "web", &[image])).await;
    }
    let mut dry = pod_review("dry", "denied", "web", &["nginx"]);
    dry["request"]["dryRun"] = json!(true);
    rehearsal.review("/review/prod", &dry).await;
    wait_for("every verdict", || async {
        let listed = rehearsal.get_json("/api/v1/decisions?webhook=gate&webhook_verdict=pending").await;
        let all = rehearsal.get_json("/api/v1/decisions").await;
        let are_there = all["decisions"].as_array().map(Vec::len) == Some(11);
        (are_there && listed["decisions"] == json!([])).then_some(())
    })
    .await;
    (rehearsal, backend)
}

/// So many decisions are in a list.
async fn listed(rehearsal: &Rehearsal, query: &str) -> usize {
    let list = rehearsal.get_json(&format!("/api/v1/decisions?{query}&limit=1000")).await;
    list["decisions"].as_array().unwrap_or_else(|| panic!("{query}: {list}")).len()
}

#[tokio::test]
async fn what_both_said_is_counted_and_each_figure_leads_to_as_many_decisions() {
    let (rehearsal, _backend) = judged().await;
    let said = rehearsal.get_json("/api/v1/agreement?since=24h").await;
    assert_eq!((&said["webhooks"], &said["locals"]), (&json!(["gate"]), &json!(["images", "pinned"])));
    let accords =
        |pair: &Value| ["reviews", "agreed", "only_local", "only_webhook", "error"].map(|name| pair[name].clone());
    let pairs: Vec<(Value, [Value; 5])> =
        said["pairs"].as_array().expect("a list").iter().map(|pair| (pair["local"].clone(), accords(pair))).collect();
    let expected = |local: Value, counts: [u64; 5]| (local, counts.map(|count| json!(count)));
    assert_eq!(
        pairs,
        [
            expected(Value::Null, [10, 4, 3, 1, 2]),
            expected(json!("images"), [10, 5, 2, 1, 2]),
            // Where it has no rule it has nothing to judge, and agrees with nobody.
            expected(json!("pinned"), [10, 0, 1, 2, 2]),
        ],
        "{said:#}"
    );
    let chosen = &said["chosen"];
    assert_eq!(
        chosen["only_local"],
        json!({
            "rules": [
                {"policy": "images", "rule": "no-latest", "reviews": 2},
                {"policy": "images", "rule": "ours", "reviews": 2},
                {"policy": "pinned", "rule": "digest", "reviews": 1},
            ],
            "namespaces": [
                {"cluster": "prod", "namespace": "shop", "reviews": 2},
                {"cluster": "prod", "namespace": "strict", "reviews": 1},
            ],
            "images": [
                {"repository": "docker.io/library/nginx", "reviews": 2},
                {"repository": "registry.acmecorp.com/web", "reviews": 1},
            ],
        })
    );
    assert_eq!(chosen["only_webhook"]["rules"], json!([{"policy": "gate", "rule": "gate", "reviews": 1}]));
    for pair in said["pairs"].as_array().expect("a list") {
        let local = pair["local"].as_str().map(|local| format!("&local={local}")).unwrap_or_default();
        for cell in pair["cells"].as_array().expect("a list") {
            let (ours, theirs) = (cell["local_verdict"].as_str(), cell["webhook_verdict"].as_str());
            let cell_of = format!("local_verdict={}&webhook_verdict={}", ours.expect("one"), theirs.expect("one"));
            let query = format!("webhook=gate{local}&{cell_of}&dry_run=false");
            assert_eq!(json!(listed(&rehearsal, &query).await), cell["reviews"], "{query}");
        }
    }

    let page = rehearsal.get("/agreement?since=24h").await.text();
    let said = "In the last 24 hours local policies and the webhook gate agreed in ";
    assert!(
        page.contains(said) && page.contains("What gate misses") && page.contains("Where gate surprises"),
        "{page}"
    );
    let page = page + &rehearsal.get("/agreement?since=24h&webhook=gate&local=images").await.text();
    let number = regex::Regex::new(
        r#"<a (?:class="[^"]*" )?href="/decisions\?([^"]*)">(?:<span class="label">[^<]*</span> <span class="value">)?([0-9,]+)<"#,
    )
    .expect("a pattern");
    let mut followed = 0;
    for found in number.captures_iter(&page) {
        let query = found[1].replace("&#38;", "&").replace("&amp;", "&");
        assert_eq!(found[2].parse(), Ok(listed(&rehearsal, &query).await), "{query}");
        followed += 1;
    }
    assert!(followed > 50, "only {followed} figures");
    for way in ["/candidates?since=24h", "/images?since=24h&repository=", "/namespaces/prod/shop?since=24h"] {
        assert!(page.replace("&#38;", "&").contains(way), "no way to {way}");
    }
    assert!(rehearsal.get("/candidates?since=24h").await.text().contains("href=\"/agreement?since=24h\""));
}

/// It was said to have let through what it never saw.
#[tokio::test]
async fn a_webhook_that_was_not_asked_misses_nothing() {
    let webhook = "  - {name: bouncer, mode: audit, webhook: {url: 'http://127.0.0.1:1/', speaks: image-review}}";
    let rehearsal = Rehearsal::builder().config(&format!("policies:{LOCAL}{webhook}")).start().await;
    rehearsal.review("/review/prod", &pod_review("u", "strict", "web", &["nginx"])).await;
    rehearsal.decisions("webhook_verdict=none&webhook=bouncer&local_verdict=deny", 1).await;
    let said = rehearsal.get_json("/api/v1/agreement?since=24h").await;
    let all = &said["pairs"][0];
    assert_eq!((&all["local"], &all["only_local"], &all["nothing"]), (&Value::Null, &json!(0), &json!(1)), "{said:#}");
    assert_eq!(said["chosen"]["only_local"], json!({"rules": [], "namespaces": [], "images": []}));
    assert_eq!(listed(&rehearsal, "webhook=bouncer&agreement=only_local").await, 0);
    assert_eq!(listed(&rehearsal, "webhook=bouncer&agreement=nothing").await, 1);
}

#[tokio::test]
async fn a_filter_without_a_webhook_says_what_is_missing() {
    let rehearsal = Rehearsal::builder().start().await;
    let refused = rehearsal.get("/api/v1/decisions?agreement=only_local").await;
    assert_eq!((refused.status, refused.text().contains("beside a webhook")), (400, true), "{}", refused.text());
    let nothing = rehearsal.get_json("/api/v1/decisions?webhook=none&agreement=error").await;
    assert_eq!(nothing["decisions"], json!([]));
}

#[tokio::test]
async fn where_there_is_nothing_to_compare_the_page_says_how_to_begin() {
    let none = Rehearsal::builder().config(&format!("policies:{LOCAL}")).start().await;
    let page = none.get("/agreement").await.text();
    assert!(page.contains("No webhook is loaded") && page.contains("speaks: image-review"), "{page}");
    let alone =
        "policies: [{name: gate, mode: audit, webhook: {url: 'http://127.0.0.1:1/', speaks: admission-review}}]";
    let alone = Rehearsal::builder().config(alone).start().await;
    let page = alone.get("/agreement").await.text();
    assert!(page.contains("No local policy is loaded") && page.contains("no-latest"), "{page}");
    let both = format!(
        "policies:{LOCAL}  - {{name: gate, webhook: {{url: 'http://127.0.0.1:1/', speaks: admission-review}}}}"
    );
    let page = Rehearsal::builder().config(&both).start().await.get("/agreement").await.text();
    assert!(page.contains("Nothing came in that time"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_fits_a_phone_and_a_cell_leads_to_its_decisions() {
    let (rehearsal, _backend) = judged().await;
    let browser = Browser::start().await;
    for (screen, scheme) in [(Screen::Phone, Scheme::Dark), (Screen::Desk, Scheme::Light)] {
        browser.look_from(screen, scheme).await;
        browser.open(&format!("{}/agreement", rehearsal.report_url())).await;
        let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(browser.script(fits).await, json!(true), "{screen:?}");
        assert!(browser.script("return document.querySelectorAll('.chart .would').length").await.as_u64() >= Some(1));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
    let cell = "const cell = document.querySelector('.matrix a.is-denied'); const said = cell.textContent; cell.click(); return said";
    let said = browser.script(cell).await;
    let rows = wait_for("the list", || async {
        let rows =
            "return location.pathname == '/decisions' && document.querySelectorAll('.decisions tbody tr').length";
        browser.script(rows).await.as_u64()
    })
    .await;
    assert_eq!(said, json!(rows.to_string()));
    browser.close().await;
}
