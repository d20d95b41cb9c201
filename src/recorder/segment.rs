//! One file of the journal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::files::{Files, SegmentFile};

/// Magic, format number, CRC32C of both.
pub(super) const HEADER_LEN: usize = 16;

const MAGIC: [u8; 8] = *b"RHRSLJNL";

/// Raised by any change that an older reader would misread.
pub(super) const FORMAT: u32 = 1;

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Segment<F> {
    pub number: u64,
    pub path: PathBuf,
    file: F,
    /// Bytes that are written and, under `durability: fsync`, synced. What follows them counts for nothing.
    pub good: u64,
    /// Bytes appended.
    len: u64,
}

/// What the first bytes of a segment say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heading {
    Good,
    /// The file was made and its header did not arrive.
    Torn,
    Damaged,
    Newer(u32),
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:016x}.journal"))
}

/// The numbers of the segments in `dir`, lowest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("segment-")?.strip_suffix(".journal"));
        // Only the exact form that `path` makes: anything else is not ours.
        numbers.extend(number.filter(|hex| hex.len() == 16).and_then(|hex| u64::from_str_radix(hex, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn heading(bytes: &[u8]) -> Heading {
    let Some(header) = bytes.get(..HEADER_LEN) else { return Heading::Torn };
    let format = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
    let stored = u32::from_le_bytes(header[12..].try_into().expect("four bytes"));
    if header[..8] != MAGIC || crc32c::crc32c(&header[..12]) != stored {
        // A crash of the machine may leave a file of zeros.
        return if bytes.iter().all(|&byte| byte == 0) { Heading::Torn } else { Heading::Damaged };
    }
    if format > FORMAT { Heading::Newer(format) } else { Heading::Good }
}

fn header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

// === impl Segment ===

impl<F: SegmentFile> Segment<F> {
    /// Makes the file durable, header and name, before a record goes into it.
    pub(super) fn create<D: Files<File = F>>(files: &D, dir: &Path, number: u64) -> Result<Self, JournalError> {
        let path = path(dir, number);
        let file = files.create(&path).map_err(JournalError::io("create", &path))?;
        let mut segment = Self { number, path, file, good: 0, len: 0 };
        let begun = segment.append(&header()).and_then(|()| segment.sync());
        let named = begun.and_then(|()| files.sync_dir(dir).map_err(JournalError::io("sync", dir)));
        match named {
            Ok(()) => {
                segment.settle();
                Ok(segment)
            }
            Err(error) => {
                // Else every try on a full disk would leave one; a leftover is deleted at the next start.
                let _ = fs::remove_file(&segment.path);
                Err(error)
            }
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.append(bytes).map_err(JournalError::io("write", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync().map_err(JournalError::io("sync", &self.path))
    }

    /// What was appended so far counts.
    pub(super) fn settle(&mut self) {
        self.good = self.len;
    }

    /// Gives up what does not count, so that a recovery does not find it. A disk that fails may fail here too.
    pub(super) fn cut(&self) -> Result<(), JournalError> {
        self.file.cut(self.good).map_err(JournalError::io("cut", &self.path))
    }
}
