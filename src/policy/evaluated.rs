//! What the policies have in common that may take long, and are evaluated on threads of their own.

use std::sync::Arc;

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

    /// What it found in the view of that hash before.
    fn recall(&self, view: &[u8; 32]) -> Option<Arc<Finding>>;

    /// What it finds in the view of that hash.
    fn judge(&self, view: &[u8; 32], subject: Subject<'_>) -> Arc<Finding>;
}

#[cfg(test)]
mod tests;
