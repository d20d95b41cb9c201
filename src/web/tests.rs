use std::sync::Arc;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::history::{Draft, HOSTILE, History};
use super::access::settings::AccessSettings;
use super::vitals::{Bounds, OnOverload, Reading};
use super::*;
use crate::policy::settings::{StagingSettings, built_in};
use crate::recorder::settings::OnFailure;

mod exemptions;
mod figures;
mod gaps;
mod history;
mod images;
mod lists;
mod namespaces;
mod policies;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

struct Report {
    history: History,
    router: Router,
    stopping: CancellationToken,
}

impl Report {
    fn over(history: History) -> Self {
        Self::with(history, live)
    }

    fn with(history: History, live: impl Fn() -> Live + Send + Sync + 'static) -> Self {
        let stopping = CancellationToken::new();
        let state = WebState {
            store: history.store.clone(),
            settings: ReportSettings {
                listen: "127.0.0.1:0".parse().expect("an address"),
                time_zone: jiff::tz::TimeZone::UTC,
                public_url: None,
                hosts: vec!["report.acmecorp.com".into()],
                access: AccessSettings::open(),
            },
            streams: Streams::new(stopping.clone()),
            readiness: ReadinessSettings::DEFAULT,
            access: open(),
            live: Arc::new(live),
            vitals: Arc::new(vitals),
        };
        Self { history, router: router(state, Router::new()), stopping }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(Request::get(target).header(HOST, "localhost:8080").body(Body::empty()).expect("a request")).await
    }

    async fn json(&self, target: &str) -> Value {
        let answer = self.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text);
        assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
        serde_json::from_str(&answer.text).expect("JSON")
    }
}

/// Nobody is asked.
fn open() -> Arc<Access> {
    let mut registry = prometheus_client::registry::Registry::default();
    Arc::new(Access::new(&AccessSettings::open(), &mut registry).expect("there is nobody to trust"))
}

pub(super) fn live() -> Live {
    let rule = |id: &str, mode| LoadedRule { id: id.into(), mode, in_stages: false };
    let own = standing(Timestamp::now());
    Live {
        own: own.clone(),
        completeness: Completeness::of(&own, Vec::new(), own.heard_at),
        gaps: Vec::new(),
        degraded: Vec::new(),
        mistaken: None,
        ceilings: Vec::new(),
        policies: vec![
            LoadedPolicy {
                name: "images".into(),
                mode: Mode::Audit,
                in_stages: false,
                capped: None,
                rules: vec![rule("no-latest", Mode::Audit), rule("approved", Mode::Warn)],
            },
            LoadedPolicy {
                name: "bouncer".into(),
                mode: Mode::Enforce,
                in_stages: true,
                capped: Some("at most warn in kube-system".into()),
                rules: Vec::new(),
            },
        ],
        candidates: Vec::new(),
        revision: "9f2c61d07b7e4f01".into(),
        loaded: Arc::new(Revision::load(&built_in(), &StagingSettings::default()).expect("it loads")),
        first_review: "curl --cacert rehearsal-data/ca.crt https://127.0.0.1:8443/review \\\n  -H 'Content-Type: application/json' -d '{}'".into(),
    }
}

/// Of a process that has begun.
pub(super) fn vitals() -> Vitals {
    let bounds = Bounds {
        in_flight: 1_024,
        in_flight_bytes: 256 << 20,
        connections: 1_024,
        journal: 1 << 30,
        on_failure: OnFailure::Answer,
        overload: OnOverload::Answer,
        config: Some("/etc/rehearsal/rehearsal.yaml".into()),
    };
    Vitals { readings: vec![Arc::new(Reading::of(Timestamp::now(), ""))], bounds, can_enforce: false }
}

/// Of this replica.
fn standing(stored_until: Timestamp) -> Standing {
    let heard_at = Timestamp::now();
    Standing {
        replica: uuid::Uuid::from_u128(7),
        clusters: vec!["prod-eu".into()],
        heard_at,
        stored_until: Some(stored_until),
    }
}

const HOUR: i64 = 3_600_000;

fn ago(history: &History, millis: i64) -> Timestamp {
    Timestamp(history.newest.0 - millis)
}

/// A report over a few of everything, and the id of a decision that would have been rejected.
async fn small() -> (Report, String) {
    let history = History::of(240, 48).await;
    let draft = Draft::pod(ago(&history, 0), "prod-eu", "shop", "checkout", &["busybox", "registry.acmecorp.com/a:1"]);
    let id = history.add(draft).await.to_string();
    (Report::over(history), id)
}

#[tokio::test]
async fn every_page_is_there() {
    let (report, id) = small().await;
    for target in [
        "/",
        "/?since=1h",
        "/?since=7d&cluster=prod-eu&namespace=shop",
        "/?since=2026-01-01&tz=Europe/Berlin",
        "/?unknown=1",
        "/decisions",
        "/decisions?would_reject=true&since=24h",
        "/decisions?image=*nothing*",
        "/decisions?q=shop&follow=true",
        "/decisions?q=no%20such%20name&user=nobody&workload=Deployment/web",
        &format!("/decisions/{id}"),
        "/revisions/9f2c61d07b7e4f01",
        "/namespaces",
        "/namespaces?since=7d&cluster=staging-us&after=1",
        "/namespaces/prod-eu/shop?since=7d",
        "/rules",
        "/rules?cluster=prod-eu&namespace=shop",
        "/rules/images/no-latest",
        "/rules/images/no-latest?workloads=known&gate=unknown",
        "/report",
        "/report?since=2d&until=1d&cluster=prod-eu&namespace=shop&tz=Asia/Kathmandu",
        "/report?until=2026-01-01",
        "/clusters",
        "/clusters?cluster=prod-eu&gate=unknown",
        "/health",
        "/images",
        "/images?since=7d&repository=docker.io/library/busybox",
        "/images?unreadable=true&cluster=prod-eu",
        "/images/reference?image=busybox",
    ] {
        let answer = report.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
        assert_eq!(answer.headers[CONTENT_TYPE], "text/html; charset=utf-8", "{target}");
        assert!(answer.text.ends_with("</html>"), "{target}");
        assert!(!answer.text.contains(" style="), "{target}");
        assert_eq!(answer.text.matches("<script").count(), 1, "{target}");
        assert!(answer.text.contains("<script src=\"/assets/"), "{target}: nothing inline");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_and_every_link_of_a_page_leads_somewhere() {
    let (report, id) = small().await;
    let mut seen = std::collections::BTreeSet::new();
    let pages = [
        "/?since=7d",
        "/decisions?would_reject=true",
        "/namespaces?since=7d",
        "/namespaces/prod-eu/shop?since=7d",
        "/clusters",
        "/clusters?cluster=prod-eu&gate=unknown",
        "/health",
        "/images?since=7d",
        "/images?since=7d&repository=docker.io/library/busybox",
        "/images/reference?image=busybox",
    ];
    let pages: Vec<String> = pages.map(str::to_owned).into_iter().chain([format!("/decisions/{id}")]).collect();
    for page in &pages {
        let answer = report.get(page).await;
        for attribute in ["href=\"", "src=\""] {
            let links = answer.text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            seen.extend(links.filter(|link| link.starts_with('/')).map(|link| link.replace("&#38;", "&")));
        }
    }
    assert!(seen.len() > 40, "{seen:?}");
    seen.insert("/nowhere".into());
    for link in &seen {
        let answer = report.get(link).await;
        let want = if link == "/nowhere" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(answer.status, want, "{link}");
        let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        let kept = if link.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(answer.headers[CACHE_CONTROL], kept, "{link}");
    }
}

#[tokio::test]
async fn without_a_decision_the_overview_teaches() {
    let report = Report::over(History::empty().await);
    let answer = report.get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer.text.contains("Waiting for the first review") && answer.text.contains("curl --cacert"),
        "{}",
        answer.text
    );
    assert_eq!(report.get("/decisions").await.status, StatusCode::OK);
}

#[tokio::test]
async fn hostile_names_are_inert_on_pages_and_exact_in_the_api() {
    let history = History::empty().await;
    let long = format!("a{}", "/b".repeat(5_000));
    let mut draft = Draft::pod(ago(&history, 0), HOSTILE, HOSTILE, HOSTILE, &[HOSTILE, &long]);
    let decision = &mut draft.decision;
    decision.user = Some(HOSTILE.into());
    decision.name = Some(HOSTILE.into());
    decision.message = Some(HOSTILE.into());
    decision.notes = vec![HOSTILE.into()];
    decision.verdicts[0].error = Some(HOSTILE.into());
    decision.verdicts[0].violations[0].help = Some("javascript:alert(1)".into());
    draft.review.annotations.insert(HOSTILE.into(), HOSTILE.into());
    let copy = draft.decision.clone();
    let id = history.add(draft).await;
    let object = serde_json::json!({"metadata": {"name": HOSTILE}, "spec": {"value": "[redacted]"}});
    history.add_object(&copy, &object.to_string()).await;
    let report = Report::over(history);
    let listed = report.get("/namespaces").await.text;
    let hostile_namespace = listed.split("class=\"main\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let hostile_namespace = hostile_namespace.expect("the page of a namespace").to_owned();
    assert_eq!(report.get(&hostile_namespace).await.status, StatusCode::OK, "{hostile_namespace}");
    for target in [
        "/".to_owned(),
        "/decisions".to_owned(),
        format!("/decisions/{id}"),
        "/decisions?q=script&workload=%3Cscript%3E/x&user=%22%3E%3Cimg".to_owned(),
        "/decisions?q=%3Cscript%3E&follow=true".to_owned(),
        "/images?unreadable=true".to_owned(),
        format!(
            "/images/reference?image={}",
            percent_encoding::utf8_percent_encode(HOSTILE, percent_encoding::NON_ALPHANUMERIC)
        ),
        "/images?repository=%3Cscript%3E%22%3E%3Cimg".to_owned(),
        "/images/reference?image=%3Cscript%3E%22%3E%3Cimg".to_owned(),
        "/namespaces".to_owned(),
        "/agreement?webhook=%3Cscript%3E&local=%22%3E%3Cimg".to_owned(),
        hostile_namespace,
        "/namespaces/%3Cscript%3E/%22%3E%3Cimg".to_owned(),
        "/decisions?cluster=%3Cscript%3E%22%3E%3Cimg".to_owned(),
        "/decisions/%3Cscript%3E".to_owned(),
        "/rules/images/no-latest?workloads=known".to_owned(),
        "/report".to_owned(),
        "/report?namespace=%3Cscript%3E&cluster=%22%3E%3Cimg".to_owned(),
        "/api/v1/report/file?namespace=%3Cscript%3E".to_owned(),
        "/rules/%3Cscript%3E/no-latest?cluster=%3Cscript%3E".to_owned(),
        "/?since=%3Cscript%3E".to_owned(),
    ] {
        let answer = report.get(&target).await;
        for forbidden in ["<script>", "<img onerror", "href=\"javascript:", "\u{202e}", "\0"] {
            assert!(!answer.text.contains(forbidden), "{target} has {forbidden:?}");
        }
    }
    let page = report.get(&format!("/decisions/{id}")).await.text;
    assert!(page.contains(r#"<span class="mark">\u{202e}</span>"#) && page.contains("<mark>redacted</mark>"), "{page}");
    let listed = &report.json("/api/v1/decisions").await["decisions"][0];
    assert_eq!(listed["cluster"], HOSTILE.replace('\0', "\u{fffd}").as_str());
    assert_eq!(listed["images"][1]["text"], long.as_str());
    assert_eq!(report.json(&format!("/api/v1/decisions/{id}")).await["object"], object);
}

#[tokio::test]
async fn a_decision_in_the_api_has_every_field() {
    let (report, id) = small().await;
    let listing = report.json("/api/v1/decisions?would_reject=true&limit=1").await;
    let decision = &listing["decisions"][0];
    assert_eq!(decision["id"], id.as_str());
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(decision),
        "id at cluster protocol operation namespace kind workload name user uid dry_run images answer would_reject verdicts \
         redacted revision duration_us"
    );
    assert_eq!(keys(&decision["images"][0]), "text registry repository tag digest error container role");
    assert_eq!(keys(&decision["verdicts"][0]), "policy mode verdict violations standing error duration_us");
    assert_eq!(keys(&decision["verdicts"][0]["violations"][0]), "rule mode image message");
    assert_eq!(decision["images"][0]["digest"], Value::Null);
    assert_eq!(decision["verdicts"][0]["standing"], Value::Array(Vec::new()));
    assert_eq!(decision["at"].as_str().map(str::len), Some("2026-11-23T10:15:03.123Z".len()));
    assert!(listing["next"].is_string());
    let details = report.json(&format!("/api/v1/decisions/{id}")).await;
    assert!(keys(&details).starts_with(&keys(decision)), "{details}");
    assert_eq!(details["code"], 200);
    assert_eq!(keys(&details["verdicts"][0]["violations"][0]), "rule mode image message container help");
    assert_eq!(
        keys(&details["verdicts"][0]),
        "policy mode verdict violations standing error duration_us version omitted"
    );
    assert_eq!(details["images"][0]["new"], true);
}

#[tokio::test]
async fn pages_of_a_list_join_without_a_seam() {
    let (report, _) = small().await;
    let whole = report.json("/api/v1/decisions?limit=1000").await;
    let ids = |listing: &Value| -> Vec<String> {
        let decisions = listing["decisions"].as_array().expect("a list").iter();
        decisions.map(|decision| decision["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!((ids(&whole).len(), &whole["next"]), (241, &Value::Null));
    let mut joined = Vec::new();
    let mut target = "/api/v1/decisions?limit=50".to_owned();
    loop {
        let listing = report.json(&target).await;
        joined.extend(ids(&listing));
        let Some(next) = listing["next"].as_str() else { break };
        target = format!("/api/v1/decisions?limit=50&after={next}");
    }
    assert_eq!(joined, ids(&whole));
}

#[tokio::test]
async fn the_summary_counts_what_the_list_shows() {
    let (report, _) = small().await;
    let summary = report.json("/api/v1/summary").await;
    let keys: Vec<_> = summary.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(
        keys.join(" "),
        "since until reviews allowed denied failed would_reject unjudged dry_runs before undeclared gaps complete_until \
         behind recountable_since dropped_for_size_before"
    );
    for (figure, filter) in [
        ("reviews", "dry_run=false"),
        ("would_reject", "dry_run=false&would_reject=true"),
        ("denied", "dry_run=false&answer=denied"),
        ("dry_runs", "dry_run=true"),
    ] {
        let listing = report.json(&format!("/api/v1/decisions?limit=1000&{filter}")).await;
        let listed = listing["decisions"].as_array().expect("a list").len();
        assert!(listed > 0, "nothing shows that {figure} is right");
        assert_eq!(summary[figure], listed, "{figure}");
    }
    let only = report.json("/api/v1/summary?dry_run=only").await;
    assert_eq!(only["reviews"], summary["dry_runs"]);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let (report, _) = small().await;
    for (target, parameter) in [
        ("/api/v1/decisions?limit=0", "limit"),
        ("/api/v1/decisions?limit=1001", "limit"),
        ("/api/v1/decisions?after=x", "after"),
        ("/api/v1/decisions?since=soon", "since"),
        ("/api/v1/decisions?colour=red", "colour"),
        ("/api/v1/decisions?uid=a&uid=b", "uid"),
        ("/api/v1/summary?dry_run=true", "dry_run"),
        ("/api/v1/summary?limit=1", "limit"),
        ("/api/v1/decisions/x?a=b", "a"),
    ] {
        let answer = report.get(target).await;
        assert_eq!(
            (answer.status, &answer.headers[CONTENT_TYPE]),
            (StatusCode::BAD_REQUEST, &"application/json".parse().expect("a value")),
            "{target}"
        );
        let body: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(body["error"]["parameter"], parameter, "{target}");
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{target}");
    }
    for target in ["/decisions?since=soon", "/?tz=Mars/Olympus", "/decisions?after=x", "/?until=9d&since=1d"] {
        let answer = report.get(target).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        assert!(answer.text.contains("</html>"), "{target}");
    }
    for target in ["/api/v1/decisions/x", "/api/v1/decisions/01a20800-b9a9-7356-9a48-70f8250d798b", "/api/v1/nothing"] {
        let answer = report.get(target).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
        assert!(answer.text.starts_with(r#"{"error":{"parameter":null,"#), "{}", answer.text);
    }
}

#[tokio::test]
async fn only_our_names_and_only_reads_are_answered() {
    let report = Report::over(History::empty().await);
    let request = |method: Method, host: Option<&str>| {
        let mut request = Request::builder().method(method).uri("/decisions");
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        request.body(Body::empty()).expect("a request")
    };
    for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "report.acmecorp.com"] {
        assert_eq!(report.ask(request(Method::GET, Some(host))).await.status, StatusCode::OK, "{host}");
    }
    let foreign = report.ask(request(Method::GET, Some("evil.example"))).await;
    assert_eq!(foreign.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(foreign.text.contains("hosts: [evil.example]"), "{}", foreign.text);
    assert!(foreign.headers.contains_key(CONTENT_SECURITY_POLICY));
    assert_eq!(report.ask(request(Method::GET, None)).await.status, StatusCode::BAD_REQUEST);
    let head = report.ask(request(Method::HEAD, Some("localhost"))).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = report.ask(request(method, Some("localhost"))).await;
        assert_eq!(
            (answer.status, &answer.headers[ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().expect("a value"))
        );
    }
}

#[tokio::test]
async fn times_are_in_the_zone_that_was_asked_for() {
    let (report, id) = small().await;
    let page = report.get(&format!("/decisions/{id}?tz=Asia/Kathmandu")).await.text;
    assert!(page.contains("+0545") && page.contains(r#"value="Asia/Kathmandu""#), "{page}");
    assert!(page.contains(r#"href="/decisions?tz=Asia/Kathmandu""#), "{page}");
}

#[tokio::test]
async fn what_only_the_process_knows_is_on_every_page() {
    let history = History::of(20, 2).await;
    let now = history.newest;
    let report = Report::with(history, move || Live {
        degraded: vec!["the configuration of 10:15 is in use, since the new one has mistakes".into()],
        own: standing(Timestamp(now.0 - HOUR)),
        ..live()
    });
    for target in ["/", "/decisions"] {
        let page = report.get(target).await.text;
        assert!(page.contains("the configuration of 10:15 is in use"), "{target}");
        assert!(page.contains("Complete until"), "{target}");
        assert!(page.contains("missing from these figures"), "{target}");
        assert!(page.contains("Replica 00000000-0000-0000-0000-000000000007 (of prod-eu) has stored"), "{target}");
    }
    for target in ["/api/v1/summary", "/api/v1/decisions"] {
        let answer = report.json(target).await;
        let behind = &answer["behind"][0];
        assert_eq!(behind["replica"], "00000000-0000-0000-0000-000000000007", "{target}");
        assert_eq!((&behind["clusters"][0], &behind["stored_until"]), (&"prod-eu".into(), &answer["complete_until"]));
    }
}
