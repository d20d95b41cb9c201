//! Which images a `deny` or an `allow` names.

use regex::Regex;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::Extractor;

use crate::review::image::Image;

use super::anchor::Unanchored;
use super::glob::{Glob, Subject};
use super::index::Part;
use super::rules::Mistake;
use super::settings::MatchSettings;

/// All fields that were given must match; of a field's list, one.
#[derive(Debug)]
pub struct Matcher {
    registry: Vec<Glob>,
    repository: Vec<Glob>,
    tag: Vec<Glob>,
    image: Vec<Glob>,
    image_matches: Vec<Regex>,
}

// === impl Matcher ===

impl Matcher {
    pub fn compile(settings: &MatchSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Self {
        let MatchSettings { registry, repository, tag, image, image_matches } = settings;
        if [registry, repository, tag, image, image_matches].iter().all(|list| list.is_empty()) {
            let fix = "registry, repository, tag, image or image_matches";
            mistakes.push(Mistake::new(path, "it names no image", fix));
        }
        let mut globs =
            |patterns: &[String], field: &str, subject| globs(patterns, &format!("{path}.{field}"), subject, mistakes);
        Self {
            registry: globs(registry, "registry", Subject::Registry),
            repository: globs(repository, "repository", Subject::Repository),
            tag: globs(tag, "tag", Subject::Name),
            image: globs(image, "image", Subject::Image),
            image_matches: regexes(image_matches, path, mistakes),
        }
    }

    /// Of an `allow`, where an expression that matches in the middle of a name lets foreign images in.
    pub fn of_allow(settings: &MatchSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Self {
        let matcher = Self::compile(settings, path, mistakes);
        for (at, pattern) in settings.image_matches.iter().enumerate() {
            // One that does not compile is a mistake already.
            if let Ok(regex) = Regex::new(pattern) {
                mistakes.extend(unanchored(&regex, &format!("{path}.image_matches[{at}]")));
            }
        }
        matcher
    }

    pub fn matches(&self, image: &Image) -> bool {
        let Ok(reference) = &image.reference else {
            // Only its text as written is known.
            return self.is_only_expressions() && self.image_matches.iter().any(|regex| regex.is_match(&image.text));
        };
        let one_of = |globs: &[Glob], text: Option<&str>| {
            globs.is_empty() || text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
        };
        one_of(&self.registry, Some(&reference.registry))
            && one_of(&self.repository, Some(&reference.repository))
            && one_of(&self.tag, reference.effective_tag())
            && (self.image.is_empty() && self.image_matches.is_empty()
                || self.matches_whole(image, &reference.normalised()))
    }

    /// What an image begins with, in one part of it, that this can match; `None`: with anything.
    pub fn beginnings(&self) -> Option<(Part, Vec<Vec<u8>>)> {
        let all = Part::ALL.into_iter().map(|part| (part, self.beginnings_of(part)));
        all.into_iter().find(|(_, texts)| is_telling(texts))
    }

    fn beginnings_of(&self, part: Part) -> Vec<Vec<u8>> {
        let globs = match part {
            Part::Text => return self.image_matches.iter().flat_map(beginnings).collect(),
            Part::Image => &self.image,
            Part::Repository => &self.repository,
            Part::Registry => &self.registry,
            Part::Tag => &self.tag,
        };
        globs.iter().map(|glob| glob.beginning().into()).collect()
    }

    fn matches_whole(&self, image: &Image, normalised: &str) -> bool {
        let by_glob = self.image.is_empty() || self.image.iter().any(|glob| glob.matches(normalised));
        let by_expression = self.image_matches.is_empty()
            || self.image_matches.iter().any(|regex| regex.is_match(&image.text) || regex.is_match(normalised));
        by_glob && by_expression
    }

    fn is_only_expressions(&self) -> bool {
        !self.image_matches.is_empty()
            && [&self.registry, &self.repository, &self.tag, &self.image].iter().all(|globs| globs.is_empty())
    }
}

/// Whether some texts do not begin with any of these.
pub(super) fn is_telling(texts: &[Vec<u8>]) -> bool {
    !texts.is_empty() && texts.iter().all(|text| !text.is_empty())
}

/// What every match of an expression begins with that is held at the beginning; of any other, with nothing.
fn beginnings(regex: &Regex) -> Vec<Vec<u8>> {
    let anything = vec![Vec::new()];
    let Ok(hir) = regex_syntax::parse(regex.as_str()) else { return anything };
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return anything;
    }
    let found = Extractor::new().extract(&hir);
    found.literals().map_or(anything, |all| all.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

/// Compiles a list of globs; what can never match is a mistake.
pub(super) fn globs(patterns: &[String], path: &str, subject: Subject, mistakes: &mut Vec<Mistake>) -> Vec<Glob> {
    for (at, pattern) in patterns.iter().enumerate() {
        if let Some((problem, fix)) = Glob::never_matches(pattern, subject) {
            mistakes.push(Mistake::new(format!("{path}[{at}]"), problem, fix));
        }
    }
    patterns.iter().map(|pattern| Glob::new(pattern, subject)).collect()
}

fn regexes(patterns: &[String], path: &str, mistakes: &mut Vec<Mistake>) -> Vec<Regex> {
    let mut regexes = Vec::with_capacity(patterns.len());
    for (at, pattern) in patterns.iter().enumerate() {
        match Regex::new(pattern) {
            Ok(regex) => regexes.push(regex),
            Err(error) => mistakes.push(Mistake::new(
                format!("{path}.image_matches[{at}]"),
                format!("it is not a regular expression: {}", one_line(&error.to_string())),
                "the syntax of https://docs.rs/regex",
            )),
        }
    }
    regexes
}

/// The cause stands in the last line of what the compiler says.
fn one_line(error: &str) -> &str {
    error.lines().last().unwrap_or(error).trim_start_matches("error: ")
}

fn unanchored(regex: &Regex, path: &str) -> Option<Mistake> {
    let found = Unanchored::find(regex.as_str(), regex)?;
    let ends = match (found.start, found.end) {
        (true, true) => "the beginning or the end",
        (true, false) => "the beginning",
        _ => "the end",
    };
    let slips = found.example.map(|name| format!(": `{name}` would slip through")).unwrap_or_default();
    let problem = format!("an expression in an allow must be held at both ends, and this one is not at {ends}{slips}");
    let pattern = regex.as_str().trim_start_matches('^').trim_end_matches('$');
    let whole = if pattern.contains('|') { format!("^(?:{pattern})$") } else { format!("^{pattern}$") };
    Some(Mistake::new(path, problem, format!("{whole} (with .* where anything may follow)")))
}
