//! A switch for the night over replicas that share a history, and while that is away.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Database;
use crate::harness::process::Ended;
use crate::harness::reviews::pod_review;
use crate::harness::{Builder, Rehearsal, run, wait_for};

const ENFORCE: &str = "policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}]";

/// Of which every other replica hears.
const SHARED: Duration = Duration::from_secs(5);

impl Database {
    fn enforcing(&self, port: u16) -> Builder {
        self.through(port, "lab", ENFORCE)
    }
}

/// `rehearsal ceiling ARGS` beside a replica, without an error. Not in the way of the link, which is in this process.
async fn ceiling(replica: &Rehearsal, args: &[&str]) -> Ended {
    let ended = tried(replica, args).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    ended
}

async fn tried(replica: &Rehearsal, args: &[&str]) -> Ended {
    let (dir, config) = (replica.dir().to_owned(), replica.dir().join("rehearsal.yaml").display().to_string());
    let args: Vec<String> =
        [&["ceiling"], args, &["--config", &config]].concat().into_iter().map(str::to_owned).collect();
    let ended = tokio::task::spawn_blocking(move || run(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>()));
    ended.await.expect("no panic")
}

async fn is_held_back(replica: &Rehearsal) -> bool {
    replica.review("/review", &pod_review("u", "shop", "web", &["nginx"])).await.allowed()
}

/// Waits until it lets through, or denies; how long that took.
async fn becomes(replica: &Rehearsal, held_back: bool) -> Duration {
    let begun = Instant::now();
    wait_for(&format!("held back: {held_back}"), || async { (is_held_back(replica).await == held_back).then_some(()) })
        .await;
    begun.elapsed()
}

fn tickets(listed: &Value) -> Vec<&str> {
    listed["ceilings"].as_array().expect("a list").iter().filter_map(|one| one["ticket"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_is_under_it_within_seconds_and_out_again() {
    let database = Database::new();
    let (one, other) =
        (database.enforcing(database.port()).start().await, database.enforcing(database.port()).start().await);
    assert!(!is_held_back(&one).await && !is_held_back(&other).await);
    let mut took = Vec::new();
    for ticket in ["INC-1", "INC-2", "INC-3"] {
        let said = ceiling(&one, &["audit", "--for", "1h", "--ticket", ticket, "--by", "ana"]).await.stdout;
        assert!(said.contains("by it to the history: every process over that knows within five seconds"), "{said}");
        assert!(is_held_back(&one).await);
        took.push(becomes(&other, true).await);
        let log = other.log();
        assert!(log.contains(&format!("in force: ceiling {ticket}")), "{log}");
        // Whoever is on call may be anywhere.
        let shown = ceiling(&other, &["show"]).await.stdout;
        assert!(shown.contains(ticket) && shown.contains("by ana"), "{shown}");
        ceiling(&other, &["lift", "--ticket", ticket, "--by", "bo"]).await;
        took.push(becomes(&one, false).await);
        becomes(&other, false).await;
    }
    took.sort();
    assert!(took[4] < SHARED, "all but one: {took:?}");
    for replica in [&one, &other] {
        let listed = replica.get_json("/api/v1/ceilings").await;
        assert_eq!(tickets(&listed), ["INC-3", "INC-2", "INC-1"]);
        assert_eq!(
            (&listed["ceilings"][0]["by"], &listed["ceilings"][0]["lifted"]["by"]),
            (&"ana".into(), &"bo".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_history_it_holds_here_and_others_hear_of_it_when_that_is_back() {
    let database = Database::new();
    let link = database.link().await;
    let away = database.enforcing(link.port).start().await;
    let other = database.enforcing(database.port()).start().await;
    link.cut();
    let unasked = "the history could not be asked, so that others may be in force: ";
    let shown = ceiling(&away, &["show"]).await.stdout;
    assert!(shown.starts_with(&format!("no ceiling is known here\n{unasked}")), "{shown}");
    let lifted = tried(&away, &["lift", "--ticket", "INC-1"]).await;
    assert_eq!(lifted.code, Some(2), "{}{}", lifted.stdout, lifted.stderr);
    assert!(
        lifted.stderr.contains("INC-1 is known here: none is known") && lifted.stderr.contains(unasked),
        "{}",
        lifted.stderr
    );
    let said = ceiling(&away, &["audit", "--for", "1h", "--ticket", "INC-1"]).await.stdout;
    assert!(said.contains("the history has not heard of it in 5 s"), "{said}");
    assert!(is_held_back(&away).await && !is_held_back(&other).await);
    let away = away.restart().await;
    assert!(is_held_back(&away).await, "from the first review on");
    link.freeze();
    assert!(is_held_back(&away).await);
    link.heal();
    becomes(&other, true).await;
    ceiling(&away, &["lift", "--ticket", "INC-1"]).await;
    becomes(&other, false).await;
    // What was heard is kept for a start without the history.
    ceiling(&other, &["audit", "--for", "1h", "--ticket", "INC-2"]).await;
    becomes(&away, true).await;
    link.cut();
    let away = away.restart().await;
    assert!(is_held_back(&away).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_machine_without_a_replica_it_goes_by_the_history() {
    let database = Database::new();
    let replica = database.enforcing(database.port()).start().await;
    let desk = |args: &[&str]| database.enforcing(database.port()).args(&[&["ceiling"], args].concat()).ends();
    let ordered = desk(&["audit", "--for", "1h", "--ticket", "INC-1"]).await;
    assert_eq!(ordered.code, Some(0), "{}", ordered.stderr);
    assert!(ordered.stdout.contains("told to the history"), "{}", ordered.stdout);
    becomes(&replica, true).await;
    let late = database.enforcing(database.port()).start().await;
    assert!(is_held_back(&late).await, "one that starts is under it from its first review on");
    assert!(desk(&["show"]).await.stdout.contains("ceiling INC-1"));
    assert_eq!(desk(&["lift", "--ticket", "INC-1"]).await.code, Some(0));
    becomes(&replica, false).await;
    let nowhere = database.enforcing(crate::harness::free_port());
    let ended = nowhere.args(&["ceiling", "audit", "--for", "1h", "--ticket", "INC-1"]).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(ended.stderr.contains("no process runs on "), "{}", ended.stderr);
    assert!(ended.stderr.contains("and the history is not there to ask or to tell"), "{}", ended.stderr);
}
