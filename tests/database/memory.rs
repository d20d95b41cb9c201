//! A database that is gone under load: what waits, waits on the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::setup::{Database, degraded};
use crate::harness::Rehearsal;
use crate::harness::process::memory;
use crate::harness::reviews::pod_review;

const SECONDS: u64 = 8;
const PER_SECOND: u64 = 1_000;

/// Bytes that the process may grow by while the database is gone; buffers of the journal and of connections settle
/// in the first seconds.
const GROWTH: u64 = 8 << 20;

#[tokio::test]
async fn gone_at_a_thousand_reviews_a_second_memory_is_flat_and_all_is_drained_afterwards() {
    let database = Database::new();
    let link = database.link().await;
    let rehearsal = Arc::new(database.replica(link.port, "").start().await);
    // Warm: every buffer that the load needs is there.
    let mut uids = load(&rehearsal, "warm", 2).await;
    database.stores(uids.len()).await;
    link.cut();
    let mut since = load(&rehearsal, "first", 1).await;
    let before = memory(rehearsal.pid(), "VmRSS");
    since.extend(load(&rehearsal, "gone", SECONDS).await);
    let after = memory(rehearsal.pid(), "VmRSS");
    assert!(after <= before + GROWTH, "{before} bytes before, {after} bytes after");
    let ready = degraded(&rehearsal, Some("decisions wait in the journal")).await;
    let waiting = rehearsal.metric("rehearsal_journal_backlog_records", &[]).await;
    assert!(waiting >= since.len() as f64, "{waiting} wait of {}: {ready}", since.len());
    uids.extend(since);
    link.heal();
    rehearsal.drained().await;
    database.holds_exactly(&uids);
    degraded(&rehearsal, None).await;
}

/// Reviews at a steady rate, as far as the machine gives it; the uids of those that were answered.
async fn load(rehearsal: &Arc<Rehearsal>, round: &str, seconds: u64) -> BTreeSet<String> {
    const CLIENTS: u64 = 16;
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (rehearsal, round) = (Arc::clone(rehearsal), round.to_owned());
            tokio::spawn(async move {
                let mut uids = Vec::new();
                let gap = Duration::from_micros(CLIENTS * 1_000_000 / PER_SECOND);
                for number in 0..seconds * PER_SECOND / CLIENTS {
                    let due = gap * u32::try_from(number).expect("a few thousand");
                    tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
                    let uid = format!("{round}-{client}-{number}");
                    let review = pod_review(&uid, "team", "web", &["nginx"]);
                    assert!(rehearsal.review("/review/lab", &review).await.allowed());
                    uids.push(uid);
                }
                uids
            })
        })
        .collect();
    let mut uids = BTreeSet::new();
    for client in clients {
        uids.extend(client.await.expect("a client"));
    }
    uids
}
