//! Secrets leave an object before it is written anywhere.
//!
//! A secret is: the value of an environment variable; what a Secret or a ConfigMap holds; in a command or its
//! arguments the word after a name like `password` or `token`; and the copy of it all that kubectl keeps in the
//! `last-applied-configuration` annotation.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::value::RawValue;

use super::json::{Node, Shape, write_string};
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
    /// Collects the secrets of a Kubernetes object.
    pub fn of(object: &RawValue) -> Self {
        Self::gather(finds(object.get().as_bytes()).unwrap_or_default())
    }

    /// Collects the secrets of all that the body of a review holds: the old object has some too.
    pub fn of_review(body: &[u8]) -> Self {
        Self::gather(finds(body).unwrap_or_default())
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

/// In the order of the text; `None` where it is not JSON, or nested deeper than a review can be.
fn finds(json: &[u8]) -> Option<Vec<Find>> {
    let document = strict::parse(json).ok()?;
    let mut finds = Vec::new();
    search(document.root(), &mut finds);
    Some(finds)
}

fn search(node: Node<'_>, finds: &mut Vec<Find>) {
    let kind = node.member("kind").and_then(Node::text);
    let holds_data = matches!(kind.as_deref(), Some("Secret" | "ConfigMap"));
    for (key, value) in node.members() {
        match key.text().as_deref() {
            Some("data" | "binaryData" | "stringData") if holds_data => {
                value.members().for_each(|(_, value)| whole(value, finds));
            }
            Some("env") => variables(value, finds),
            Some("args" | "command") if value.shape() == Shape::List => arguments(value, finds),
            Some("args" | "command") => match value.text() {
                Some(text) => named_words(value, &text, finds),
                None => search(value, finds),
            },
            Some(LAST_APPLIED) => whole(value, finds),
            _ => search(value, finds),
        }
    }
    node.items().for_each(|item| search(item, finds));
}

/// A string that is a secret from end to end; base64 is one in both its forms.
fn whole(node: Node<'_>, finds: &mut Vec<Find>) {
    let Some(text) = node.text() else { return };
    if text.is_empty() || text == REDACTED {
        return;
    }
    let decoded = STANDARD.decode(text.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let secrets = std::iter::once(text.into_owned()).chain(decoded).collect();
    finds.push(Find { range: node.range(), instead: REDACTED.to_owned(), secrets });
}

/// A list of `name` and `value`, or, in custom resources, an object of names and values.
fn variables(env: Node<'_>, finds: &mut Vec<Find>) {
    env.members()
        .for_each(|(_, value)| if value.text().is_some() { whole(value, finds) } else { search(value, finds) });
    for (key, value) in env.items().flat_map(Node::members) {
        if key.says("value") {
            whole(value, finds);
        } else {
            search(value, finds);
        }
    }
}

/// The strings of a command line.
fn arguments(list: Node<'_>, finds: &mut Vec<Find>) {
    let mut named = false;
    for argument in list.items() {
        let Some(text) = argument.text() else {
            search(argument, finds);
            continue;
        };
        if named && !text.starts_with("--") {
            whole(argument, finds);
            named = false;
            continue;
        }
        named = NAME_ALONE.is_match(&text);
        if !named {
            named_words(argument, &text, finds);
        }
    }
}

fn named_words(argument: Node<'_>, text: &str, finds: &mut Vec<Find>) {
    let (mut instead, mut secrets, mut done) = (String::new(), Vec::new(), 0);
    for captures in NAMED_WORD.captures_iter(text) {
        let Some(word) = captures.name("word").filter(|word| word.as_str() != REDACTED) else { continue };
        instead.push_str(&text[done..word.start()]);
        instead.push_str(REDACTED);
        done = word.end();
        secrets.push(word.as_str().trim_matches(['"', '\'']).to_owned());
    }
    if !secrets.is_empty() {
        instead.push_str(&text[done..]);
        finds.push(Find { range: argument.range(), instead, secrets });
    }
}

#[cfg(test)]
mod tests;
