//! The test's side of `shim.c`, which is compiled and loaded into the binary.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Builder, repository};

pub const EIO: i64 = 5;
pub const ENOSPC: i64 = 28;

/// What makes the calls of one process fail.
#[derive(Debug)]
pub struct Shim {
    control: File,
    path: PathBuf,
}

/// Numbers of the control file.
const WRITES: u64 = 0;
const SYNCS: u64 = 2;
const CLOCK: u64 = 4;
const FAILED_WRITES: u64 = 5;
const FAILED_SYNCS: u64 = 6;
const SYNCED_AGAIN: u64 = 7;
const NUMBERS: usize = 8;

/// All calls from now on.
pub const ALL: i64 = -1;

/// In the test's directory, so that it goes with it.
fn compile(library: &Path) {
    let source = repository().join("tests/faults/shim.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(library)
        .arg(source)
        .status();
    assert!(compiled.expect("cc, which ./test installs").success(), "shim.c does not compile");
}

// === impl Shim ===

impl Shim {
    /// With its file beside the configuration of `builder`.
    pub fn load(builder: Builder) -> (Self, Builder) {
        let [path, library] = ["faults.control", "faults.so"].map(|name| builder.dir().join(name));
        compile(&library);
        std::fs::write(&path, [0; NUMBERS * 8]).expect("the test's directory is writable");
        let control = File::options().read(true).write(true).open(&path).expect("just made");
        let builder = builder
            .env("LD_PRELOAD", library.to_str().expect("UTF-8"))
            .env("FAULTS_CONTROL", path.to_str().expect("UTF-8"));
        (Self { control, path }, builder)
    }

    pub fn fail_writes(&self, calls: i64, errno: i64) {
        self.set(WRITES + 1, errno);
        self.set(WRITES, calls);
    }

    pub fn fail_syncs(&self, calls: i64, errno: i64) {
        self.set(SYNCS + 1, errno);
        self.set(SYNCS, calls);
    }

    /// The clock of the day is `seconds` ahead, or behind.
    pub fn set_clock(&self, seconds: i64) {
        self.set(CLOCK, seconds);
    }

    pub fn failed_writes(&self) -> i64 {
        self.number(FAILED_WRITES)
    }

    pub fn failed_syncs(&self) -> i64 {
        self.number(FAILED_SYNCS)
    }

    /// How often a file was synced to make records durable of which that had failed before.
    pub fn synced_again(&self) -> i64 {
        self.number(SYNCED_AGAIN)
    }

    fn set(&self, number: u64, value: i64) {
        self.control.write_all_at(&value.to_ne_bytes(), number * 8).expect("ours");
    }

    fn number(&self, number: u64) -> i64 {
        let mut bytes = [0; 8];
        let read = self.control.read_exact_at(&mut bytes, number * 8);
        read.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        i64::from_ne_bytes(bytes)
    }
}
