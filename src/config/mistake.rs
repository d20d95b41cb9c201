//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Loaded;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Both from 1.
    File { line: usize, column: usize },
    /// An environment variable, by name.
    Variable(String),
    /// Neither: the default stands.
    Default,
}

/// What is wrong with a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub problem: String,
    pub fix: String,
}

/// One mistake of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub place: Place,
    /// `policies[1].webhook.url`; empty for the document as a whole.
    pub field: String,
    pub wrong: Wrong,
}

/// Every mistake of a configuration, in the order of the file, those of the environment after it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigErrors {
    pub file: Option<PathBuf>,
    /// Never empty.
    pub mistakes: Vec<Mistake>,
    /// What could be read all the same: right but for the mistakes.
    pub read: Box<Loaded>,
}

/// The fields of the document that a [`Revision`](crate::policy::Revision) is made of.
const JUDGING: [&str; 6] =
    ["policies", "candidates", "exemptions", "break_glass", "system_namespaces", "system_max_mode"];

/// Gathers mistakes, so that a reader can go on after one.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: Vec<Mistake>,
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line, column } => write!(f, "line {line}, column {column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("the default"),
        }
    }
}

// === impl Wrong ===

impl Wrong {
    pub fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

// === impl Mistake ===

impl Mistake {
    /// Whether it is in one of these fields, or in the document as a whole.
    pub fn touches(&self, fields: &[&str]) -> bool {
        self.field.is_empty() || fields.iter().any(|field| holds(field, &self.field))
    }

    /// Whether it is in what judges: all else of the configuration is right then.
    pub fn is_of_policies(&self) -> bool {
        JUDGING.iter().any(|field| holds(field, &self.field))
    }

    /// The same of the field that names `file`, which it is in.
    pub fn within(self, file: &Path) -> Wrong {
        let file = file.display();
        let inside = match (&self.place, self.field.as_str()) {
            (Place::File { line, column }, "") => format!("{file}:{line}:{column}: "),
            (Place::File { line, column }, field) => format!("{file}:{line}:{column}: {field}: "),
            _ => format!("{file}: "),
        };
        Wrong::new(format!("{inside}{}", self.wrong.problem), self.wrong.fix)
    }
}

// === impl ConfigErrors ===

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// Each mistake in the form that editors and terminals turn into a link: `FILE:LINE:COLUMN: FIELD: ..`.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(|mistake| {
            let place = match (&mistake.place, &self.file) {
                (Place::File { line, column }, Some(file)) => format!("{}:{line}:{column}: ", file.display()),
                (Place::Variable(name), _) => format!("{name}: "),
                (_, Some(file)) => format!("{}: ", file.display()),
                (_, None) => "configuration: ".to_owned(),
            };
            let field = if mistake.field.is_empty() { String::new() } else { format!("{}: ", mistake.field) };
            format!("{place}{field}{}", mistake.wrong)
        })
    }
}

impl fmt::Display for ConfigErrors {
    /// One mistake a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().collect::<Vec<_>>().join("\n"))
    }
}

// === impl Mistakes ===

impl Mistakes {
    pub fn add(&mut self, place: &Place, field: &str, wrong: Wrong) {
        self.found.push(Mistake { place: place.clone(), field: field.to_owned(), wrong });
    }

    /// Whether a mistake was found at `field`, in it, or in what it is a part of: what else is said of it may only be
    /// an echo of that one.
    pub fn touch(&self, field: &str) -> bool {
        self.found.iter().any(|mistake| holds(&mistake.field, field) || holds(field, &mistake.field))
    }

    /// Whether `field` itself is mistaken.
    pub fn at(&self, field: &str) -> bool {
        self.found.iter().any(|mistake| mistake.field == field)
    }

    /// Every mistake in the order of its place.
    pub fn in_order(mut self) -> Vec<Mistake> {
        self.found.sort_by(|a, b| a.place.cmp(&b.place));
        self.found
    }
}

/// Whether `inner` is `outer` or a part of it.
fn holds(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The name of `names` that `text` was most likely meant to be, unless none resembles it.
pub fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&text, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance * 2 <= name.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "did you mean X?", or what could be written at all.
pub fn suggestion(text: &str, names: &[&str]) -> String {
    match nearest(text, names.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("write {}", list(names)),
    }
}

/// `a, b or c`.
pub fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value as a message shows it: quoted, what cannot be printed escaped, cut where it is long, and of a URL nothing
/// that may be a password.
pub fn shown(text: &str) -> String {
    /// Enough to recognise a value, short enough for one line with its place and field.
    const LONGEST: usize = 80;
    let longest = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    match secret(text).into_iter().chain(longest).min() {
        Some(end) => format!("{:?}..", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Where in a URL a password may begin: with its user or its parameters.
fn secret(text: &str) -> Option<usize> {
    let start = text.find("://")? + 3;
    match text[start..].contains('@') {
        true => Some(start),
        false => text[start..].find('?').map(|at| start + at + 1),
    }
}
