//! The files of policies: modules, documents, bundles, and folders of them.
//!
//! Documents stand under `data` as OPA loads them: at the root where a file names them, under the names of its folders
//! where a folder or a bundle does.

mod bundle;
mod lists;

use std::path::{Path, PathBuf};

use serde_saphyr::Spanned;

use crate::policy::settings::{DataDocument, Dialect, Manifest, RegoModule};

use super::cause;
use super::mistake::Wrong;

/// What a list of files holds.
#[derive(Debug, PartialEq)]
pub struct Sources {
    what: What,
    pub manifests: Vec<Manifest>,
    pub modules: Vec<RegoModule>,
    pub data: Vec<DataDocument>,
    /// Every file and folder that was looked at, to watch.
    pub looked_at: Vec<PathBuf>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Modules, documents and bundles.
    Rego,
    /// Objects of Kubernetes.
    Manifests,
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
    pub fn new(what: What) -> Self {
        Self { what, manifests: Vec::new(), modules: Vec::new(), data: Vec::new(), looked_at: Vec::new() }
    }

    /// Adds what is in a file, or in a folder and those in it.
    ///
    /// # Errors
    /// It cannot be read, is of no kind that is known, or holds nothing.
    pub fn add(&mut self, path: &Path) -> Result<(), Wrong> {
        let before = self.found();
        if path.is_dir() {
            self.folder(path, &mut Vec::new())?;
            if self.found() == before {
                let fix =
                    format!("name a folder with {} files (tests, `_test.rego`, are left out)", self.what.extensions());
                return Err(Wrong::new(format!("{} has no policy in it", path.display()), fix));
            }
            return Ok(());
        }
        match self.what.kind(path) {
            Kind::Other => {
                // It may become a folder.
                self.looked_at.push(path.to_owned());
                Err(Wrong::new(
                    format!("{} is no policy", path.display()),
                    format!("name {} files, or folders of them", self.what.extensions()),
                ))
            }
            kind => self.file(path, kind, &[]),
        }
    }

    fn found(&self) -> usize {
        self.modules.len() + self.data.len() + self.manifests.len()
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
                self.file(&entry, self.what.kind(&entry), within)?;
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
        if self.what == What::Manifests {
            self.manifests.append(&mut manifests(file, &text)?);
            return Ok(());
        }
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

/// One document of a text.
#[derive(Debug)]
pub struct ManifestDocument {
    /// Where it begins.
    pub line: usize,
    /// Of a list, without its items.
    pub json: serde_json::Value,
    /// The items of a list, and where each begins.
    pub items: Option<Vec<(usize, serde_json::Value)>>,
}

/// The objects of a text of any number of documents, those of lists each for itself.
pub fn manifests(file: &str, text: &str) -> Result<Vec<Manifest>, Wrong> {
    let objects = documents(file, text)?.into_iter().flat_map(|document| match document.items {
        Some(items) => items,
        None => vec![(document.line, document.json)],
    });
    Ok(objects.map(|(line, json)| Manifest { file: file.to_owned(), line, json }).collect())
}

/// Those of a YAML text that are not empty.
pub fn documents(file: &str, text: &str) -> Result<Vec<ManifestDocument>, Wrong> {
    let documents: Vec<Spanned<serde_json::Value>> =
        serde_saphyr::from_multiple(text).map_err(|error| not_yaml(file, &error))?;
    let has_list = documents.iter().any(|document| is_list(&document.value));
    // Read a second time, for where they begin.
    let lines = if has_list { lists::lines(text) } else { Vec::new() };
    let mut lines = lines.into_iter();
    let mut found = Vec::with_capacity(documents.len());
    for document in documents {
        let (line, mut json) = (usize::try_from(document.referenced.line()).unwrap_or(1), document.value);
        let lists::Lines(lines) = lines.next().unwrap_or_default();
        let items = match is_list(&json).then(|| json["items"].take()) {
            Some(serde_json::Value::Array(items)) => Some(items),
            _ => None,
        };
        let items = items.map(|items| {
            let lines = lines.into_iter().chain(std::iter::repeat(line));
            lines.zip(items).collect()
        });
        if !json.is_null() {
            found.push(ManifestDocument { line, json, items });
        }
    }
    Ok(found)
}

fn is_list(json: &serde_json::Value) -> bool {
    json["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && json["items"].is_array()
}

/// The one document of a YAML text.
fn yaml(file: &str, text: &str) -> Result<serde_json::Value, Wrong> {
    serde_saphyr::from_str(text).map_err(|error| not_yaml(file, &error))
}

fn not_yaml(file: &str, error: &serde_saphyr::Error) -> Wrong {
    let place = error.location().map(|place| format!(":{}:{}", place.line(), place.column())).unwrap_or_default();
    let problem = error.to_string();
    let problem = problem.lines().next().unwrap_or("it cannot be read");
    Wrong::new(format!("{file}{place}: this is not YAML: {problem}"), "mend the document")
}

fn text(file: &str, bytes: Vec<u8>) -> Result<String, Wrong> {
    String::from_utf8(bytes)
        .map_err(|_| Wrong::new(format!("{file} is not UTF-8"), "save the file in the encoding UTF-8"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    let problem = format!("{} cannot be read: {}", path.display(), cause(error));
    Wrong::new(problem, "name a file or folder that is there and that this user may read")
}

// === impl What ===

impl What {
    fn kind(self, path: &Path) -> Kind {
        match (self, Kind::of(path)) {
            (Self::Manifests, Kind::Module | Kind::Bundle) => Kind::Other,
            (_, kind) => kind,
        }
    }

    fn extensions(self) -> &'static str {
        match self {
            Self::Rego => ".rego, .json, .yaml, .yml or .tar.gz",
            Self::Manifests => ".yaml, .yml or .json",
        }
    }
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
