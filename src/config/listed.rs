//! Lists that stand in files of their own.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::meaning::Ground;
use super::mistake::{Mistakes, Place};
use super::reader;
use super::shape::{Shape, shape};
use super::tree;

/// Where what is found in a file is told: at the field that names it.
pub struct Found<'a> {
    pub place: &'a Place,
    pub field: &'a str,
    pub mistakes: &'a mut Mistakes,
    pub warnings: &'a mut Vec<String>,
}

/// What `meaning` makes of the list in the file at `path`, as `field` of the configuration would hold it. Nothing of one
/// with mistakes.
pub fn of_file<T: DeserializeOwned, S>(
    path: &Path,
    field: &str,
    found: &mut Found<'_>,
    meaning: impl FnOnce(Vec<T>, &mut Ground<'_>) -> Vec<S>,
) -> Vec<S> {
    let (mut mistakes, mut warnings) = (Mistakes::default(), Vec::new());
    let mut settings = Vec::new();
    let tree = super::text(path, &mut mistakes).and_then(|text| tree::parse(&text, &mut mistakes));
    // A file of which every line is commented out is no list, and no mistake.
    if let Some(tree) = tree.filter(|tree| !tree.is_empty()) {
        let read = reader::read(&tree, &list_shape(field), &mut mistakes).unwrap_or_else(|| serde_json::json!([]));
        let list = serde_json::from_value(read).expect("what the reader lets pass is what the types accept");
        let mut files = Vec::new();
        let mut ground = Ground {
            tree: &tree,
            base: Path::new(""),
            mistakes: &mut mistakes,
            warnings: &mut warnings,
            files: &mut files,
            own_namespace: None,
        };
        settings = meaning(list, &mut ground);
    }
    let within = |warning: String| format!("{}: {}: {warning}", found.field, path.display());
    found.warnings.extend(warnings.into_iter().map(within));
    let mistakes = mistakes.in_order();
    if !mistakes.is_empty() {
        settings.clear();
    }
    for mistake in mistakes {
        found.mistakes.add(found.place, found.field, mistake.within(path));
    }
    settings
}

/// Of a file: the list alone.
fn list_shape(field: &str) -> Shape {
    let mut found = shape().clone();
    for name in field.split('.') {
        let fields = found.mapping.unwrap_or_default();
        found = fields.into_iter().find(|field| field.name == name).map(|field| field.shape).unwrap_or_default();
    }
    Shape { list: found.list, ..Shape::default() }
}
