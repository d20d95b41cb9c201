//! The object of a review as it is kept: indented, with what was redacted told apart.

use serde_json::Value;

use crate::review::redact::REDACTED;

/// A stretch of the text, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fragment {
    Text(String),
    Redacted,
}

/// What is no JSON (which the store never gives) is shown as it is.
pub fn fragments(object: &str) -> Vec<Fragment> {
    let pretty = serde_json::from_str::<Value>(object).and_then(|value| serde_json::to_string_pretty(&value));
    let text = pretty.unwrap_or_else(|_| object.to_owned());
    let mut fragments = Vec::new();
    for (at, part) in text.split(REDACTED).enumerate() {
        if at > 0 {
            fragments.push(Fragment::Redacted);
        }
        if !part.is_empty() {
            fragments.push(Fragment::Text(part.to_owned()));
        }
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redactions_are_told_apart() {
        let text = |text: &str| Fragment::Text(text.into());
        assert_eq!(
            fragments(r#"{"args":["--token=[redacted]"],"value":"[redacted]"}"#),
            [
                text("{\n  \"args\": [\n    \"--token="),
                Fragment::Redacted,
                text("\"\n  ],\n  \"value\": \""),
                Fragment::Redacted,
                text("\"\n}"),
            ]
        );
        assert_eq!(fragments("not JSON"), [text("not JSON")]);
    }
}
