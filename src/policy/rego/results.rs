//! What the result of an entry point says, in each convention in use. They are told apart by its shape.
//!
//! | shape | convention |
//! | --- | --- |
//! | a set of rows with `id` and `resolution.message` | kubernetes-policy-controller: a row is of the rule `id`; rows of other objects, and those that only patch, say nothing |
//! | a set of texts | kube-mgmt, conftest: each is a violation of the rule that is named like the entry point |
//! | a set of objects with `msg` | Gatekeeper, conftest: the same |
//! | a boolean | `allow` is to be true; an entry point that is called `deny`, `violation`, `reject` or `block` is not |
//! | an object with `response.allowed`, `status.allowed` or `allowed` | what a webhook would answer |

use regorus::Value;

use super::syntax::Kind;

/// What an entry point is, as its rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `data.admission.deny`.
    pub path: String,
    /// Its last step: the rule of what has no id of its own.
    pub name: String,
    pub kind: Kind,
}

/// One violation, as the policy says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub rule: String,
    pub message: String,
    /// The text of an image, where the row names one.
    pub image: Option<String>,
    pub container: Option<String>,
}

/// The object that a review is of, as rows of kubernetes-policy-controller name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// The message of a violation that has none.
const SILENT: &str = "denied without a message";

type Read<T> = Result<T, String>;

// === impl Entry ===

impl Entry {
    /// The violations in its result for the object `resource`.
    ///
    /// # Errors
    /// The result is none that any convention has. It never counts as an allow.
    pub fn read(&self, result: &Value, resource: &Resource) -> Read<Vec<Found>> {
        match result {
            Value::Set(rows) => self.rows(rows.iter(), resource),
            Value::Array(rows) => self.rows(rows.iter(), resource),
            Value::Bool(value) => Ok(self.violated_unless(*value != self.denies_when_true())),
            Value::Object(members) if self.kind == Kind::Object => {
                self.rows(members.iter().map(|(_, row)| row), resource)
            }
            Value::Object(_) => self.answer(result),
            // A complete rule of a policy that says when to allow.
            Value::Undefined if self.kind == Kind::Complete && self.is_boolean_by_name() => {
                Ok(self.violated_unless(self.denies_when_true()))
            }
            Value::Undefined => Err(format!("{} is undefined for this review", self.path)),
            other => Err(format!("{} is {}, which no convention has", self.path, shown(other))),
        }
    }

    fn denies_when_true(&self) -> bool {
        ["deny", "violation", "reject", "block"].iter().any(|word| self.name.starts_with(word))
    }

    fn is_boolean_by_name(&self) -> bool {
        self.denies_when_true() || self.name.starts_with("allow")
    }

    fn violated_unless(&self, holds: bool) -> Vec<Found> {
        let message = || match self.denies_when_true() {
            true => format!("{} is true", self.path),
            false => format!("{} is not true", self.path),
        };
        if holds { Vec::new() } else { vec![self.found(message())] }
    }

    fn found(&self, message: String) -> Found {
        Found { rule: self.name.clone(), message, image: None, container: None }
    }

    fn rows<'v>(&self, rows: impl Iterator<Item = &'v Value>, resource: &Resource) -> Read<Vec<Found>> {
        rows.filter_map(|row| self.row(row, resource).transpose()).collect()
    }

    fn row(&self, row: &Value, resource: &Resource) -> Read<Option<Found>> {
        if row.as_string().is_ok() {
            return Ok(Some(self.found(text(row).unwrap_or_else(|| SILENT.to_owned()))));
        }
        if row.as_object().is_err() {
            return Err(format!("{} has {} in it, which is neither a text nor an object", self.path, shown(row)));
        }
        if row["resolution"] != Value::Undefined {
            return self.resolution(row, resource);
        }
        let message = ["msg", "message", "reason"].iter().find_map(|name| text(&row[*name]));
        let message =
            message.ok_or_else(|| format!("{} has an object without `msg` in it: {}", self.path, shown(row)))?;
        let named = |name: &str| text(&row[name]).or_else(|| text(&row["details"][name]));
        Ok(Some(Found {
            rule: text(&row["id"]).unwrap_or_else(|| self.name.clone()),
            message,
            image: named("image"),
            container: named("container"),
        }))
    }

    fn resolution(&self, row: &Value, resource: &Resource) -> Read<Option<Found>> {
        let of = |name: &str| text(&row["resource"][name]);
        let is_ours = [("kind", &resource.kind), ("namespace", &resource.namespace), ("name", &resource.name)]
            .into_iter()
            .all(|(name, own)| of(name).is_none_or(|named| named == *own));
        // A row that patches would change the object instead of refusing it.
        if !is_ours || row["resolution"]["patches"] != Value::Undefined {
            return Ok(None);
        }
        let rule = text(&row["id"]).ok_or_else(|| format!("{} has a row without `id`: {}", self.path, shown(row)))?;
        let message = text(&row["resolution"]["message"]).unwrap_or_else(|| SILENT.to_owned());
        Ok(Some(Found { rule, message, image: None, container: None }))
    }

    /// What a webhook would answer: a whole review, or the part of it that answers.
    fn answer(&self, result: &Value) -> Read<Vec<Found>> {
        let parts = [&result["response"], &result["status"], result];
        let Some(answer) = parts.into_iter().find(|part| part["allowed"].as_bool().is_ok()) else {
            return Err(format!("{} is an object without `allowed`: {}", self.path, shown(result)));
        };
        if answer["allowed"] == Value::Bool(true) {
            return Ok(Vec::new());
        }
        let texts = [&answer["status"]["message"], &answer["status"]["reason"], &answer["reason"], &answer["message"]];
        let message = texts.into_iter().find_map(text).unwrap_or_else(|| SILENT.to_owned());
        Ok(vec![self.found(message)])
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_string().ok().filter(|text| !text.is_empty()).map(|text| text.to_string())
}

/// As far as a message quotes it.
fn shown(value: &Value) -> String {
    const MOST: usize = 120;
    let text = value.to_json_str().unwrap_or_else(|_| "a value".to_owned());
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
