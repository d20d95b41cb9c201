//! What judges, on its way into the history: `DATA_DIR/revisions`.
//!
//! # Invariants
//!
//! 1. The text of a revision is in the file `ID.json`, synced, before a review is judged by it, and until the history has it:
//!    whatever ends in between, a decision finds the text of what judged it. Where the file cannot be written, the text
//!    waits in memory, and the log says so.
//! 2. Nothing waits for the history, which may be away for days.
//!
//! The text is the one that is [shown](crate::policy::text::shown). Mode 0600, in a folder of mode 0700.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::review::clock::Timestamp;
use crate::store::{Store, StoreError};

use super::history::History;

#[derive(Debug)]
pub struct Revisions {
    dir: PathBuf,
    /// By id.
    waiting: Mutex<BTreeMap<String, Waiting>>,
    more: Notify,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// ms.
    loaded_at: i64,
    /// Later times that it was loaded before the history had the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    again: Vec<i64>,
    text: String,
}

const FOLDER: &str = "revisions";

/// After a try that failed; twice as long after each further one, up to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

// === impl Revisions ===

impl Revisions {
    /// With those that the last process left. For whoever holds the lock on the data directory.
    pub fn open(data_dir: &Path) -> Arc<Self> {
        let dir = data_dir.join(FOLDER);
        let waiting = Mutex::new(left_in(&dir));
        Arc::new(Self { dir, waiting, more: Notify::new() })
    }

    /// To be called before the first review is judged by it. Blocks on the disk.
    pub fn note(&self, id: &str, text: String) {
        let loaded_at = Timestamp::now().0;
        let waiting = match hold(&self.waiting).get(id) {
            Some(known) => Waiting { again: [&known.again[..], &[loaded_at]].concat(), ..known.clone() },
            None => Waiting { loaded_at, again: Vec::new(), text },
        };
        if let Err(error) = self.write(id, &waiting) {
            warn!(
                "the text of revision {id} is in memory alone until the history has it: {} cannot be written: {error}",
                self.dir.display()
            );
        }
        hold(&self.waiting).insert(id.to_owned(), waiting);
        self.more.notify_one();
    }

    /// Takes them to the history, as they come, whenever it can be written.
    pub async fn run(self: Arc<Self>, history: Arc<History>, stop: CancellationToken) {
        let _ = stop.run_until_cancelled_owned(self.store_forever(&history)).await;
    }

    async fn store_forever(&self, history: &History) {
        let (first, longest) = RETRY;
        let mut wait = first;
        loop {
            let store = history.written().await;
            match self.store(&store).await {
                Ok(()) => {
                    wait = first;
                    self.more.notified().await;
                }
                Err(error) => {
                    debug!("the text of a revision is stored later: {error}");
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(longest);
                }
            }
        }
    }

    /// # Errors
    /// The history did not take one; it and the rest go on waiting.
    pub async fn store(&self, store: &Store) -> Result<(), StoreError> {
        loop {
            let next = hold(&self.waiting).first_key_value().map(|(id, waiting)| (id.clone(), waiting.clone()));
            let Some((id, kept)) = next else { return Ok(()) };
            let loads: Vec<Timestamp> = [kept.loaded_at].iter().chain(&kept.again).map(|at| Timestamp(*at)).collect();
            store.keep_revision(&id, &kept.text, &loads).await?;
            let mut waiting = hold(&self.waiting);
            // It may have been loaded once more meanwhile.
            if waiting.get(&id) == Some(&kept) {
                waiting.remove(&id);
                // One that stays is stored again by the next start, which changes nothing.
                fs::remove_file(self.file(&id)).ok();
            }
        }
    }

    fn file(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn write(&self, id: &str, waiting: &Waiting) -> io::Result<()> {
        if !self.dir.is_dir() {
            DirBuilder::new().mode(0o700).create(&self.dir)?;
        }
        let (path, new) = (self.file(id), self.dir.join(format!("{id}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(waiting)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()
    }
}

/// What cannot be read is named, and left where it is.
fn left_in(dir: &Path) -> BTreeMap<String, Waiting> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = files.filter_map(|path| {
        let found = fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let found = found.inspect_err(|error| warn!("no text of a revision: {}: {error}", path.display()));
        Some((path.file_stem()?.to_str()?.to_owned(), found.ok()?))
    });
    read.collect()
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_waits_is_there_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let revisions = Revisions::open(dir.path());
        revisions.note("aaaa", "{}".to_owned());
        revisions.note("bbbb", "[]".to_owned());
        fs::write(dir.path().join("revisions/cccc.json"), "torn").unwrap();
        fs::write(dir.path().join("revisions/dddd.new"), "{").unwrap();
        let next = Revisions::open(dir.path());
        assert_eq!(*hold(&next.waiting), *hold(&revisions.waiting));
        assert_eq!(hold(&next.waiting).keys().collect::<Vec<_>>(), ["aaaa", "bbbb"]);
        assert_eq!(fs::metadata(revisions.file("aaaa")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(dir.path().join("revisions/cccc.json").exists(), "left for a person");
    }

    #[test]
    fn one_that_cannot_be_written_waits_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FOLDER), "no folder").unwrap();
        let revisions = Revisions::open(dir.path());
        revisions.note("aaaa", "{}".to_owned());
        assert_eq!(hold(&revisions.waiting)["aaaa"].text, "{}");
    }
}
