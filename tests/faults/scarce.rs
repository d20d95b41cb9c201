//! Too few file descriptors, too little memory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::net::TcpStream;

use crate::harness::backend::{Backend, Script};
use crate::harness::process::memory;
use crate::harness::{Rehearsal, not_run, wait_for};
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
/// What of these the code of a released program may have: its `.text` is 20 MiB. A build for debugging has 50 MiB of it, so
/// that what is held by pages of files, which the kernel takes back at need, is told apart here.
const CODE: u64 = 24 << 20;

/// A control group of so much memory. Only root can make one, and not everywhere.
struct Memory(PathBuf);

impl Memory {
    /// Or why there is none.
    fn group() -> Result<Self, String> {
        const OLD: (&str, &str) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes");
        const UNIFIED: (&str, &str) = ("/sys/fs/cgroup", "memory.max");
        let is_there = |(root, _): &(&str, &str)| Path::new(root).join("cgroup.procs").exists();
        let (root, limit) = [OLD, UNIFIED].into_iter().find(is_there).ok_or("this system shows no control groups")?;
        let path = Path::new(root).join(format!("rehearsal-test-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        let group = Self(path);
        group.set(limit, MEMORY).map_err(|error| format!("{limit} cannot be set: {error}"))?;
        for (swap, limit) in [("memory.memsw.limit_in_bytes", MEMORY), ("memory.swap.max", 0)] {
            // Where there is no swap to be had there is no such file.
            let _ = group.set(swap, limit);
        }
        if group.takes(2 * MEMORY) {
            Err("the kernel does not hold a process to its limit".to_owned())
        } else {
            Ok(group)
        }
    }

    /// Makes no file: where the kernel has made none, that would limit nothing.
    fn set(&self, name: &str, limit: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.0.join(name))?.write_all(limit.to_string().as_bytes())
    }

    /// Whether a process in it can have so many bytes.
    fn takes(&self, bytes: u64) -> bool {
        let held = format!("{} && head -c {bytes} /dev/zero | tail -c {bytes}", self.enter());
        let ended = Command::new("sh").args(["-c", &held]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.expect("sh").success()
    }

    /// Has a shell enter it.
    fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.0.display())
    }

    fn holds(&self, pid: u32) -> bool {
        let processes = fs::read_to_string(self.0.join("cgroup.procs")).expect("readable");
        processes.lines().any(|line| line == pid.to_string())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It is empty once its process is reaped.
        let _ = fs::remove_dir(&self.0);
    }
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
        Ok(group) => builder.prelude(&group.enter()),
        Err(why) => {
            not_run(&format!("a memory limit of the kernel: {why}; the most that it takes is looked at"));
            builder
        }
    };
    let rehearsal = builder.start().await;
    assert!(group.as_ref().is_ok_and(|group| group.holds(rehearsal.pid())) || group.is_err(), "it is not in its group");
    let mut load = Load::begin(&rehearsal, "memory", 96);
    load.reach(3_000).await;
    let outcome = load.end().await;
    assert!(outcome.refused.is_empty(), "nothing loaded can enforce: {:?}", outcome.refused);
    let peak = memory(rehearsal.pid(), "VmHWM") - memory(rehearsal.pid(), "RssFile");
    assert!(peak < MEMORY - CODE, "{peak} bytes beside the pages of files");
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
