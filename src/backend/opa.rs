//! What an OPA is sent, and from the document that it answers to a verdict. The conventions are those of policies that
//! are judged here ([`crate::policy::rego::results`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use regorus::Value;

use crate::policy::opa::{Envelope, OpaDocument};
use crate::policy::rules::Finding;
use crate::review::decision::Protocol;
use crate::review::json::{Node, Shape};
use crate::review::strict;

use super::Question;
use super::answer::BackendAnswer;
use super::decode::{self, Problem};

/// The review, byte for byte, in the envelope that the document is asked for with.
pub(super) fn asked(document: &OpaDocument, review: Bytes) -> Bytes {
    match document.envelope {
        Envelope::Bare => review,
        Envelope::Wrapped => [&br#"{"input":"#[..], &review, b"}"].concat().into(),
    }
}

pub(super) fn decode(body: Bytes, document: &OpaDocument, question: &Question) -> Result<BackendAnswer, Problem> {
    let parsed = strict::parse(&body).map_err(|error| format!("it is not JSON: {error}"))?;
    let result = match document.envelope {
        Envelope::Bare => parsed.root(),
        // Undefined is a 200 with `{}`.
        Envelope::Wrapped => {
            decode::object(parsed.root(), "it")?.member("result").ok_or_else(|| document.entry.undefined())?
        }
    };
    let mut finding = Finding::default();
    let value = Value::from_json_str(result.raw()).map_err(|error| format!("it cannot be read: {error}"))?;
    document.entry.read(&value, &question.resource, &question.images, &mut finding)?;
    let answer = match is_review(result, question.protocol) {
        true => decode::review(result, body.clone(), question.protocol, question.api_version, question.uid.as_deref())?,
        false => of_rows(&finding, body.clone()),
    };
    Ok(BackendAnswer { violations: finding.violations, omitted: finding.omitted, ..answer })
}

/// A document that is what a webhook would answer passes as a webhook's answer does.
fn is_review(result: Node<'_>, protocol: Protocol) -> bool {
    let part = match protocol {
        Protocol::ImageReview => "status",
        Protocol::AdmissionReview => "response",
    };
    result.member(part).is_some_and(|part| part.shape() == Shape::Object)
}

fn of_rows(finding: &Finding, body: Bytes) -> BackendAnswer {
    let texts: Vec<&str> = finding.violations.iter().map(|violation| violation.message.as_str()).collect();
    BackendAnswer {
        body,
        allowed: texts.is_empty(),
        // As kube-mgmt's `main` joins them.
        message: (!texts.is_empty()).then(|| texts.join(", ")),
        code: None,
        warnings: Vec::new(),
        audit_annotations: BTreeMap::new(),
        patches: false,
        violations: Vec::new(),
        omitted: 0,
        response: Vec::new(),
        envelope: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
