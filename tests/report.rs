//! The printable report: its page, on paper, as a file and from the command line, of one history with something of everything.

mod harness;

use harness::browser::Browser;
use harness::process::Ended;
use harness::reviews::pod_review;
use harness::{Rehearsal, postgres, run, wait_for};
use serde_json::{Value, json};

const KEY: &str = "a.image-policy.k8s.io/ticket-7";

const CONFIG: &str = "cluster: prod
readiness: {quiet: 1ms}
policies:
- name: images
  mode: audit
  rules:
  - {id: no-latest, deny: {tag: latest}}
  - {id: hub, mode: enforce, deny: {registry: quay.io}}
exemptions:
- {policy: images, rule: no-latest, namespaces: [blog], until: 2099-01-01, ticket: SEC-12, owner: bloggers, reason: 'see [here](https://evil.test)'}
- {policy: images, namespaces: [long-gone], until: 2020-01-01, ticket: SEC-1}
break_glass: {annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass}
";

/// A name that Markdown would obey.
const HOSTILE: &str = "www.evil.test/![x](https://evil.test)|@all";

async fn populated(on_postgres: bool) -> Rehearsal {
    let builder = Rehearsal::builder().config(CONFIG);
    let server = || postgres::shared();
    let builder = if on_postgres { builder.on_postgres(&server().url(&server().database())) } else { builder };
    let rehearsal = builder.start().await;
    let mut broken = pod_review("broken", "pay", "api", &["quay.io/pay/api:1"]);
    broken["request"]["object"]["metadata"]["annotations"] = json!({KEY: "break-glass"});
    let mut hostile = pod_review("hostile", "shop", HOSTILE, &["nginx"]);
    hostile["request"]["object"]["metadata"]["name"] = json!(HOSTILE);
    let reviews = [
        pod_review("u1", "shop", "web", &["nginx"]),
        pod_review("u2", "blog", "posts", &["blog.test/posts"]),
        pod_review("u3", "fine", "fine", &["fine.test/fine:1"]),
        broken,
        hostile,
        // Nothing of it can be judged.
        pod_review("u4", "shop", "empty", &[]),
    ];
    for review in &reviews {
        rehearsal.review("/review/prod", review).await;
    }
    rehearsal.decisions("", reviews.len()).await;
    wait_for("a use", || async {
        let uses = rehearsal.get_json("/api/v1/break-glass").await;
        (uses["uses"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    rehearsal
}

fn report(rehearsal: &Rehearsal, args: &[&str]) -> Ended {
    run(rehearsal.dir(), &[&["report"], args].concat())
}

/// Words alone: without markup, and with one space between them.
fn words(html: &str) -> String {
    let body = html.split("<article").nth(1).and_then(|rest| rest.split("</article>").next()).expect("a report");
    let tags = regex::Regex::new("<[^>]*>").expect("a pattern");
    let text = tags.replace_all(body.split_once('>').expect("a tag").1, " ").into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without when it was made, and what only a process knows.
fn timeless(text: &str) -> String {
    let times =
        regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|\d+ \w+, \d\d:\d\d to \d\d:\d\d").expect("a pattern");
    let known = regex::Regex::new(r"(?s)Complete until.*?(Reviews|## Figures)").expect("a pattern");
    known.replace(&times.replace_all(text, "TIME"), "$1").into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_the_file_and_the_command_say_the_same() {
    for on_postgres in [false, true] {
        let rehearsal = populated(on_postgres).await;
        let page = rehearsal.get("/report").await.text();
        let said = words(&page);
        for part in [
            "all clusters and namespaces",
            "the whole history is in reach",
            "In the last 30 days 6 reviews; 2 would have been rejected, by 1 rule, in 1 namespace.",
            "images/no-latest audit in 4 namespaces",
            "It judged 5 of the 6 workloads of the period, and not Pod/empty (in shop of prod).",
            "images/hub enforce in 4 namespaces",
            "images/no-latest is ready in 3 of 4 namespaces; not ready in 1.",
            "1 exemption is in force.",
            "SEC-12",
            "1 workload was first let through by a break-glass ticket in this time, by 1 ticket.",
            KEY,
            "lab-admin",
            "images/hub denied",
            "No gap is known in this time.",
            "No ceiling held modes back in this time.",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("SEC-1 "), "it ended long before: {said}");

        let url = rehearsal.report_url().to_owned();
        let mut told = Vec::new();
        for way in [&["--url", url.as_str()][..], &["--config", "rehearsal.yaml"]] {
            let html = report(&rehearsal, way);
            assert_eq!(html.code, Some(0), "{}", html.stderr);
            assert_eq!(timeless(&words(&html.stdout)), timeless(&said), "{way:?}, on Postgres: {on_postgres}");
            assert!(!html.stdout.contains("href=") && !html.stdout.contains("src="), "nothing leads anywhere");
            let markdown = report(&rehearsal, &[&["--format", "md"], way].concat());
            assert_eq!(markdown.code, Some(0), "{}", markdown.stderr);
            told.push(timeless(&markdown.stdout));
        }
        assert_eq!(told[0], told[1], "on Postgres: {on_postgres}");
        let markdown = &told[0];
        for part in ["# Report, ", "| Would be rejected | 2 |", "### `images/no-latest`", "| `SEC-12` |", "`lab-admin`"]
        {
            assert!(markdown.contains(part), "{part}: {markdown}");
        }
        let outside: String = markdown.split('`').step_by(2).collect();
        assert!(!outside.contains("evil") && !outside.contains('['), "{markdown}");
        assert!(markdown.contains("evil"), "it is told of: {markdown}");
    }
}

#[tokio::test]
async fn a_part_of_the_history_is_asked_for_by_its_names() {
    let rehearsal = populated(false).await;
    let blog = words(&rehearsal.get("/report?since=1h&namespace=blog&cluster=prod").await.text());
    for part in ["the namespace blog of prod", "In the last hour, in the namespace blog of prod, 1 review;", "SEC-12"] {
        assert!(blog.contains(part), "{part}: {blog}");
    }
    assert!(!blog.contains("lab-admin"), "{blog}");
    let pay = words(&rehearsal.get("/report?namespace=pay").await.text());
    assert!(pay.contains("No exemption is in force") && pay.contains("lab-admin"), "{pay}");
    let before = words(&rehearsal.get("/report?until=2026-01-01").await.text());
    assert!(before.contains("no reviews.") && before.contains("No workload was reviewed in the period."), "{before}");
    assert!(before.contains("No ticket was first used in this time."), "{before}");

    let figures = rehearsal.get_json("/api/v1/report?namespace=shop").await;
    let rule = &figures["rules"][0];
    assert_eq!(rule["modes"], json!([{"mode": "audit", "namespaces": 1}]));
    assert_eq!((&rule["coverage"]["known"], &rule["coverage"]["judged"]), (&json!(3), &json!(2)), "{rule}");
    let missed = json!([{"cluster": "prod", "namespace": "shop", "workload": "Pod/empty"}]);
    assert_eq!(rule["coverage"]["missed"], missed);
    assert_eq!(figures.get("exemptions"), None, "they are at an address of their own");
}

/// The modes on paper knew nothing of it.
#[tokio::test]
async fn a_ceiling_that_holds_now_is_in_the_modes_on_paper() {
    let rehearsal = populated(false).await;
    let order = ["ceiling", "audit", "--for", "1h", "--ticket", "INC-1", "--by", "ana", "--config", "rehearsal.yaml"];
    let ended = run(rehearsal.dir(), &order);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let policies = wait_for("what holds back", || async {
        let answer = rehearsal.get_json("/api/v1/policies").await;
        (answer["rules"][1]["held_back"] == 4).then_some(answer)
    })
    .await;
    let report = rehearsal.get_json("/api/v1/report").await;
    for at in [0, 1] {
        let (said, told) = (&policies["rules"][at], &report["rules"][at]);
        assert_eq!((&said["rule"], &said["audit"], &said["enforce"]), (&told["rule"], &json!(4), &json!(0)), "{said}");
        assert_eq!(told["modes"], json!([{"mode": "audit", "namespaces": 4}]), "{told}");
    }
    let page = words(&rehearsal.get("/report").await.text());
    assert!(page.contains("images/hub audit in 4 namespaces") && !page.contains("enforce"), "{page}");
}

#[tokio::test]
async fn the_command_says_what_is_wrong() {
    let rehearsal = populated(false).await;
    let url = rehearsal.report_url().to_owned();
    let written = report(&rehearsal, &["-c", "rehearsal.yaml", "--tz", "Asia/Kathmandu", "-o", "r.html"]);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{}", written.stderr);
    let text = std::fs::read_to_string(rehearsal.dir().join("r.html")).expect("it is there");
    assert!(text.ends_with("</html>") && text.contains("times in Asia/Kathmandu"), "{text}");
    for (args, code, said) in [
        (&["-c", "rehearsal.yaml", "--since", "soon"][..], 2, "error: --since:"),
        (&["-c", "rehearsal.yaml", "--tz", "Mars/Olympus"], 2, "is not a time zone that is known here"),
        (&["-c", "nowhere.yaml"], 2, "nowhere.yaml"),
        (&["-c", "rehearsal.yaml", "-o", "no/such/folder"], 1, "no/such/folder cannot be written"),
        (&["--url", &url, "--since", "soon"], 1, "400 Bad Request"),
        (&["--url", "http://127.0.0.1:1"], 1, "127.0.0.1:1 does not answer"),
        (&["--url", &url, "-c", "rehearsal.yaml"], 2, "cannot be used with"),
    ] {
        let ended = report(&rehearsal, args);
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
}

/// 182 mm, what A4 has between the margins of the style, in CSS pixels.
const ROOM: u32 = 688;

/// What is wider than the paper.
const CUT_OFF: &str = "const width = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')].filter(one => one.getClientRects().length &&
    one.getBoundingClientRect().right > width + 1 && !one.closest('.unseen') && !one.closest('svg'))
    .map(one => one.tagName + '.' + one.className + ' ' + one.getBoundingClientRect().right)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_paper_it_has_pages_of_a4_and_nothing_is_cut_off() {
    let rehearsal = populated(false).await;
    let file = report(&rehearsal, &["-c", "rehearsal.yaml", "-o", "r.html"]);
    assert_eq!(file.code, Some(0), "{}", file.stderr);
    let browser = Browser::start().await;
    let page = format!("{}/report", rehearsal.report_url());
    let file = format!("file://{}", rehearsal.dir().join("r.html").display());
    let media_box = regex::Regex::new(r"/MediaBox ?\[0 0 ([0-9.]+) ([0-9.]+)\]").expect("a pattern");
    for url in [page, file] {
        browser.open(&url).await;
        let printed = browser.print().await;
        assert!(printed.starts_with(b"%PDF-"), "{url}");
        let text = String::from_utf8_lossy(&printed);
        let sizes: Vec<[f64; 2]> =
            media_box.captures_iter(&text).map(|found| [1, 2].map(|at| found[at].parse().expect("a number"))).collect();
        // Opening, figures over time, rules, exemptions, break-glass, gaps: each begins a page.
        assert!(sizes.len() >= 6, "{url}: {sizes:?}");
        for [width, height] in sizes {
            assert!((width - 595.0).abs() < 1.0 && (height - 842.0).abs() < 1.0, "{url}: {width} by {height}");
        }

        browser.look_at_paper(ROOM).await;
        assert_eq!(browser.script(CUT_OFF).await, json!([]), "{url}");
        let text = browser.script("return document.body.innerText").await;
        let text = text.as_str().expect("text");
        for part in ["images/no-latest", "images/hub", "SEC-12", "lab-admin"] {
            assert!(text.contains(part), "{url}: {part}: {text}");
        }
        for gone in ["Overview", "Ctrl-P", "Times in", "Show"] {
            assert!(!text.lines().any(|line| line.trim() == gone), "{url}: {gone}");
        }
        let ink = browser.script("return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('h1')).color]").await;
        assert_eq!(ink, json!(["rgb(255, 255, 255)", "rgb(0, 0, 0)"]), "{url}: black on white");
        let repeated = browser.script("return [...document.querySelectorAll('.printed thead')].every(one => getComputedStyle(one).display === 'table-header-group')").await;
        assert_eq!(repeated, Value::Bool(true), "{url}");
        assert!(browser.complaints().await.is_empty(), "{url}");
    }
    browser.close().await;
}
