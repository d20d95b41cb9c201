//! One loaded state of all policies.

use crate::review::decision::Mode;

use super::settings::{OnError, WebhookSettings};

/// Immutable; a request holds one to its end. Named by the hash of its content.
#[derive(Debug)]
pub struct Revision {
    /// 12 hexadecimal digits.
    pub id: String,
    pub policies: Vec<Policy>,
}

#[derive(Debug)]
pub struct Policy {
    pub name: String,
    pub mode: Mode,
    pub on_error: OnError,
    pub source: Source,
}

#[derive(Debug)]
pub enum Source {
    // Rules(..) with its compiled rules and memo
    Webhook(WebhookSettings),
}
