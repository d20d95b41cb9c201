//! Parts of segments that cannot be read: kept aside as files, counted, and a gap in the history.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Gap;

use super::frame::{self, Step};
use super::segment::HEADER_LEN;
use super::shared::hold;

/// How the names of files begin that hold a part.
pub(super) const KEPT_ASIDE: &str = "damaged-";

/// What was found since the start: a part that recovery has seen, the drain meets again.
#[derive(Debug, Default)]
pub(super) struct Damages {
    seen: Mutex<HashSet<(u64, u64)>>,
}

/// A part of a segment that is no record.
#[derive(Debug)]
pub(super) struct Damage<'a> {
    pub segment: u64,
    pub offset: u64,
    pub bytes: &'a [u8],
}

/// The records of a stretch of a segment, damaged parts between them. Offsets are into the stretch.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Payload(Range<usize>),
    Damaged(Range<usize>),
}

#[derive(Deserialize)]
struct Dated {
    at: Timestamp,
}

/// How a decision's payload begins: the tag comes first.
const DECISION: &[u8] = br#"{"record":"decision","#;

/// The time of the decision in `payload`, if it is one.
pub(super) fn decided_at(payload: &[u8]) -> Option<Timestamp> {
    if !payload.starts_with(DECISION) {
        return None;
    }
    serde_json::from_slice(payload).ok().map(|Dated { at }| at)
}

fn times(whole: &[u8], from: usize, end: usize) -> impl Iterator<Item = Timestamp> {
    Walk::new(&whole[..end], from).filter_map(|part| match part {
        Part::Payload(payload) => decided_at(&whole[payload]),
        Part::Damaged(_) => None,
    })
}

// === impl Walk ===

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }
}

impl Iterator for Walk<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        match frame::step(self.bytes, self.at) {
            Step::End => None,
            Step::Frame(payload) => {
                self.at = payload.end;
                Some(Part::Payload(payload))
            }
            Step::Bad => {
                let from = self.at;
                self.at = frame::resync(self.bytes, from + 1).unwrap_or(self.bytes.len());
                Some(Part::Damaged(from..self.at))
            }
        }
    }
}

// === impl Damages ===

impl Damages {
    /// Keeps `damage` aside, counts it and says so, the first time.
    pub(super) fn found(&self, dir: &Path, damage: &Damage<'_>) {
        if !hold(&self.seen).insert((damage.segment, damage.offset)) {
            return;
        }
        let (segment, offset, bytes) = (damage.segment, damage.offset, damage.bytes.len());
        match damage.keep(dir) {
            Ok(kept) => tracing::error!(
                segment, offset, bytes, kept = %kept.display(),
                "a part of the journal cannot be read: it is kept aside, and the history has a gap"
            ),
            Err(error) => tracing::error!(
                segment, offset, bytes, %error,
                "a part of the journal cannot be read, and cannot be kept aside: the history has a gap"
            ),
        }
    }

    pub(super) fn count(&self) -> u64 {
        hold(&self.seen).len() as u64
    }
}

// === impl Damage ===

impl Damage<'_> {
    /// The name holds the content's hash: numbers of segments come again once all are drained.
    fn keep(&self, dir: &Path) -> io::Result<PathBuf> {
        let hash = u32::from_be_bytes(Sha256::digest(self.bytes)[..4].try_into().expect("four bytes"));
        let path = dir.join(format!("{KEPT_ASIDE}{:016x}-{}-{hash:08x}", self.segment, self.offset));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(self.bytes)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(path)
    }

    /// What the history lacks: from the last decision before it to the first after it in the `whole` segment. The id
    /// follows from the content, so that the same damage drained again after a restart is the same gap.
    pub(super) fn gap(&self, whole: &[u8]) -> Gap {
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(whole.len());
        let before = times(whole, HEADER_LEN.min(offset), offset).last();
        let after = times(whole, (offset + self.bytes.len()).min(whole.len()), whole.len()).next();
        let from = before.or(after).unwrap_or_else(Timestamp::now);
        let to = after.unwrap_or_else(Timestamp::now).max(from);
        let digest = Sha256::digest(self.bytes);
        let random = digest[..10].try_into().expect("ten bytes");
        let id = Builder::from_unix_timestamp_millis(u64::try_from(from.0).unwrap_or(0), random).into_uuid();
        Gap {
            id: DecisionId(id),
            cluster: None,
            from,
            to: Some(to),
            count: None,
            reason: "a part of the journal was damaged".to_owned(),
        }
    }
}
