//! Private files, whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::CertificateError;

/// The text of a file; `None` when it is not there.
pub fn read(path: &Path) -> Result<Option<String>, CertificateError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// Makes `dir` and those above it, each for its owner only; what is there already stays as it is.
///
/// # Errors
///
/// When that cannot be done.
pub fn create_dir(dir: &Path) -> Result<(), CertificateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed("make", dir, error))
}

/// Makes `dir`, a directory of ours, or makes it private again.
pub fn private_dir(dir: &Path) -> Result<(), CertificateError> {
    create_dir(dir)?;
    let mode = fs::metadata(dir).map_err(|error| failed("look at", dir, error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|error| failed("make private (0700)", dir, error))
}

/// Puts a file of 0600 in place of whatever is there: after a crash it is the old one or the new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), CertificateError> {
    let beside = beside(path);
    // What a crash left behind.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", &beside, error)),
        _ => {}
    }
    write_new(&beside, content).map_err(|error| failed("write", &beside, error))?;
    fs::rename(&beside, path).map_err(|error| failed("write", path, error))?;
    sync_dir(path).map_err(|error| failed("write", path, error))
}

/// Makes a file of 0600 that must not be there yet.
///
/// # Errors
///
/// [`CertificateError::Exists`] when it is.
pub fn create(path: &Path, content: &[u8]) -> Result<(), CertificateError> {
    match write_new(path, content).and_then(|()| sync_dir(path)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(CertificateError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(failed("write", path, error)),
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A new name is only safe once its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> CertificateError {
    CertificateError::Io { action, path: path.to_owned(), source }
}
