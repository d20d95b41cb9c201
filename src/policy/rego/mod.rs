//! Policies in Rego, in any of the conventions in use ([`results`]), judged by the engine `regorus`.
//!
//! A policy is given a document made of a view and nothing else ([`input`]), may call only functions whose result follows
//! from their arguments ([`builtins`]), and ends after so many steps: the same view has the same verdict, everywhere.

mod builtins;
mod helpers;
pub mod input;
mod load;
mod results;
mod shims;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::review::decision::Mode;
use crate::review::view::digest_hex;

use self::input::{Form, View};
use self::results::{Entry, Found, Resource};
use super::memo::Memo;
use super::rules::{Finding, MAX_VIOLATIONS, Mistake, RuleViolation};
use super::settings::RegoSettings;
use super::template::cut;

/// Compiled. A pure function of a view.
#[derive(Debug)]
pub struct RegoPolicy {
    version: String,
    form: Form,
    entries: Vec<(Entry, Mode)>,
    engine: Engine,
    prints: bool,
    memo: Memo,
}

/// What a policy judges: a view in its canonical encoding.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub view: View,
    pub encoded: &'a str,
}

/// Steps of one evaluation: a tenth of a second on a slow machine, a thousand times what a rule over a pod takes.
pub const MAX_STEPS: u32 = 1_000_000;
/// Lines of `print` that one evaluation keeps.
const MAX_PRINTS: usize = 100;
/// Raised whenever the same text may give another verdict: it is part of a policy's version.
const ENGINE: &str = "1, regorus 0.14.1";

// === impl RegoPolicy ===

impl RegoPolicy {
    /// # Errors
    /// Every mistake in `settings`.
    pub fn compile(settings: &RegoSettings) -> Result<Self, Vec<Mistake>> {
        let mut loaded = load::load(settings)?;
        let interval = NonZeroU32::new(MAX_STEPS).expect("a number above 0");
        // It looks at the clock after so many steps, and any time is too long by then: a limit of steps.
        loaded
            .engine
            .set_execution_timer_config(ExecutionTimerConfig { limit: Duration::ZERO, check_interval: interval });
        let entries = [(Some(loaded.entry), Mode::Enforce), (loaded.warn, Mode::Warn)];
        Ok(Self {
            version: digest_hex(identity(settings).as_bytes(), 12),
            form: loaded.form,
            entries: entries.into_iter().filter_map(|(entry, most)| Some((entry?, most))).collect(),
            engine: loaded.engine,
            prints: loaded.prints,
            memo: Memo::default(),
        })
    }

    /// 12 hexadecimal digits of the hash of its text, its data and the engine's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The document that it is given.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it found in this view before.
    pub fn recall(&self, view: &[u8; 32]) -> Option<Arc<Finding>> {
        self.memo.get(None, view)
    }

    /// What it finds in the view of that hash, evaluated once for each.
    pub fn judge(&self, view: &[u8; 32], subject: Subject<'_>) -> Arc<Finding> {
        self.memo.recall(None, view, || self.evaluate(subject))
    }

    /// Afresh.
    pub fn evaluate(&self, subject: Subject<'_>) -> Finding {
        let mut finding = Finding::default();
        match self.run(subject, &mut finding) {
            Ok(()) => finding,
            Err(error) => {
                let overran = error.ends_with(" steps");
                Finding { error: Some(error), overran, prints: finding.prints, ..Finding::default() }
            }
        }
    }

    fn run(&self, subject: Subject<'_>, finding: &mut Finding) -> Result<(), String> {
        let input = self.form.of(subject.view, subject.encoded).map_err(|error| format!("{error:#}"))?;
        let Some(input) = input else { return Ok(()) };
        finding.judged = true;
        let (resource, images) = (resource(&input), images(subject.encoded));
        let mut engine = self.engine.clone();
        engine.set_input(input);
        // Which rules reject depends on where a review is of: the first of each is kept in any case.
        let mut seen = HashSet::new();
        for (entry, most) in &self.entries {
            let result = engine.eval_rule(entry.path.clone());
            if self.prints {
                let lines = engine.take_prints().unwrap_or_default();
                finding.prints.extend(lines.into_iter().take(MAX_PRINTS.saturating_sub(finding.prints.len())));
            }
            let result = result.map_err(|error| failure(&error))?;
            for found in entry.read(&result, &resource)? {
                let is_first = seen.insert((cut(&found.rule).into_owned(), *most));
                if is_first || finding.violations.len() < MAX_VIOLATIONS {
                    finding.violations.push(violation(found, *most, &images));
                } else {
                    finding.omitted = finding.omitted.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}

/// All that its verdicts follow from. Where its files lie is not.
fn identity(settings: &RegoSettings) -> String {
    let RegoSettings { files: _, modules, data, entrypoint, dialect, input } = settings;
    let modules: Vec<_> = modules.iter().map(|module| (&module.text, module.dialect)).collect();
    let data: Vec<_> = data.iter().map(|document| (&document.at, &document.json)).collect();
    format!("{ENGINE} {modules:?} {data:?} {entrypoint} {dialect:?} {input:?}")
}

fn failure(error: &anyhow::Error) -> String {
    let text = error.to_string();
    if text.contains("time limit") {
        return format!("it took more than {MAX_STEPS} steps");
    }
    let place = text.split_once("--> ").and_then(|(_, rest)| rest.split_once('\n')).map(|(place, _)| place.trim());
    let problem = text.rsplit_once("error: ").map_or(text.as_str(), |(_, problem)| problem);
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&place.map_or_else(|| problem.clone(), |place| format!("{place}: {problem}"))).into_owned()
}

/// As rows of kubernetes-policy-controller name the object of `input`.
fn resource(input: &Value) -> Resource {
    let request = &input["request"];
    let named = |value: &Value, otherwise: &str| {
        let text = value.as_string().ok().filter(|text| !text.is_empty());
        text.map_or_else(|| otherwise.to_owned(), |text| text.to_string())
    };
    Resource {
        kind: named(&request["resource"]["resource"], ""),
        namespace: named(&request["namespace"], helpers::DEFAULT_NAMESPACE),
        name: named(&request["name"], helpers::UNNAMED),
    }
}

/// The texts of the images in a view, with their containers.
fn images(encoded: &str) -> Vec<(String, Option<String>)> {
    let view = Value::from_json_str(encoded).unwrap_or(Value::Undefined);
    let images = [&view["images"], &view["image"]["images"]].into_iter().find_map(|images| images.as_array().ok());
    let text = |value: &Value| value.as_string().ok().map(|text| text.to_string());
    let images = images.into_iter().flat_map(|images| images.iter());
    images.filter_map(|image| Some((text(&image["text"])?, text(&image["container"])))).collect()
}

/// The image to blame is the one that the row names, or else the only one that its message names.
fn violation(found: Found, most: Mode, images: &[(String, Option<String>)]) -> RuleViolation {
    let named = found.image.as_deref();
    let mut blamed = images.iter().filter(|(text, container)| match (named, &found.container) {
        (Some(named), _) => text == named,
        (None, Some(named)) => container.as_ref() == Some(named),
        (None, None) => names(&found.message, text),
    });
    let first = blamed.next();
    let only = first.filter(|(text, _)| blamed.all(|(other, _)| other == text));
    RuleViolation {
        rule: cut(&found.rule).into_owned(),
        most,
        image: only.map(|(text, _)| cut(text).into_owned()),
        container: found.container.or_else(|| only.and_then(|(_, container)| container.clone())),
        message: cut(&found.message).into_owned(),
        help: None,
    }
}

/// Whether a message has an image's text in it, whole: `nginx` is not named by `nginx:1.2` or `my-nginx`.
fn names(message: &str, image: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._-/:@".contains(character);
    message.match_indices(image).any(|(at, _)| {
        let (before, after) = (&message[..at], &message[at + image.len()..]);
        let ends = match after.trim_start_matches(['.', ':']).chars().next() {
            // A sentence may end behind it.
            None => true,
            Some(_) => !after.starts_with(is_part) || after.starts_with(['.', ':']) && after[1..].starts_with(' '),
        };
        !before.ends_with(is_part) && ends
    })
}
