//! A disk that fails, is full, or gives back something else than was written.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::orphan::{orphan, segment};
use crate::harness::reviews::pod_review;
use crate::harness::{Builder, Rehearsal, not_run, wait_for};
use crate::history;
use crate::load::Load;
use crate::shim::{ALL, EIO, ENOSPC, Shim};
use serde_json::Value;

async fn fails(rehearsal: &Rehearsal) {
    wait_for("a journal that counts as failed", || async {
        (rehearsal.metric("rehearsal_journal_failed", &[]).await > 0.5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_or_fsync_that_fails_once_is_made_good_in_a_new_segment() {
    let (shim, builder) = Shim::load(Rehearsal::builder().config("webhook: {tls: off}"));
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "once", 4);
    for round in 1..=5 {
        load.reach(round * 20).await;
        shim.fail_writes(1, ENOSPC);
        load.reach(round * 20 + 10).await;
        shim.fail_syncs(1, EIO);
    }
    load.reach(150).await;
    let outcome = load.end().await;
    assert_eq!((shim.failed_writes(), shim.failed_syncs()), (5, 5));
    assert_eq!(shim.synced_again(), 0, "a file of which an fsync failed is not trusted again");
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    history::holds(&rehearsal, &outcome.answered).await;
    assert_eq!(history::missed(&rehearsal).await, 0, "nothing was lost");
    assert!((rehearsal.metric("rehearsal_journal_failures_total", &[]).await - 10.0).abs() < 0.1);
    // And over a start, which reads all that is there again.
    let rehearsal = rehearsal.restart().await;
    history::holds(&rehearsal, &outcome.answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_for_a_while_is_a_gap_that_counts_every_decision() {
    let (shim, builder) = Shim::load(Rehearsal::builder().config("webhook: {tls: off}"));
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "while", 4);
    load.reach(40).await;
    shim.fail_syncs(ALL, EIO);
    fails(&rehearsal).await;
    load.reach(100).await;
    shim.fail_syncs(0, 0);
    wait_for("a journal that can be written", || async {
        (rehearsal.metric("rehearsal_journal_failed", &[]).await < 0.5).then_some(())
    })
    .await;
    load.reach(200).await;
    let outcome = load.end().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let (rows, missed) = (history::rows(&rehearsal).await, history::missed(&rehearsal).await);
    assert!(history::uids(&rows).is_subset(&outcome.answered));
    assert!(missed > 0, "some were answered while it failed");
    assert_eq!(rows.len() as u64 + missed, outcome.answered.len() as u64, "each is in the history or in the gap");
    assert_eq!(shim.synced_again(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_refuse_nothing_is_answered_that_the_disk_does_not_take() {
    let (shim, builder) = Shim::load(Rehearsal::builder().config("webhook: {tls: off}\njournal: {on_failure: refuse}"));
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "refuse", 4);
    load.reach(20).await;
    shim.fail_writes(ALL, EIO);
    fails(&rehearsal).await;
    assert_eq!(rehearsal.get("/readyz").await.status, 503);
    shim.fail_writes(0, 0);
    load.reach(40).await;
    let outcome = load.end().await;
    assert!(outcome.refused.iter().all(|status| *status == 503), "{:?}", outcome.refused);
    let rows = history::holds(&rehearsal, &outcome.answered).await;
    assert_eq!(rows.len(), outcome.answered.len(), "what was refused is not there either");
}

/// A file system of its own for the journal. Only root can mount one.
struct Tmpfs {
    at: PathBuf,
    /// Its directory cannot go before it.
    _in: Builder,
}

impl Tmpfs {
    fn mount(builder: &Builder, at: &str, size: &str) -> Option<Self> {
        let at = builder.dir().join(at);
        fs::create_dir_all(&at).expect("the test's directory is writable");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(&at);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self { at, _in: builder.clone() })
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).expect("ours");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).expect("ours");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // The process may still have files in it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_and_a_crash_on_it_leave_a_gap_and_freed_it_goes_on() {
    let builder = Rehearsal::builder().config("webhook: {tls: off}");
    let Some(disk) = Tmpfs::mount(&builder, "rehearsal-data/journal", "4m") else {
        not_run("a full disk, only root can mount a small one");
        return;
    };
    let mut rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "full", 4);
    load.reach(20).await;
    disk.fill();
    fails(&rehearsal).await;
    load.reach(60).await;
    // It is freed: the gap ends with a count.
    disk.free();
    wait_for("a journal that can be written", || async {
        (rehearsal.metric("rehearsal_journal_failed", &[]).await < 0.5).then_some(())
    })
    .await;
    load.reach(100).await;
    let outcome = load.end().await;
    let (rows, missed) = (history::rows(&rehearsal).await, history::missed(&rehearsal).await);
    assert_eq!(rows.len() as u64 + missed, outcome.answered.len() as u64, "each is in the history or in the gap");
    // Full again, and killed meanwhile: the mark in the preallocated file is all that is left of it.
    disk.fill();
    let mut load = Load::begin(&rehearsal, "crash", 4);
    fails(&rehearsal).await;
    load.reach(20).await;
    wait_for("the mark", || async {
        let marks = fs::read(rehearsal.data_dir().join("journal/gaps")).expect("preallocated");
        marks.iter().any(|&byte| byte != 0).then_some(())
    })
    .await;
    rehearsal.kill9();
    load.end().await;
    let rehearsal = rehearsal.restart().await;
    assert_eq!(rehearsal.review("/review/lab", &pod_review("while-full", "n", "p", &["nginx"])).await.status, 200);
    disk.free();
    let gap = wait_for("the gap of unknown count", || async {
        let summary = rehearsal.get_json("/api/v1/summary").await;
        let gaps = summary["gaps"].as_array().expect("a list").clone();
        gaps.into_iter().find(|gap| {
            gap["count"].is_null() && gap["reason"].as_str().is_some_and(|why| why.contains("no space left"))
        })
    })
    .await;
    assert!(gap["to"].is_string(), "it ends with the start: {gap}");
    rehearsal.drained().await;
    assert_eq!(rehearsal.review("/review/lab", &pod_review("after", "n", "p", &["nginx"])).await.status, 200);
    rehearsal.decision("uid=after").await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_said_and_costs_no_answer() {
    let rehearsal = orphan(Rehearsal::builder().config("webhook: {tls: off}"), 5).await;
    let path = segment(&rehearsal.data_dir());
    let whole = fs::metadata(&path).expect("there").len();
    let mut file = OpenOptions::new().append(true).open(&path).expect("ours");
    file.write_all(&[90, 1, 0, 0, 1, 2, 3, 4, b'{', b'"']).expect("ours");
    let rehearsal = rehearsal.restart().await;
    assert_eq!(history::rows(&rehearsal).await.len(), 5);
    assert_eq!(history::missed(&rehearsal).await, 0);
    assert!((rehearsal.metric("rehearsal_journal_torn_total", &[]).await - 1.0).abs() < 0.1);
    let log = rehearsal.log();
    assert!(log.contains("torn by a crash") && log.contains(&format!("offset={whole}")), "{log}");
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record_is_kept_aside_and_is_a_gap() {
    let rehearsal = orphan(Rehearsal::builder().config("webhook: {tls: off}"), 5).await;
    let path = segment(&rehearsal.data_dir());
    let mut bytes = fs::read(&path).expect("ours");
    let text = br#""uid":"orphan-2""#;
    let at = bytes.windows(text.len()).position(|part| part == text).expect("its uid");
    // The 2 becomes a 6.
    bytes[at + text.len() - 2] ^= 4;
    fs::write(&path, &bytes).expect("ours");
    let rehearsal = rehearsal.restart().await;
    let uids = history::uids(&history::rows(&rehearsal).await);
    assert_eq!(uids.into_iter().collect::<Vec<_>>(), ["orphan-0", "orphan-1", "orphan-3", "orphan-4"]);
    let summary = rehearsal.get_json("/api/v1/summary").await;
    let reason = Value::from("a part of the journal was damaged");
    let gap = summary["gaps"].as_array().expect("a list").iter().find(|gap| gap["reason"] == reason);
    assert!(gap.is_some_and(|gap| gap["count"].is_null() && gap["to"].is_string()), "{summary}");
    assert!((rehearsal.metric("rehearsal_journal_damaged_total", &[]).await - 1.0).abs() < 0.1);
    let kept =
        fs::read_dir(rehearsal.data_dir().join("journal")).expect("readable").map(|entry| entry.expect("readable"));
    let kept: Vec<_> = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-")).collect();
    assert_eq!(kept.len(), 1);
    let aside = fs::read(kept[0].path()).expect("ours");
    let found = br#""uid":"orphan-6""#;
    assert!(aside.windows(found.len()).any(|part| part == found), "the record as it was found");
    assert!(rehearsal.log().contains("cannot be read: it is kept aside"), "{}", rehearsal.log());
}
