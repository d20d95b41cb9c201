//! A database that is gone under load: what waits, waits on the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::setup::{Database, degraded};
use crate::harness::reviews::pod_review;
use crate::harness::{Rehearsal, wait_for};

const SECONDS: u64 = 8;
const PER_SECOND: u64 = 1_000;

/// Kilobytes that the process may grow by while the database is gone; buffers of the journal and of connections settle
/// in the first seconds.
const GROWTH: u64 = 8 << 10;

#[tokio::test]
async fn gone_at_a_thousand_reviews_a_second_memory_is_flat_and_all_is_drained_afterwards() {
    let database = Database::new();
    let link = database.link().await;
    let rehearsal = Arc::new(database.replica(link.port, "").start().await);
    // Warm: every buffer that the load needs is there.
    let mut uids = load(&rehearsal, "warm", 2).await;
    database.stores(uids.len()).await;
    link.cut();
    uids.extend(load(&rehearsal, "first", 1).await);
    let before = resident(&rehearsal);
    uids.extend(load(&rehearsal, "gone", SECONDS).await);
    let after = resident(&rehearsal);
    assert!(after <= before + GROWTH, "{before} kB before, {after} kB after");
    let ready = degraded(&rehearsal, Some("decisions wait in the journal")).await;
    let waiting = rehearsal.metric("rehearsal_journal_backlog_records", &[]).await;
    assert!(waiting >= (SECONDS * PER_SECOND) as f64 / 2.0, "{waiting}: {ready}");
    link.heal();
    wait_for("an empty backlog", || async {
        (rehearsal.metric("rehearsal_journal_backlog_records", &[]).await < 0.5).then_some(())
    })
    .await;
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

/// Kilobytes.
fn resident(rehearsal: &Rehearsal) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rehearsal.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
