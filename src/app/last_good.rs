//! The revision that loaded last, whole, for a start whose policies have mistakes: `DATA_DIR/last-good`.
//!
//! # Invariants
//!
//! 1. The folder holds all that such a start needs: `revision.json`, the [text](crate::policy::text) of the policies with
//!    that of their modules and documents, and a copy of every file of CAs that a webhook is verified by. `files.json` says
//!    which copy is of what. Keys and tokens are not copied: whoever takes one away means it.
//! 2. It is there whole or not at all, also after a crash of the machine: it is written beside its place, synced, and
//!    renamed. The one before steps aside first and goes last, so that there is always one of the two.
//! 3. It is written by whoever holds the lock on the data directory, and only when something in it is another.
//!
//! A webhook's URL may hold a password: mode 0600, in folders of mode 0700.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use prometheus_client::registry::Registry;

use crate::backend::{self, Backend};
use crate::policy::Revision;
use crate::policy::settings::{PolicySettings, SourceSettings, StagingSettings, WebhookSettings};
use crate::policy::text::{self, TextError};

#[derive(Debug, Clone)]
pub struct LastGood {
    data_dir: PathBuf,
}

const FOLDER: &str = "last-good";
/// Not in its place yet.
const NEW: &str = "last-good.new";
/// Not in its place any more.
const OLD: &str = "last-good.old";

const REVISION: &str = "revision.json";
const FILES: &str = "files.json";

/// By path, the copy's name.
type Copies = BTreeMap<PathBuf, String>;

/// Names the file or folder, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    #[error("{}: {cause}", .path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("{}: {cause}", .path.display())]
    Text { path: PathBuf, cause: TextError },
    #[error("{}: {cause}", .path.display())]
    Files { path: PathBuf, cause: serde_json::Error },
    #[error("{}: what was kept does not load any more: {problem}", .path.display())]
    Policy { path: PathBuf, problem: String },
}

// === impl LastGood ===

impl LastGood {
    pub fn of(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Keeps what has loaded, in place of what was kept before. Blocks on the disk.
    ///
    /// # Errors
    /// It cannot be written; what was there stays.
    pub fn keep(&self, policies: &[PolicySettings], staging: &StagingSettings) -> Result<(), LastGoodError> {
        let contents = contents(policies, staging)?;
        let held = self.data_dir.join(FOLDER);
        if contents.iter().all(|(name, content)| fs::read(held.join(name)).is_ok_and(|held| held == *content)) {
            return Ok(());
        }
        let new = self.data_dir.join(NEW);
        remove(&new)?;
        make(&new)?;
        for (name, content) in &contents {
            write(&new.join(name), content)?;
        }
        sync(&new)?;
        self.exchange(&new, &held)
    }

    fn exchange(&self, new: &Path, held: &Path) -> Result<(), LastGoodError> {
        let old = self.data_dir.join(OLD);
        if held.exists() {
            remove(&old)?;
            fs::rename(held, &old).map_err(io_error(held))?;
        }
        fs::rename(new, held).map_err(io_error(new))?;
        sync(&self.data_dir)?;
        remove(&old)
    }

    /// What was kept last. A webhook is called with its own files where they can be used, since they are newer, and its CAs
    /// are the copies where not.
    ///
    /// # Errors
    /// What is there cannot be read, or does not load.
    pub fn read(&self) -> Result<Option<(Vec<PolicySettings>, StagingSettings)>, LastGoodError> {
        let folders = [FOLDER, OLD].map(|name| self.data_dir.join(name));
        let Some(folder) = folders.into_iter().find(|folder| folder.exists()) else { return Ok(None) };
        let path = folder.join(REVISION);
        let whole = fs::read_to_string(&path).map_err(io_error(&path))?;
        let (mut policies, staging) =
            text::read(&whole).map_err(|cause| LastGoodError::Text { path: path.clone(), cause })?;
        let copies = copies(&folder)?;
        for policy in &mut policies {
            if let SourceSettings::Webhook(webhook) = &mut policy.source
                && !can_be_called(&policy.name, webhook)
            {
                take_copy(webhook, &folder, &copies);
            }
        }
        match Revision::load(&policies, &staging).map_err(|mistakes| mistakes.into_iter().next()) {
            Err(Some((at, mistake))) => {
                let name = policies.iter().chain(&staging.candidates).nth(at).map_or("", |policy| policy.name.as_str());
                let problem = format!("policy {name}, {}: {}", mistake.field, mistake.problem);
                Err(LastGoodError::Policy { path, problem })
            }
            _ => Ok(Some((policies, staging))),
        }
    }
}

/// Name and content of everything in the folder.
fn contents(policies: &[PolicySettings], staging: &StagingSettings) -> Result<Vec<(String, Vec<u8>)>, LastGoodError> {
    let mut copies = Copies::new();
    let mut contents = vec![(REVISION.to_owned(), text::whole(policies, staging).into_bytes())];
    for path in policies.iter().filter_map(webhook).filter_map(|webhook| webhook.ca.as_ref()) {
        if !copies.contains_key(path) {
            let name = format!("file-{}", copies.len());
            contents.push((name.clone(), fs::read(path).map_err(io_error(path))?));
            copies.insert(path.to_owned(), name);
        }
    }
    let files = serde_json::to_vec_pretty(&copies).expect("every path of a configuration is text");
    contents.push((FILES.to_owned(), files));
    Ok(contents)
}

fn copies(folder: &Path) -> Result<Copies, LastGoodError> {
    let path = folder.join(FILES);
    let text = fs::read(&path).map_err(io_error(&path))?;
    serde_json::from_slice(&text).map_err(|cause| LastGoodError::Files { path, cause })
}

fn webhook(policy: &PolicySettings) -> Option<&WebhookSettings> {
    match &policy.source {
        SourceSettings::Webhook(webhook) => Some(webhook),
        SourceSettings::Rules(_) | SourceSettings::Rego(_) | SourceSettings::Gatekeeper(_) => None,
    }
}

fn can_be_called(name: &str, webhook: &WebhookSettings) -> bool {
    // Nobody reads these.
    let metrics = backend::metrics::Metrics::register(&mut Registry::default());
    Backend::new(name, webhook, &metrics).is_ok()
}

fn take_copy(webhook: &mut WebhookSettings, folder: &Path, copies: &Copies) {
    if let Some(path) = &mut webhook.ca
        && let Some(copy) = copies.get(path)
    {
        *path = folder.join(copy);
    }
}

fn make(folder: &Path) -> Result<(), LastGoodError> {
    DirBuilder::new().mode(0o700).create(folder).map_err(io_error(folder))
}

fn write(path: &Path, content: &[u8]) -> Result<(), LastGoodError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(io_error(path))
}

fn sync(folder: &Path) -> Result<(), LastGoodError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

/// What a try left that did not end, or the one before.
fn remove(folder: &Path) -> Result<(), LastGoodError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(folder)(error)),
        _ => Ok(()),
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> LastGoodError {
    let path = path.to_owned();
    |cause| LastGoodError::Io { path, cause }
}

#[cfg(test)]
mod tests;
