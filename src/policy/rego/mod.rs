//! Policies in Rego, in any of the conventions in use ([`results`]), judged by the engine `regorus`.
//!
//! A policy is given a document made of a view and nothing else ([`input`]), may call only functions whose result follows
//! from their arguments ([`builtins`]), and ends after so many steps: the same view has the same verdict, everywhere.

mod builtins;
pub mod helpers;
pub mod input;
mod load;
pub mod results;
mod shims;
mod syntax;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::review::view::digest_hex;

use self::input::{Form, View};
use self::results::{Entry, Reviewed};
use super::memo::Memo;
use super::rules::{Finding, Mistake};
use super::settings::RegoSettings;
use super::template::cut;

/// Compiled. A pure function of a view.
#[derive(Debug)]
pub struct RegoPolicy {
    version: String,
    form: Form,
    entries: Vec<Entry>,
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
        Ok(Self {
            version: digest_hex(identity(settings).as_bytes(), 12),
            form: loaded.form,
            entries: [loaded.entry].into_iter().chain(loaded.warn).collect(),
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
        let reviewed = reviewed(&input, subject.encoded);
        let mut engine = self.engine.clone();
        engine.set_input(input);
        for entry in &self.entries {
            let result = engine.eval_rule(entry.path.clone());
            if self.prints {
                let lines = engine.take_prints().unwrap_or_default();
                finding.prints.extend(lines.into_iter().take(MAX_PRINTS.saturating_sub(finding.prints.len())));
            }
            let result = result.map_err(|error| failure(&error))?;
            entry.read(&result, &reviewed, finding)?;
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

/// The object of `input`, as rows of kubernetes-policy-controller name it, with the images of its view.
fn reviewed(input: &Value, encoded: &str) -> Reviewed {
    let request = &input["request"];
    let named = |value: &Value, otherwise: &str| {
        let text = value.as_string().ok().filter(|text| !text.is_empty());
        Some(text.map_or_else(|| otherwise.to_owned(), |text| text.to_string()))
    };
    Reviewed {
        kind: named(&request["resource"]["resource"], ""),
        namespace: named(&request["namespace"], helpers::DEFAULT_NAMESPACE),
        name: named(&request["name"], helpers::UNNAMED),
        images: images(encoded),
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
