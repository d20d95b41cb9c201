//! What pages and the API say of images, each figure with its rows.

use super::history::{Draft, History};
use super::namespaces::follow;
use super::{HOUR, Report, Value, ago};

const DIGEST: &str = "sha256:7d0f8cf4e9a5a3a36a21fb8ab56fd1cbd9a2ef8a44f5e6fbd0b0d1ad9d6d8a31";

async fn asked() -> Report {
    let history = History::empty().await;
    let pinned = format!("docker.io/library/busybox:1@{DIGEST}");
    let other = pinned.replace("7d0f", "0000");
    for (hours, cluster, namespace, name, images) in [
        (50, "prod-eu", "shop", "web", &["busybox:1"][..]),
        (3, "prod-eu", "shop", "web", &["busybox:1", "busybox:latest"]),
        (2, "prod-eu", "shop", "api", &["busybox:1"]),
        (1, "prod-us", "data", "job", &["busybox:1", "registry.acmecorp.com/a:1"]),
        (1, "prod-eu", "shop", "pinned", &[&pinned]),
        (1, "prod-eu", "shop", "moved", &[&other]),
        (1, "prod-eu", "shop", "odd", &["NOT an image"]),
    ] {
        history.add(Draft::pod(ago(&history, hours * HOUR), cluster, namespace, name, images)).await;
    }
    let mut dry = Draft::pod(ago(&history, HOUR), "prod-eu", "shop", "dry", &["busybox:1"]);
    dry.decision.dry_run = true;
    history.add(dry).await;
    Report::over(history)
}

fn texts<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|one| one[name].as_str().expect("text")).collect()
}

#[tokio::test]
async fn images_are_listed_by_repository_and_each_as_it_was_written() {
    let report = asked().await;
    for page in [
        "/images?since=24h",
        "/images?since=24h&repository=docker.io/library/busybox",
        "/images?since=24h&cluster=prod-us",
    ] {
        assert!(follow(&report, page).await >= 3, "{page}");
    }
    let found = report.json("/api/v1/images?since=24h").await;
    assert_eq!(texts(&found["repositories"], "repository"), ["docker.io/library/busybox", "registry.acmecorp.com/a"]);
    let busybox = &found["repositories"][0];
    assert_eq!((&busybox["references"], &busybox["reviews"]), (&4.into(), &5.into()));
    assert!(busybox["first_at"].as_str() < found["since"].as_str(), "of all times: {busybox}");
    let page = report.get("/images?since=24h").await.text.replace("&#38;", "&");
    let of_references = page.split("data-label=\"References\"><a href=\"/images?").nth(1).expect("a figure");
    let (way, rest) = of_references.split_once("\">").expect("an address");
    let listed = report.json(&format!("/api/v1/images?{way}")).await;
    assert_eq!((&listed["all"], rest.starts_with("4<")), (&4.into(), true), "{way}: {listed}");
    let found = report.json("/api/v1/images?since=24h&repository=docker.io/library/busybox").await;
    let of = |text: &str| {
        let mut all = found["references"].as_array().expect("a list").iter();
        all.find(|one| one["text"] == text).unwrap_or_else(|| panic!("{text} in {found}")).clone()
    };
    let one = of("busybox:1");
    assert_eq!((&one["reviews"], &one["workloads"], &one["mutable"]), (&4.into(), &3.into(), &true.into()));
    assert_eq!(texts(&one["breaks"], "rule"), ["approved"]);
    assert_eq!(texts(&of("busybox:latest")["breaks"], "rule"), ["no-latest", "approved"]);
    assert_eq!(of(&format!("docker.io/library/busybox:1@{DIGEST}"))["mutable"], false);
    let us = report.json("/api/v1/images?since=24h&repository=docker.io/library/busybox&cluster=prod-us").await;
    assert_eq!((&us["all"], &us["references"][0]["reviews"]), (&1.into(), &1.into()));
    let page = report.get("/?since=24h").await.text.replace("&#38;", "&");
    assert!(page.contains("href=\"/images?since=24h&unreadable=true\">1 image that cannot be read</a>"), "{page}");
    let unreadable = report.json("/api/v1/images?unreadable=true&since=24h").await;
    assert_eq!(texts(&unreadable["references"], "text"), ["NOT an image"]);
    assert!(unreadable["references"][0]["error"].is_string());
}

#[tokio::test]
async fn the_page_of_an_image_says_who_asked_what_it_breaks_and_that_its_tag_moved() {
    let report = asked().await;
    let page = report.get("/images/reference?image=busybox:1").await.text;
    assert!(page.contains("3 workloads asked for it, in 2 namespaces; it breaks "), "{page}");
    assert!(page.contains("which can move") && page.contains("The tag was seen with 2 digests"), "{page}");
    assert!(page.contains("What runs is not known."), "{page}");
    assert!(follow(&report, "/images/reference?image=busybox:1").await >= 3);
    let found = report.json("/api/v1/images/reference?image=busybox:1").await;
    assert_eq!(texts(&found["asked"], "workload"), ["Deployment/job", "Deployment/api", "Deployment/web"]);
    assert_eq!(found["asked"][2]["reviews"], 2);
    assert!(found["asked"][2]["first_at"].as_str() < found["asked"][2]["last_at"].as_str());
    assert_eq!(texts(&found["asked"][0]["breaks"], "rule"), ["approved"]);
    let second = report.json("/api/v1/images/reference?image=busybox:1&limit=1&after=1").await;
    assert_eq!((&second["asked"][0], &second["next"]), (&found["asked"][1], &2.into()));
    let us = report.json("/api/v1/images/reference?image=busybox:1&cluster=prod-us").await;
    assert_eq!(texts(&us["asked"], "workload"), ["Deployment/job"]);
    let page = report.get("/images/reference?image=NOT%20an%20image").await.text;
    assert!(page.contains("It cannot be read: "), "{page}");
    for target in ["/images/reference?image=nothing", "/api/v1/images/reference?image=nothing"] {
        assert_eq!(report.get(target).await.status, 404, "{target}");
    }
    for target in [
        "/images/reference",
        "/api/v1/images/reference",
        "/images?unreadable=true&repository=a",
        "/images?unreadable=yes",
    ] {
        assert_eq!(report.get(target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn images_past_the_limit_are_said_to_be_missing() {
    let history = History::empty().await;
    history.add(Draft::pod(ago(&history, HOUR), "prod-eu", "shop", "web", &["busybox:1"])).await;
    let said = async |report: &Report| {
        let page = report.get("/images?since=24h").await.text.contains("past history.max_names are not counted here");
        let of_one = "/images?since=24h&repository=docker.io/library/busybox";
        let references = report.get(of_one).await.text.contains("past history.max_names are not counted here");
        let api = report.json(&format!("/api/v1{of_one}")).await["uncounted"] == true;
        (page, references, api, report.json("/api/v1/images?since=24h").await["uncounted"] == true)
    };
    let report = Report::over(history);
    assert_eq!(said(&report).await, (false, false, false, false));
    let history = History::keeping(1).await;
    history.add(Draft::pod(ago(&history, HOUR), "prod-eu", "shop", "web", &["busybox:1", "busybox:2"])).await;
    assert_eq!(said(&Report::over(history)).await, (true, true, true, true));
}

/// Its decision led to a page that said that no review names it.
#[tokio::test]
async fn an_image_that_only_dry_runs_asked_for_has_its_page() {
    let history = History::empty().await;
    let mut dry = Draft::pod(ago(&history, HOUR), "prod-eu", "shop", "dry", &["busybox:1"]);
    dry.decision.dry_run = true;
    history.add(dry).await;
    let report = Report::over(history);
    let decisions = report.json("/api/v1/decisions").await;
    let decision =
        report.get(&format!("/decisions/{}", decisions["decisions"][0]["id"].as_str().expect("an id"))).await;
    assert!(decision.text.contains("href=\"/images/reference?image=busybox:1\""), "{}", decision.text);
    let page = report.get("/images/reference?image=busybox:1").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("1 dry run asked for it, and nothing else did."), "{}", page.text);
    let found = report.json("/api/v1/images/reference?image=busybox:1").await;
    assert_eq!((&found["only_dry_runs"], &found["all"]), (&1.into(), &0.into()));
    assert_eq!(report.get("/images/reference?image=busybox:1&cluster=prod-us").await.status, 404);
}
