//! What the policies have in common that may take long, and are evaluated on threads of their own.

use std::sync::Arc;

use super::memo::Memo;
use super::rego::input::{Form, View};
use super::rules::Finding;

/// What is judged: a view in its canonical encoding.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub view: View,
    pub encoded: &'a str,
}

/// A pure function of a view, evaluated once for each.
pub trait Evaluated: Send + Sync {
    /// 12 hexadecimal digits of the hash of its text, its data and the engine's version.
    fn version(&self) -> &str;

    /// The document that it judges.
    fn form(&self) -> Form;

    fn memo(&self) -> &Memo;

    /// Adds what it finds to `finding`.
    ///
    /// # Errors
    /// Why it has no verdict.
    fn find(&self, subject: Subject<'_>, finding: &mut Finding) -> Result<(), String>;

    /// Afresh.
    fn evaluate(&self, subject: Subject<'_>) -> Finding {
        let mut finding = Finding::default();
        match self.find(subject, &mut finding) {
            Ok(()) => finding,
            // What was found before it failed is no verdict.
            Err(error) => {
                let Finding { overran, prints, .. } = finding;
                Finding { error: Some(error), overran, prints, ..Finding::default() }
            }
        }
    }

    /// What it found in the view of that hash before.
    fn recall(&self, view: &[u8; 32]) -> Option<Arc<Finding>> {
        self.memo().get(None, view)
    }

    /// What it finds in the view of that hash.
    fn judge(&self, view: &[u8; 32], subject: Subject<'_>) -> Arc<Finding> {
        self.memo().recall(None, view, || self.evaluate(subject))
    }
}

#[cfg(test)]
mod tests;
