//! What people take along.

use crate::setup::{Person, asking, fill};

#[tokio::test]
async fn an_export_is_of_what_somebody_sees_and_is_noted() {
    let rehearsal = asking("").start().await;
    fill(&rehearsal).await;
    let mut root = Person::signed_in(&rehearsal, "root").await;
    root.sees(7).await;
    let mut sam = Person::signed_in(&rehearsal, "sam").await;
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let all = root.get("/api/v1/export").await;
    assert_eq!((all.status, all.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(lines(all.text()).len(), 7);
    let own = sam.get("/api/v1/export?format=csv").await;
    assert_eq!(own.header("content-disposition"), Some("attachment; filename=\"decisions.csv\""));
    // The violations of one, which are two, are a line each.
    assert_eq!(lines(own.text()).len(), 1 + 3 + 1);
    assert!(!own.text().contains("secret-project") && !own.text().contains("blog"), "{}", own.text());
    assert_eq!(lines(sam.get("/api/v1/export?answer=denied").await.text()).len(), 1);
    assert_eq!(sam.get("/api/v1/export?namespace=blog").await.status, 403);
    assert_eq!(sam.get("/api/v1/export?format=xml").await.status, 400);
    assert_eq!(Person::at(&rehearsal).get("/api/v1/export").await.status, 401);
    let page = sam.get("/decisions?answer=denied").await.text();
    assert!(page.contains("href=\"/api/v1/export?answer=denied&#38;until="), "{page}");
    let noted = root.accesses("event=export").await;
    let told: Vec<_> = noted.iter().map(|entry| (entry["user"].as_str(), entry["what"].as_str())).collect();
    let expected = [
        (Some("sam"), Some("decisions: answer=denied")),
        (Some("sam"), Some("decisions: format=csv")),
        (Some("root"), Some("decisions: all")),
    ];
    assert_eq!(told, expected);
}
