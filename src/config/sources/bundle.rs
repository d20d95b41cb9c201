//! OPA's bundles: a `.tar.gz` of modules, of documents that are called `data.json` or `data.yaml`, and of a manifest.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use tar::Archive;

use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::Dialect;

use super::super::mistake::Wrong;
use super::{Kind, MAX_BYTES, Sources, dialect, text};

/// What a manifest says of the grammar of its modules.
#[derive(Debug, Default)]
struct Manifest {
    dialect: Option<Dialect>,
    /// By globs over their paths.
    of_files: Vec<(Glob, Dialect)>,
}

/// Adds what the bundle `file` holds.
pub fn read(file: &str, bytes: &[u8], into: &mut Sources) -> Result<(), Wrong> {
    let broken =
        |error: std::io::Error| Wrong::new(format!("{file} is no bundle: {error}"), "make it with `opa build`");
    let too_large = || {
        let problem = format!("{file} has more than {} MiB in it", MAX_BYTES >> 20);
        Wrong::new(problem, "leave out what the policy does not need")
    };
    let mut manifest = Manifest::default();
    let mut members = Vec::new();
    let mut left = MAX_BYTES;
    let mut archive = Archive::new(GzDecoder::new(bytes));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(broken)?.to_string_lossy().trim_start_matches(['.', '/']).to_owned();
        let hidden = entry.path().map_err(broken)?.file_name().is_some_and(|name| name == ".manifest");
        let mut content = Vec::new();
        entry.take(left + 1).read_to_end(&mut content).map_err(broken)?;
        left = left.checked_sub(content.len() as u64).ok_or_else(too_large)?;
        let name = format!("{file}:{path}");
        if hidden {
            manifest = Manifest::read(&name, &text(&name, content)?)?;
        } else if path.ends_with(".wasm") {
            let problem = format!("{name} is WebAssembly, which is not run here");
            return Err(Wrong::new(problem, "build the bundle with `--target rego`"));
        } else {
            members.push((name, path, content));
        }
    }
    for (name, path, content) in members {
        member(&name, &path, content, &manifest, into)?;
    }
    Ok(())
}

fn member(name: &str, path: &str, content: Vec<u8>, manifest: &Manifest, into: &mut Sources) -> Result<(), Wrong> {
    let kind = Kind::of(Path::new(path));
    let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
    let own = folders.pop().unwrap_or_default();
    let is_data = matches!(own.as_str(), "data.json" | "data.yaml" | "data.yml");
    let is_module = kind == Kind::Module && !own.ends_with("_test.rego");
    if !is_data && !is_module {
        return Ok(());
    }
    into.text(name, kind, text(name, content)?, &folders)?;
    if let Some(module) = into.modules.last_mut().filter(|_| is_module) {
        module.dialect = manifest.of(path);
    }
    Ok(())
}

// === impl Manifest ===

impl Manifest {
    fn read(name: &str, text: &str) -> Result<Self, Wrong> {
        let manifest: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Wrong::new(format!("{name} is not JSON: {error}"), "make the bundle with `opa build`"))?;
        let of_files = manifest["file_rego_versions"].as_object().into_iter().flatten();
        let of_files = of_files.filter_map(|(glob, version)| {
            Some((Glob::new(glob.trim_start_matches('/'), Subject::Repository), dialect(version)?))
        });
        Ok(Self { dialect: dialect(&manifest["rego_version"]), of_files: of_files.collect() })
    }

    fn of(&self, path: &str) -> Option<Dialect> {
        let named = self.of_files.iter().find(|(glob, _)| glob.matches(path));
        named.map(|(_, dialect)| *dialect).or(self.dialect)
    }
}
