//! One process to a journal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::{Holder, JournalError};

pub(super) const FILE: &str = "lock";

/// Whoever only looks who has the lock holds it for an instant.
const GLANCE: Duration = Duration::from_millis(100);

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(JournalError::io("open", &path))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < GLANCE => thread::sleep(GLANCE / 10),
                Err(TryLockError::WouldBlock) => {
                    return Err(JournalError::Held { dir: dir.to_owned(), holder: named_in(&path) });
                }
                Err(TryLockError::Error(source)) => return Err(JournalError::io("lock", &path)(source)),
            }
        }
        // Only for the message above: a full disk that refuses it is no reason not to go on.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// The process that holds the lock of `dir`, if one does.
pub(super) fn holder(dir: &Path) -> Result<Option<Holder>, JournalError> {
    let path = dir.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("open", &path)(error)),
    };
    match file.try_lock_shared() {
        // Given back with the file.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(named_in(&path))),
        Err(TryLockError::Error(source)) => Err(JournalError::io("lock", &path)(source)),
    }
}

fn named_in(path: &Path) -> Holder {
    let pid = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    pid.map_or(Holder::Unknown, Holder::Process)
}
