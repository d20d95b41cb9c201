//! The secrets of a review, which a webhook's words may repeat.

use bytes::Bytes;

use crate::review::decision::Protocol;
use crate::review::json::Document;
use crate::review::redact::{Redaction, holds_secrets};

/// Whether a review holds secrets. Which ones is looked for only where a text must lose them: most webhooks allow, and
/// say nothing.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The body that holds them; empty where there is none.
    body: Bytes,
}

// === impl Secrets ===

impl Secrets {
    pub fn none() -> Self {
        Self { body: Bytes::new() }
    }

    /// `document` is what `body` says. An ImageReview brings no object.
    pub fn of(protocol: Protocol, body: &Bytes, document: &Document<'_>) -> Self {
        match protocol {
            Protocol::AdmissionReview if holds_secrets(document) => Self { body: body.clone() },
            Protocol::AdmissionReview | Protocol::ImageReview => Self::none(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub fn redaction(&self) -> Redaction {
        if self.is_empty() { Redaction::default() } else { Redaction::of(&self.body) }
    }
}
