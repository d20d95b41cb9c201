//! Policies that are candidates, in files of their own.

use std::path::{Path, PathBuf};

use crate::policy::settings::{PolicySettings, SourceSettings};

use super::form::Written;
use super::meaning::Ground;
use super::mistake::{Mistake, Mistakes, Wrong};
use super::policies::{self, Compile};
use super::reader;
use super::shape::{Shape, shape};
use super::tree::{self, Node};
use super::written::Policy;

/// The files that hold them, in the order of the configuration.
#[derive(Debug, Default)]
pub struct Candidates(Vec<PathBuf>);

/// What a file holds: policies, as the configuration has them.
#[derive(Debug, serde::Deserialize)]
struct Document {
    policies: Option<Vec<Policy>>,
}

/// The field that names the files, and the one that stands in each.
const FIELD: &str = "candidates";
const POLICIES: &str = "policies";

// === impl Candidates ===

impl Candidates {
    pub fn of(files: Option<Vec<Written<PathBuf>>>, ground: &Ground<'_>) -> Self {
        Self(files.unwrap_or_default().iter().map(|path| ground.path(path)).collect())
    }

    /// What the files hold, checked as policies are; those that were looked at go to `looked_at`, to be watched.
    pub fn read(
        &self,
        tree: &Node,
        compile: Compile<'_>,
        mistakes: &mut Mistakes,
        warnings: &mut Vec<String>,
        looked_at: &mut Vec<PathBuf>,
    ) -> Vec<PolicySettings> {
        let mut all: Vec<PolicySettings> = Vec::new();
        for (at, file) in self.0.iter().enumerate() {
            let mut warned = Vec::new();
            looked_at.push(file.clone());
            match of_file(file, &all, compile, &mut warned, looked_at) {
                Ok(more) => all.extend(more),
                Err(found) => {
                    let field = format!("{FIELD}[{at}]");
                    found.into_iter().for_each(|one| mistakes.add(tree.place_of(&field), &field, one.within(file)));
                }
            }
            warnings.extend(warned.into_iter().map(|warning| format!("{}: {warning}", file.display())));
        }
        all
    }
}

/// `others` are those of the files before.
fn of_file(
    path: &Path,
    others: &[PolicySettings],
    compile: Compile<'_>,
    warnings: &mut Vec<String>,
    looked_at: &mut Vec<PathBuf>,
) -> Result<Vec<PolicySettings>, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let mut settings = Vec::new();
    if let Some(tree) = super::text(path, &mut mistakes).and_then(|text| tree::parse(&text, &mut mistakes)) {
        settings = of_tree(&tree, path, others, compile, &mut mistakes, warnings, looked_at);
    }
    match mistakes.in_order() {
        none if none.is_empty() => Ok(settings),
        mistakes => Err(mistakes),
    }
}

fn of_tree(
    tree: &Node,
    path: &Path,
    others: &[PolicySettings],
    compile: Compile<'_>,
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
    looked_at: &mut Vec<PathBuf>,
) -> Vec<PolicySettings> {
    let read = reader::read(tree, &document_shape(), mistakes).unwrap_or_else(|| serde_json::json!({}));
    let document: Document = serde_json::from_value(read).expect("what the reader lets pass is what the types accept");
    let mut files = Vec::new();
    let mut ground = Ground {
        tree,
        base: path.parent().unwrap_or(Path::new("")),
        mistakes,
        warnings,
        files: &mut files,
        own_namespace: None,
    };
    let mut read = policies::of(Some(document.policies.unwrap_or_default()), &mut ground);
    for (at, policy) in read.settings.iter().enumerate() {
        judges_here(policy, &read.field(at, "webhook"), &mut ground);
        is_alone(policy, others, &read.field(at, "name"), &mut ground);
    }
    policies::read_files(&mut read, tree, mistakes, looked_at);
    policies::compile(&read, tree, compile, mistakes);
    read.settings
}

/// A webhook that is asked is not silent: it sees every review twice, once for each of its policies.
fn judges_here(policy: &PolicySettings, field: &str, ground: &mut Ground<'_>) {
    if matches!(policy.source, SourceSettings::Webhook(_)) {
        let problem = "a candidate is judged in place, and a webhook would be asked about every review";
        let fix = "move the policy to `policies` of the configuration, in mode audit: nobody waits for it there";
        ground.wrong(field, Wrong::new(problem, fix));
    }
}

fn is_alone(policy: &PolicySettings, others: &[PolicySettings], field: &str, ground: &mut Ground<'_>) {
    if others.iter().any(|other| other.name == policy.name) {
        let problem = format!("a candidate of another file is called {}", policy.name);
        ground.wrong(field, Wrong::new(problem, "give each a name of its own: the history tells them apart by it"));
    }
}

/// Of a file: `policies` alone, which it must have.
fn document_shape() -> Shape {
    let fields = shape().mapping.iter().flatten().filter(|field| field.name == POLICIES);
    let fields = fields.map(|field| super::shape::Field { required: true, ..field.clone() });
    Shape { mapping: Some(fields.collect()), ..Shape::default() }
}
