//! Whether a glob can match the key of an annotation that a policy may see.

use std::collections::BTreeSet;

use crate::review::decode::POLICY_ANNOTATION;

/// In place of any character that neither the glob nor [`POLICY_ANNOTATION`] names.
const OTHER: u8 = b'~';

/// Why no key can match `pattern`, and what would be right.
pub fn never_matches(pattern: &str) -> Option<(String, String)> {
    // A key has one `/`.
    if pattern.matches('/').count() <= 1 && can_match(pattern.as_bytes()) {
        return None;
    }
    let problem =
        format!("only annotations whose key holds `{POLICY_ANNOTATION}` reach a policy, so this matches none");
    Some((problem, super::EXAMPLE.to_owned()))
}

/// Walks all texts that the glob matches, as far as they have come within `POLICY_ANNOTATION`: a place in the glob, and
/// how much of the annotation's mark the text ends with.
fn can_match(pattern: &[u8]) -> bool {
    let mark = POLICY_ANNOTATION.as_bytes();
    let mut reached: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut left = vec![(0, 0)];
    while let Some((at, found)) = left.pop() {
        if !reached.insert((at, found)) {
            continue;
        }
        let rest = &pattern[at..];
        let stars = rest.iter().take_while(|&&byte| byte == b'*').count();
        match (rest.first(), stars) {
            (None, _) if found == mark.len() => return true,
            (None, _) => {}
            (Some(byte), 0) => left.push((at + 1, step(mark, found, *byte))),
            (Some(_), _) => {
                left.push((at + stars, found));
                let within = mark.iter().copied().chain([OTHER]).filter(|byte| stars > 1 || *byte != b'/');
                left.extend(within.map(|byte| (at, step(mark, found, byte))));
            }
        }
    }
    false
}

/// How much of `mark` a text ends with that ended with `found` bytes of it and goes on with `byte`. All of it stays.
fn step(mark: &[u8], found: usize, byte: u8) -> usize {
    if found == mark.len() {
        return found;
    }
    let text = [&mark[..found], &[byte]].concat();
    (0..=text.len()).rev().find(|&length| mark.starts_with(&text[text.len() - length..])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_no_key_matches_is_told() {
        for pattern in [
            "*.image-policy.k8s.io/ticket-*",
            "**",
            "a.image-policy.k8s.io/x",
            "*policy*/ticket-*",
            "*.image-*/**",
            "**/ticket",
            "*/ticket",
            ".image-policy.k8s.io/",
            "a.image.image-policy.k8s.io/b",
        ] {
            assert_eq!(never_matches(pattern), None, "{pattern}");
        }
        for pattern in [
            "*",
            "break-glass",
            "image-policy.k8s.io/ticket",
            "*.image-policy.k8s.io",
            "*.imagepolicy.k8s.io/ticket-*",
            "*/ticket-*/image-policy.k8s.io/",
        ] {
            let told = never_matches(pattern).unwrap_or_else(|| panic!("{pattern} matches something"));
            assert!(told.0.contains(".image-policy.k8s.io/") && told.1 == "*.image-policy.k8s.io/ticket-*", "{told:?}");
        }
    }
}
