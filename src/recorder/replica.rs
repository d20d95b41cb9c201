//! Which replica a data directory is of: its id, in the file `replica`.
//!
//! # Invariants
//!
//! 1. The id is made once, with the directory's first start, and never changes: rows and spans of the history carry it.
//!    (A first start that ends before anything could carry it takes it back.)
//! 2. The file is there whole or not at all, also after a crash of the machine: it is written beside its place, synced,
//!    and renamed.
//! 3. What is no id is never written over: a new one would leave the history with a replica that is never heard of again.
//!
//! The file holds the id as text, hyphenated, and a line feed. Mode 0600.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::JournalError;
use super::files::{Disk, Files};

const FILE: &str = "replica";

/// Not in its place yet.
const NEW: &str = "replica.new";

/// A UUID takes 36 bytes; whatever else stands there is not read whole.
const LONGEST: usize = 64;

/// The id cannot be read or made. Names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    #[error(
        "{} holds no replica id: put back the one that was there (table `replicas` has it), or delete the file, and this \
         directory counts as a new replica from then on",
        path.display()
    )]
    Broken { path: PathBuf },
    #[error(transparent)]
    Io(#[from] JournalError),
}

/// The id of the data directory `data_dir`, if it has one.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn of(data_dir: &Path) -> Result<Option<Uuid>, ReplicaError> {
    let path = data_dir.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("read", &path)(error).into()),
    };
    let id =
        std::str::from_utf8(text.get(..LONGEST).unwrap_or(&text)).ok().and_then(|text| text.trim_end().parse().ok());
    id.map(Some).ok_or(ReplicaError::Broken { path })
}

/// The id of the data directory `data_dir`, which gets one where it has none. For whoever holds the directory's lock.
///
/// # Errors
/// The file cannot be read or written, or holds something else.
pub fn of_or_new(data_dir: &Path) -> Result<Uuid, ReplicaError> {
    if let Some(id) = of(data_dir)? {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    let (path, new) = (data_dir.join(FILE), data_dir.join(NEW));
    // What a crash left of an earlier try is written over.
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let mut file = opened.map_err(JournalError::io("create", &new))?;
    let written = writeln!(file, "{id}").and_then(|()| file.sync_all());
    written.map_err(JournalError::io("write", &new))?;
    fs::rename(&new, &path).map_err(JournalError::io("create", &path))?;
    Disk.sync_dir(data_dir).map_err(JournalError::io("sync", data_dir))?;
    Ok(id)
}

/// Takes back the id of the data directory `data_dir`, which nothing carries yet.
pub fn take_back(data_dir: &Path) -> io::Result<()> {
    fs::remove_file(data_dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_id_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(dir.path()).unwrap(), None);
        let id = of_or_new(dir.path()).unwrap();
        assert_eq!((of_or_new(dir.path()).unwrap(), of(dir.path()).unwrap()), (id, Some(id)));
        let path = dir.path().join("replica");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{id}\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_try_that_a_crash_ended_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("replica.new"), "0198c0de-longer than an id and not one of the kind that it wants")
            .unwrap();
        let id = of_or_new(dir.path()).unwrap();
        assert_eq!(of(dir.path()).unwrap(), Some(id));
    }

    #[test]
    fn what_is_no_id_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replica");
        for text in [&b""[..], b"0198c0de\n", b"\xff\xfe", &[b'0'; 4096]] {
            fs::write(&path, text).unwrap();
            let error = of_or_new(dir.path()).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.contains("delete the file"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let error = of_or_new(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("/proc/replica.new"), "{error}");
    }
}
