//! What pages and the API say of figures beside those of the time before, and that what was chosen is kept.

use super::history::{Draft, History};
use super::{HOUR, Report, Value, ago};

/// Two days: `old` rejects in both, `new` only in the second, `gone` only in the first.
async fn two_days() -> Report {
    let history = History::empty().await;
    for (hours, namespace, name, image) in [
        (1, "old", "web", "busybox:1"),
        (2, "old", "web", "busybox:1"),
        (3, "new", "api", "grafana/grafana:latest"),
        (4, "fine", "api", "registry.acmecorp.com/fine:1"),
        (30, "old", "web", "busybox:1"),
        (31, "gone", "job", "python:3.12"),
    ] {
        history.add(Draft::pod(ago(&history, hours * HOUR), "prod-eu", namespace, name, &[image])).await;
    }
    Report::over(history)
}

#[tokio::test]
async fn what_was_not_hit_before_is_told_as_new() {
    let report = two_days().await;
    let page = report.get("/?since=24h").await.text;
    assert!(page.contains("Hit now, and not in the time before ("), "{page}");
    assert!(page.contains("): 1 rule, 1 namespace and 1 image."), "{page}");
    let card = page.split("id=\"news\"").nth(1).and_then(|rest| rest.split("</section>").next()).expect("the card");
    for (name, is_new) in
        [("images/no-latest", true), ("docker.io/grafana/grafana", true), (">old<", false), (">gone<", false)]
    {
        assert_eq!(card.contains(name), is_new, "{name} in {card}");
    }
    assert!(card.contains("1 more than the 2 in the time before"), "{card}");
    // Nothing before: said, and not taken for news.
    let page = report.get("/?since=72h").await.text;
    assert!(page.contains("there is nothing to compare with") && !page.contains("New rules"), "{page}");
    // A period of nothing but what was there before.
    let page = report.get("/?since=24h&namespace=old").await.text;
    assert!(page.contains("No rule, namespace or image is hit that was not hit in the time before"), "{page}");
}

#[tokio::test]
async fn the_tables_of_the_overview_are_in_the_api() {
    let report = two_days().await;
    let hits = async |query: &str| report.json(&format!("/api/v1/hits?since=24h&{query}")).await;
    let names = |found: &Value| -> Vec<String> {
        let hits = found["hits"].as_array().expect("a list").iter();
        hits.map(|hit| hit["name"].as_str().expect("a name").to_owned()).collect()
    };
    let rules = hits("of=rules").await;
    assert_eq!(names(&rules), ["images/approved", "images/no-latest"]);
    assert_eq!(
        (&rules["hits"][0]["would_reject"], &rules["hits"][0]["before"]["would_reject"]),
        (&3.into(), &2.into())
    );
    assert_eq!(names(&hits("of=rules&new=true").await), ["images/no-latest"]);
    assert_eq!(names(&hits("of=namespaces").await), ["old", "new"]);
    let images = hits("of=images&limit=1").await;
    assert_eq!(
        (names(&images), &images["all"], &images["next"]),
        (vec!["docker.io/library/busybox".into()], &2.into(), &1.into())
    );
    let images = hits("of=images&limit=1&after=1").await;
    assert_eq!((names(&images), &images["next"]), (vec!["docker.io/grafana/grafana".into()], &Value::Null));
    let chart = report.json("/api/v1/chart?since=24h&limit=30").await;
    let buckets = chart["buckets"].as_array().expect("a list");
    assert!(buckets.len() > 20 && buckets.len() <= 30, "{chart}");
    let sum: u64 = buckets.iter().map(|bucket| bucket["reviews"].as_u64().expect("a count")).sum();
    let summary = report.json("/api/v1/summary?since=24h").await;
    assert_eq!((sum, &summary["before"]["reviews"]), (4, &2.into()));
    assert_eq!(summary["before"]["until"], summary["since"]);
    for (query, parameter) in
        [("since=24h", "of"), ("of=pods", "of"), ("of=rules&new=false", "new"), ("of=rules&after=-1", "after")]
    {
        let answer = report.get(&format!("/api/v1/hits?{query}")).await;
        assert!(
            answer.status == 400 && answer.text.contains(&format!("\"parameter\":\"{parameter}\"")),
            "{query}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn what_was_chosen_is_kept_from_page_to_page() {
    let report = two_days().await;
    let chosen = "since=2d&until=1h&cluster=prod-eu&namespace=old&tz=Asia/Kathmandu";
    let list = report.json("/api/v1/decisions?limit=1").await;
    let id = list["decisions"][0]["id"].as_str().expect("an id");
    for page in ["/", "/decisions", "/candidates", &format!("/decisions/{id}"), "/revisions/9f2c61d07b7e4f01"] {
        let text = report.get(&format!("{page}?{chosen}")).await.text.replace("&#38;", "&");
        let nav =
            text.split("aria-label=\"Pages\"").nth(1).and_then(|rest| rest.split("</nav>").next()).expect("the ways");
        let ways = nav.matches("href=").count();
        assert!(ways >= 4 && nav.matches(chosen).count() == ways, "{page}: {nav}");
    }
    for (page, own) in [
        ("/?since=24h", false),
        ("/", false),
        ("/decisions", false),
        ("/?since=90m", true),
        ("/decisions?until=1h", true),
    ] {
        let text = report.get(page).await.text;
        assert_eq!(text.contains("href=\"#since\" aria-current=\"true\""), own, "{page}");
        assert_eq!(text.matches("aria-current=\"true\">").count(), 1, "{page}");
        assert!(text.contains("id=\"since\""), "{page}: where one's own range is written");
    }
}
