//! What earlier runs left: every segment is read again, and nothing else is believed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::review::clock::Timestamp;
use crate::review::decision::Gap;

use super::damage::{Damage, Damages, Part, Walk, decided_at};
use super::error::JournalError;
use super::frame::{self, HEADER};
use super::gaps::Gaps;
use super::lock::DirLock;
use super::segment::{self, FORMAT, HEADER_LEN, Heading};
use super::shelf::Shelf;
use super::slots::{GapFile, Mark};

/// A directory that is ours and read.
#[derive(Debug)]
pub(super) struct Recovered {
    pub lock: DirLock,
    pub gap_file: GapFile,
    pub marks: Vec<Mark>,
    /// The number of the segment to write next.
    pub next: u64,
    /// Torn tails that were cut.
    pub torn: u64,
    segments: Vec<Found>,
    /// Those whose records the segments hold, and of damage.
    gaps: Vec<Gap>,
}

/// A segment that holds something.
#[derive(Debug)]
struct Found {
    number: u64,
    good: u64,
    records: u64,
    oldest: Option<Timestamp>,
}

/// Takes the directory and reads its segments.
pub(super) fn recover(dir: &Path, damages: &Damages) -> Result<Recovered, JournalError> {
    // 0700: it holds names of users and workloads.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(JournalError::io("create", dir))?;
    let lock = DirLock::take(dir)?;
    let (gap_file, marks) = GapFile::open(dir)?;
    let numbers = segment::list(dir).map_err(JournalError::io("read", dir))?;
    let next = numbers.last().map_or(1, |last| last + 1);
    let mut recovered = Recovered { lock, gap_file, marks, next, torn: 0, segments: Vec::new(), gaps: Vec::new() };
    for &number in &numbers {
        recovered.read(dir, number, numbers.last() == Some(&number), damages)?;
    }
    Ok(recovered)
}

/// What one segment held.
#[derive(Debug, Default)]
struct Contents {
    records: u64,
    good: usize,
    oldest: Option<Timestamp>,
    damaged: Vec<std::ops::Range<usize>>,
    gaps: Vec<Gap>,
}

// === impl Recovered ===

impl Recovered {
    /// Tells the gaps that the store may not have.
    pub(super) fn tell(&self, gaps: &Gaps) {
        self.gaps.iter().cloned().for_each(|gap| gaps.found(gap));
    }

    /// Puts what was found on the shelf.
    pub(super) fn shelve(&self, shelf: &Shelf) {
        for found in &self.segments {
            shelf.recovered(found.number, found.good, found.records, found.oldest);
        }
        let records: u64 = self.segments.iter().map(|found| found.records).sum();
        if records > 0 {
            tracing::info!(records, segments = self.segments.len(), "the journal holds records to drain");
        }
    }

    fn read(&mut self, dir: &Path, number: u64, is_last: bool, damages: &Damages) -> Result<(), JournalError> {
        let path = segment::path(dir, number);
        // Whole: a segment is 16 MiB.
        let bytes = fs::read(&path).map_err(JournalError::io("read", &path))?;
        match segment::heading(&bytes) {
            Heading::Newer(found) => return Err(JournalError::Newer { path, found, known: FORMAT }),
            Heading::Torn => return fs::remove_file(&path).map_err(JournalError::io("delete", &path)),
            Heading::Damaged => tracing::warn!(path = %path.display(), "the header of a journal segment is damaged"),
            Heading::Good => {}
        }
        let contents = Contents::of(&bytes, is_last);
        if contents.good < bytes.len() {
            self.torn += 1;
            tracing::warn!(
                path = %path.display(), offset = contents.good, bytes = bytes.len() - contents.good,
                "the journal's last write was torn by a crash and is cut off: no answer had waited for it to end"
            );
            cut(&path, contents.good).map_err(JournalError::io("cut", &path))?;
        }
        for part in &contents.damaged {
            // Its gap is recorded when the drain comes to it.
            let damage = Damage { segment: number, offset: part.start as u64, bytes: &bytes[part.clone()] };
            damages.found(dir, &damage);
            // Without a time in the segment its id is not known yet.
            if contents.oldest.is_some() {
                self.gaps.push(damage.gap(&bytes));
            }
        }
        if contents.records == 0 && contents.damaged.is_empty() {
            return fs::remove_file(&path).map_err(JournalError::io("delete", &path));
        }
        self.gaps.extend(contents.gaps);
        let (good, records, oldest) = (contents.good as u64, contents.records, contents.oldest);
        self.segments.push(Found { number, good, records, oldest });
        Ok(())
    }
}

// === impl Contents ===

impl Contents {
    fn of(bytes: &[u8], is_last: bool) -> Self {
        let mut contents = Self { good: bytes.len(), ..Self::default() };
        for part in Walk::new(bytes, HEADER_LEN) {
            match part {
                Part::Payload(payload) => {
                    contents.records += 1;
                    contents.gaps.extend(gap(&bytes[payload.clone()]));
                    if contents.oldest.is_none() {
                        contents.oldest = decided_at(&bytes[payload]);
                    }
                }
                Part::Damaged(part) if is_last && is_torn(bytes, &part) => contents.good = part.start,
                Part::Damaged(part) => contents.damaged.push(part),
            }
        }
        contents
    }
}

/// How a gap's payload begins: the tag comes first.
const GAP: &[u8] = br#"{"record":"gap","#;

fn gap(payload: &[u8]) -> Option<Gap> {
    payload.starts_with(GAP).then(|| serde_json::from_slice(payload).ok())?
}

/// Whether the part at the end is what a crash leaves of a write: it ends too early, or pages of it are still zero,
/// which JSON never holds. A whole record with a wrong bit is neither.
pub(super) fn is_torn(bytes: &[u8], part: &std::ops::Range<usize>) -> bool {
    if part.end < bytes.len() {
        return false;
    }
    match frame::extent(bytes, part.start) {
        Some(payload) => payload.end > bytes.len() || bytes[payload].contains(&0),
        None => part.len() < HEADER || bytes[part.start..part.start + 4] == [0; 4],
    }
}

fn cut(path: &Path, len: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len as u64)?;
    file.sync_all()
}
