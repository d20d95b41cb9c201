//! Text for Markdown in which nothing becomes a link, an image, a mention or markup, whichever site shows it.
//!
//! A word that is nothing but letters, digits and the marks of plain writing stays; any other is a code span, in which no
//! renderer looks for anything. What could end a span or a table's cell is written as `\u{..}`, as what hides is.

use std::fmt::Write as _;

use crate::web::filters::plain;
pub use crate::web::filters::{group, grouped};

/// More of one name is of no use on paper.
const LONGEST: usize = 300;

/// Words of ours with names of others among them.
#[askama::filter_fn]
pub fn prose(text: impl std::fmt::Display, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(written(&text.to_string()))
}

/// A name; nothing where there is none.
#[askama::filter_fn]
pub fn code(text: impl std::fmt::Display, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(span(&text.to_string()))
}

fn written(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let rest = word.trim_start_matches('(');
        let inner = rest.trim_end_matches([',', ';', ':', '.', ')']);
        let (before, after) = (&word[..word.len() - rest.len()], &rest[inner.len()..]);
        escape(&mut out, before);
        if !is_plain(inner) {
            out.push_str(&span(inner));
        } else {
            // What begins a list does not here.
            out.push_str(if inner.starts_with(['-', '+']) { "\\" } else { "" });
            out.push_str(inner);
        }
        let is_number = inner.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { escape(&mut out, after) } else { out.push_str(after) }
    }
    out
}

fn is_plain(word: &str) -> bool {
    let characters: Vec<char> = word.chars().collect();
    let is_digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let fits = |at: usize| match characters[at] {
        '-' | '\'' | '’' | '\u{a0}' | '%' | '·' | '…' | '+' => true,
        // A share, a time of day, a group of digits: never a name of a host.
        '.' | ',' | ':' => at > 0 && is_digit(at - 1) && is_digit(at + 1),
        char => char.is_alphanumeric(),
    };
    characters.len() <= LONGEST && (0..characters.len()).all(fits)
}

fn escape(out: &mut String, text: &str) {
    for char in text.chars() {
        if matches!(char, '.' | '(' | ')') {
            out.push('\\');
        }
        out.push(char);
    }
}

fn span(text: &str) -> String {
    let clipped: String = text.chars().take(LONGEST).collect();
    let cut = if clipped.len() < text.len() { "…" } else { "" };
    let mut inner = String::with_capacity(clipped.len());
    for char in plain(&clipped).chars() {
        match char {
            '`' | '|' => write!(inner, "{}", char.escape_unicode()).expect("a String takes every text"),
            char => inner.push(char),
        }
    }
    match inner.trim() {
        "" => String::new(),
        // A span of spaces alone is none, and one space at each end is not shown.
        inner => format!("`{inner}{cut}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_writing_stays_readable() {
        for text in [
            "In the last 7 days 14,203 reviews; none would have been rejected.",
            "1.5 % of reviews",
            "Mon 23 Nov, 10:15 to 11:15",
            "2026-11-23 10:15:03",
            "not ready: 3 workloads",
        ] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written("images/no-latest is ready in 3."), r"`images/no-latest` is ready in 3\.");
        assert_eq!(written("it (the last) ended"), r"it \(the last) ended");
    }

    #[test]
    fn nothing_of_a_name_is_obeyed() {
        for name in [
            "[click](https://evil.test)",
            "![x](https://evil.test/x.png)",
            "https://evil.test",
            "www.evil.test",
            "evil.test/a@sha256:1",
            "@everyone",
            "#12",
            "<img src=x>",
            "javascript:alert(1)",
            "**bold**",
            "a|b",
            "a`[x](y)",
            "a\\|[x](y)",
            "a\n# b",
            "\u{202e}gpj",
            "&lt;b&gt;",
            "~~a~~",
            "$x$",
        ] {
            for text in [written(name), span(name), written(&format!("a ticket {name}, of (it)"))] {
                let outside: String = text.split('`').step_by(2).collect();
                assert!(!outside.contains(['[', ']', '<', '>', '@', '#', '!', '|', '*', '_', '~', '$', '&']), "{text}");
                assert!(!outside.contains("www") && !outside.contains("evil"), "{text}");
                assert!(!text.contains(['\n', '|', '\u{202e}']) && text.matches('`').count() % 2 == 0, "{text}");
            }
        }
        assert_eq!(span("a`b|c"), r"`a\u{60}b\u{7c}c`");
        assert_eq!((span(""), span("   ")), (String::new(), String::new()));
        assert_eq!(written("- a"), r"\- a");
        assert_eq!(written("1. a"), r"1\. a");
    }
}
