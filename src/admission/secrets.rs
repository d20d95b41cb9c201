//! The secrets of a review, which a webhook's words may repeat.

use std::borrow::Borrow;

use bytes::Bytes;

use crate::review::decision::{PolicyVerdict, Protocol};
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

/// A verdict without the secrets that its words repeat. Without words nobody looks for them.
pub fn redacted<R: Borrow<Redaction>>(mut verdict: PolicyVerdict, secrets: impl FnOnce() -> R) -> PolicyVerdict {
    if verdict.violations.is_empty() && verdict.error.is_none() {
        return verdict;
    }
    let secrets = secrets();
    let secrets = secrets.borrow();
    for violation in &mut verdict.violations {
        violation.message = secrets.message(&violation.message).into_owned();
    }
    verdict.error = verdict.error.map(|error| secrets.message(&error).into_owned());
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::decision::{Mode, Verdict, Violation};

    fn verdict(verdict: Verdict, messages: &[&str]) -> PolicyVerdict {
        let violation = |message: &&str| Violation {
            rule: "gate".into(),
            mode: Mode::Audit,
            image: None,
            container: None,
            message: (*message).into(),
            help: None,
            exempted: None,
        };
        PolicyVerdict {
            policy: "gate".into(),
            version: None,
            mode: Mode::Audit,
            verdict,
            violations: messages.iter().map(violation).collect(),
            standing: Vec::new(),
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        }
    }

    #[test]
    fn secrets_are_looked_for_only_where_a_verdict_has_words() {
        let said = redacted(verdict(Verdict::Allow, &[]), || -> Redaction { panic!("an allow repeats nothing") });
        assert_eq!(said.verdict, Verdict::Allow);
        let body = br#"{"kind":"Secret","data":{"key":"aHVudGVyMg=="}}"#;
        let said = redacted(verdict(Verdict::Deny, &["no aHVudGVyMg== here"]), || Redaction::of(body));
        assert!(!said.violations[0].message.contains("aHVudGVyMg"), "{said:?}");
    }
}
