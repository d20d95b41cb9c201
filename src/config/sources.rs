//! The files of policies: modules, documents, bundles, and folders of them.
//!
//! Documents stand under `data` as OPA loads them: at the root where a file names them, under the names of its folders
//! where a folder or a bundle does.

mod bundle;

use std::path::{Path, PathBuf};

use crate::policy::settings::{DataDocument, Dialect, RegoModule};

use super::cause;
use super::mistake::Wrong;

/// What a list of files holds.
#[derive(Debug, Default, PartialEq)]
pub struct Sources {
    pub modules: Vec<RegoModule>,
    pub data: Vec<DataDocument>,
    /// Every file and folder that was looked at, to watch.
    pub looked_at: Vec<PathBuf>,
}

/// Of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Json,
    Yaml,
    Bundle,
    Other,
}

/// Of all files of one policy, so that a folder that was named by mistake is told and not read.
const MAX_BYTES: u64 = 64 << 20;
/// Folders within folders: a link may lead back.
const MAX_DEPTH: usize = 32;

// === impl Sources ===

impl Sources {
    /// Adds what is in a file, or in a folder and those in it.
    ///
    /// # Errors
    /// It cannot be read, is of no kind that is known, or holds nothing.
    pub fn add(&mut self, path: &Path) -> Result<(), Wrong> {
        let before = self.modules.len() + self.data.len();
        if path.is_dir() {
            self.folder(path, &mut Vec::new())?;
            if self.modules.len() + self.data.len() == before {
                return Err(Wrong::new(
                    format!("{} has no policy in it", path.display()),
                    "name a folder with .rego, .json, .yaml or .tar.gz files (tests, `_test.rego`, are left out)",
                ));
            }
            return Ok(());
        }
        match Kind::of(path) {
            Kind::Other => {
                // It may become a folder.
                self.looked_at.push(path.to_owned());
                Err(Wrong::new(
                    format!("{} is no policy", path.display()),
                    "name .rego, .json, .yaml, .yml or .tar.gz files, or folders of them",
                ))
            }
            kind => self.file(path, kind, &[]),
        }
    }

    fn folder(&mut self, path: &Path, within: &mut Vec<String>) -> Result<(), Wrong> {
        if within.len() > MAX_DEPTH {
            let fix = "remove the link that leads back";
            return Err(Wrong::new(format!("{} is {MAX_DEPTH} folders deep", path.display()), fix));
        }
        self.looked_at.push(path.to_owned());
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<PathBuf> =
            entries.map_err(|error| unreadable(path, &error))?.into_iter().map(|entry| entry.path()).collect();
        // So that what is read does not depend on the file system.
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // A mounted ConfigMap has its files a second time, behind `..data`.
            if name.starts_with('.') || name.ends_with("_test.rego") {
                continue;
            }
            if entry.is_dir() {
                within.push(name);
                self.folder(&entry, within)?;
                within.pop();
            } else {
                self.file(&entry, Kind::of(&entry), within)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, kind: Kind, within: &[String]) -> Result<(), Wrong> {
        if kind == Kind::Other {
            return Ok(());
        }
        self.looked_at.push(path.to_owned());
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
        let file = path.display().to_string();
        if kind == Kind::Bundle {
            bundle::read(&file, &bytes, self)?;
        } else {
            self.text(&file, kind, text(&file, bytes)?, within)?;
        }
        let size: usize = self.modules.iter().map(|module| module.text.len()).sum::<usize>()
            + self.data.iter().map(|document| document.json.len()).sum::<usize>();
        if size as u64 > MAX_BYTES {
            let problem = format!("with {file} the policy has more than {} MiB", MAX_BYTES >> 20);
            return Err(Wrong::new(problem, "name the policy's own files only"));
        }
        Ok(())
    }

    fn text(&mut self, file: &str, kind: Kind, text: String, within: &[String]) -> Result<(), Wrong> {
        let json = match kind {
            Kind::Module => {
                self.modules.push(RegoModule { file: file.to_owned(), text, dialect: None });
                return Ok(());
            }
            Kind::Json => serde_json::from_str::<serde_json::Value>(&text).map_err(|error| {
                let problem = format!("{file}:{}:{}: this is not JSON: {error}", error.line(), error.column());
                Wrong::new(problem, "mend the document")
            })?,
            Kind::Yaml | Kind::Bundle | Kind::Other => yaml(file, &text)?,
        };
        self.data.push(DataDocument { file: file.to_owned(), at: within.to_vec(), json: json.to_string() });
        Ok(())
    }
}

/// The one document of a YAML text.
pub fn yaml(file: &str, text: &str) -> Result<serde_json::Value, Wrong> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|place| format!(":{}:{}", place.line(), place.column())).unwrap_or_default();
        let problem = error.to_string();
        let problem = problem.lines().next().unwrap_or("it cannot be read");
        Wrong::new(format!("{file}{place}: this is not YAML: {problem}"), "mend the document")
    })
}

fn text(file: &str, bytes: Vec<u8>) -> Result<String, Wrong> {
    String::from_utf8(bytes)
        .map_err(|_| Wrong::new(format!("{file} is not UTF-8"), "save the file in the encoding UTF-8"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    let problem = format!("{} cannot be read: {}", path.display(), cause(error));
    Wrong::new(problem, "name a file or folder that is there and that this user may read")
}

// === impl Kind ===

impl Kind {
    fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("rego") => Self::Module,
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            Some("gz") if name.ends_with(".tar.gz") => Self::Bundle,
            Some("tgz") => Self::Bundle,
            _ => Self::Other,
        }
    }
}

/// The grammar that a bundle's manifest names.
fn dialect(version: &serde_json::Value) -> Option<Dialect> {
    match version.as_u64() {
        Some(0) => Some(Dialect::V0),
        Some(1) => Some(Dialect::V1),
        _ => None,
    }
}
