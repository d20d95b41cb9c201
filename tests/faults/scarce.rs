//! Too few file descriptors, too little memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::net::TcpStream;

use crate::harness::backend::{Backend, Script};
use crate::harness::{Rehearsal, wait_for};
use crate::history;
use crate::load::Load;
use crate::shim::{EIO, Shim};

fn limit_files(pid: u32, limit: &str) {
    let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")]).status();
    assert!(set.expect("prlimit, of util-linux").success());
}

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("our own child").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_descriptor_left_it_answers_who_is_connected_and_counts_every_decision() {
    let (shim, builder) = Shim::load(Rehearsal::builder().config("webhook: {tls: off}"));
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "files", 4);
    load.reach(40).await;
    limit_files(rehearsal.pid(), &(open_files(rehearsal.pid()) + 8).to_string());
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(rehearsal.webhook().addr).await.expect("the kernel takes it"));
    }
    wait_for("a connection that cannot be accepted", || async {
        rehearsal.log().contains("is the limit of open files reached?").then_some(())
    })
    .await;
    load.reach(80).await;
    // The journal, too, needs a file now, and has none.
    shim.fail_writes(1, EIO);
    load.reach(200).await;
    drop(idle);
    limit_files(rehearsal.pid(), "1024");
    wait_for("a journal that can be written", || async {
        (rehearsal.metric("rehearsal_journal_failed", &[]).await < 0.5).then_some(())
    })
    .await;
    load.reach(240).await;
    let outcome = load.end().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let mut late = Load::begin(&rehearsal, "late", 2);
    late.reach(10).await;
    let answered = outcome.answered.len() + late.end().await.answered.len();
    let (rows, missed) = (history::rows(&rehearsal).await, history::missed(&rehearsal).await);
    history::uids(&rows);
    assert!(missed > 0, "the journal had no file");
    assert_eq!(rows.len() as u64 + missed, answered as u64, "each is in the history or in the gap");
}

/// 64 MiB.
const MEMORY: u64 = 64 << 20;

/// A control group of so much memory. Only root can make one, and not everywhere.
struct Memory(PathBuf);

impl Memory {
    fn group() -> Option<Self> {
        let name = format!("rehearsal-test-{}", std::process::id());
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let group = Path::new(root).join(&name);
            if fs::create_dir(&group).is_ok() {
                let group = Self(group);
                if fs::write(group.0.join(limit), MEMORY.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It is empty once its process is reaped.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The most memory that the process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("our own child");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_64_mib_of_memory_at_three_times_overload_it_goes_on_and_counts_everything() {
    let backend = Backend::start(Script::never());
    // Each review takes 50 ms, 32 at a time: 640 a second. Thrice as many clients ask without a pause.
    let config = format!(
        "webhook: {{tls: off, limits: {{max_in_flight: 32}}}}\nwarn_wait: 50ms\npolicies: [{{name: slow, mode: warn, \
         timeout: 200ms, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    let builder = Rehearsal::builder().config(&config);
    let group = Memory::group();
    let builder = match &group {
        Some(group) => builder.prelude(&format!("echo $$ > {}/cgroup.procs", group.0.display())),
        None => {
            println!("not run: a memory limit of the kernel, no control group can be made; its peak is looked at");
            builder
        }
    };
    let rehearsal = builder.start().await;
    let mut load = Load::begin(&rehearsal, "memory", 96);
    load.reach(3_000).await;
    let outcome = load.end().await;
    assert!(outcome.refused.is_empty(), "nothing loaded can enforce: {:?}", outcome.refused);
    let peak = peak(rehearsal.pid());
    assert!(peak < MEMORY, "{peak} bytes");
    let rows = history::rows(&rehearsal).await.len() as u64;
    let missed = history::missed(&rehearsal).await;
    let answered = outcome.answered.len() as u64;
    let unjudged = wait_for("the count of unjudged reviews", || async {
        let unjudged = rehearsal.get_json("/api/v1/summary").await["unjudged"].as_u64().expect("a number");
        (rows + missed + unjudged == answered).then_some(unjudged)
    })
    .await;
    assert!(unjudged > 0, "that was no overload");
    println!("{answered} answered, {rows} decided, {unjudged} unjudged, peak {} MiB", peak >> 20);
    drop(rehearsal);
    drop(group);
}
