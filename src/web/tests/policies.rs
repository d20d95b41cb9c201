//! What `/policies` and its part of the API count.

use super::history::{Draft, History};
use super::{HOUR, Report, StagingSettings, Timestamp, Value, ago, built_in, live};
use crate::policy::text;

/// Of the one cluster, over some span.
async fn counted(report: &Report, span: &str) -> (Value, Value) {
    let answer = report.json(&format!("/api/v1/policies?rule=images/no-latest{span}")).await;
    (answer["coverage"]["clusters"][0].clone(), answer["modes"].clone())
}

async fn reviewed(history: &History, hours: i64, namespace: &str, name: &str) {
    history.add(Draft::pod(ago(history, hours * HOUR), "prod-eu", namespace, name, &["busybox"])).await;
}

/// Their names are kept for good: the page said "12 of 4,012 namespaces that are known were reviewed".
#[tokio::test]
async fn namespaces_that_were_reviewed_before_the_window_alone_are_not_known() {
    let history = History::empty().await;
    reviewed(&history, 1, "shop", "web").await;
    reviewed(&history, 24 * 60, "gone", "web").await;
    let report = Report::over(history);
    let (cluster, modes) = counted(&report, "").await;
    assert_eq!(cluster["namespaces"], serde_json::json!({"reviewed": 1, "known": 1}), "{cluster}");
    assert_eq!(cluster["unreviewed"], serde_json::json!([]));
    assert_eq!(modes.as_array().map(Vec::len), Some(1), "{modes}");
    let page = report.get("/policies").await.text;
    assert!(page.contains("the one namespace that is known was reviewed in that time."), "{page}");
}

#[tokio::test]
async fn a_workload_that_was_reviewed_first_after_the_span_is_not_reviewed_in_it() {
    let history = History::empty().await;
    reviewed(&history, 60, "shop", "early").await;
    reviewed(&history, 1, "shop", "late").await;
    reviewed(&history, 1, "new", "late").await;
    let report = Report::over(history);
    let (cluster, _) = counted(&report, "&since=3d&until=2d").await;
    assert_eq!(cluster["workloads"], serde_json::json!({"reviewed": 1, "known": 1}), "{cluster}");
    assert_eq!(cluster["namespaces"], serde_json::json!({"reviewed": 1, "known": 1}), "{cluster}");
}

#[tokio::test]
async fn a_namespace_that_was_not_reviewed_leads_to_its_page_of_the_same_time() {
    let history = History::empty().await;
    reviewed(&history, 60, "shop", "web").await;
    let page = Report::over(history).get("/policies?since=2h&tz=UTC").await.text.replace("&#38;", "&");
    assert!(page.contains("href=\"/namespaces/prod-eu/shop?since=2h&tz=UTC\""), "{page}");
}

async fn loaded(history: &History, id: &str, loads: impl IntoIterator<Item = Timestamp>) {
    let text = text::whole(&built_in(), &StagingSettings::default());
    history.store.keep_revision(id, &text, &loads.into_iter().collect::<Vec<_>>()).await.expect("kept");
}

/// More than one read takes.
#[tokio::test]
async fn a_revision_that_was_loaded_very_often_has_all_its_loads_and_what_was_before() {
    let history = History::empty().await;
    loaded(&history, "bbbb", [ago(&history, 9 * HOUR)]).await;
    loaded(&history, "aaaa", (0..301).map(|second| ago(&history, second * 1_000))).await;
    let first = ago(&history, 300 * 1_000);
    let answer = Report::over(history).json("/api/v1/policies").await;
    let runs = answer["revisions"].as_array().expect("a list");
    let first = serde_json::json!(first.to_string());
    assert_eq!((runs.len(), &runs[0]["first_loaded_at"], &runs[0]["before"]), (2, &first, &"bbbb".into()), "{answer}");
    assert_eq!((&runs[0]["changes"], &answer["next"]), (&"nothing that judges is another".into(), &Value::Null));
}

/// It was in force before, too.
#[tokio::test]
async fn of_a_revision_that_came_back_the_newest_load_alone_is_in_force() {
    let history = History::empty().await;
    let now = live().revision;
    for (hours, revision) in [(9, now.as_str()), (6, "bbbb"), (3, now.as_str())] {
        loaded(&history, revision, [ago(&history, hours * HOUR)]).await;
    }
    let before = ago(&history, 4 * HOUR).0;
    let report = Report::over(history);
    let page = report.get("/policies").await.text;
    assert_eq!(page.matches("in force here").count(), 1, "{page}");
    let further = report.get(&format!("/policies?before={before}")).await.text;
    assert_eq!(further.matches("in force here").count(), 0, "{further}");
}
