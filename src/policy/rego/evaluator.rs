//! Evaluates entry points over an input, and reads what they say.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};

use super::super::rules::Finding;
use super::super::template::cut;
use super::helpers;
use super::load::Loaded;
use super::results::{Entry, NamedImage, Resource};

/// A loaded policy, ready for any number of inputs.
#[derive(Debug)]
pub struct Evaluator {
    engine: Engine,
    /// Clones that have ended an evaluation in order, for the next: to make one costs as much as a small policy.
    spare: Mutex<Vec<Engine>>,
    entries: Vec<Entry>,
    prints: bool,
}

/// Steps of one evaluation: a tenth of a second on a slow machine, a thousand times what a rule over a pod takes.
pub const MAX_STEPS: u32 = 1_000_000;
/// More than evaluate at the same time on most machines.
const MAX_SPARE: usize = 8;
/// Lines of `print` that one evaluation keeps.
const MAX_PRINTS: usize = 100;

// === impl Evaluator ===

impl Evaluator {
    pub fn new(loaded: Loaded) -> Self {
        let Loaded { mut engine, entry, warn, prints, .. } = loaded;
        let check_interval = NonZeroU32::new(MAX_STEPS).expect("a number above 0");
        // It looks at the clock after so many steps, and any time is too long by then: a limit of steps.
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: Duration::ZERO, check_interval });
        let entries = [entry].into_iter().chain(warn).collect();
        Self { engine, spare: Mutex::default(), entries, prints }
    }

    /// Adds to `finding` what it finds in `input`, which is of a review with these images.
    ///
    /// # Errors
    /// Why it has no verdict.
    pub fn judge(&self, input: Value, images: &[NamedImage], finding: &mut Finding) -> Result<(), String> {
        let resource = resource(&input);
        let mut engine = self.engine();
        engine.set_input(input);
        for entry in &self.entries {
            let result = engine.eval_rule(entry.path.clone());
            if self.prints {
                let lines = engine.take_prints().unwrap_or_default();
                finding.prints.extend(lines.into_iter().take(MAX_PRINTS.saturating_sub(finding.prints.len())));
            }
            let result = result.map_err(|error| failure(&error, finding))?;
            entry.read(&result, &resource, images, finding)?;
        }
        self.put_back(engine);
        Ok(())
    }

    fn engine(&self) -> Engine {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| self.engine.clone())
    }

    /// One that failed is not: what it was in the middle of would be there at its next evaluation.
    fn put_back(&self, mut engine: Engine) {
        engine.set_input(Value::Undefined);
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(engine);
        }
    }
}

/// Why there is no verdict; that it was stopped at its limit is noted in `finding`.
fn failure(error: &anyhow::Error, finding: &mut Finding) -> String {
    finding.overran = error.chain().any(|cause| cause.is::<LimitError>());
    if finding.overran {
        return format!("it took more than {MAX_STEPS} steps");
    }
    let text = error.to_string();
    let place = text.split_once("--> ").and_then(|(_, rest)| rest.split_once('\n')).map(|(place, _)| place.trim());
    let problem = text.rsplit_once("error: ").map_or(text.as_str(), |(_, problem)| problem);
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&place.map_or_else(|| problem.clone(), |place| format!("{place}: {problem}"))).into_owned()
}

/// The object of `input`, as rows of kubernetes-policy-controller name it.
fn resource(input: &Value) -> Resource {
    let request = &input["request"];
    let named = |value: &Value, otherwise: &str| {
        let text = value.as_string().ok().filter(|text| !text.is_empty());
        Some(text.map_or_else(|| otherwise.to_owned(), |text| text.to_string()))
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
