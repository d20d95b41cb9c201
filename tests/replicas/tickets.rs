//! Break-glass tickets of replicas that share a history.

use serde_json::{Value, json};

use crate::Database;
use crate::harness::reviews::pod_review;
use crate::harness::{Builder, Rehearsal, wait_for};

const KEY: &str = "a.image-policy.k8s.io/ticket-7";

/// In enforce, with tickets that hold for so long.
fn enforcing(database: &Database, port: u16, lasts: &str) -> Builder {
    database.through(
        port,
        "prod",
        &format!(
            "policies: [{{name: images, mode: enforce, rules: [{{id: no-latest, deny: {{tag: latest}}}}]}}]
break_glass: {{annotation: '**', value: break-glass, for: {lasts}}}"
        ),
    )
}

async fn shows(replica: &Rehearsal, name: &str) -> (bool, String) {
    let mut review = pod_review("u", "shop", name, &["nginx"]);
    review["request"]["object"]["metadata"]["annotations"] = json!({KEY: "break-glass"});
    let response = replica.review("/review", &review).await;
    (response.allowed(), response.verdict()["status"]["message"].as_str().unwrap_or_default().to_owned())
}

async fn uses(replica: &Rehearsal) -> Vec<Value> {
    replica.get_json("/api/v1/break-glass").await["uses"].as_array().expect("a list").clone()
}

/// The first use that this replica knows of itself.
async fn kept(replica: &Rehearsal) -> Option<String> {
    let text = std::fs::read_to_string(replica.data_dir().join("tickets.json")).ok()?;
    let text: Value = serde_json::from_str(&text).expect("JSON");
    Some(text["tickets"][0]["first_use"]["at"].to_string())
}

#[tokio::test]
async fn replicas_know_of_each_other_s_first_uses() {
    let database = Database::new();
    let one = enforcing(&database, database.port(), "3s").start().await;
    let two = enforcing(&database, database.port(), "3s").start().await;
    assert!(shows(&one, "web").await.0);
    let used = std::time::Instant::now();
    let first = wait_for("the use in the history", || async { uses(&one).await.into_iter().next() }).await;
    wait_for("the other to hear of it", || async { kept(&two).await }).await;
    assert!(used.elapsed() < std::time::Duration::from_secs(5), "{:?}", used.elapsed());
    let told = wait_for("a ticket that is used up for both", || async {
        let (is_through, told) = shows(&two, "web").await;
        (!is_through).then_some(told)
    })
    .await;
    assert!(told.contains(&format!("first used at {}", first["at"].as_str().expect("a time"))), "{told}");
    assert_eq!(uses(&two).await.len(), 1, "one first use");
    let late = enforcing(&database, database.port(), "3s").start().await;
    assert!(!shows(&late, "web").await.0, "one that starts later reads it");
}

/// While the history is away each goes by what it knows; afterwards the earliest use is the one that counts.
#[tokio::test]
async fn the_earliest_use_wins_once_the_history_is_back() {
    let database = Database::new();
    let link = database.link().await;
    let one = enforcing(&database, link.port, "24h").start().await;
    let two = enforcing(&database, link.port, "24h").start().await;
    link.cut();
    assert!(shows(&one, "web").await.0 && shows(&two, "web").await.0, "no review waits for the database");
    let (first, second) = (kept(&one).await.expect("on its disk"), kept(&two).await.expect("on its disk"));
    let two = two.restart().await;
    assert!(shows(&two, "web").await.0, "it remembers without the history");
    assert_eq!(kept(&two).await, Some(second));
    link.heal();
    wait_for("both to agree", || async {
        (kept(&one).await.as_ref() == Some(&first) && kept(&two).await.as_ref() == Some(&first)).then_some(())
    })
    .await;
    wait_for("one use", || async { (uses(&two).await.len() == 1).then_some(()) }).await;
}
