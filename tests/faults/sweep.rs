//! Old decisions that are deleted, and all of them exported, while new ones come.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{DEADLINE, Rehearsal, run};
use crate::history;
use crate::load::Load;
use crate::stores::{Kind, on_both};

on_both![a_sweep_and_exports_under_full_load_lose_nothing_and_count_everything];

/// What is made up is of others.
const LOADED: &str = "&cluster=lab";

async fn a_sweep_and_exports_under_full_load_lose_nothing_and_count_everything(kind: Kind) {
    let builder = kind.builder("webhook: {tls: off}\nretention: {decisions: 7d}");
    let mut made = builder.clone().args(&["generate", "--decisions", "2400", "--days", "10"]).spawn();
    assert_eq!(made.wait(6 * DEADLINE).await, Some(0), "{}", made.stderr());
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "sweep", 8);
    load.reach(50).await;
    let counted = made_up(&rehearsal).await;
    let (mut exports, begun) = (0, Instant::now());
    while deleted(&rehearsal).await < 1.0 || !a_pass_has_ended(&rehearsal).await || exports < 3 {
        let listed = listed(&rehearsal).await;
        let exported = exported(&rehearsal, &["--cluster", "lab"]).await;
        let missing: Vec<_> = listed.difference(&exported).collect();
        assert!(missing.is_empty(), "{missing:?} were listed before, and not exported");
        self::exported(&rehearsal, &[]).await;
        exports += 1;
        assert!(begun.elapsed() < 9 * DEADLINE, "no pass ends: {} rows are deleted", deleted(&rehearsal).await);
    }
    load.reach(500).await;
    let outcome = load.end().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let rows = history::holds_of(&rehearsal, LOADED, &outcome.answered).await;
    assert_eq!(rows.len(), outcome.answered.len(), "none that was not sent");
    assert_eq!(exported(&rehearsal, &["--cluster", "lab"]).await, outcome.answered);
    assert_eq!(history::missed_of(&rehearsal, LOADED).await, 0);
    assert_eq!(made_up(&rehearsal).await, counted, "what was deleted stays in the figures");
    let due = "/api/v1/decisions?until=8d&answer=allowed&would_reject=false&dry_run=false";
    assert_eq!(rehearsal.get_json(due).await["decisions"], serde_json::json!([]), "what was due is gone");
}

async fn deleted(rehearsal: &Rehearsal) -> f64 {
    rehearsal.metric("rehearsal_retention_deleted_rows_total", &["rows=\"decisions\""]).await
}

async fn a_pass_has_ended(rehearsal: &Rehearsal) -> bool {
    rehearsal.metric("rehearsal_retention_last_timestamp_seconds", &[]).await > 0.5
}

/// How many reviews of each made-up cluster the figures have.
async fn made_up(rehearsal: &Rehearsal) -> Vec<Value> {
    let mut counts = Vec::new();
    for cluster in ["prod-eu", "prod-us", "staging"] {
        let path = format!("/api/v1/summary?since=60d&dry_run=include&cluster={cluster}");
        let summary = rehearsal.get_json(&path).await;
        counts.push(summary["reviews"].clone());
    }
    assert!(counts.iter().any(|count| count.as_u64() > Some(500)), "{counts:?}");
    counts
}

/// Uids of the newest of the load.
async fn listed(rehearsal: &Rehearsal) -> BTreeSet<String> {
    let page = rehearsal.get_json(&format!("/api/v1/decisions?limit=1000{LOADED}")).await;
    history::uids(page["decisions"].as_array().expect("a list"))
}

/// Uids of what is exported, each of them once.
async fn exported(rehearsal: &Rehearsal, filter: &[&str]) -> BTreeSet<String> {
    let dir = rehearsal.dir().to_owned();
    let args: Vec<String> =
        ["export", "--config", "rehearsal.yaml"].iter().chain(filter).map(|arg| (*arg).into()).collect();
    let ended =
        tokio::task::spawn_blocking(move || run(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let ended = ended.expect("no panic");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "an export");
    let lines = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a decision"));
    history::uids(&lines.collect::<Vec<Value>>())
}
