//! Policies in Rego, in any of the conventions in use ([`results`]), judged by the engine `regorus`.
//!
//! A policy is given a document made of a view and nothing else ([`input`]), may call only functions whose result follows
//! from their arguments ([`builtins`]), and ends after so many steps: the same view has the same verdict, everywhere.

mod builtins;
pub(super) mod evaluator;
pub mod helpers;
pub mod input;
pub(super) mod load;
pub mod results;
mod shims;
mod syntax;
#[cfg(test)]
mod tests;

use crate::review::view::digest_hex;

use self::evaluator::{Evaluator, images};
use self::input::Form;
use super::evaluated::{Evaluated, Subject};
use super::memo::Memo;
use super::rules::{Finding, Mistake};
use super::settings::RegoSettings;

/// Compiled. A pure function of a view.
#[derive(Debug)]
pub struct RegoPolicy {
    version: String,
    form: Form,
    evaluator: Evaluator,
    memo: Memo,
}

/// Raised whenever the same text may give another verdict: it is part of a policy's version.
pub const ENGINE: &str = "1, regorus 0.14.1";

// === impl RegoPolicy ===

impl RegoPolicy {
    /// # Errors
    /// Every mistake in `settings`.
    pub fn compile(settings: &RegoSettings) -> Result<Self, Vec<Mistake>> {
        let loaded = load::load(settings)?;
        Ok(Self {
            version: digest_hex(identity(settings).as_bytes(), 12),
            form: loaded.form,
            evaluator: Evaluator::new(loaded),
            memo: Memo::default(),
        })
    }
}

impl Evaluated for RegoPolicy {
    fn version(&self) -> &str {
        &self.version
    }

    fn form(&self) -> Form {
        self.form
    }

    fn memo(&self) -> &Memo {
        &self.memo
    }

    fn find(&self, subject: Subject<'_>, finding: &mut Finding) -> Result<(), String> {
        let view = input::read(subject.encoded)?;
        let Some(input) = self.form.of(subject.view, &view) else { return Ok(()) };
        finding.judged = true;
        self.evaluator.judge(input, &images(&view), finding)
    }
}

/// All that its verdicts follow from. Where its files lie is not.
fn identity(settings: &RegoSettings) -> String {
    let RegoSettings { files: _, modules, data, entrypoint, dialect, input } = settings;
    let modules: Vec<_> = modules.iter().map(|module| (&module.text, module.dialect)).collect();
    let data: Vec<_> = data.iter().map(|document| (&document.at, &document.json)).collect();
    format!("{ENGINE} {modules:?} {data:?} {entrypoint} {dialect:?} {input:?}")
}
