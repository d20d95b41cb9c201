//! Globs over names and images.
//!
//! A glob is held against the whole of a text. `**` stands for anything. `*` stands for anything within one piece:
//!
//! | of | `*` ends at |
//! | --- | --- |
//! | a namespace, cluster, kind or tag | `/`, which these do not hold |
//! | a registry | `.`, `:` and `/`: one label of a host, or its port |
//! | a repository | `/`: one segment |
//! | an image | before the glob's first `/` like a registry, after it (or after a `**`) like a repository, so that a `*` in the last segment takes in tag and digest |
//!
//! Everything else stands for itself. Hosts are compared in lower case.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// What a glob is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A namespace, cluster, kind or tag.
    Name,
    Registry,
    Repository,
    /// `registry/repository[:tag][@digest]`.
    Image,
}

#[derive(Debug, Clone)]
pub struct Glob {
    /// What every match begins with.
    prefix: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// The prefix and nothing else.
    Exact,
    /// The prefix and anything.
    Open,
    Pattern(Pattern),
}

/// Compiled for the first text that has the prefix: of ten thousand rules most never see one. One without a prefix is
/// compiled at once, since every text has it: the first review would wait for all of these.
#[derive(Debug, Clone)]
struct Pattern {
    glob: String,
    subject: Subject,
    regex: OnceLock<Regex>,
}

// === impl Glob ===

impl Glob {
    /// Every text is a glob; see [`Glob::never_matches`] for those that are of no use.
    pub fn new(pattern: &str, subject: Subject) -> Self {
        let pattern = lower_host(pattern, subject);
        let star = pattern.find('*').unwrap_or(pattern.len());
        let (prefix, rest) = pattern.split_at(star);
        let matcher = match rest {
            "" => Matcher::Exact,
            "**" => Matcher::Open,
            _ => {
                let regex = if prefix.is_empty() { to_regex(&pattern, subject).into() } else { OnceLock::new() };
                Matcher::Pattern(Pattern { glob: pattern.clone(), subject, regex })
            }
        };
        Self { prefix: prefix.to_owned(), matcher }
    }

    pub fn matches(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => self.prefix == text,
            Matcher::Open => text.starts_with(&self.prefix),
            Matcher::Pattern(pattern) => text.starts_with(&self.prefix) && pattern.matches(text),
        }
    }

    /// What every text that it matches begins with.
    pub fn beginning(&self) -> &str {
        &self.prefix
    }

    /// Why a pattern can match nothing that there is, and what would be right.
    pub fn never_matches(pattern: &str, subject: Subject) -> Option<(String, String)> {
        let told = |problem: &str, fix: String| Some((problem.to_owned(), fix));
        if pattern.is_empty() {
            return told("it is empty", "a name, or no such field".to_owned());
        }
        match subject {
            Subject::Registry if pattern.contains('/') => told(
                "a registry is a host, with or without a port, and holds no `/`",
                "`image` instead of `registry`".to_owned(),
            ),
            Subject::Registry if pattern.eq_ignore_ascii_case("index.docker.io") => {
                told("index.docker.io is read as docker.io", "docker.io".to_owned())
            }
            Subject::Image => image_never_matches(pattern),
            _ => None,
        }
    }
}

// === impl Pattern ===

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        self.regex.get_or_init(|| to_regex(&self.glob, self.subject)).is_match(text.as_bytes())
    }
}

fn image_never_matches(pattern: &str) -> Option<(String, String)> {
    if pattern.contains("**") {
        return None;
    }
    let Some((host, path)) = pattern.split_once('/') else {
        let problem = "an image is registry/repository:tag, so this matches none".to_owned();
        return Some((problem, format!("docker.io/library/{}", with_tag(pattern))));
    };
    if host.eq_ignore_ascii_case("index.docker.io") {
        return Some(("index.docker.io is read as docker.io".to_owned(), format!("docker.io/{path}")));
    }
    if host.eq_ignore_ascii_case("docker.io") && !path.contains('/') {
        let problem = "Docker Hub's own images are docker.io/library/..., so this matches none".to_owned();
        return Some((problem, format!("docker.io/library/{}", with_tag(path))));
    }
    let last = path.rsplit('/').next().unwrap_or(path);
    if last.contains(['*', ':', '@']) {
        return None;
    }
    let problem = "every image has a tag (latest is implied) or a digest, so this matches none".to_owned();
    Some((
        problem,
        format!("{pattern}:* for every tag, {pattern}@* for every digest; or `registry` and `repository` instead"),
    ))
}

fn with_tag(path: &str) -> String {
    if path.contains([':', '@', '*']) { path.to_owned() } else { format!("{path}:*") }
}

fn lower_host(pattern: &str, subject: Subject) -> String {
    match subject {
        Subject::Registry => pattern.to_ascii_lowercase(),
        Subject::Image => {
            let host = pattern.find('/').unwrap_or(pattern.len());
            pattern[..host].to_ascii_lowercase() + &pattern[host..]
        }
        Subject::Name | Subject::Repository => pattern.to_owned(),
    }
}

fn to_regex(pattern: &str, subject: Subject) -> Regex {
    // What a star ends at is a byte: characters would make large machines of small globs.
    let mut regex = String::from(r"(?s-u)\A");
    let mut in_host = matches!(subject, Subject::Registry | Subject::Image);
    let mut rest = pattern;
    while !rest.is_empty() {
        let stars = rest.bytes().take_while(|&byte| byte == b'*').count();
        if stars > 1 {
            regex.push_str(".*");
            in_host &= subject == Subject::Registry;
        } else if stars == 1 {
            regex.push_str(if in_host { "[^./:]*" } else { "[^/]*" });
        }
        rest = &rest[stars..];
        let plain = rest.find('*').unwrap_or(rest.len());
        in_host &= subject == Subject::Registry || !rest[..plain].contains('/');
        regex.push_str(&regex::escape(&rest[..plain]));
        rest = &rest[plain..];
    }
    regex.push_str(r"\z");
    // A pattern of a few hundred stars would need more than the usual limit, and is still linear to match.
    RegexBuilder::new(&regex).size_limit(usize::MAX).build().expect("a glob is a regular expression")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(subject: Subject, pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::new(pattern, subject);
        for text in matching {
            assert!(glob.matches(text), "{pattern} should match {text}");
        }
        for text in others {
            assert!(!glob.matches(text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn names() {
        check(Subject::Name, "prod", &["prod"], &["prod-eu", "a-prod", "PROD", ""]);
        check(Subject::Name, "prod-*", &["prod-", "prod-eu", "prod-eu.west"], &["prod", "a-prod-eu"]);
        check(Subject::Name, "*", &["", "anything"], &[]);
        check(Subject::Name, "1.*", &["1.2", "1.2.3"], &["12", "2.1."]);
        check(Subject::Name, "a*b*c", &["abc", "axxbyyc", "abcbc"], &["abcd", "acb"]);
        check(Subject::Name, "a.c[x]?", &["a.c[x]?"], &["abc[x]?", "a.cx"]);
        check(Subject::Name, "ä*-日*", &["ä-日", "äöü-日本"], &["a-日", "ä-本"]);
    }

    #[test]
    fn a_star_in_a_registry_is_one_label_or_the_port() {
        check(
            Subject::Registry,
            "*.acmecorp.com",
            &["eu.acmecorp.com"],
            &["a.b.acmecorp.com", "acmecorp.com", "x/y.acmecorp.com"],
        );
        check(Subject::Registry, "**.acmecorp.com", &["eu.acmecorp.com", "a.b.acmecorp.com"], &["acmecorp.com"]);
        check(Subject::Registry, "**.*.com", &["a.b.c.com"], &["a.com:80"]);
        check(
            Subject::Registry,
            "registry-*.io:*",
            &["registry-1.io:5000"],
            &["registry-1.io", "registry-1.evil.io:5000"],
        );
        check(Subject::Registry, "Quay.IO", &["quay.io"], &["quay.io:443", "Quay.IO"]);
    }

    #[test]
    fn a_star_in_an_image_is_one_label_or_one_segment() {
        let acme = "registry.acmecorp.com/team/app:1.2@sha256:ff";
        check(
            Subject::Image,
            "registry.acmecorp.com/**",
            &[acme, "registry.acmecorp.com/x:1"],
            &["registry.acmecorp.com.evil.example/x:1", "evil.example/registry.acmecorp.com/x:1"],
        );
        check(Subject::Image, "registry.acmecorp.com/*", &["registry.acmecorp.com/x:1"], &[acme]);
        check(Subject::Image, "registry.acmecorp.com/team/*", &[acme], &["registry.acmecorp.com/team/a/b:1"]);
        check(Subject::Image, "*.acmecorp.com/team/app:*", &[acme], &["a.b.acmecorp.com/team/app:1"]);
        check(Subject::Image, "*/team/**", &["localhost/team/app:1"], &[acme, "evil:80/team/app:1"]);
        check(Subject::Image, "**/app:1.2@*", &[acme, "a/b/c/app:1.2@sha256:0"], &["a/app:1.2"]);
        check(Subject::Image, "**nginx*", &["docker.io/library/nginx:1.25"], &["docker.io/nginx/x:1"]);
        check(
            Subject::Image,
            "REGISTRY.Acmecorp.com/team/app:V*",
            &["registry.acmecorp.com/team/app:V1"],
            &["registry.acmecorp.com/team/app:v1"],
        );
        check(Subject::Repository, "library/*", &["library/nginx"], &["library/a/b", "library"]);
        check(Subject::Repository, "**/nginx", &["library/nginx", "a/b/nginx"], &["nginx"]);
    }

    #[test]
    fn a_glob_that_matches_nothing_is_told_what_would_be_right() {
        let fix = |pattern: &str, subject| Glob::never_matches(pattern, subject).map(|(_, fix)| fix);
        assert_eq!(fix("nginx", Subject::Image).as_deref(), Some("docker.io/library/nginx:*"));
        assert_eq!(fix("nginx:latest", Subject::Image).as_deref(), Some("docker.io/library/nginx:latest"));
        assert_eq!(fix("docker.io/*", Subject::Image).as_deref(), Some("docker.io/library/*"));
        assert_eq!(fix("index.docker.io/a/b:1", Subject::Image).as_deref(), Some("docker.io/a/b:1"));
        assert!(fix("quay.io/acme/app", Subject::Image).is_some_and(|fix| fix.starts_with("quay.io/acme/app:* for")));
        assert_eq!(fix("index.docker.io", Subject::Registry).as_deref(), Some("docker.io"));
        assert!(fix("quay.io/acme", Subject::Registry).is_some() && fix("", Subject::Name).is_some());
        for pattern in [
            "registry.acmecorp.com/**",
            "**",
            "**nginx",
            "quay.io/*",
            "quay.io/a/b:1",
            "docker.io/library/*",
            "quay.io/a@*",
        ] {
            assert_eq!(fix(pattern, Subject::Image), None, "{pattern}");
        }
    }

    #[test]
    fn a_glob_that_every_text_may_match_is_compiled_before_the_first() {
        let is_compiled = |pattern: &str| match Glob::new(pattern, Subject::Image).matcher {
            Matcher::Pattern(pattern) => pattern.regex.get().is_some(),
            Matcher::Exact | Matcher::Open => panic!("{pattern} is no pattern"),
        };
        assert!(is_compiled("**/app:*") && is_compiled("*/team/**") && is_compiled("*"));
        assert!(!is_compiled("quay.io/*") && !is_compiled("q*"));
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_it_was_made_of(pieces in proptest::collection::vec("[a-z.:/-]{0,4}", 1..5), filler in "[a-z.:/]{0,6}") {
            let glob = Glob::new(&pieces.join("**"), Subject::Image);
            prop_assert!(glob.matches(&pieces.join(&filler)));
            let narrow = Glob::new(&pieces.join("*"), Subject::Name);
            prop_assert_eq!(narrow.matches(&pieces.join(&filler)) || filler.contains('/'), true);
        }
    }
}
