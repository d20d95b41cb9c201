//! The environment over the file: each leaf has a variable.

use super::mistake::{Mistakes, Place, Wrong};
use super::shape::{self, Leaf, PREFIX};
use super::tree::{Content, Entry, Node};

/// Puts what `env` sets into `root`. Gives a warning for each variable that means nothing.
pub fn overlay(root: &mut Node, env: impl Iterator<Item = (String, String)>, mistakes: &mut Mistakes) -> Vec<String> {
    let leaves = shape::leaves();
    let mut set: Vec<(&Leaf<'_>, String)> = Vec::new();
    let mut unknown = Vec::new();
    for (name, value) in env.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()) {
        match leaves.iter().find(|leaf| leaf.variable.as_deref() == Some(name.as_str())) {
            Some(leaf) => set.push((leaf, value)),
            None if is_injected(&name) => {}
            None => unknown.push(name),
        }
    }
    // In the order of the fields, so that `webhook.tls` comes before `webhook.tls.key`.
    set.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    for (leaf, value) in set {
        let name = leaf.variable.as_deref().expect("it was found by its variable");
        let place = Place::Variable(name.to_owned());
        if let Err(wrong) = put(root, &leaf.path, &leaves, Node::scalar(place.clone(), value)) {
            mistakes.add(&place, &leaf.path, wrong);
        }
    }
    unknown.sort();
    unknown.iter().map(|name| warning(name, &leaves)).collect()
}

/// What Kubernetes sets for each Service of the namespace: one named `rehearsal` or `rehearsal-report` looks like ours.
fn is_injected(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_")
        || name.contains("_PORT_")
}

fn warning(name: &str, leaves: &[Leaf<'_>]) -> String {
    let nearest = leaves
        .iter()
        .filter_map(|leaf| leaf.variable.as_deref())
        .min_by_key(|known| strsim::damerau_levenshtein(known, name))
        .expect("the configuration has leaves with variables");
    format!("{name} is not a variable of Rehearsal and has no effect; the nearest is {nearest}")
}

/// Puts `value` at `path`, making the sections on the way. What stands there with another meaning than a section is
/// left alone when it is a mistake (its own message follows), and is replaced when it is the leaf's other form
/// (`tls: off`), unless a variable set that too.
fn put(root: &mut Node, path: &str, leaves: &[Leaf<'_>], value: Node) -> Result<(), Wrong> {
    let mut node = root;
    let mut done = String::new();
    for step in path.split('.') {
        let is_leaf = leaves.iter().any(|leaf| leaf.path == done);
        if node.is_null() || is_leaf && matches!(node.content, Content::Scalar { .. }) {
            if let (Place::Variable(other), false) = (&node.place, node.is_null()) {
                return Err(Wrong::new(format!("{other} sets {done} to {}", node.kind()), "unset one of the two"));
            }
            *node = Node::empty(value.place.clone());
        }
        let Content::Mapping(entries) = &mut node.content else {
            return Ok(());
        };
        let at = entries.iter().position(|entry| entry.key == step).unwrap_or_else(|| {
            let value = Node::empty(value.place.clone());
            entries.push(Entry { key: step.to_owned(), place: value.place.clone(), value });
            entries.len() - 1
        });
        node = &mut entries[at].value;
        done.push_str(if done.is_empty() { "" } else { "." });
        done.push_str(step);
    }
    *node = value;
    Ok(())
}
