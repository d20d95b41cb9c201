//! Regular expressions that let through more than their author sees: those that match in the middle of a name.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// An expression that is not held at both ends of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanchored {
    pub start: bool,
    pub end: bool,
    /// A name that it lets through although its author cannot have meant to.
    pub example: Option<String>,
}

/// Longer examples show nothing.
const MAX_EXAMPLE: usize = 200;

impl Unanchored {
    /// Whether `pattern`, compiled as `regex`, matches names that only hold what it means to match.
    ///
    /// Every alternative must begin with `^`. At the end it must have `$`, or be such that what may follow is in the place
    /// that was named anyway: behind a `/`, with or without `.*` or `.+`.
    pub fn find(pattern: &str, regex: &Regex) -> Option<Self> {
        let hir = regex_syntax::parse(pattern).ok()?;
        let start = !hir.properties().look_set_prefix().contains(Look::Start);
        let end = !ends_safely(&hir);
        if !start && !end {
            return None;
        }
        Some(Self { start, end, example: example(&hir, regex) })
    }
}

/// A name with a foreign host, or a foreign piece behind, that the expression matches all the same.
fn example(hir: &Hir, regex: &Regex) -> Option<String> {
    let alternatives = match hir.kind() {
        HirKind::Alternation(alternatives) => alternatives.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let mut candidates = Vec::new();
    for alternative in alternatives {
        let mut sample = String::new();
        if !write_sample(alternative, &mut sample) {
            continue;
        }
        if !alternative.properties().look_set_prefix().contains(Look::Start) {
            for join in ["evil.example/", "evil.example"] {
                candidates.extend(["", "x", "/x"].map(|end| format!("{join}{sample}{end}")));
            }
        }
        if !ends_safely(alternative) {
            candidates.extend([".evil.example/x", "-evil/x", "evil/x", "x"].map(|end| format!("{sample}{end}")));
        }
    }
    candidates.retain(|candidate| regex.is_match(candidate));
    let readable = candidates.iter().position(|name| crate::review::reference::ImageReference::parse(name).is_ok());
    (!candidates.is_empty()).then(|| candidates.swap_remove(readable.unwrap_or(0)))
}

/// Whether a match ends where the name does, or where all that can follow lies behind a `/`.
fn ends_safely(hir: &Hir) -> bool {
    if hir.properties().look_set_suffix().contains(Look::End) {
        return true;
    }
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.ends_with(b"/"),
        HirKind::Capture(capture) => ends_safely(&capture.sub),
        HirKind::Alternation(alternatives) => alternatives.iter().all(ends_safely),
        HirKind::Concat(parts) => {
            let anything = parts.iter().rev().take_while(|part| is_anything(part)).count();
            parts[..parts.len() - anything].last().is_some_and(ends_safely)
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => false,
    }
}

/// `.*`, `.+` and the like.
fn is_anything(hir: &Hir) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else { return false };
    let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else { return false };
    repetition.max.is_none() && class.iter().any(|range| range.start() <= '!' && range.end() >= '~')
}

/// Adds a short text that the expression matches; false when there is none that is short enough.
fn write_sample(hir: &Hir, out: &mut String) -> bool {
    if out.len() > MAX_EXAMPLE {
        return false;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                out.push_str(text);
                true
            }
            Err(_) => false,
        },
        // A single `.` was most likely meant as a dot.
        HirKind::Class(class) if has(class, '.') && has(class, '/') => {
            out.push('.');
            true
        }
        HirKind::Class(class) => sample_of_class(class).map(|character| out.push(character)).is_some(),
        HirKind::Repetition(repetition) => {
            if let HirKind::Class(class) = repetition.sub.kind() {
                let sample = sample_of_class(class);
                out.extend((0..repetition.min.min(MAX_EXAMPLE as u32)).filter_map(|_| sample));
                return sample.is_some();
            }
            (0..repetition.min).all(|_| out.len() <= MAX_EXAMPLE && write_sample(&repetition.sub, out))
        }
        HirKind::Capture(capture) => write_sample(&capture.sub, out),
        HirKind::Concat(parts) => parts.iter().all(|part| write_sample(part, out)),
        HirKind::Alternation(alternatives) => alternatives.first().is_some_and(|first| write_sample(first, out)),
    }
}

/// A character that may stand in a name, if the class has one.
fn sample_of_class(class: &Class) -> Option<char> {
    let usual = ('a'..='z').chain('0'..='9').find(|&character| has(class, character));
    let Class::Unicode(class) = class else { return None };
    usual.or_else(|| class.iter().next().map(|range| range.start()))
}

fn has(class: &Class, character: char) -> bool {
    let Class::Unicode(class) = class else { return false };
    class.iter().any(|range| (range.start()..=range.end()).contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::reference::ImageReference;

    fn find(pattern: &str) -> Option<Unanchored> {
        Unanchored::find(pattern, &Regex::new(pattern).expect(pattern))
    }

    #[test]
    fn an_anchored_expression_is_fine() {
        for pattern in [
            r"^registry\.acmecorp\.com/.+$",
            r"\Aregistry\.acmecorp\.com/.+\z",
            r"^(registry|eu)\.acmecorp\.com/.+$",
            r"^registry\.acmecorp\.com/|^quay\.io/acme/",
            r"^(?:registry\.acmecorp\.com/a$|quay\.io/b$)",
            r"^registry\.acmecorp\.com/",
            r"^registry\.acmecorp\.com/.*",
            r"^registry\.acmecorp\.com/(.+)$",
            r"(?i)^registry\.acmecorp\.com/.+$",
        ] {
            assert_eq!(find(pattern), None, "{pattern}");
        }
    }

    #[track_caller]
    fn slips(pattern: &str, example: &str) {
        let found = find(pattern).unwrap_or_else(|| panic!("{pattern} is not anchored"));
        assert_eq!(found.example.as_deref(), Some(example), "{pattern}");
        assert!(Regex::new(pattern).expect(pattern).is_match(example));
        assert!(ImageReference::parse(example).is_ok(), "{example}");
    }

    #[test]
    fn a_name_that_slips_through_is_shown() {
        slips(r"registry\.acmecorp\.com/", "evil.example/registry.acmecorp.com/x");
        slips(r"registry.acmecorp.com/.+", "evil.example/registry.acmecorp.com/a");
        slips(r"registry\.acmecorp\.com/.+$", "evil.example/registry.acmecorp.com/a");
        slips(r"^registry\.acmecorp\.com", "registry.acmecorp.com.evil.example/x");
        slips(r"^registry\.acmecorp\.com.*", "registry.acmecorp.com.evil.example/x");
        slips(r"^registry\.acmecorp\.com/team", "registry.acmecorp.com/team.evil.example/x");
        slips(r"^registry\.acmecorp\.com/.+$|quay\.io/acme/.+$", "evil.example/quay.io/acme/a");
        slips(r"(^registry\.acmecorp\.com)?/acme/.+$", "evil.example/acme/a");
        slips(".*", "evil.example/x");
        slips("acme", "evil.example/acme");
    }

    #[test]
    fn an_expression_without_a_short_example_is_still_unanchored() {
        // In lines mode `^` is not the beginning of the name; but a name of several lines is none that could be shown.
        for pattern in ["(?:a{100}){100}", r"(?m)^registry\.acmecorp\.com/x$"] {
            assert_eq!(find(pattern), Some(Unanchored { start: true, end: true, example: None }), "{pattern}");
        }
    }
}
