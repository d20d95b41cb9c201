//! How segments are written: the one seam that tests swap, to make a disk fail or hang.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) trait Files: Send + 'static {
    type File: SegmentFile;

    /// A new, empty file. There must be none of that name.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

pub(super) trait SegmentFile: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    /// Gives up what follows the first `len` bytes.
    fn cut(&self, len: u64) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug)]
pub(super) struct Disk;

impl Files for Disk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        // Read by nobody else: it holds names of users and workloads.
        OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.sync_all()
    }
}
