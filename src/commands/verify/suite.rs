//! A suite as its file has it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::config::manifests;
use crate::policy::settings::Manifest;

#[derive(Debug)]
pub struct Suite {
    /// As it was named.
    pub path: PathBuf,
    pub content: Content,
}

#[derive(Debug, Deserialize)]
pub struct Content {
    #[serde(default)]
    pub skip: bool,
    #[serde(default)]
    pub tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
pub struct Test {
    pub name: String,
    #[serde(default)]
    pub template: String,
    #[serde(default)]
    pub constraint: String,
    #[serde(default)]
    pub cases: Vec<Case>,
    #[serde(default)]
    pub skip: bool,
    /// That the constraint has to be refused by the template's schema.
    #[serde(default)]
    pub invalid: bool,
    /// Templates by which Gatekeeper makes pods of workloads.
    #[serde(default)]
    pub expansion: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Case {
    pub name: String,
    #[serde(default)]
    pub object: String,
    #[serde(default)]
    pub inventory: Vec<String>,
    #[serde(default)]
    pub assertions: Vec<Assertion>,
    #[serde(default)]
    pub skip: bool,
}

#[derive(Debug, Deserialize)]
pub struct Assertion {
    /// `yes`, `no` or a number.
    #[serde(default)]
    pub violations: Value,
    pub message: Option<String>,
}

/// How many violations an assertion asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Some,
    None,
    Exactly(u64),
}

// === impl Suite ===

impl Suite {
    /// `None`: the file holds something else.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let [manifest] = &objects(path)?[..] else { return Ok(None) };
        if manifest.json["kind"] != "Suite" || !manifest.is_of("test.gatekeeper.sh/") {
            return Ok(None);
        }
        let content = Content::deserialize(&manifest.json);
        let content = content.with_context(|| format!("{} is no Suite that can be read", path.display()))?;
        Ok(Some(Self { path: path.to_owned(), content }))
    }

    /// A file that it names.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }
}

/// The objects in a file.
pub fn objects(path: &Path) -> anyhow::Result<Vec<Manifest>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{file} cannot be read"))?;
    manifests(&file, &text).map_err(|wrong| anyhow::anyhow!("{}", wrong.problem))
}

// === impl Test ===

impl Test {
    /// Why it is not run here, whatever its constraint does.
    pub fn left_out(&self) -> Option<&'static str> {
        if self.expansion.is_some() {
            return Some("expansion is not done here");
        }
        self.invalid.then_some("a constraint is not held against its template's schema here")
    }
}

// === impl Assertion ===

impl Assertion {
    /// YAML makes `yes` and `no` booleans.
    pub fn wanted(&self) -> Option<Wanted> {
        match &self.violations {
            Value::Null | Value::Bool(true) => Some(Wanted::Some),
            Value::Bool(false) => Some(Wanted::None),
            Value::String(text) if text == "yes" => Some(Wanted::Some),
            Value::String(text) if text == "no" => Some(Wanted::None),
            Value::Number(number) => number.as_u64().map(Wanted::Exactly),
            _ => None,
        }
    }
}
