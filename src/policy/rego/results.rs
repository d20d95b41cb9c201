//! What the result of an entry point says, in each convention in use. They are told apart by its shape.
//!
//! | shape | convention |
//! | --- | --- |
//! | a set of rows with `id` and `resolution.message` | kubernetes-policy-controller: a row is of the rule `id`; rows of other objects, and those that only patch, say nothing |
//! | a set of texts | kube-mgmt, conftest: each is a violation of the rule that is named like the entry point |
//! | a set of objects with `msg` | Gatekeeper, conftest: the same |
//! | a boolean | `allow` is to be true; an entry point that is called `deny`, `violation`, `reject` or `block` is not |
//! | an object with `response.allowed`, `status.allowed` or `allowed` | what a webhook would answer |
//!
//! The result of an OPA elsewhere says the same: in its JSON a set is a list.

use regorus::Value;

use crate::policy::rules::{Finding, MAX_VIOLATIONS, RuleViolation};
use crate::policy::template::cut;
use crate::review::decision::Mode;

use super::syntax::Kind;

/// What an entry point is, as its rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `data.admission.deny`.
    pub path: String,
    /// Its last step: the rule of what has no id of its own.
    pub name: String,
    /// `None`: its rules are elsewhere.
    pub kind: Option<Kind>,
    /// The heaviest mode that its violations may have.
    pub most: Mode,
}

/// The object that a review is of, as rows of kubernetes-policy-controller name it. What is `None` may have any name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// `pods`.
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

/// The image of a review: its text, and its container where that is known.
pub type NamedImage = (String, Option<String>);

/// One violation, as the policy says it.
#[derive(Debug)]
struct Found {
    rule: String,
    message: String,
    /// The text of an image, where the row names one.
    image: Option<String>,
    container: Option<String>,
}

/// The message of a violation that has none.
const SILENT: &str = "denied without a message";

type Read<T> = Result<T, String>;

// === impl Entry ===

impl Entry {
    /// Adds the violations in its result for the object `resource`, which has these images.
    ///
    /// # Errors
    /// The result is none that any convention has. It never counts as an allow.
    pub fn read(&self, result: &Value, resource: &Resource, images: &[NamedImage], into: &mut Finding) -> Read<()> {
        for found in self.found_in(result, resource)? {
            // Which rules reject depends on where a review is of: the first of each is kept in any case.
            let is_first = |into: &Finding| {
                !into.violations.iter().any(|kept| kept.rule == *cut(&found.rule) && kept.most == self.most)
            };
            if into.violations.len() < MAX_VIOLATIONS || is_first(into) {
                into.violations.push(found.violation(self.most, images));
            } else {
                into.omitted = into.omitted.saturating_add(1);
            }
        }
        Ok(())
    }

    fn found_in(&self, result: &Value, resource: &Resource) -> Read<Vec<Found>> {
        match result {
            Value::Set(rows) => self.rows(rows.iter(), resource),
            Value::Array(rows) => self.rows(rows.iter(), resource),
            Value::Bool(value) => Ok(self.violated_unless(*value != self.denies_when_true())),
            Value::Object(members) if self.kind == Some(Kind::Object) => {
                self.rows(members.iter().map(|(_, row)| row), resource)
            }
            Value::Object(_) => self.answer(result),
            // A complete rule of a policy that says when to allow.
            Value::Undefined if self.kind == Some(Kind::Complete) && self.is_boolean_by_name() => {
                Ok(self.violated_unless(self.denies_when_true()))
            }
            Value::Undefined => Err(self.undefined()),
            other => Err(format!("{} is {}, which no convention has", self.path, shown(other))),
        }
    }

    /// What is wrong with a result that is not there.
    pub fn undefined(&self) -> String {
        format!("{} is undefined for this review", self.path)
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
        let own = [("kind", &resource.kind), ("namespace", &resource.namespace), ("name", &resource.name)];
        let is_ours = own.into_iter().all(|(name, own)| match (of(name), own) {
            (Some(named), Some(own)) => named == *own,
            _ => true,
        });
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

// === impl Found ===

impl Found {
    /// The image to blame is the one that the row names, or else the only one that its message names.
    fn violation(self, most: Mode, images: &[NamedImage]) -> RuleViolation {
        let named = self.image.as_deref();
        let mut blamed = images.iter().filter(|(text, container)| match (named, &self.container) {
            (Some(named), _) => text == named,
            (None, Some(named)) => container.as_ref() == Some(named),
            (None, None) => names(&self.message, text),
        });
        let first = blamed.next();
        let only = first.filter(|(text, _)| blamed.all(|(other, _)| other == text));
        RuleViolation {
            rule: cut(&self.rule).into_owned(),
            most,
            image: only.map(|(text, _)| cut(text).into_owned()),
            container: self.container.or_else(|| only.and_then(|(_, container)| container.clone())),
            message: cut(&self.message).into_owned(),
            help: None,
        }
    }
}

/// Whether a message has an image's text in it, whole: `nginx` is not named by `nginx:1.2` or `my-nginx`.
fn names(message: &str, image: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._-/:@".contains(character);
    message.match_indices(image).any(|(at, _)| {
        let (before, after) = (&message[..at], &message[at + image.len()..]);
        let ends = match after.trim_start_matches(['.', ':']).chars().next() {
            // A sentence may end behind it.
            None => true,
            Some(_) => !after.starts_with(is_part) || after.starts_with(['.', ':']) && after[1..].starts_with(' '),
        };
        !before.ends_with(is_part) && ends
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whole_in_a_message() {
        assert!(names("image nginx is old", "nginx"));
        assert!(names("\"nginx:1.2\"", "nginx:1.2"));
        assert!(names("it is nginx.", "nginx"));
        assert!(!names("image nginx:1.2 is old", "nginx"));
        assert!(!names("image my-nginx is old", "nginx"));
        assert!(!names("image library/nginx is old", "nginx"));
    }
}
