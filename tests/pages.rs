//! The pages in a real browser: they load, say nothing in the console, fit a phone, and ask nobody else for anything.

mod harness;

use harness::browser::{Browser, Scheme, Screen};
use harness::reviews::{captures, pod_review};
use harness::{Rehearsal, peers};
use serde_json::{Value, json};

const CONFIG: &str = r"
policies:
  - name: images
    mode: warn
    rules:
      - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest', help: 'Pin a version.'}
      - {id: approved, allow: {registry: registry.acmecorp.com}, mode: audit}
      - {id: blocked, deny: {registry: blocked.test}, mode: enforce}
candidates: [next.yaml]
break_glass: {annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass}
exemptions:
  - {rule: approved, namespaces: [blog], until: 2020-01-01, ticket: OLD-3, owner: bloggers, reason: was to be moved by then}
  - {rule: blocked, namespaces: [shop], until: SOON, ticket: SEC-12, owner: web, reason: is being moved to the registry of ours}
";

/// With an exemption that ends soon.
fn config() -> String {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(9 * 24);
    CONFIG.replace("SOON", &soon.strftime("%Y-%m-%d").to_string())
}

/// Loads, and is not what the process began with.
const SECOND: &str = "
  - name: images-of-the-second-revision
    rules: [{id: pinned, require: digest}]
candidates:";

const CANDIDATE: &str = "policies: [{name: images-of-next-quarter, rules: [{id: pinned, require: digest}]}]";

/// A history with something of everything.
async fn populated() -> Rehearsal {
    let rehearsal = Rehearsal::builder().config(&config()).file("next.yaml", CANDIDATE).start().await;
    for (_, body) in captures() {
        rehearsal.post("/review/lab", body).await;
    }
    let long = format!("registry.acmecorp.com/{}:{}", "a-team/".repeat(20) + "service", "v".repeat(120));
    rehearsal.review("/review/lab", &pod_review("long", "team-a", &"n".repeat(63), &[&long])).await;
    rehearsal.review("/review/lab", &pod_review("denied", "team-b", "denied", &["blocked.test/x:1"])).await;
    let mut broken = pod_review("broken", "pay", "urgent", &["blocked.test/urgent:1"]);
    let ticket = json!({"a.image-policy.k8s.io/ticket-7": "break-glass"});
    broken["request"]["object"]["metadata"]["annotations"] = ticket;
    let exempted = pod_review("exempted", "shop", "web", &["blocked.test/web:1"]);
    for review in [broken, exempted, pod_review("over", "blog", "posts", &["blog.test/posts:1"])] {
        rehearsal.review("/review/lab", &review).await;
    }
    rehearsal.decisions("", captures().len() + 5).await;
    recorded(&rehearsal, &long);
    reloaded(&rehearsal).await;
    rehearsal
}

/// Another revision, and then a configuration with a mistake, which is not taken.
async fn reloaded(rehearsal: &Rehearsal) {
    let (config, first) = (config(), revision(rehearsal).await);
    let write = |text: String| {
        std::fs::write(rehearsal.dir().join("rehearsal.yaml"), text).expect("the test's directory is writable");
    };
    write(config.replacen("\ncandidates:", SECOND, 1));
    harness::wait_for("another revision", || async { (revision(rehearsal).await != first).then_some(()) }).await;
    write(config.replacen("mode: warn", "mode: loud", 1));
    harness::wait_for("the mistake", || async {
        let answer = rehearsal.get_json("/api/v1/policies").await;
        let is_stored = answer["revisions"].as_array().is_some_and(|all| all.len() == 2);
        (answer["mistaken"].is_object() && is_stored).then_some(())
    })
    .await;
}

async fn revision(rehearsal: &Rehearsal) -> String {
    rehearsal.get_json("/api/v1/revisions").await["in_force"].as_str().expect("a name").to_owned()
}

/// What runs, with names as long as they come.
fn recorded(rehearsal: &Rehearsal, long: &str) {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"a".repeat(63): "b".repeat(63)}}});
    let pod = |name: &str, image: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"containers": [{"name": "main", "image": image}]}, "status": {"phase": "Running", "containerStatuses": [
                {"name": "main", "imageID": format!("x@sha256:{:064x}", 7)}]}})
    };
    let items =
        [namespace("team-a"), pod(&"n".repeat(253), long), pod("denied", "blocked.test/x:1"), pod("latest", "nginx")];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(rehearsal.dir().join("running.json"), list.to_string()).expect("the test's directory is writable");
    let check = ["check", "--record", "--cluster", "lab", "-c", "rehearsal.yaml", "running.json"];
    let ended = harness::run(rehearsal.dir(), &check);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

async fn paths(rehearsal: &Rehearsal) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/",
        "/decisions",
        "/decisions?would_reject=true",
        "/decisions?namespace=nowhere",
        "/decisions?limit=5",
        "/decisions?q=a",
        "/decisions?q=no%20such%20name&follow=true",
        "/decisions?workload=Deployment/web&user=alice&since=90m",
        "/agreement",
        "/agreement?webhook=gone&local=images&since=30d",
        "/candidates",
        "/clusters",
        "/clusters?cluster=lab&gate=not",
        "/clusters?cluster=nowhere",
        "/health",
        "/?since=30d&tz=Asia/Kathmandu",
        "/exemptions",
        "/exemptions?namespace=nowhere",
        "/policies",
        "/policies?rule=images/approved&cluster=lab",
        "/namespaces",
        "/namespaces?cluster=nowhere",
        "/namespaces/lab/team-a",
        "/namespaces/lab/team-b?since=1h",
        "/rules",
        "/rules/images/no-latest",
        "/rules/images/no-latest?workloads=rejected",
        "/rules/images/approved?gate=not",
        "/images",
        "/images?cluster=nowhere",
        "/images?unreadable=true",
        "/images?repository=docker.io/library/nginx",
        "/report",
        "/report?cluster=nowhere&since=1h",
        "/images/reference?image=nginx",
        "/images/reference?image=UPPER/Case:bad%20tag!",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(["/inventory", "/inventory?outlook=refused", "/inventory?cluster=nowhere"].map(str::to_owned));
    let policies = rehearsal.get_json("/api/v1/policies").await;
    let name = |at: usize| policies["revisions"][at]["revision"].as_str().expect("a name");
    paths.extend([format!("/revisions/{}", name(1)), format!("/revisions/{}?from={}", name(0), name(1))]);
    let exemptions = rehearsal.get_json("/api/v1/exemptions").await;
    for one in exemptions["exemptions"].as_array().expect("a list") {
        paths.push(format!("/exemptions/{}", one["id"].as_str().expect("an id")));
    }
    for query in ["uid=long", "uid=denied", "image=UPPER/Case:bad tag!&limit=1"] {
        let query = query.replace(' ', "%20");
        let page = rehearsal.get_json(&format!("/api/v1/decisions?{query}")).await;
        paths.push(format!("/decisions/{}", page["decisions"][0]["id"].as_str().expect("an id")));
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_on_a_phone_and_a_desk_in_light_and_dark() {
    let rehearsal = populated().await;
    let browser = Browser::start().await;
    let axe = peers::axe();
    let mut barriers = Vec::new();
    for screen in [Screen::Phone, Screen::Desk] {
        let mut backgrounds = Vec::new();
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.look_from(screen, scheme).await;
            for path in paths(&rehearsal).await {
                let what = format!("{path} {screen:?} {scheme:?}");
                browser.open(&format!("{}{path}", rehearsal.report_url())).await;
                let title = browser.script("return document.title").await;
                assert!(title.as_str().is_some_and(|title| !title.is_empty()), "{what}");
                let text = browser.script("return document.body.innerText.length").await;
                assert!(text.as_u64() > Some(80), "{what}: an empty page");
                let overflow = browser.script(WIDER_THAN_THE_SCREEN).await;
                assert_eq!(overflow, json!([]), "{what}: wider than the screen");
                if screen == Screen::Desk {
                    assert_eq!(browser.script(ROWS_OF_WAYS).await, 1, "{what}: the ways to other parts wrap");
                }
                assert_eq!(browser.script("return document.querySelectorAll('script:not([src])').length").await, 0);
                if let Some(axe) = &axe {
                    barriers
                        .extend(browser.barriers(axe).await.into_iter().map(|barrier| format!("{what}: {barrier}")));
                }
                assert_eq!(browser.complaints().await, Vec::<String>::new(), "{what}");
            }
            backgrounds.push(browser.script(BACKGROUND).await);
        }
        assert_ne!(backgrounds[0], backgrounds[1], "dark is not light");
    }
    if let Some(axe) = &axe {
        browser.open("data:text/html,<img src='none'><input>").await;
        let known = browser.barriers(axe).await;
        assert!(
            ["image-alt", "label", "document-title"].iter().all(|id| known.iter().any(|one| one.starts_with(id))),
            "{known:?}"
        );
    }
    assert!(barriers.is_empty(), "axe-core finds {}:\n{}", barriers.len(), barriers.join("\n"));
    for url in browser.requests().await {
        let own = url.starts_with(rehearsal.report_url()) || url.starts_with("data:") || url.starts_with("about:");
        assert!(own, "a request left the host: {url}");
    }
    browser.close().await;
}

/// The elements that make the page scroll sideways: none when the page itself does not.
const WIDER_THAN_THE_SCREEN: &str = "
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll('*')]
        .filter(element => element.getBoundingClientRect().right > width + 1)
        .slice(0, 5).map(element => element.outerHTML.slice(0, 120));";

/// On how many lines the parts of the report stand.
const ROWS_OF_WAYS: &str = "
    return new Set([...document.querySelectorAll('.top .wide:first-child nav a')].map(link => link.offsetTop)).size";

const BACKGROUND: &str = "
    const of = element => getComputedStyle(element).backgroundColor;
    return of(document.body) + ' ' + of(document.documentElement);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview_leads_to_the_decisions_and_they_to_one() {
    let rehearsal = populated().await;
    let browser = Browser::start().await;
    browser.look_from(Screen::Desk, Scheme::Light).await;
    browser.open(&format!("{}/", rehearsal.report_url())).await;
    let overview = browser.script("return document.body.innerText").await;
    let overview = overview.as_str().expect("text");
    for named in ["no-latest", "mynamespace", "team-b"] {
        assert!(overview.contains(named), "{named} in {overview}");
    }
    assert!(browser.script("return document.querySelectorAll('svg').length").await.as_u64() >= Some(1), "a chart");
    browser.script("document.querySelector('a[href^=\"/decisions\"]').click()").await;
    let at = harness::wait_for("the list", || async {
        let at = browser.script("return location.pathname").await;
        (at == "/decisions").then_some(at)
    })
    .await;
    assert_eq!(at, "/decisions");
    browser.script("document.querySelector('a[href^=\"/decisions/\"]').click()").await;
    harness::wait_for("the decision", || async {
        let at: Value = browser.script("return location.pathname").await;
        at.as_str().expect("text").starts_with("/decisions/").then_some(())
    })
    .await;
    browser.close().await;
}

/// Reviews in which several images, rules and repositories stand in one decision, so that a list that is only about the
/// names would have more rows than its figure.
async fn entangled() -> Rehearsal {
    let rehearsal = Rehearsal::builder().config(&config()).file("next.yaml", CANDIDATE).start().await;
    for (_, body) in captures() {
        rehearsal.post("/review/lab", body).await;
    }
    for (uid, images) in [
        ("both", &["nginx", "registry.acmecorp.com/shop/web:1"][..]),
        ("blocked", &["blocked.test/x:1", "nginx"]),
        ("written", &["docker.io/library/nginx:latest"]),
        ("like", &["quay.io/other/nginx"]),
        ("fine", &["registry.acmecorp.com/shop/web:1"]),
        // Its repository is to blame here, and not in the first one, which names it too.
        ("latest", &["registry.acmecorp.com/shop/web"]),
    ] {
        rehearsal.review("/review/lab", &pod_review(uid, "team-a", uid, images)).await;
    }
    rehearsal.decisions("", captures().len() + 6).await;
    rehearsal
}

#[tokio::test]
async fn every_figure_leads_to_as_many_decisions() {
    let rehearsal = entangled().await;
    let mut page = rehearsal.get("/?since=24h").await.text().to_owned();
    for other in [
        "/?since=24h&cluster=lab&namespace=team-a",
        "/namespaces",
        "/namespaces/lab/team-a",
        "/images",
        "/images?repository=docker.io/library/nginx",
        "/images/reference?image=nginx",
    ] {
        page += &rehearsal.get(other).await.text();
    }
    // Every number in a link: the figures, the tables of what is hit most, the table of the chart.
    let number = regex::Regex::new(
        r#"<a (?:class="[^"]*" )?href="/decisions\?([^"]*)">(?:<span class="label">[^<]*</span> <span class="value">)?([0-9,]+)<"#,
    )
    .expect("a pattern");
    let mut followed = 0;
    for found in number.captures_iter(&page) {
        let query = found[1].replace("&#38;", "&").replace("&amp;", "&");
        let said: usize = found[2].replace(',', "").parse().expect("a number");
        let list = rehearsal.get_json(&format!("/api/v1/decisions?{query}&limit=1000")).await;
        let rows = list["decisions"].as_array().unwrap_or_else(|| panic!("{query}: {list}")).len();
        assert_eq!(rows, said, "{query}");
        followed += 1;
    }
    assert!(followed > 40, "only {followed} figures in {page}");
    for of_images in [
        "repository=docker.io/library/nginx&",
        "policy=images&",
        "namespace=team-a&",
        "repository=registry.acmecorp.com/shop/web&",
    ] {
        assert!(page.replace("&#38;", "&").contains(of_images), "no figure of {of_images}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_followed_grows_and_without_a_script_it_loads_itself_again() {
    let rehearsal = populated().await;
    let browser = Browser::start().await;
    browser.look_from(Screen::Desk, Scheme::Light).await;
    browser.open(&format!("{}/decisions?namespace=team-live", rehearsal.report_url())).await;
    browser.script("[...document.querySelectorAll('a')].find(a => a.textContent == 'Follow live').click()").await;
    let status = async |said: &str| {
        harness::wait_for(said, || async {
            let text = browser.script("return document.querySelector('[data-status]')?.textContent").await;
            text.as_str().is_some_and(|text| text.contains(said)).then_some(())
        })
        .await;
    };
    status("what is stored from now on").await;
    let hostile = "<img src=x onerror=document.title='owned'>";
    for uid in ["one", "two"] {
        rehearsal.review("/review/lab", &pod_review(uid, "team-live", uid, &["nginx:live", hostile])).await;
    }
    rehearsal.review("/review/lab", &pod_review("other", "team-a", "other", &["nginx:live"])).await;
    let rows = harness::wait_for("both rows", || async {
        let rows = browser
            .script("return [...document.querySelectorAll('.decisions tbody tr')].map(row => row.innerText)")
            .await;
        (rows.as_array().map(Vec::len) == Some(2)).then_some(rows)
    })
    .await;
    assert!(rows[0].as_str().is_some_and(|row| row.contains("team-live") && row.contains(hostile)), "{rows}");
    assert_ne!(browser.script("return document.title").await, "owned");
    assert_eq!(browser.script("return document.querySelectorAll('.decisions img').length").await, 0);
    // The rows are those of the list, and lead where these do.
    let way = browser.script("return document.querySelector('.decisions a.row').getAttribute('href')").await;
    assert_eq!(rehearsal.get(way.as_str().expect("an address")).await.status, 200);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let without_script = browser.script("return document.querySelector('noscript').textContent").await;
    assert!(without_script.as_str().is_some_and(|text| text.contains("http-equiv=\"refresh\"")), "{without_script}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_copied_and_names_that_are_found_lead_on() {
    let rehearsal = populated().await;
    let browser = Browser::start().await;
    browser.look_from(Screen::Phone, Scheme::Dark).await;
    browser.open(&format!("{}/namespaces/lab/team-b", rehearsal.report_url())).await;
    let text = browser.script("return document.querySelector('#drain').parentElement.innerText").await;
    assert!(text.as_str().is_some_and(|text| text.contains("Nothing runs here.")), "{text}");
    browser.open(&format!("{}/inventory?cluster=nowhere", rehearsal.report_url())).await;
    browser.script("document.querySelector('.copier').click()").await;
    harness::wait_for("the answer of the button", || async {
        let said = browser.script("return document.querySelector('.copier').textContent").await;
        said.as_str().is_some_and(|said| said != "Copy").then_some(())
    })
    .await;
    browser.open(&format!("{}/decisions?q=denied", rehearsal.report_url())).await;
    let way = browser.script("return document.querySelector('.found dd a').getAttribute('href')").await;
    let list = rehearsal.get(way.as_str().expect("an address")).await.text().to_owned();
    assert!(list.contains("blocked.test/x:1"), "{way}: {list}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_drain_would_break_stands_on_the_page_of_its_namespace() {
    let rehearsal = populated().await;
    let page = rehearsal.get("/namespaces/lab/team-a").await.text().replace("&#38;", "&");
    assert!(
        page.contains("Of 3 workloads that run here ")
            && page.contains("1 would be refused</span> when a pod is next made"),
        "{page}"
    );
    let way = "/inventory?cluster=lab&namespace=team-a&outlook=refused";
    assert!(page.contains(way) && page.contains("Pod/denied"), "{page}");
    let list = rehearsal.get_json(&format!("/api/v1{way}")).await;
    assert_eq!(list["workloads"].as_array().map(Vec::len), Some(1), "{list}");
    let api = rehearsal.get_json("/api/v1/namespaces/lab/team-a").await;
    let image = rehearsal.get_json("/api/v1/images/reference?image=nginx").await;
    assert_eq!(
        (&image["runs"][0]["workload"], &image["runs"][0]["pods"]),
        (&json!("Pod/latest"), &json!(1)),
        "{image}"
    );
    let digest = format!("sha256:{:064x}", 7);
    assert_eq!((&image["runs"][0]["digest"], &image["digests"]), (&json!(digest), &json!([digest])));
    let page = rehearsal.get("/images/reference?image=nginx").await.text();
    assert!(page.contains(&digest) && page.contains("Pod/latest"), "{page}");
    assert_eq!((&api["running"]["workloads"], &api["running"]["refused"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn pages_carry_a_strict_policy() {
    let rehearsal = Rehearsal::builder().start().await;
    for path in ["/", "/decisions", "/decisions/none"] {
        let response = rehearsal.get(path).await;
        let policy = response.header("content-security-policy").unwrap_or_else(|| panic!("{path}: no policy"));
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("script-src 'self'") && policy.contains("connect-src 'self'"), "{path}: {policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        for outside in ["http://", "https://"] {
            assert!(!response.text().contains(&format!("src=\"{outside}")), "{path}: an external asset");
        }
    }
    assert_eq!(rehearsal.get("/decisions/none").await.status, 404);
    assert_eq!(rehearsal.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn an_empty_history_says_what_to_do() {
    let rehearsal = Rehearsal::builder().start().await;
    let page = rehearsal.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert_eq!(rehearsal.get("/decisions").await.status, 200);
}

#[tokio::test]
async fn only_known_hosts_are_answered() {
    let config = "report: {hosts: [report.test]}";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let port = rehearsal.report().addr.port();
    for (host, answered) in [
        ("localhost".to_owned(), true),
        (format!("localhost:{port}"), true),
        (format!("127.0.0.1:{port}"), true),
        (format!("[::1]:{port}"), true),
        ("report.test".to_owned(), true),
        (format!("report.test:{port}"), true),
        ("evil.test".to_owned(), false),
        ("localhost.evil.test".to_owned(), false),
    ] {
        for path in ["/", "/decisions", "/api/v1/summary"] {
            let mut connection = harness::raw::tcp(rehearsal.report()).await;
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
            let response = connection.response().await;
            assert_eq!(response.status == 200, answered, "{host} {path}: {}", response.head);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_of_clusters_do_not_wrap() {
    let rehearsal = Rehearsal::builder().start().await;
    rehearsal.review("/review/lab", &pod_review("u", "team", "web", &["nginx"])).await;
    rehearsal.decisions("", 1).await;
    let browser = Browser::start().await;
    browser.look_from(Screen::Desk, Scheme::Light).await;
    browser.open(&format!("{}/clusters", rehearsal.report_url())).await;
    let spaces =
        "return [...document.querySelectorAll('.fleet td > a')].map(link => getComputedStyle(link).whiteSpace)";
    let spaces = browser.script(spaces).await;
    let spaces = spaces.as_array().expect("a list");
    assert!(!spaces.is_empty() && spaces.iter().all(|space| space == "nowrap"), "{spaces:?}");
    browser.close().await;
}
