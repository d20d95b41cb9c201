//! Tells when the content of files has changed.
//!
//! The directories are watched, not the files: Kubernetes exchanges a mounted Secret or ConfigMap by renaming a
//! symlink (`..data`) beside them, which a watch on the file itself never sees. Whatever happens there only says
//! "look"; what is reported is content that differs from what was seen last. A slow poll looks too, for file systems
//! without events, for symlinks that lead elsewhere, and for systems that have no more watches to give.
//!
//! The content of a folder is the names in it, hidden ones left out: a file that comes or goes is a change of its folder.
//!
//! A file that vanishes is not reported: there is nothing to load. When it is back with other content, it is.

mod events;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::warn;

use self::events::{Directories, Events};

/// Longer than a tool needs between writing a certificate and its key, shorter than anybody waits for a reload.
const QUIET: Duration = Duration::from_millis(500);

/// A backstop: a certificate is renewed weeks before its end, and a ConfigMap takes the kubelet a minute to bring.
const POLL: Duration = Duration::from_secs(30);

/// Watches the content of files and folders, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    files: Vec<File>,
    hints: mpsc::Receiver<()>,
    poll: Interval,
    /// A look was asked for and has not been finished: a wait that is cancelled in between leaves it to the next.
    due: bool,
    events: Events,
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
        let mut events = Events::new(quiet, sender);
        if let Err(error) = events.watch(Directories::of(&files)) {
            warn!("no file events: {error}; looking every {} s instead", poll.as_secs());
        }
        let mut poll = interval_at(Instant::now() + poll, poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let files = files.into_iter().map(File::of_now).collect();
        Self { files, hints, poll, due: false, events }
    }

    /// Watches these from now on, and no others. One that was not watched before is compared with its content of now: load
    /// it after that. Gives whether there is such a one.
    pub async fn set(&mut self, paths: Vec<PathBuf>) -> bool {
        self.files.retain(|file| paths.contains(&file.path));
        let added: Vec<PathBuf> =
            paths.into_iter().filter(|path| self.files.iter().all(|file| file.path != *path)).collect();
        let is_more = !added.is_empty();
        self.files.extend(added.into_iter().map(|path| File { path, seen: None }));
        self.follow().await;
        let unseen: Vec<PathBuf> =
            self.files.iter().filter(|file| file.seen.is_none()).map(|file| file.path.clone()).collect();
        let seen = blocking(move || unseen.into_iter().map(File::of_now).collect::<Vec<_>>()).await;
        self.files.retain(|file| file.seen.is_some());
        self.files.extend(seen.unwrap_or_default());
        // Events of others may have been lost meanwhile.
        self.due = true;
        is_more
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

    /// The files whose content is another than when they were last looked at.
    pub async fn look(&mut self) -> Vec<PathBuf> {
        // First, so that nothing happens unseen in a directory that took another's place.
        self.follow().await;
        let paths = self.paths();
        let read = blocking(move || paths.iter().map(|path| fingerprint(path)).collect::<Vec<_>>()).await;
        let pairs = self.files.iter_mut().zip(read.unwrap_or_default());
        pairs.filter_map(|(file, found)| file.update(found).then(|| file.path.clone())).collect()
    }

    /// Has the events come from the directories that are there now.
    async fn follow(&mut self) {
        let paths = self.paths();
        let Some(directories) = blocking(move || Directories::of(&paths)).await else { return };
        let were_there = self.events.are_there();
        if let Err(error) = self.events.watch(directories)
            && were_there
        {
            warn!("no file events any more: {error}; looking every {} s instead", self.poll.period().as_secs());
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// A file may lie on a file system that hangs, which must not hold up the threads that answer. `None` where the runtime is
/// stopping.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(read).await.ok()
}

fn fingerprint(path: &Path) -> io::Result<[u8; 32]> {
    let content = if path.is_dir() { listing(path)? } else { std::fs::read(path)? };
    Ok(Sha256::digest(content).into())
}

/// The names in a folder, a line each. A mounted ConfigMap has hidden ones that differ with every swap.
fn listing(folder: &Path) -> io::Result<Vec<u8>> {
    let names: io::Result<Vec<_>> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    names.sort();
    Ok(names.iter().flat_map(|name| [name.as_encoded_bytes(), b"\n"].concat()).collect())
}

// === impl File ===

impl File {
    fn of_now(path: PathBuf) -> Self {
        Self { seen: fingerprint(&path).ok(), path }
    }

    /// Whether `found` is content that was not there before.
    fn update(&mut self, found: io::Result<[u8; 32]>) -> bool {
        let Ok(found) = found else { return false };
        self.seen.replace(found) != Some(found)
    }
}

#[cfg(test)]
mod tests;
