//! Tells when the content of files has changed.
//!
//! The directories are watched, not the files: Kubernetes exchanges a mounted Secret or ConfigMap by renaming a
//! symlink (`..data`) beside them, which a watch on the file itself never sees. Whatever happens there only says
//! "look"; what is reported is content that differs from what was seen last. A slow poll looks too, for file systems
//! without events, for symlinks that lead elsewhere, and for systems that have no more watches to give.
//!
//! A file that vanishes is not reported: there is nothing to load. When it is back with other content, it is.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify_debouncer_full::notify::event::{AccessKind, AccessMode};
use notify_debouncer_full::notify::{self, Config, EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::warn;

/// Longer than a tool needs between writing a certificate and its key, shorter than anybody waits for a reload.
const QUIET: Duration = Duration::from_millis(500);

/// A backstop: a certificate is renewed weeks before its end, and a ConfigMap takes the kubelet a minute to bring.
const POLL: Duration = Duration::from_secs(30);

/// Watches the content of files, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    files: Vec<File>,
    hints: mpsc::Receiver<()>,
    poll: Interval,
    /// A look was asked for and has not been finished: a wait that is cancelled in between leaves it to the next.
    due: bool,
    /// `None` where the system gives no events; then only the poll looks.
    _events: Option<Debouncer<RecommendedWatcher, NoCache>>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// The hash of its content when it could last be read.
    seen: Option<[u8; 32]>,
}

// === impl Watch ===

impl Watch {
    /// Compares with the content of now: start it before the files are loaded, so that no change falls between.
    ///
    /// It needs a Tokio runtime with time. Where the system gives no events it says so in the log and polls.
    pub fn start(files: Vec<PathBuf>) -> Self {
        Self::with(files, QUIET, POLL)
    }

    fn with(files: Vec<PathBuf>, quiet: Duration, poll: Duration) -> Self {
        let (sender, hints) = mpsc::channel(1);
        let directories: BTreeSet<PathBuf> = files.iter().map(|file| directory(file)).collect();
        let events = watch_directories(&directories, quiet, sender)
            .inspect_err(|error| warn!("no file events: {error}; looking every {} s instead", poll.as_secs()))
            .ok();
        let mut poll = interval_at(Instant::now() + poll, poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let files = files.into_iter().map(|path| File { seen: fingerprint(&path).ok(), path }).collect();
        Self { files, hints, poll, due: false, _events: events }
    }

    /// Waits until the content of at least one file is another, and tells of which ones. Cancelling it loses nothing.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            if !self.due {
                tokio::select! {
                    Some(()) = self.hints.recv() => {}
                    _ = self.poll.tick() => {}
                }
                self.due = true;
            }
            let changed = self.look().await;
            self.due = false;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    async fn look(&mut self) -> Vec<PathBuf> {
        let paths: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        // A file may lie on a file system that hangs, which must not hold up the threads that answer.
        let read = tokio::task::spawn_blocking(move || paths.iter().map(|path| fingerprint(path)).collect::<Vec<_>>());
        // Otherwise the runtime is stopping.
        let Ok(found) = read.await else { return Vec::new() };
        let pairs = self.files.iter_mut().zip(found);
        pairs.filter_map(|(file, found)| file.update(found).then(|| file.path.clone())).collect()
    }
}

fn watch_directories(
    directories: &BTreeSet<PathBuf>,
    quiet: Duration,
    hints: mpsc::Sender<()>,
) -> notify::Result<Debouncer<RecommendedWatcher, NoCache>> {
    let handler = move |result: DebounceEventResult| {
        let look = match &result {
            Ok(events) => events.iter().any(|event| is_change(&event.kind)),
            // Events may have been lost.
            Err(_) => true,
        };
        if look {
            // One hint is as good as many: it is full when somebody is about to look anyway.
            hints.try_send(()).ok();
        }
    };
    let mut debouncer = new_debouncer_opt(quiet, None, handler, NoCache, Config::default())?;
    for directory in directories {
        debouncer.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(debouncer)
}

/// Our own reading is an event too, and must not lead to the next.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn fingerprint(path: &Path) -> io::Result<[u8; 32]> {
    Ok(Sha256::digest(std::fs::read(path)?).into())
}

// === impl File ===

impl File {
    /// Whether `found` is content that was not there before.
    fn update(&mut self, found: io::Result<[u8; 32]>) -> bool {
        let Ok(found) = found else { return false };
        self.seen.replace(found) != Some(found)
    }
}

#[cfg(test)]
mod tests;
