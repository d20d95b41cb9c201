//! What templates do with values: text made visible, numbers grouped.

use std::fmt::{self, Display, Write};

use askama::filters::Safe;

/// Escaped for HTML, with characters that hide or reorder text shown as marks: `<span class="mark">\u{202e}</span>`.
#[askama::filter_fn]
pub fn visible(text: impl Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    Ok(Safe(Visible(&text.to_string(), usize::MAX).to_string()))
}

/// Like `visible` for a text whose line ends are its layout.
#[askama::filter_fn]
pub fn lines(text: impl Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    let text = text.to_string();
    let lines: Vec<_> = text.split('\n').map(|line| Visible(line, usize::MAX).to_string()).collect();
    Ok(Safe(lines.join("\n")))
}

/// Like `visible`, with at most `limit` characters and an ellipsis where more were left out.
#[askama::filter_fn]
pub fn clipped(text: impl Display, _: &dyn askama::Values, limit: usize) -> askama::Result<Safe<String>> {
    Ok(Safe(Visible(&text.to_string(), limit).to_string()))
}

/// For the value of a field that is sent along: exact, what hides or reorders text as a character reference.
#[askama::filter_fn]
pub fn sent(text: impl Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    let mut sent = String::new();
    for char in text.to_string().chars() {
        match char {
            // HTML has no NUL, and what is stored has this in its place.
            '\0' => sent.push('\u{fffd}'),
            '&' | '<' | '>' | '"' | '\'' => write!(sent, "&#{};", u32::from(char))?,
            char if hides(char) => write!(sent, "&#{};", u32::from(char))?,
            char => sent.push(char),
        }
    }
    Ok(Safe(sent))
}

/// `14203` is `14,203`.
#[askama::filter_fn]
pub fn grouped(number: &u64, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    Ok(Safe(group(*number)))
}

/// Microseconds as people read them: `840 µs`, `12.4 ms`, `2.10 s`.
#[askama::filter_fn]
pub fn micros(duration: &u64, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    let us = *duration;
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let float = us as f64;
    Ok(Safe(match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", float / 1e3),
        _ => format!("{:.2} s", float / 1e6),
    }))
}

/// Text for HTML, and how many characters of it.
struct Visible<'a>(&'a str, usize);

pub fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 rule`, `3 rules`, `1,200 rules`.
pub fn count(number: u64, one: &str) -> String {
    format!("{} {one}{}", group(number), if number == 1 { "" } else { "s" })
}

/// Which of all rows of a list are shown: `12 rows`, or `51 to 100 of 1,203 rows`, where `counted` says how many there are.
pub fn part(counted: String, all: u64, skipped: u64, shown: usize) -> String {
    let shown = shown as u64;
    if all == shown { counted } else { format!("{} to {} of {counted}", group(skipped + 1), group(skipped + shown)) }
}

// === impl Visible ===

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shown, char) in self.0.chars().enumerate() {
            if shown == self.1 {
                return f.write_char('…');
            }
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if hides(char) => write!(f, r#"<span class="mark">{}</span>"#, char.escape_default())?,
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Of a text to copy (bytes) that stands on a page whole: a part of it would do something else.
pub const LONGEST: usize = 20_000;

/// The names that a form proposes: so many of those that say what they are, since a proposal can carry no marks.
pub fn proposed(mut names: Vec<String>) -> Vec<String> {
    /// A browser filters them as one types; five thousand of them would be most of the page.
    const PROPOSED: usize = 250;
    names.retain(|name| !name.contains(hides));
    names.truncate(PROPOSED);
    names
}

/// For places that hold text and no markup, as a drawing's titles do.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if hides(char) { plain.extend(char.escape_default()) } else { plain.push(char) }
    }
    plain
}

/// Control, bidirectional, zero-width and line-separating characters, and tags: what makes a text look like another.
fn hides(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(group(0), "0");
        assert_eq!(group(999), "999");
        assert_eq!(group(14_203), "14,203");
        assert_eq!(group(1_234_567), "1,234,567");
        assert_eq!(group(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(count(1, "rule"), "1 rule");
        assert_eq!(count(0, "rule"), "0 rules");
        assert_eq!(count(1_200, "rule"), "1,200 rules");
    }

    #[test]
    fn markup_is_escaped_and_hidden_characters_are_marked() {
        assert_eq!(
            Visible(r#"<img src="x" onerror='a'>&"#, 99).to_string(),
            "&lt;img src=&quot;x&quot; onerror=&#39;a&#39;&gt;&amp;"
        );
        assert_eq!(
            Visible("a\u{202e}b\0", 99).to_string(),
            r#"a<span class="mark">\u{202e}</span>b<span class="mark">\u{0}</span>"#
        );
        assert_eq!(Visible("naïve 日本 🦀", 99).to_string(), "naïve 日本 🦀");
    }

    #[test]
    fn proposals_and_titles_hide_nothing() {
        assert_eq!(proposed(vec!["shop".into(), "sh\u{202e}op".into(), "a\0".into()]), ["shop"]);
        assert_eq!(plain("a\u{202e}<b>"), r"a\u{202e}<b>");
    }

    #[test]
    fn a_part_of_a_list_says_which() {
        assert_eq!(part(count(12, "row"), 12, 0, 12), "12 rows");
        assert_eq!(part(count(2_003, "row"), 2_003, 1_000, 50), "1,001 to 1,050 of 2,003 rows");
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(Visible("日本語", 2).to_string(), "日本…");
        assert_eq!(Visible("日本", 2).to_string(), "日本");
    }
}
