//! What the client of the API server is shown of rules in warn mode.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::review::decision::{Mode, PolicyVerdict, Violation};

/// Kubernetes advises warnings of at most this many characters.
const AIM: usize = 120;
/// Past 4096 characters in total the API server cuts each warning here.
const MOST: usize = 256;
/// Warnings of ours in one answer; the rest is counted in one more.
const LINES: usize = 10;
/// Digits of a digest that still tell two images apart.
const DIGEST: usize = 12;

/// One line for each violation in warn mode, none twice, at most [`LINES`], and `n more`.
pub fn warnings(verdicts: &[&PolicyVerdict], link: Option<&str>) -> Vec<String> {
    // The same image in ten containers is one warning.
    let mut told = HashSet::new();
    let mut all = verdicts
        .iter()
        .flat_map(|verdict| verdict.violations.iter().map(|violation| (verdict.policy.as_str(), violation)))
        .filter(|(_, violation)| violation.mode == Mode::Warn && violation.would_reject())
        .filter(|(policy, one)| told.insert((*policy, &one.rule, &one.image, &one.message)));
    let mut lines: Vec<String> =
        all.by_ref().take(LINES).map(|(policy, violation)| line(policy, violation, link)).collect();
    let more = all.count();
    if more > 0 {
        lines.push(format!("{more} more would be rejected"));
    }
    lines
}

/// A line of ours that is of no image.
pub fn short(line: &str) -> String {
    cut(printable(line))
}

/// Rule, image, link, in that order of worth: the first to go is the link.
fn line(policy: &str, violation: &Violation, link: Option<&str>) -> String {
    let head = format!("would be rejected by {policy}/{}: ", violation.rule);
    let whole = |text: &str| printable(&format!("{head}{text}"));
    let linked = |text: &str| link.map(|link| printable(&format!("{head}{text} {link}")));

    let Some(image) = violation.image.as_deref() else {
        let text = violation.message.as_str();
        return linked(text).filter(|line| fits(line)).unwrap_or_else(|| cut(whole(text)));
    };
    let full = match violation.message.contains(image) {
        true => Cow::Borrowed(violation.message.as_str()),
        false => Cow::Owned(format!("{image}: {}", violation.message)),
    };
    let full = full.as_ref();
    let short_digest = with_short_digest(image);
    let shorter = full.replace(image, &short_digest);
    [linked(full), linked(&shorter), Some(whole(full)), Some(whole(&shorter))]
        .into_iter()
        .flatten()
        .find(|line| fits(line))
        .unwrap_or_else(|| cut(whole(&full.replace(image, &from_the_right(&short_digest, room(&head, full, image))))))
}

fn fits(line: &str) -> bool {
    line.chars().count() <= AIM
}

/// Characters that the image may take for the line to be as long as aimed at; at least its last 24.
fn room(head: &str, message: &str, image: &str) -> usize {
    let rest = head.chars().count() + message.replacen(image, "", 1).chars().count();
    AIM.saturating_sub(rest).max(24)
}

fn with_short_digest(image: &str) -> String {
    let Some((name, digest)) = image.rsplit_once('@') else { return image.to_owned() };
    let Some((algorithm, hex)) = digest.split_once(':') else { return image.to_owned() };
    format!("{name}@{algorithm}:{}", hex.chars().take(DIGEST).collect::<String>())
}

/// The end of a name tells more than its beginning: the last repository component, tag and digest stand there.
fn from_the_right(image: &str, room: usize) -> String {
    let length = image.chars().count();
    if length <= room {
        return image.to_owned();
    }
    let tail: String = image.chars().skip(length - room + 1).collect();
    format!("…{tail}")
}

fn cut(line: String) -> String {
    if line.chars().count() <= MOST {
        return line;
    }
    line.chars().take(MOST - 1).chain(['…']).collect()
}

/// The API server drops a warning that holds a control character; a terminal would obey marks of direction.
pub fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() || is_mark_of_direction(c) { ' ' } else { c }).collect()
}

fn is_mark_of_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::decision::Verdict;

    fn violation(image: &str, message: &str) -> Violation {
        Violation {
            rule: "no-latest".into(),
            mode: Mode::Warn,
            image: Some(image.into()),
            container: None,
            message: message.into(),
            help: None,
            exempted: None,
        }
    }

    fn verdict(violations: Vec<Violation>) -> PolicyVerdict {
        PolicyVerdict {
            policy: "images".into(),
            version: None,
            mode: Mode::Warn,
            verdict: Verdict::Deny,
            violations,
            standing: vec![],
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        }
    }

    fn only(image: &str, link: Option<&str>) -> String {
        let verdict = verdict(vec![violation(image, &format!("{image} uses the tag latest"))]);
        let lines = warnings(&[&verdict], link);
        assert_eq!(lines.len(), 1);
        lines.into_iter().next().expect("one line")
    }

    #[test]
    fn a_short_one_has_rule_image_and_link() {
        assert_eq!(only("nginx", None), "would be rejected by images/no-latest: nginx uses the tag latest");
        assert_eq!(
            only("nginx", Some("https://r/decisions/1")),
            "would be rejected by images/no-latest: nginx uses the tag latest https://r/decisions/1"
        );
    }

    #[test]
    fn the_link_goes_before_the_image_and_the_digest_is_cut_first() {
        let digest = "0123456789abcdef".repeat(4);
        let line = only(&format!("registry.example/team/app@sha256:{digest}"), Some(&"l".repeat(80)));
        assert_eq!(
            line,
            "would be rejected by images/no-latest: registry.example/team/app@sha256:0123456789ab uses the tag latest"
        );
    }

    #[test]
    fn a_long_repository_is_shortened_from_the_left() {
        let line = only(&format!("registry.example/{}/app:latest", "deep/".repeat(40)), None);
        assert_eq!(line.chars().count(), AIM);
        assert!(line.contains("…") && line.contains("/app:latest uses the tag latest"), "{line}");
    }

    #[test]
    fn none_is_over_256_and_none_holds_a_control_character() {
        let verdict = verdict(vec![violation("nginx", &format!("nginx\n{}", "x".repeat(1000)))]);
        let line = warnings(&[&verdict], None).remove(0);
        assert_eq!(line.chars().count(), MOST);
        assert!(!line.contains('\n'));
    }

    /// As of `rehearsal bouncer --mode warn`.
    #[test]
    fn a_message_that_names_no_image_is_told_with_it() {
        let verdict = verdict(vec![violation("nginx", "Images using latest tag are not allowed")]);
        let line = "would be rejected by images/no-latest: nginx: Images using latest tag are not allowed";
        assert_eq!(warnings(&[&verdict], None), [line]);
        let long = verdict.violations.iter().map(|one| Violation { message: "x".repeat(500), ..one.clone() }).collect();
        let lines = warnings(&[&PolicyVerdict { violations: long, ..verdict.clone() }], None);
        assert!(lines[0].starts_with("would be rejected by images/no-latest: nginx: xxx"), "{lines:?}");
        assert_eq!(lines[0].chars().count(), MOST);
    }

    #[test]
    fn one_image_in_many_containers_is_one_warning() {
        let mut violations: Vec<_> = (0..12).map(|_| violation("nginx", "nginx bad")).collect();
        violations.push(violation("redis", "redis bad"));
        let lines = warnings(&[&verdict(violations)], None);
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    #[test]
    fn past_ten_they_are_counted() {
        let verdict = verdict((0..13).map(|n| violation(&format!("i{n}"), &format!("i{n} bad"))).collect());
        let lines = warnings(&[&verdict], None);
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[10], "3 more would be rejected");
    }
}
