//! Two and three replicas: what they share, and what is said of one that is behind.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::http::time;
use crate::harness::{Rehearsal, run, wait_for};
use crate::{Database, id, rows, send, uids};

impl Database {
    /// As if a replica had last been heard of two minutes ago: nobody writes its row any more.
    fn has_been_silent(&self, replica: &str) {
        self.psql(&format!("UPDATE replicas SET seen_at = seen_at - 120000 WHERE replica = '{replica}'"));
    }

    fn drained_until(&self, replica: &str) -> i64 {
        let found = self.psql(&format!("SELECT drained_until FROM replicas WHERE replica = '{replica}'"));
        found.parse().expect("it has said something")
    }

    /// Waits for the first heartbeat of one that has started.
    async fn has_heard(&self, replica: &str) {
        let row = format!("SELECT 1 FROM replicas WHERE replica = '{replica}' AND drained_until < {}", i64::MAX);
        wait_for("a heartbeat", || async { (self.psql(&row) == "1").then_some(()) }).await;
    }
}

async fn summary(replica: &Rehearsal) -> Value {
    replica.get_json("/api/v1/summary").await
}

/// The summary, once it names these replicas as behind and no others.
async fn behind(replica: &Rehearsal, expected: &[&str]) -> Value {
    wait_for(&format!("{expected:?} to be behind"), || async {
        let summary = summary(replica).await;
        let named = summary["behind"].as_array().expect("a list").iter().map(|behind| behind["replica"].as_str());
        (named.collect::<Vec<_>>() == expected.iter().copied().map(Some).collect::<Vec<_>>()).then_some(summary)
    })
    .await
}

#[tokio::test]
async fn three_replicas_share_one_history() {
    let database = Database::new();
    let mut replicas = Vec::new();
    for cluster in ["lab", "prod", "prod"] {
        replicas.push(database.serving(cluster, "").start().await);
    }
    for (n, replica) in replicas.iter().enumerate() {
        send(replica, uids(&format!("of-{n}"), 20)).await;
    }
    for replica in &replicas {
        replica.drained().await;
    }
    let answered: BTreeSet<String> = (0..3).flat_map(|n| uids(&format!("of-{n}"), 20)).collect();
    for replica in &replicas {
        assert_eq!(rows::holds(replica, &answered).await.len(), 60);
        let summary = behind(replica, &[]).await;
        assert_eq!((&summary["reviews"], &summary["would_reject"]), (&json!(60), &json!(60)));
        assert_eq!(replica.get_json("/api/v1/summary?cluster=prod").await["reviews"], 40);
    }
    let heard = database.psql("SELECT clusters, version, drained_until <= seen_at FROM replicas ORDER BY id");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(heard, format!("[\"lab\"]|{version}|t\n[\"prod\"]|{version}|t\n[\"prod\"]|{version}|t"));
    assert_eq!(database.psql("SELECT count(DISTINCT replica) FROM batches WHERE decisions > 0"), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_killed_is_named_until_its_journal_is_drained() {
    let database = Database::new();
    let link = database.link().await;
    let stays = database.serving("lab", "").start().await;
    let mut goes = database.through(link.port, "prod", "").start().await;
    let lost = id(&goes);
    database.has_heard(&lost).await;
    send(&goes, uids("stored", 1)).await;
    let decision = stays.decision("").await;
    link.cut();
    send(&goes, uids("journalled", 5)).await;
    goes.kill9();
    database.has_been_silent(&lost);

    let summary = behind(&stays, &[&lost]).await;
    let named = &summary["behind"][0];
    assert_eq!((&named["clusters"], &named["stored_until"]), (&json!(["prod"]), &summary["complete_until"]));
    let path = decision["id"].as_str().expect("an id");
    for page in ["/".to_owned(), "/decisions".to_owned(), format!("/decisions/{path}")] {
        let text = stays.get(&page).await.text();
        assert!(text.contains(&format!("Replica {lost} (of prod) was last heard of at ")), "{page}: {text}");
        assert!(text.contains("rehearsal journal drain"), "{page}");
    }
    for path in ["/api/v1/decisions".to_owned(), format!("/api/v1/decisions/{path}")] {
        let answer = stays.get_json(&path).await;
        assert_eq!(
            (&answer["behind"][0]["replica"], answer["complete_until"].is_string()),
            (&json!(lost), true),
            "{path}"
        );
    }
    let ready = wait_for("/readyz to name it", || async {
        let ready = stays.get("/readyz").await;
        ready.text().contains(&lost).then_some(ready)
    })
    .await;
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &json!([])), "it is not this one that is at fault");
    assert!((stays.metric("rehearsal_replicas_behind", &[]).await - 1.0).abs() < 0.1);

    let config = stays.dir().join("rehearsal.yaml");
    let orphan = goes.data_dir();
    let arguments = ["journal", "drain", orphan.to_str().expect("UTF-8"), "--config", config.to_str().expect("UTF-8")];
    let ended = run(stays.dir(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    stays.decisions("", 6).await;
    let now = behind(&stays, &[]).await;
    assert!(time(&now["complete_until"]) > time(&summary["complete_until"]), "{now}");
    assert_eq!(database.drained_until(&lost), i64::MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_that_is_cut_off_goes_on_and_catches_up() {
    let database = Database::new();
    let link = database.link().await;
    let (one, two) = (database.serving("lab", "").start().await, database.serving("lab", "").start().await);
    let cut = database.through(link.port, "lab", "").start().await;
    database.has_heard(&id(&cut)).await;
    send(&cut, uids("before", 5)).await;
    one.decisions("", 5).await;
    link.cut();
    send(&cut, uids("during", 20)).await;
    send(&one, uids("one", 5)).await;
    send(&two, uids("two", 5)).await;
    one.decisions("", 15).await;
    let ready = wait_for("/readyz to say so", || async {
        let ready = cut.get("/readyz").await;
        ready.text().contains("decisions wait in the journal").then_some(ready)
    })
    .await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    // Nothing is said to be complete that is not there, however long it takes to be noticed.
    let during = summary(&one).await;
    assert!(time(&during["complete_until"]).as_millisecond() <= database.drained_until(&id(&cut)), "{during}");
    database.has_been_silent(&id(&cut));
    behind(&two, &[&id(&cut)]).await;

    link.heal();
    let answered: BTreeSet<String> = [("before", 5), ("during", 20), ("one", 5), ("two", 5)]
        .into_iter()
        .flat_map(|(name, n)| uids(name, n))
        .collect();
    cut.drained().await;
    for replica in [&one, &two, &cut] {
        assert_eq!(rows::holds(replica, &answered).await.len(), 35);
        wait_for("the history to be complete past the cut", || async {
            let after = behind(replica, &[]).await;
            (time(&after["complete_until"]) > time(&during["complete_until"])).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn one_that_stopped_in_order_holds_nothing_back_until_it_is_there_again() {
    let database = Database::new();
    let stays = database.serving("lab", "").start().await;
    let mut stops = database.serving("lab", "").start().await;
    let stopped = id(&stops);
    send(&stops, uids("u", 3)).await;
    stops.sigterm();
    assert_eq!(stops.exit_code().await, Some(0));
    assert_eq!(database.drained_until(&stopped), i64::MAX);
    database.has_been_silent(&stopped);
    behind(&stays, &[]).await;
    stays.decisions("", 3).await;
    let _again = stops.restart().await;
    database.has_heard(&stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stops_without_its_database_is_missed() {
    let database = Database::new();
    let link = database.link().await;
    let stays = database.serving("lab", "").start().await;
    let mut stops = database.through(link.port, "lab", "shutdown: {grace: 1s}").start().await;
    let stopped = id(&stops);
    database.has_heard(&stopped).await;
    link.cut();
    send(&stops, uids("u", 3)).await;
    stops.sigterm();
    assert_eq!(stops.exit_code().await, Some(0));
    database.has_been_silent(&stopped);
    behind(&stays, &[&stopped]).await;
    link.heal();
    let _again = stops.restart().await;
    stays.decisions("", 3).await;
    behind(&stays, &[]).await;
}

#[tokio::test]
async fn a_copied_data_directory_is_told_by_both_that_write_as_one_replica() {
    let database = Database::new();
    let one = database.serving("lab", "").start().await;
    let other = database.serving("prod", "").start().await;
    std::fs::write(other.data_dir().join("replica"), id(&one)).expect("the test's directory");
    let other = other.restart().await;
    for twin in [&one, &other] {
        wait_for("the other to be told", || async {
            let ready = twin.get_json("/readyz").await;
            let said =
                |fault: &Value| fault.as_str().is_some_and(|fault| fault.contains("its data directory is a copy"));
            ready["degraded"].as_array().expect("a list").iter().any(said).then_some(())
        })
        .await;
    }
}

/// What only the other knows: the page of any replica tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_tells_what_the_others_alone_know() {
    let database = Database::new();
    let (one, other) = (database.serving("lab", "").start().await, database.serving("prod", "").start().await);
    send(&other, uids("seen", 2)).await;
    let said = wait_for("the other's heartbeat", || async {
        let said = one.get_json("/api/v1/clusters").await;
        let prod = said["clusters"].as_array().expect("a list").iter().find(|one| one["cluster"] == "prod")?.clone();
        (prod["protocols"] == json!(["AdmissionReview"])).then_some((said, prod))
    })
    .await;
    let (said, prod) = said;
    assert_eq!((&prod["replicas"], &prod["unproven"]), (&json!([id(&other)]), &json!(2)), "{said}");
    let replicas = said["replicas"].as_array().expect("a list");
    let its = replicas.iter().find(|one| one["replica"] == id(&other)).expect("the other");
    assert_eq!((&its["clusters"], &its["stopped"], replicas.len()), (&json!(["prod"]), &json!(false), 2), "{said}");
    let page = one.get("/clusters").await.text();
    assert!(page.contains(&id(&one)) && page.contains(&id(&other)) && page.contains("this one"), "{page}");
}
