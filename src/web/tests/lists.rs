//! The list of decisions: names that are found, what comes new, the export, and what pages cost.

use super::history::{Draft, History};
use super::{HOUR, Report, StatusCode, ago};
use crate::store::tests::plans::{taken, taken_but};
use axum::body::Body;
use http::Request;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HOST};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[tokio::test]
async fn names_that_are_found_are_filters() {
    let report = Report::over(History::of(240, 48).await);
    let page = report.get("/decisions?q=ledger&since=7d").await.text.replace("&#38;", "&");
    for way in [
        "since=7d&cluster=prod-eu&namespace=payments&workload=Deployment/ledger",
        "since=7d&repository=eu.gcr.io/acme-prod/ledger",
        "since=7d&image=eu.gcr.io/acme-prod/ledger:9.4.1",
    ] {
        assert!(page.contains(&format!("href=\"/decisions?{way}\"")), "{way} in {page}");
        let found = report.json(&format!("/api/v1/decisions?{way}")).await;
        assert!(!found["decisions"].as_array().expect("a list").is_empty(), "{way}");
    }
    let page = report.get("/decisions?q=nothing-is-called-so").await.text;
    assert!(page.contains("is called like that"), "{page}");
    let found = report.json("/api/v1/names?q=replicaset-controller").await;
    assert_eq!(found["users"]["names"][0], "system:serviceaccount:kube-system:replicaset-controller");
    assert_eq!(report.get("/api/v1/names").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_export_has_every_decision_of_the_list_that_is_shown() {
    let history = History::of(1_200, 48).await;
    let mut draft = Draft::pod(ago(&history, 0), "prod-eu", "shop", "=1+1", &["busybox"]);
    draft.decision.user = Some("=HYPERLINK(\"http://x\")".into());
    history.add(draft).await;
    let report = Report::over(history);
    let page = report.get("/decisions?namespace=shop&since=24h").await.text.replace("&#38;", "&");
    let way = page.split("href=\"/api/v1/export?").nth(1).and_then(|rest| rest.split('"').next()).expect("the export");
    assert!(way.contains("since=20") && way.contains("until=20") && way.ends_with("format=csv"), "both ends: {way}");
    let csv = report.get(&format!("/api/v1/export?{way}")).await;
    assert_eq!(csv.headers[CONTENT_TYPE], "text/csv; charset=utf-8");
    assert_eq!(csv.headers[CONTENT_DISPOSITION], "attachment; filename=\"decisions.csv\"");
    let mut ids = Vec::new();
    let mut target = format!("/api/v1/decisions?{}&limit=100", way.replace("&format=csv", ""));
    loop {
        let listing = report.json(&target).await;
        let decisions = listing["decisions"].as_array().expect("a list").iter();
        ids.extend(decisions.map(|one| one["id"].as_str().expect("an id").to_owned()));
        let Some(next) = listing["next"].as_str() else { break };
        target = format!("/api/v1/decisions?{}&limit=100&after={next}", way.replace("&format=csv", ""));
    }
    let exported: Vec<&str> =
        csv.text.lines().filter(|line| line.as_bytes().get(8) == Some(&b'-')).map(|line| &line[..36]).collect();
    assert!(ids.len() > 200 && exported == ids, "{} and {}", exported.len(), ids.len());
    assert!(csv.text.contains("'=HYPERLINK"), "a cell is no formula");
    let lines = report.get(&format!("/api/v1/export?{}", way.replace("csv", "ndjson"))).await;
    assert_eq!(
        (lines.text.lines().count(), &lines.headers[CONTENT_TYPE]),
        (ids.len(), &"application/x-ndjson".parse().expect("a value"))
    );
    let whole = report.get("/api/v1/export").await;
    assert_eq!(whole.text.lines().count(), 1_201, "of more than one page");
    assert_eq!(report.get("/api/v1/export?format=xml").await.status, StatusCode::BAD_REQUEST);
}

/// The text of events until it has that.
async fn heard(body: &mut Body, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let frame = body.frame().await.expect("it goes on").expect("no error");
        text += std::str::from_utf8(&frame.into_data().expect("data")).expect("text");
    }
    text
}

fn tail(report: &Report, target: &str, last: Option<&str>) -> impl Future<Output = http::Response<Body>> {
    let mut request = Request::get(target).header(HOST, "localhost");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = report.router.clone().oneshot(request.body(Body::empty()).expect("a request"));
    async { answer.await.expect("an answer") }
}

#[tokio::test]
async fn what_is_stored_while_a_list_is_followed_comes_to_it_also_when_it_is_old() {
    let report = Report::over(History::of(60, 10).await);
    let page = report.get("/decisions?namespace=shop&follow=true").await.text.replace("&#38;", "&");
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>"), "{page}");
    let source = page.split("data-tail=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("the events");
    // Between the page and the stream, and long ago.
    let add = async |hours: i64, namespace: &str, name: &str| {
        let draft = Draft::pod(ago(&report.history, hours * HOUR), "prod-eu", namespace, name, &["busybox"]);
        report.history.add(draft).await.to_string()
    };
    let between = add(200, "shop", "late-one").await;
    let answer = tail(&report, source, None).await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = answer.into_body();
    let text = heard(&mut body, "\n\n").await;
    assert!(text.contains(&format!("id=\"d-{between}\"")) && text.contains("event: all"), "{text}");
    assert!(text.contains(&format!("href=\"/decisions/{between}?namespace=shop\"")), "{text}");
    add(0, "payments", "another").await;
    let second = add(0, "shop", "second").await;
    let text = heard(&mut body, &second).await + &heard(&mut body, "\n\n").await;
    assert!(!text.contains("another") && !text.contains(&between), "{text}");
    // Cut off, it goes on from the last event.
    let last = text.split("id: ").nth(1).and_then(|rest| rest.lines().next()).expect("a place").to_owned();
    drop(body);
    let third = add(0, "shop", "third").await;
    let mut body = tail(&report, source, Some(&last)).await.into_body();
    let text = heard(&mut body, &third).await;
    assert!(!text.contains(&second), "once: {text}");
    for wrong in ["/decisions/tail?from=x", "/decisions/tail?since=soon"] {
        assert_eq!(tail(&report, wrong, None).await.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn as_many_follow_as_there_is_room_for_and_all_end_when_the_process_does() {
    let report = Report::over(History::of(5, 1).await);
    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(tail(&report, "/decisions/tail", None).await);
    }
    let refused = tail(&report, "/decisions/tail", None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let text = refused.into_body().collect().await.expect("a body").to_bytes();
    assert!(
        std::str::from_utf8(&text).expect("text").contains("as many who follow what is new as can be at one time, 32")
    );
    drop(followers.pop());
    let last = tail(&report, "/decisions/tail", None).await;
    assert_eq!(last.status(), StatusCode::OK, "there is room again");
    report.stopping.cancel();
    for follower in followers.into_iter().chain([last]) {
        let rest = follower.into_body().collect().await.expect("it ends whole");
        assert!(rest.to_bytes().is_empty());
    }
    let export = report
        .router
        .clone()
        .oneshot(Request::get("/api/v1/export").header(HOST, "localhost").body(Body::empty()).expect("a request"));
    let broken = export.await.expect("an answer").into_body().collect().await;
    assert!(broken.is_err(), "nobody takes a part for the whole");
}

#[tokio::test]
async fn pages_ask_the_database_a_bounded_number_of_times() {
    let report = Report::over(History::of(400, 48).await);
    let store = &report.history.store;
    for (page, most) in [
        ("/?since=7d", 40),
        ("/?since=7d&cluster=prod-eu&namespace=shop", 44),
        ("/namespaces?since=7d", 6),
        ("/namespaces/prod-eu/shop?since=7d", 18),
        ("/agreement?since=7d&webhook=bouncer", 22),
        ("/images?since=7d", 8),
        ("/images?since=7d&repository=docker.io/library/busybox", 8),
        ("/images/reference?image=busybox", 12),
        ("/decisions", 18),
        ("/decisions?q=shop&follow=true&namespace=shop&would_reject=true", 28),
        ("/decisions?workload=Deployment/web&user=system:serviceaccount:kube-system:replicaset-controller", 22),
    ] {
        taken(store, "before").await;
        assert_eq!(report.get(page).await.status, StatusCode::OK, "{page}");
        let asked = taken(store, page).await;
        assert!(asked > 3 && asked <= most, "{page} asked {asked} times");
    }
    // Of as many rows as there are workloads, whatever the number of decisions.
    let census = ["workload_totals", "workload_judged", "workload_against"];
    for (page, most) in [
        ("/clusters", 24),
        ("/clusters?cluster=prod-eu&gate=unknown", 24),
        ("/rules", 24),
        ("/report", 42),
        ("/report?since=7d&cluster=prod-eu&namespace=shop", 44),
    ] {
        taken(store, "before").await;
        assert_eq!(report.get(page).await.status, StatusCode::OK, "{page}");
        let asked = taken_but(store, page, &census).await;
        assert!(asked > 3 && asked <= most, "{page} asked {asked} times");
    }
}
