//! Events of the directories in which watched files are.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify_debouncer_full::notify::event::{AccessKind, AccessMode};
use notify_debouncer_full::notify::{self, Config, EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use tokio::sync::mpsc;

/// Gives a hint when something happens in the directories that it was told of last.
#[derive(Debug)]
pub struct Events {
    quiet: Duration,
    hints: mpsc::Sender<()>,
    directories: Directories,
    /// `None` where the system gives no events.
    debouncer: Option<Debouncer<RecommendedWatcher, NoCache>>,
}

/// By path, with device and inode: the system follows the directory, whatever takes its place.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Directories(BTreeMap<PathBuf, (u64, u64)>);

// === impl Directories ===

impl Directories {
    /// Those in which `files` are, and the folders among them. Of one that is not there, the nearest around it.
    pub fn of(files: &[PathBuf]) -> Self {
        let folders = files.iter().filter(|file| file.is_dir()).map(PathBuf::as_path);
        let all = files.iter().map(|file| parent(file)).chain(folders);
        Self(all.filter_map(nearest).collect())
    }
}

fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn nearest(directory: &Path) -> Option<(PathBuf, (u64, u64))> {
    let around = directory.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let mut found =
        around.filter_map(|path| Some((path, std::fs::metadata(path).ok().filter(|found| found.is_dir())?)));
    found.next().map(|(path, found)| (path.to_owned(), (found.dev(), found.ino())))
}

// === impl Events ===

impl Events {
    pub fn new(quiet: Duration, hints: mpsc::Sender<()>) -> Self {
        Self { quiet, hints, directories: Directories::default(), debouncer: None }
    }

    pub fn are_there(&self) -> bool {
        self.debouncer.is_some()
    }

    /// # Errors
    /// The system gives no events of one of them: there are none until the next try.
    pub fn watch(&mut self, directories: Directories) -> notify::Result<()> {
        if self.debouncer.is_some() && directories == self.directories {
            return Ok(());
        }
        self.debouncer = None;
        self.debouncer = Some(debouncer(&directories, self.quiet, self.hints.clone())?);
        self.directories = directories;
        Ok(())
    }
}

fn debouncer(
    directories: &Directories,
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
    for directory in directories.0.keys() {
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
