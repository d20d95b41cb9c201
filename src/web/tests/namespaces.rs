//! What pages and the API say of namespaces, each figure with its rows.

use super::history::{Draft, History};
use super::{HOUR, Report, Value, ago};

/// Two namespaces of one name in two clusters, and an object in none.
async fn places() -> Report {
    let history = History::empty().await;
    for (hours, cluster, namespace, name, images) in [
        (1, "prod-eu", "shop", "web", &["busybox:1", "grafana/grafana:latest"][..]),
        (2, "prod-eu", "shop", "web", &["busybox:1"]),
        (3, "prod-eu", "shop", "fine", &["registry.acmecorp.com/fine:1"]),
        (4, "prod-us", "shop", "web", &["busybox:1"]),
        (5, "prod-eu", "", "cluster-wide", &["busybox:2"]),
        (40, "prod-eu", "shop", "web", &["busybox:1"]),
    ] {
        let mut draft = Draft::pod(ago(&history, hours * HOUR), cluster, namespace, name, images);
        if namespace.is_empty() {
            draft.review.namespace = None;
        }
        history.add(draft).await;
    }
    let denied = Draft::pod(ago(&history, HOUR), "prod-eu", "shop", "cart", &["registry.acmecorp.com/cart:1"]).denied();
    history.add(denied).await;
    Report::over(history)
}

/// Every number in a link of a page leads to as many decisions. How many there were.
pub async fn follow(report: &Report, page: &str) -> usize {
    let text = report.get(page).await.text;
    let number = regex::Regex::new(
        r#"<a (?:class="[^"]*" )?href="/decisions\?([^"]*)">(?:<span class="label">[^<]*</span> <span class="value">)?([0-9,]+)<"#,
    )
    .expect("a pattern");
    let mut followed = 0;
    for found in number.captures_iter(&text) {
        let query = found[1].replace("&#38;", "&");
        let said: usize = found[2].replace(',', "").parse().expect("a number");
        let query: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("tz=")).collect();
        let list = report.json(&format!("/api/v1/decisions?{}&limit=1000", query.join("&"))).await;
        let rows = list["decisions"].as_array().expect("a list").len();
        assert_eq!(rows, said, "{page}: {query:?}");
        followed += 1;
    }
    followed
}

#[tokio::test]
async fn every_namespace_is_listed_of_its_cluster_and_what_is_in_none_too() {
    let report = places().await;
    let page = report.get("/namespaces?since=24h").await.text;
    assert!(page.contains("In the last 24 hours reviews of 3 namespaces; in "), "{page}");
    for way in
        ["/namespaces/prod-eu/shop?since=24h", "/namespaces/prod-us/shop?since=24h", "/namespaces/prod-eu?since=24h"]
    {
        assert!(page.contains(&format!("href=\"{way}\"")), "{way} in {page}");
        assert_eq!(report.get(way).await.status, 200, "{way}");
    }
    assert!(follow(&report, "/namespaces?since=24h").await >= 7);
    let found = report.json("/api/v1/namespaces?since=24h&limit=2").await;
    let of = |at: usize| (found["namespaces"][at]["cluster"].clone(), found["namespaces"][at]["namespace"].clone());
    assert_eq!((of(0), of(1)), (("prod-eu".into(), "shop".into()), ("prod-eu".into(), Value::Null)));
    assert_eq!((&found["all"], &found["next"]), (&3.into(), &2.into()));
    let shop = &found["namespaces"][0];
    assert_eq!((&shop["reviews"], &shop["would_reject"], &shop["denied"]), (&4.into(), &2.into(), &1.into()));
    assert_eq!(shop["before"]["would_reject"], 1);
}

#[tokio::test]
async fn the_page_of_a_namespace_says_what_stands_against_which_workload_and_what_to_do() {
    let report = places().await;
    for (place, would, figures) in [("prod-eu/shop", 2, 5), ("prod-us/shop", 1, 3), ("prod-eu", 1, 3)] {
        let target = format!("/namespaces/{place}?since=24h");
        let page = report.get(&target).await.text;
        let said = format!("<span class=\"is-would\">{would}</span> would have been rejected");
        assert!(page.contains(&said), "{page}");
        assert!(follow(&report, &target).await >= figures, "{place}");
        assert!(page.contains("what to do: <a href=\"https://wiki.acmecorp.com/images\""), "{page}");
        let has_drain = page.contains("rehearsal check --record --cluster prod");
        assert_eq!(has_drain, place.contains('/'), "{place}: what runs is in a namespace");
    }
    let found = report.json("/api/v1/namespaces/prod-eu/shop?since=24h").await;
    let rows: Vec<(&str, &str)> = found["against"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["workload"].as_str().expect("text"), row["rule"].as_str().expect("text")))
        .collect();
    assert_eq!(rows, [("Deployment/web", "approved"), ("Deployment/cart", "bouncer"), ("Deployment/web", "no-latest")]);
    let approved = &found["against"][0];
    assert!(approved["first_at"].as_str() < approved["last_at"].as_str(), "{approved}");
    assert_eq!(approved["last"]["images"], serde_json::json!(["busybox:1", "grafana/grafana:latest"]));
    assert_eq!(approved["last"]["help"], "https://wiki.acmecorp.com/images");
    let part = report.json("/api/v1/namespaces/prod-eu/shop?since=24h&limit=1&after=1").await;
    assert_eq!((&part["against"][0], &part["next"]), (&found["against"][1], &2.into()));
    for target in ["/namespaces/prod-eu/nowhere", "/api/v1/namespaces/nowhere/shop", "/api/v1/namespaces/prod-us"] {
        let answer = report.get(target).await;
        assert!(answer.status == 404 && answer.text.contains("nothing ever came of"), "{target}: {}", answer.text);
    }
}
