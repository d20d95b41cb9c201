//! Makes `docs/configuration.md` from the shape. Set `UPDATE_DOCS=1` to have the test write it.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{self, Leaf, Scalar};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

const HEAD: &str = "\
# Configuration

<!-- Made from the types in src/config/written.rs: change those, then run UPDATE_DOCS=1 cargo test --lib reference -->

`rehearsal serve` runs without a configuration. `rehearsal config example` prints a commented one that works,
`rehearsal config check FILE` says everything that is wrong with one (file, line, column, field, and what would be
right; exit code 2), `rehearsal config schema` prints its JSON Schema.

- Unknown fields and fields given twice are mistakes.
- A relative path is relative to the configuration file; without one, to the working directory.
- A field with a variable can be set by the environment, which wins over the file. Lists, and what stands in them, have
  none. An empty variable is as if it were not set. A variable that begins with `REHEARSAL_` and means nothing is
  warned of; those that Kubernetes sets for Services (`REHEARSAL_SERVICE_HOST`, `REHEARSAL_PORT`, ..) are ignored.
- Durations: `200ms`, `10s`, `10m`, `1h`, `7d`. Sizes: `512KiB`, `7MiB`, `4GiB`, or a plain number of bytes.
- Policies, who may look at the report, certificates, keys, tokens and passwords are read again when their content
  changes; the rest needs a restart ([reload.md](reload.md)).

";

const POLICIES: &str = "
## Policies

A policy has either `rules` or a `webhook`; a rule has one of `deny`, `allow` and `require`. In a rule, a field whose
type ends in \"or a list of them\" takes one value or several.

";

#[test]
fn the_committed_reference_is_what_the_types_say() {
    let made = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(committed == made, "docs/configuration.md is out of date: run UPDATE_DOCS=1 cargo test --lib reference");
}

fn markdown() -> String {
    let leaves = shape::leaves();
    let (policies, rest): (Vec<_>, Vec<_>) = leaves.iter().partition(|leaf| leaf.path.starts_with("policies"));
    let mut text = HEAD.to_owned();
    text.push_str("| field | variable | default | type | meaning |\n| --- | --- | --- | --- | --- |\n");
    for leaf in rest {
        let variable = leaf.variable.as_deref().map_or_else(|| "–".to_owned(), |name| format!("`{name}`"));
        writeln!(text, "| `{}` | {variable} | {} | {} | {} |", leaf.path, default(leaf), kind(leaf), meaning(leaf))
            .unwrap();
    }
    text.push_str(POLICIES);
    text.push_str("| field | default | type | meaning |\n| --- | --- | --- | --- |\n");
    for leaf in policies {
        writeln!(text, "| `{}` | {} | {} | {} |", leaf.path, default(leaf), kind(leaf), meaning(leaf)).unwrap();
    }
    text
}

fn default(leaf: &Leaf<'_>) -> String {
    match &leaf.field.default {
        None if leaf.field.required => "required".to_owned(),
        None => "–".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

fn kind(leaf: &Leaf<'_>) -> String {
    let shape = &leaf.field.shape;
    let one = match &shape.scalar {
        Some(scalar) => Some(scalar),
        None => shape.list.as_ref().and_then(|list| list.items.scalar.as_ref()),
    };
    let one = match one {
        Some(Scalar::Words(words)) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Some(Scalar::Form(form)) => super::form::named(form).what.to_owned(),
        Some(Scalar::Integer { .. }) => "a number".to_owned(),
        Some(Scalar::Boolean) => "`true`, `false`".to_owned(),
        None => "sections".to_owned(),
    };
    match (&shape.scalar, &shape.list, &shape.mapping) {
        (Some(_), Some(_), _) => format!("{one}, or a list of them"),
        (None, Some(list), Some(fields)) if list.items.mapping.as_ref() == Some(fields) => {
            "a section, or a list of them".to_owned()
        }
        (None, Some(_), _) => format!("a list: {one}"),
        (_, _, Some(_)) => format!("{one}, or the fields below"),
        _ => one,
    }
}

fn meaning(leaf: &Leaf<'_>) -> String {
    leaf.field.meaning.replace('|', "\\|")
}
