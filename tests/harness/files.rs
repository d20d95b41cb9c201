//! Where files are, and what is in them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub fn fixtures() -> PathBuf {
    repository().join("tests/fixtures")
}

pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `dir`, with what is in it. One that goes meanwhile is left out.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path));
            continue;
        }
        match std::fs::read(&path) {
            Ok(content) => found.push((path, content)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}: {error}", path.display()),
        }
    }
    found
}
