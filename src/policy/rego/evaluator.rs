//! Evaluates entry points over an input, and reads what they say.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::review::decision::Mode;

use super::super::rules::{Finding, MAX_VIOLATIONS, RuleViolation};
use super::super::template::cut;
use super::helpers;
use super::load::Loaded;
use super::results::{Entry, Found, Resource};

/// A loaded policy, ready for any number of inputs.
#[derive(Debug)]
pub struct Evaluator {
    engine: Engine,
    /// With the heaviest mode that their violations may have.
    entries: Vec<(Entry, Mode)>,
    prints: bool,
}

/// The image of a review: its text, and its container where that is known.
pub type NamedImage = (String, Option<String>);

/// Steps of one evaluation: a tenth of a second on a slow machine, a thousand times what a rule over a pod takes.
pub const MAX_STEPS: u32 = 1_000_000;
/// Lines of `print` that one evaluation keeps.
const MAX_PRINTS: usize = 100;

// === impl Evaluator ===

impl Evaluator {
    pub fn new(loaded: Loaded) -> Self {
        let Loaded { mut engine, entry, warn, prints, .. } = loaded;
        let check_interval = NonZeroU32::new(MAX_STEPS).expect("a number above 0");
        // It looks at the clock after so many steps, and any time is too long by then: a limit of steps.
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: Duration::ZERO, check_interval });
        let entries = [(Some(entry), Mode::Enforce), (warn, Mode::Warn)];
        let entries = entries.into_iter().filter_map(|(entry, most)| Some((entry?, most))).collect();
        Self { engine, entries, prints }
    }

    /// Adds to `finding` what it finds in `input`, which is of a review with these images.
    ///
    /// # Errors
    /// Why it has no verdict.
    pub fn judge(&self, input: Value, images: &[NamedImage], finding: &mut Finding) -> Result<(), String> {
        let resource = resource(&input);
        let mut engine = self.engine.clone();
        engine.set_input(input);
        for (entry, most) in &self.entries {
            let result = engine.eval_rule(entry.path.clone());
            if self.prints {
                let lines = engine.take_prints().unwrap_or_default();
                finding.prints.extend(lines.into_iter().take(MAX_PRINTS.saturating_sub(finding.prints.len())));
            }
            let result = result.map_err(|error| failure(&error))?;
            for found in entry.read(&result, &resource)? {
                if finding.violations.len() < MAX_VIOLATIONS {
                    finding.violations.push(violation(found, *most, images));
                } else {
                    finding.omitted = finding.omitted.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}

/// The finding of a policy that has no verdict.
pub fn failed(finding: Finding, error: String) -> Finding {
    let overran = error.ends_with(" steps");
    Finding { error: Some(error), overran, prints: finding.prints, ..Finding::default() }
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
pub fn images(view: &Value) -> Vec<NamedImage> {
    let images = [&view["images"], &view["image"]["images"]].into_iter().find_map(|images| images.as_array().ok());
    let text = |value: &Value| value.as_string().ok().map(|text| text.to_string());
    let images = images.into_iter().flat_map(|images| images.iter());
    images.filter_map(|image| Some((text(&image["text"])?, text(&image["container"])))).collect()
}

/// The image to blame is the one that the row names, or else the only one that its message names.
fn violation(found: Found, most: Mode, images: &[NamedImage]) -> RuleViolation {
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
        mode: None,
        most,
        image: only.map(|(text, _)| cut(text).into_owned()),
        container: found.container.or_else(|| only.and_then(|(_, container)| container.clone())),
        message: cut(&found.message).into_owned(),
        help: None,
    }
}

/// Whether a message has an image's text in it, whole: `nginx` is not named by `nginx:1.2` or `my-nginx`.
pub(super) fn names(message: &str, image: &str) -> bool {
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
