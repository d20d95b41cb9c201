//! A database of its own, behind a link that can fail, and a replica over it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::harness::link::Link;
use crate::harness::postgres::{self, Server};
use crate::harness::reviews::pod_review;
use crate::harness::{Builder, Rehearsal, wait_for};

/// There is no such table before a replica has come through. While one changes it, nothing waits: the link of that replica
/// is served by the thread that asks.
pub const COUNT: &str = "SET lock_timeout = '1s'; SELECT count(*) FROM decisions";

/// One database of the shared server.
pub struct Database {
    server: &'static Server,
    pub name: String,
}

impl Database {
    pub fn new() -> Self {
        let server = postgres::shared();
        Self { server, name: server.database() }
    }

    pub async fn link(&self) -> Link {
        Link::to(([127, 0, 0, 1], self.port()).into()).await
    }

    /// The server's own.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// A replica whose way to the database is `port`.
    pub fn replica(&self, port: u16, more: &str) -> Builder {
        let url = format!("postgres://{}@127.0.0.1:{port}/{}", postgres::USER, self.name);
        Rehearsal::builder().config(more).on_postgres(&url)
    }

    pub fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }

    /// The uids of all decisions that are stored.
    pub fn uids(&self) -> Vec<String> {
        self.psql("SELECT coalesce(uid::text, uid_text) FROM decisions").lines().map(str::to_owned).collect()
    }

    /// Waits until as many decisions are stored.
    pub async fn stores(&self, count: usize) {
        wait_for(&format!("{count} stored decisions"), || async {
            let stored = self.server.try_psql(&self.name, COUNT);
            (stored == Ok(count.to_string())).then_some(())
        })
        .await;
    }

    /// That each uid is stored exactly once, and no other, and that the figures count each once.
    pub fn holds_exactly(&self, uids: &BTreeSet<String>) {
        let stored = self.uids();
        let distinct: BTreeSet<String> = stored.iter().cloned().collect();
        assert_eq!(stored.len(), distinct.len(), "a decision is stored twice");
        assert_eq!(&distinct, uids);
        let figures = "SELECT sum(reviews) FROM rollup_totals WHERE namespace = 0 AND width = 1440";
        assert_eq!(self.psql(figures), uids.len().to_string());
        let workloads = self.psql("SELECT sum(reviews) FROM workload_totals");
        assert_eq!(workloads, uids.len().to_string());
    }
}

/// Answers to `count` reviews, each its own uid; how long the slowest took.
pub async fn answers(rehearsal: &Rehearsal, round: &str, count: usize) -> (BTreeSet<String>, Duration) {
    let mut uids = BTreeSet::new();
    let mut slowest = Duration::ZERO;
    for at in 0..count {
        let uid = format!("{round}-{at}");
        let begun = std::time::Instant::now();
        let response = rehearsal.review("/review/lab", &pod_review(&uid, "team", "web", &["nginx"])).await;
        assert!(response.allowed(), "{}", response.text());
        slowest = slowest.max(begun.elapsed());
        uids.insert(uid);
    }
    (uids, slowest)
}

/// Waits until `/readyz` names a fault that holds the text; or no fault, where there is none.
pub async fn degraded(rehearsal: &Rehearsal, text: Option<&str>) -> Value {
    wait_for(&format!("/readyz degraded: {text:?}"), || async {
        let ready = rehearsal.get("/readyz").await;
        assert_eq!(ready.status, 200, "a database is in nobody's way: {}", ready.text());
        let ready = ready.json();
        let faults = ready["degraded"].as_array().expect("a list");
        let is_so = match text {
            Some(text) => faults.iter().any(|fault| fault.as_str().is_some_and(|fault| fault.contains(text))),
            None => faults.is_empty(),
        };
        is_so.then_some(ready)
    })
    .await
}
