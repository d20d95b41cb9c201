//! Secrets leave an object before it is written anywhere.
//!
//! A secret is: the value of an environment variable; what a Secret or a ConfigMap holds; in a command or its
//! arguments the word after a name like `password` or `token`; and the copy of it all that kubectl keeps in the
//! `last-applied-configuration` annotation.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::{Match, Regex};

use super::json::{Document, Node, Shape, write_string};
use super::strict;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Shorter values are no secrets to anybody, and a message would lose every `a` with them.
const SHORTEST: usize = 4;

/// kubectl's copy of the object in the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a variable or a flag that holds a secret has in its name.
const NAME: &str =
    "(?:passw(?:or)?d|passphrase|passwd|pwd|token|secret|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)";

/// `--db-password=x`, `PASSWORD: x`, `--token x`: the word is the group `word`.
static NAMED_WORD: LazyLock<Regex> = LazyLock::new(|| {
    let word = r#""[^"]*"|'[^']*'|[^\s"';&|]+"#;
    Regex::new(&format!(r"(?i)\b[\w.-]*{NAME}[\w.-]*(?:\s*[=:]\s*|\s+)(?<word>{word})")).expect("it is a constant")
});

/// An argument that is nothing but such a name: the next argument is the secret.
static NAME_ALONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"(?i)^-{{0,2}}[\w.-]*{NAME}[\w.-]*$")).expect("it is a constant"));

/// The secrets of one object.
#[derive(Debug, Default)]
pub struct Redaction {
    /// At least [`SHORTEST`] bytes each, longest first, so that a secret is not cut up by one that is a part of it.
    words: Vec<String>,
    /// There is something to replace, be it too short for a message.
    found: bool,
}

/// A string of a text that is a secret or holds some.
struct Find {
    /// Of the string with its quotes.
    range: Range<usize>,
    /// What it says once its secrets are gone.
    instead: String,
    secrets: Vec<String>,
}

// === impl Redaction ===

impl Redaction {
    /// Collects the secrets of a Kubernetes object, or of all that the body of a review holds: the old object has some
    /// too.
    pub fn of(json: &[u8]) -> Self {
        Self::gather(finds(json).unwrap_or_default())
    }

    fn gather(finds: Vec<Find>) -> Self {
        let found = !finds.is_empty();
        let words: BTreeSet<String> = finds
            .into_iter()
            .flat_map(|find| find.secrets)
            .filter(|secret| secret.len() >= SHORTEST && secret != "true" && secret != "false")
            .collect();
        let mut words: Vec<String> = words.into_iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self { words, found }
    }

    /// Whether the object holds no secret.
    pub fn is_empty(&self) -> bool {
        !self.found
    }

    /// A text about the object without its secrets.
    pub fn message<'m>(&self, message: &'m str) -> Cow<'m, str> {
        let mut message = Cow::Borrowed(message);
        for word in &self.words {
            if message.contains(word.as_str()) {
                message = Cow::Owned(message.replace(word.as_str(), REDACTED));
            }
        }
        message
    }

    /// A JSON text that holds the object, or its view, without its secrets; everything else as it was. What cannot be
    /// read is replaced whole.
    pub fn object(&self, json: &str) -> String {
        if !self.found {
            return json.to_owned();
        }
        let Some(finds) = finds(json.as_bytes()) else { return format!("\"{REDACTED}\"") };
        let mut out = String::with_capacity(json.len());
        let mut done = 0;
        for find in finds {
            out.push_str(&json[done..find.range.start]);
            write_string(&find.instead, &mut out);
            done = find.range.end;
        }
        out.push_str(&json[done..]);
        out
    }
}

// === where secrets are ===

/// A string that may be a secret, or hold some.
struct Suspect<'a> {
    node: Node<'a>,
    kind: Kind,
}

enum Kind {
    /// A secret from end to end.
    Whole,
    /// A command line: the words behind telling names are secrets.
    Words,
}

/// Whether a body holds a secret: which ones is asked far less often.
pub fn holds_secrets(body: &Document<'_>) -> bool {
    search(body.root(), &mut |suspect| match suspect.is_secret() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
    .is_break()
}

/// In the order of the text; `None` where it is not JSON, or nested deeper than a review can be.
fn finds(json: &[u8]) -> Option<Vec<Find>> {
    let document = strict::parse(json).ok()?;
    let mut finds = Vec::new();
    // It goes on to the end.
    let _ = search(document.root(), &mut |suspect| {
        finds.extend(suspect.find());
        ControlFlow::Continue(())
    });
    Some(finds)
}

/// Shows `look` every suspect, until it has seen enough.
fn search<'a>(node: Node<'a>, look: &mut dyn FnMut(Suspect<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
    let kind = node.member("kind").and_then(Node::text);
    let holds_data = matches!(kind.as_deref(), Some("Secret" | "ConfigMap"));
    for (key, value) in node.members() {
        match key.text().as_deref() {
            Some("data" | "binaryData" | "stringData") if holds_data => {
                for (_, value) in value.members() {
                    look(Suspect { node: value, kind: Kind::Whole })?;
                }
            }
            Some("env") => variables(value, look)?,
            Some("args" | "command") if value.shape() == Shape::List => arguments(value, look)?,
            Some("args" | "command") if value.is_text() => look(Suspect { node: value, kind: Kind::Words })?,
            Some(LAST_APPLIED) => look(Suspect { node: value, kind: Kind::Whole })?,
            _ => search(value, look)?,
        }
    }
    node.items().try_for_each(|item| search(item, look))
}

/// A list of `name` and `value`, or, in custom resources, an object of names and values.
fn variables<'a>(env: Node<'a>, look: &mut dyn FnMut(Suspect<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
    for (_, value) in env.members() {
        if value.is_text() { look(Suspect { node: value, kind: Kind::Whole })? } else { search(value, look)? }
    }
    for (key, value) in env.items().flat_map(Node::members) {
        if key.says("value") { look(Suspect { node: value, kind: Kind::Whole })? } else { search(value, look)? }
    }
    ControlFlow::Continue(())
}

/// The strings of a command line.
fn arguments<'a>(list: Node<'a>, look: &mut dyn FnMut(Suspect<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut named = false;
    for argument in list.items() {
        let Some(text) = argument.text() else {
            search(argument, look)?;
            continue;
        };
        if named && !text.starts_with("--") {
            look(Suspect { node: argument, kind: Kind::Whole })?;
            named = false;
            continue;
        }
        named = NAME_ALONE.is_match(&text);
        if !named {
            look(Suspect { node: argument, kind: Kind::Words })?;
        }
    }
    ControlFlow::Continue(())
}

// === impl Suspect ===

impl Suspect<'_> {
    fn is_secret(&self) -> bool {
        self.node.text().is_some_and(|text| match self.kind {
            Kind::Whole => is_whole(&text),
            Kind::Words => named_words(&text).next().is_some(),
        })
    }

    fn find(&self) -> Option<Find> {
        let text = self.node.text()?;
        let (instead, secrets) = match self.kind {
            Kind::Whole if is_whole(&text) => (REDACTED.to_owned(), both_forms(text)),
            Kind::Whole => return None,
            Kind::Words => without_words(&text)?,
        };
        Some(Find { range: self.node.range(), instead, secrets })
    }
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text != REDACTED
}

/// Base64 is a secret in both its forms.
fn both_forms(text: Cow<'_, str>) -> Vec<String> {
    let decoded = STANDARD.decode(text.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    std::iter::once(text.into_owned()).chain(decoded).collect()
}

/// A command line without its secrets, and these; `None` where it has none.
fn without_words(text: &str) -> Option<(String, Vec<String>)> {
    let (mut instead, mut secrets, mut done) = (String::new(), Vec::new(), 0);
    for word in named_words(text) {
        instead.push_str(&text[done..word.start()]);
        instead.push_str(REDACTED);
        done = word.end();
        secrets.push(word.as_str().trim_matches(['"', '\'']).to_owned());
    }
    instead.push_str(&text[done..]);
    (!secrets.is_empty()).then_some((instead, secrets))
}

fn named_words(text: &str) -> impl Iterator<Item = Match<'_>> {
    let words = NAMED_WORD.captures_iter(text).filter_map(|captures| captures.name("word"));
    words.filter(|word| word.as_str() != REDACTED)
}

#[cfg(test)]
mod tests;
