//! `DATA_DIR/ceilings`: how `rehearsal ceiling` reaches the process that runs there, without a database.
//!
//! # Invariants
//!
//! 1. `ID.json` is a ceiling, `ID.lifted.json` says that it was lifted. Each is there whole or not at all, also after a
//!    crash of the machine: it is written beside its place, synced, and renamed. Neither is changed afterwards.
//! 2. The command and the process both write, at any time: nothing is written of what was read before, so that neither
//!    takes back what the other wrote.
//! 3. Of one that goes, the ceiling's file goes first: a crash must not bring one back that was lifted.
//!
//! Mode 0600, in a folder of mode 0700, of the data directory's owner.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::policy::ceiling::{Ceiling, Lift};
use crate::review::clock::DecisionId;

#[derive(Debug, Clone)]
pub struct Folder {
    data_dir: PathBuf,
    dir: PathBuf,
}

/// What is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Oldest first.
    pub ceilings: Vec<Ceiling>,
    /// Lifts of ceilings that have gone.
    pub orphans: Vec<DecisionId>,
    /// Files that are neither, each with what is wrong.
    pub broken: Vec<String>,
}

/// Names the file, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {done}: {cause}; use the user that `rehearsal serve` runs as, and see to it that the disk has room", .path.display())]
pub struct FolderError {
    path: PathBuf,
    done: &'static str,
    cause: io::Error,
}

const FOLDER: &str = "ceilings";
const CEILING: &str = ".json";
const LIFTED: &str = ".lifted.json";

// === impl Folder ===

impl Folder {
    pub fn of(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), dir: data_dir.join(FOLDER) }
    }

    /// # Errors
    /// The folder cannot be read. One that is not there has none.
    pub fn read(&self) -> Result<Found, FolderError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
            Err(error) => return Err(failed(&self.dir, "read")(error)),
        };
        let (mut ceilings, mut lifts, mut broken) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for entry in entries {
            let path = entry.map_err(failed(&self.dir, "read"))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let read = if let Some(id) = name.strip_suffix(LIFTED) {
                parse::<Lift>(&path, id).map(|found| found.map(|(id, lift)| drop(lifts.insert(id, lift))))
            } else if let Some(id) = name.strip_suffix(CEILING) {
                parse::<Ceiling>(&path, id).and_then(|found| match found {
                    Some((id, ceiling)) if ceiling.id != id => Err("its name is that of another".to_owned()),
                    found => Ok(found.map(|(id, ceiling)| drop(ceilings.insert(id, ceiling)))),
                })
            } else {
                // One that is being written.
                continue;
            };
            broken.extend(read.err().map(|why| format!("{}: {why}", path.display())));
        }
        for (id, ceiling) in &mut ceilings {
            ceiling.lifted = lifts.remove(id);
        }
        broken.sort();
        let orphans = lifts.into_keys().collect();
        Ok(Found { ceilings: ceilings.into_values().collect(), orphans, broken })
    }

    /// # Errors
    /// It cannot be written, and is not there then.
    pub fn write(&self, ceiling: &Ceiling) -> Result<(), FolderError> {
        self.put(&format!("{}{CEILING}", ceiling.id), ceiling)
    }

    /// # Errors
    /// It cannot be written: the ceiling is not lifted then.
    pub fn lift(&self, id: DecisionId, lift: &Lift) -> Result<(), FolderError> {
        self.put(&format!("{id}{LIFTED}"), lift)
    }

    /// # Errors
    /// A file of it stays.
    pub fn remove(&self, id: DecisionId) -> Result<(), FolderError> {
        for suffix in [CEILING, LIFTED] {
            let path = self.dir.join(format!("{id}{suffix}"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, "removed")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, content: &impl Serialize) -> Result<(), FolderError> {
        self.make()?;
        let (path, new) = (self.dir.join(name), self.dir.join(format!("{name}.{}.new", std::process::id())));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(content)?).and_then(|()| file.sync_all()))
            .and_then(|()| self.give_away(&new))
            .and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            fs::remove_file(&new).ok();
            return Err(failed(&path, "written")(error));
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed(&self.dir, "synced"))
    }

    fn make(&self) -> Result<(), FolderError> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Ok(()) => self.give_away(&self.dir).map_err(failed(&self.dir, "given to its owner")),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(&self.dir, "made")(error)),
        }
    }

    /// Whoever is root here would leave files that the process may not read.
    fn give_away(&self, path: &Path) -> io::Result<()> {
        let (owner, made) = (fs::metadata(&self.data_dir)?, fs::metadata(path)?);
        if (owner.uid(), owner.gid()) == (made.uid(), made.gid()) {
            return Ok(());
        }
        match chown(path, Some(owner.uid()), Some(owner.gid())) {
            // Of a group that is not ours, but of our user: the process can read it.
            Err(_) if owner.uid() == made.uid() => Ok(()),
            given => given,
        }
    }
}

/// `None`: it has gone meanwhile.
fn parse<T: serde::de::DeserializeOwned>(path: &Path, id: &str) -> Result<Option<(DecisionId, T)>, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let id = id.parse().map_err(|_| "its name is no id".to_owned())?;
    serde_json::from_slice(&text).map(|content| Some((DecisionId(id), content))).map_err(|error| error.to_string())
}

fn failed(path: &Path, done: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    move |cause| FolderError { path: path.to_owned(), done, cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::review::clock::Timestamp;
    use crate::review::decision::Mode;

    fn ceiling(at: i64) -> Ceiling {
        Ceiling {
            id: DecisionId::at(Timestamp(at)),
            most: Mode::Audit,
            policy: None,
            namespace: Some("team-*".into()),
            include_webhooks: false,
            ticket: "INC-1".into(),
            reason: None,
            by: "ana@desk".into(),
            from: Timestamp(at),
            until: Timestamp(at + 1_000),
            lifted: None,
        }
    }

    #[test]
    fn what_is_written_is_found_and_what_is_lifted_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path());
        assert_eq!(folder.read().unwrap(), Found::default());
        let (one, mut other) = (ceiling(1_000), ceiling(2_000));
        folder.write(&other).unwrap();
        folder.write(&one).unwrap();
        let lift = Lift { at: Timestamp(2_500), by: "bo@desk".into() };
        folder.lift(other.id, &lift).unwrap();
        other.lifted = Some(lift);
        assert_eq!(folder.read().unwrap().ceilings, [one.clone(), other.clone()]);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("ceilings")), 0o700);
        assert_eq!(mode(dir.path().join(format!("ceilings/{}.json", one.id))), 0o600);
        folder.remove(one.id).unwrap();
        assert_eq!(folder.read().unwrap().ceilings, [other.clone()]);
        fs::remove_file(dir.path().join(format!("ceilings/{}.json", other.id))).unwrap();
        assert_eq!(folder.read().unwrap(), Found { orphans: vec![other.id], ..Found::default() });
        folder.remove(other.id).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("ceilings")).unwrap().count(), 0, "nothing is left beside");
    }

    #[test]
    fn what_is_no_ceiling_is_named_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path());
        let one = ceiling(1_000);
        folder.write(&one).unwrap();
        let torn = format!("{}.json", DecisionId::at(Timestamp(5)));
        fs::write(dir.path().join("ceilings").join(&torn), "{").unwrap();
        fs::write(dir.path().join("ceilings/mine.json"), "{}").unwrap();
        fs::write(dir.path().join("ceilings/x.json.7.new"), "{").unwrap();
        let copied = dir.path().join(format!("ceilings/{}.json", DecisionId::at(Timestamp(7))));
        fs::copy(dir.path().join(format!("ceilings/{}.json", one.id)), copied).unwrap();
        let found = folder.read().unwrap();
        assert_eq!((&found.ceilings[..], found.broken.len()), (&[one][..], 3), "{found:?}");
        assert!(found.broken.iter().any(|broken| broken.ends_with("its name is that of another")), "{found:?}");
        assert!(found.broken[0].contains(&torn) && found.broken[2].contains("its name is no id"), "{found:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ceilings"), "no folder").unwrap();
        let error = Folder::of(dir.path()).write(&ceiling(1)).unwrap_err().to_string();
        assert!(error.contains("ceilings") && error.contains("the user that `rehearsal serve` runs as"), "{error}");
    }
}
