//! The `gaps` file: marks of gaps, written in place so that they need no space on a disk that is full.
//!
//! Sixteen slots of 1 KiB, each free (zeros) or a framed [`Gap`]: without `to` while it is open, with it from its end
//! until its record is in the journal. A slot is written whole and never spans a page.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Gap;

use super::error::JournalError;
use super::frame::{self, Step};

pub(super) const FILE: &str = "gaps";

/// One gap is open at a time; the others wait for their record, which takes a group commit each.
pub(super) const SLOTS: usize = 16;

/// A gap is some 300 bytes, its cluster (a DNS label) and its reason included.
const SLOT: usize = 1024;

#[derive(Debug)]
pub(super) struct GapFile {
    file: File,
    path: PathBuf,
}

/// What a slot held when the journal was opened.
#[derive(Debug, PartialEq)]
pub(super) struct Mark {
    pub slot: usize,
    pub gap: Gap,
}

impl GapFile {
    /// Allocates the file where there is none, and reads what stands in it.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<Mark>), JournalError> {
        let path = dir.join(FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(JournalError::io("open", &path))?;
        let metadata = file.metadata().map_err(JournalError::io("read", &path))?;
        let mut bytes = vec![0; SLOTS * SLOT];
        let there = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(bytes.len());
        file.read_exact_at(&mut bytes[..there], 0).map_err(JournalError::io("read", &path))?;
        if there < bytes.len() {
            // Written, not only sized: a hole would need space at the worst time.
            let filled = file.write_all_at(&bytes, 0).and_then(|()| file.sync_all());
            filled.map_err(JournalError::io("write", &path))?;
        }
        let marks = marks(&bytes, &metadata);
        Ok((Self { file, path }, marks))
    }

    pub(super) fn write(&self, slot: usize, gap: &Gap) -> Result<(), JournalError> {
        let mut bytes = frame::encode(gap).unwrap_or_default();
        if bytes.len() > SLOT {
            // Said less well is better than not said.
            let short = Gap { cluster: None, reason: "the journal could not be written".to_owned(), ..gap.clone() };
            bytes = frame::encode(&short).unwrap_or_default();
        }
        bytes.resize(SLOT, 0);
        self.put(slot, &bytes)
    }

    pub(super) fn clear(&self, slot: usize) -> Result<(), JournalError> {
        self.put(slot, &[0; SLOT])
    }

    fn put(&self, slot: usize, bytes: &[u8]) -> Result<(), JournalError> {
        let written = self.file.write_all_at(bytes, (slot * SLOT) as u64).and_then(|()| self.file.sync_data());
        written.map_err(JournalError::io("write", &self.path))
    }
}

/// The marks in `dir`, which is left as it is.
pub(super) fn read_only(dir: &Path) -> Result<Vec<Mark>, JournalError> {
    let path = dir.join(FILE);
    match fs::read(&path).and_then(|bytes| Ok((bytes, fs::metadata(&path)?))) {
        Ok((bytes, metadata)) => Ok(marks(&bytes[..bytes.len().min(SLOTS * SLOT)], &metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(JournalError::io("read", &path)(error)),
    }
}

fn marks(bytes: &[u8], metadata: &Metadata) -> Vec<Mark> {
    let touched = metadata.modified().map_or_else(|_| Timestamp::now(), timestamp);
    let slots = bytes.chunks_exact(SLOT).enumerate();
    slots.filter_map(|(slot, bytes)| Some(Mark { slot, gap: read(bytes, touched)? })).collect()
}

fn read(bytes: &[u8], touched: Timestamp) -> Option<Gap> {
    if bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    let gap = match frame::step(bytes, 0) {
        Step::Frame(payload) => serde_json::from_slice(&bytes[payload]).ok(),
        Step::End | Step::Bad => None,
    };
    // A mark was being written when the machine went down: there was a gap, and it began about then.
    Some(gap.unwrap_or_else(|| Gap {
        id: DecisionId::at(touched),
        cluster: None,
        from: touched,
        to: None,
        count: None,
        reason: "a damaged mark of a gap was found".to_owned(),
    }))
}

fn timestamp(time: SystemTime) -> Timestamp {
    let millis = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(to: Option<Timestamp>) -> Gap {
        let from = Timestamp(1_700_000_000_000);
        Gap { id: DecisionId::at(from), cluster: Some("prod".into()), from, to, count: Some(3), reason: "why".into() }
    }

    #[test]
    fn marks_are_found_again_and_cleared_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (file, marks) = GapFile::open(dir.path()).unwrap();
        assert_eq!(marks, []);
        file.write(0, &gap(None)).unwrap();
        file.write(7, &gap(None)).unwrap();
        file.write(15, &gap(Some(Timestamp(1_700_000_009_000)))).unwrap();
        file.clear(7).unwrap();
        let (_, marks) = GapFile::open(dir.path()).unwrap();
        let found: Vec<_> = marks.iter().map(|mark| (mark.slot, mark.gap.to)).collect();
        assert_eq!(found, [(0, None), (15, Some(Timestamp(1_700_000_009_000)))]);
    }

    #[test]
    fn a_damaged_mark_is_a_gap_of_unknown_count() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = GapFile::open(dir.path()).unwrap();
        file.write(3, &gap(None)).unwrap();
        file.file.write_all_at(b"x", (3 * SLOT + 20) as u64).unwrap();
        let (_, marks) = GapFile::open(dir.path()).unwrap();
        assert_eq!(marks.len(), 1);
        assert_eq!((marks[0].slot, marks[0].gap.count, marks[0].gap.to), (3, None, None));
    }

    #[test]
    fn a_gap_too_long_for_its_slot_is_marked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = GapFile::open(dir.path()).unwrap();
        let long = Gap { reason: "x".repeat(2000), ..gap(None) };
        file.write(0, &long).unwrap();
        let (_, marks) = GapFile::open(dir.path()).unwrap();
        assert_eq!((marks.len(), marks[0].gap.id), (1, long.id));
    }
}
