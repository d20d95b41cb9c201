//! Gaps, and reviews that were not judged.

use super::*;

#[tokio::test]
async fn gaps_and_unjudged_reviews_are_said_everywhere() {
    let (report, _) = small().await;
    report.history.add_gap(ago(&report.history, 2 * HOUR), ago(&report.history, HOUR)).await;
    let page = report.get("/").await.text;
    assert!(page.contains("14 reviews missing here") && page.contains("3 reviews unjudged"), "{page}");
    assert!(page.contains(r#"<rect class="gap""#));
    let summary = report.json("/api/v1/summary").await;
    assert_eq!((&summary["unjudged"], &summary["gaps"][0]["count"]), (&3.into(), &14.into()));
    let span = format!("since={}&until={}", ago(&report.history, 3 * HOUR), ago(&report.history, HOUR / 2));
    assert!(report.get(&format!("/decisions?{span}")).await.text.contains("14 reviews missing here"));
    let list = report.json(&format!("/api/v1/decisions?{span}")).await;
    assert_eq!((&list["gaps"][0]["count"], &list["gaps"][0]["cluster"]), (&14.into(), &Value::Null));
}

#[tokio::test]
async fn a_gap_stands_on_the_page_of_the_list_between_whose_rows_it_is_and_on_no_other() {
    let (report, _) = small().await;
    let whole = report.json("/api/v1/decisions?limit=1000").await;
    let at = |row: usize| whole["decisions"][row]["at"].as_str().expect("a time").parse::<jiff::Timestamp>();
    let (newer, older) = (at(29).expect("a time"), at(31).expect("a time"));
    let (from, to) = (Timestamp(older.as_millisecond() + 1), Timestamp(newer.as_millisecond() - 1));
    assert!(from < to, "room for a gap beside row 30");
    report.history.add_gap(from, to).await;
    let mut target = "/api/v1/decisions?limit=20".to_owned();
    let mut gaps = Vec::new();
    while gaps.len() < 4 {
        let page = report.json(&target).await;
        gaps.push(page["gaps"].as_array().expect("a list").len());
        target = format!("/api/v1/decisions?limit=20&after={}", page["next"].as_str().expect("more"));
    }
    assert_eq!(gaps, [0, 1, 0, 0]);
}

#[tokio::test]
async fn of_many_gaps_a_page_tells_the_latest() {
    let (report, _) = small().await;
    for hour in 1..=9 {
        report.history.add_gap(ago(&report.history, (hour + 1) * HOUR), ago(&report.history, hour * HOUR)).await;
    }
    let page = report.get("/").await.text;
    assert_eq!(page.matches("14 reviews missing here").count(), 5, "{page}");
    assert!(page.contains("4 more gaps before"), "{page}");
    assert_eq!(report.json("/api/v1/summary").await["gaps"].as_array().map(Vec::len), Some(9));
}
