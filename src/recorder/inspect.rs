//! What a journal holds, looked at without a lock and without a change, also while a process writes it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, Record};

use super::damage::{self, Part, Walk};
use super::entry;
use super::error::{Holder, JournalError};
use super::lock;
use super::recovery::is_torn;
use super::segment::{self, FORMAT, HEADER_LEN, Heading};
use super::settings::JOURNAL;
use super::slots;

/// Where a journal and its replica's id lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub data_dir: PathBuf,
    pub journal: PathBuf,
}

/// All that was found. Of a journal that is held, what was there at some moment of the reading.
#[derive(Debug)]
pub struct Inspection {
    /// The process that uses it.
    pub holder: Option<Holder>,
    /// Lowest number first.
    pub segments: Vec<Inspected>,
    /// Gaps whose record is not known to be written. Without `to` they are open, or a crash left them so.
    pub gaps: Vec<Gap>,
    /// Parts that earlier starts could not read: files, with their sizes in bytes.
    pub kept_aside: Vec<(PathBuf, u64)>,
}

/// One segment.
#[derive(Debug)]
pub struct Inspected {
    pub path: PathBuf,
    pub number: u64,
    pub bytes: u64,
    /// Up to here it holds whole records, bytes from the file's beginning.
    pub good: u64,
    /// By kind, as the records are tagged.
    pub records: BTreeMap<&'static str, u64>,
    /// Times of the earliest and the latest decision.
    pub decided: Option<(Timestamp, Timestamp)>,
    pub faults: Vec<Fault>,
}

/// A part of a segment that is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// From the file's beginning.
    pub offset: u64,
    pub bytes: u64,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The end of a write that a crash tore, or that goes on: the next start cuts it off, and no answer waited for it.
    Torn,
    /// The next start keeps it aside, and the history has a gap.
    Damaged,
    /// The record is whole, and this version cannot read it: treated as damaged.
    Unknown,
    /// The file's header is damaged. Its records are read all the same.
    Header,
    /// The whole file is of a newer format, which this version does not read.
    Newer(u32),
}

/// `DIR` is neither a data directory nor a journal.
#[derive(Debug, thiserror::Error)]
#[error("{} holds no journal: name a data directory, which has a folder `journal`", dir.display())]
pub struct NoJournal {
    dir: PathBuf,
}

/// Reads the journal in `dir`.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, JournalError> {
    let holder = lock::holder(dir)?;
    let mut segments = Vec::new();
    let numbers = segment::list(dir).map_err(JournalError::io("read", dir))?;
    for &number in &numbers {
        let path = segment::path(dir, number);
        match fs::read(&path) {
            Ok(bytes) => segments.push(Inspected::of(path, number, &bytes, numbers.last() == Some(&number))),
            // The drain of its holder has deleted it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && holder.is_some() => {}
            Err(error) => return Err(JournalError::io("read", &path)(error)),
        }
    }
    let marks = slots::read_only(dir)?;
    Ok(Inspection {
        holder,
        segments,
        gaps: marks.into_iter().map(|mark| mark.gap).collect(),
        kept_aside: kept_aside(dir).map_err(JournalError::io("read", dir))?,
    })
}

/// The process that runs on the data directory `data_dir`, if one does.
///
/// # Errors
/// Its lock cannot be read.
pub fn holder(data_dir: &Path) -> Result<Option<Holder>, JournalError> {
    lock::holder(&data_dir.join(JOURNAL))
}

fn kept_aside(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(damage::KEPT_ASIDE) {
            found.push((entry.path(), entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Review(_) => "review",
        Record::Decision(_) => "decision",
        Record::Amendment(_) => "amendment",
        Record::Object(_) => "object",
        Record::Gap(_) => "gap",
        Record::Unjudged { .. } => "unjudged",
        Record::Presence { .. } => "presence",
    }
}

// === impl Place ===

impl Place {
    /// Of a data directory, or of the journal in one.
    ///
    /// # Errors
    /// It is neither.
    pub fn find(dir: &Path) -> Result<Self, NoJournal> {
        let journal = dir.join(JOURNAL);
        if journal.is_dir() {
            return Ok(Self { data_dir: dir.to_owned(), journal });
        }
        let is_journal = dir.join(lock::FILE).is_file() && dir.join(slots::FILE).is_file();
        match dir.join("..").canonicalize() {
            Ok(data_dir) if is_journal => Ok(Self { data_dir, journal: dir.to_owned() }),
            _ => Err(NoJournal { dir: dir.to_owned() }),
        }
    }
}

// === impl Inspection ===

impl Inspection {
    /// Whether anything of it cannot be read, torn ends apart.
    pub fn is_damaged(&self) -> bool {
        self.segments.iter().flat_map(|segment| &segment.faults).any(|fault| fault.kind != FaultKind::Torn)
    }
}

// === impl Inspected ===

impl Inspected {
    /// Of the bytes of one segment, the last of its journal.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(PathBuf::new(), 1, bytes, true)
    }

    fn of(path: PathBuf, number: u64, bytes: &[u8], is_last: bool) -> Self {
        let len = bytes.len() as u64;
        let (records, decided, faults) = (BTreeMap::new(), None, Vec::new());
        let mut segment = Self { path, number, bytes: len, good: len, records, decided, faults };
        match segment::heading(bytes) {
            Heading::Good => segment.read(bytes, is_last),
            Heading::Torn => segment.fault(0..bytes.len(), FaultKind::Torn),
            Heading::Newer(format) => segment.fault(0..bytes.len(), FaultKind::Newer(format)),
            Heading::Damaged => {
                segment.fault(0..HEADER_LEN, FaultKind::Header);
                segment.read(bytes, is_last);
            }
        }
        segment
    }

    fn read(&mut self, bytes: &[u8], is_last: bool) {
        for part in Walk::new(bytes, HEADER_LEN) {
            match part {
                Part::Payload(payload) => match entry::parse(&bytes[payload.clone()]) {
                    Ok(record) => self.count(&record),
                    Err(_) => self.fault(payload, FaultKind::Unknown),
                },
                Part::Damaged(part) if is_last && is_torn(bytes, &part) => self.fault(part, FaultKind::Torn),
                Part::Damaged(part) => self.fault(part, FaultKind::Damaged),
            }
        }
    }

    fn count(&mut self, record: &Record) {
        *self.records.entry(kind(record)).or_default() += 1;
        if let Record::Decision(decision) = record {
            let at = decision.at;
            self.decided = Some(self.decided.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
    }

    fn fault(&mut self, part: std::ops::Range<usize>, kind: FaultKind) {
        if kind == FaultKind::Torn {
            self.good = part.start as u64;
        }
        self.faults.push(Fault { offset: part.start as u64, bytes: part.len() as u64, kind });
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Torn => f.write_str("torn: the next start cuts it off, no answer waited for it"),
            Self::Damaged => f.write_str("damaged: the next start keeps it aside, and the history has a gap"),
            Self::Unknown => f.write_str("a record that this version cannot read: treated as damaged"),
            Self::Header => f.write_str("the header is damaged; the records are read all the same"),
            Self::Newer(format) => {
                write!(f, "format {format}, and this version reads format {FORMAT}: start the version that wrote it")
            }
        }
    }
}
