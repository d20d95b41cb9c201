//! A settlement, written in the protocol and version that its review came in.
//!
//! What an enforcing webhook said passes value by value as it came, unknown fields too; only `uid`, `apiVersion` and
//! `kind` are repaired, and annotations and warnings of ours are added.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::backend::answer::BackendAnswer;
use crate::review::decision::{Protocol, Verdict};

use super::Reply;
use super::failure::{self, Empty, Status};
use super::opinion::Opinion;
use super::settle::{Outcome, Settlement, Wording};
use super::warning;

/// The audit annotation that names the rules that would have rejected.
const WOULD_REJECT: &str = "would-reject";
/// The audit annotation with the decision's id.
const DECISION: &str = "decision";
/// Audit events are kept by the million: a list of rules past this is cut.
const MAX_ANNOTATION: usize = 1024;

/// What an answer echoes of its review.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    pub protocol: Protocol,
    /// With its group, as it came.
    pub api_version: &'a str,
    pub uid: Option<&'a str>,
}

/// The HTTP answer of a settled review.
pub fn reply(to: Addressee<'_>, settlement: &Settlement, opinions: &[Opinion<'_>], wording: Wording<'_>) -> Reply {
    let base = match &settlement.outcome {
        Outcome::Failed { code, message, retry_after } => {
            return failure::failed(*code, message, retry_after.clone());
        }
        Outcome::Denied { .. } => None,
        Outcome::Allowed { base } => *base,
        Outcome::Passed { base } => Some(*base),
    };
    let speakers = speakers(opinions, base);
    let annotations = annotations(&speakers, opinions, settlement, wording);
    let base = base.and_then(|at| opinions[at].answer.as_ref()).filter(|answer| answer.is_whole());
    match to.protocol {
        Protocol::ImageReview => image_review(to, settlement, base, annotations),
        Protocol::AdmissionReview => {
            let warnings = warnings(&speakers, opinions, wording);
            admission_review(to, settlement, base, annotations, warnings)
        }
    }
}

/// `allowed: true` for a review that nothing judged.
pub fn unjudged(to: Addressee<'_>) -> Reply {
    let settlement = Settlement { outcome: Outcome::Allowed { base: None }, would_reject: false, notes: Vec::new() };
    match to.protocol {
        Protocol::ImageReview => image_review(to, &settlement, None, BTreeMap::new()),
        Protocol::AdmissionReview => admission_review(to, &settlement, None, BTreeMap::new(), Vec::new()),
    }
}

/// The webhooks whose words reach the API server, the one that is passed whole first.
fn speakers<'a>(opinions: &'a [Opinion<'_>], base: Option<usize>) -> Vec<&'a BackendAnswer> {
    let base = base.and_then(|at| opinions[at].answer.as_ref());
    let others = opinions.iter().filter_map(Opinion::enforced);
    base.into_iter().chain(others.filter(|answer| !base.is_some_and(|base| std::ptr::eq(base, *answer)))).collect()
}

fn annotations(
    speakers: &[&BackendAnswer],
    opinions: &[Opinion<'_>],
    settlement: &Settlement,
    wording: Wording<'_>,
) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(DECISION.to_owned(), wording.decision.to_string())]);
    if settlement.would_reject {
        annotations.insert(WOULD_REJECT.to_owned(), rules_that_would_reject(opinions));
    }
    // A webhook's key wins over ours, and an earlier webhook's over a later one's.
    for answer in speakers.iter().rev() {
        annotations.extend(answer.audit_annotations.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    annotations
}

fn rules_that_would_reject(opinions: &[Opinion<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut length = 0;
    for verdict in opinions.iter().map(|opinion| &opinion.verdict).filter(|v| v.verdict == Verdict::Deny) {
        for violation in verdict.violations.iter().filter(|violation| violation.would_reject()) {
            let name = format!("{}/{}", verdict.policy, violation.rule);
            if names.contains(&name) {
                continue;
            }
            length += name.len() + 1;
            if length > MAX_ANNOTATION {
                return names.join(",");
            }
            names.push(name);
        }
    }
    names.join(",")
}

/// The webhooks' first, then ours; none twice.
fn warnings(speakers: &[&BackendAnswer], opinions: &[Opinion<'_>], wording: Wording<'_>) -> Vec<String> {
    let verdicts: Vec<_> = opinions.iter().map(|opinion| &opinion.verdict).collect();
    let theirs = speakers.iter().flat_map(|answer| answer.warnings.iter().cloned());
    let mut all: Vec<String> = Vec::new();
    let endings = opinions.iter().flat_map(|opinion| opinion.endings.iter().map(|line| warning::short(line)));
    for line in theirs.chain(warning::warnings(&verdicts, wording.link)).chain(endings) {
        if !all.contains(&line) {
            all.push(line);
        }
    }
    all
}

fn image_review(
    to: Addressee<'_>,
    settlement: &Settlement,
    base: Option<&BackendAnswer>,
    annotations: BTreeMap<String, String>,
) -> Reply {
    let mut status = Members::of(base.map(|base| &base.response[..]));
    match &settlement.outcome {
        Outcome::Denied { message } => {
            status.set("allowed", &false);
            status.set("reason", message);
        }
        _ if base.is_none() => status.set("allowed", &true),
        _ => {}
    }
    if !annotations.is_empty() {
        status.set("auditAnnotations", &annotations);
    }
    envelope(to, "ImageReview", "status", base, status)
}

fn admission_review(
    to: Addressee<'_>,
    settlement: &Settlement,
    base: Option<&BackendAnswer>,
    annotations: BTreeMap<String, String>,
    warnings: Vec<String>,
) -> Reply {
    let mut response = Members::of(base.map(|base| &base.response[..]));
    response.set("uid", &to.uid.unwrap_or_default());
    match &settlement.outcome {
        Outcome::Denied { message } => {
            response.set("allowed", &false);
            response.set("status", &forbidden(message));
        }
        _ if base.is_none() => response.set("allowed", &true),
        _ => {}
    }
    if !annotations.is_empty() {
        response.set("auditAnnotations", &annotations);
    }
    if !warnings.is_empty() {
        response.set("warnings", &warnings);
    }
    envelope(to, "AdmissionReview", "response", base, response)
}

fn forbidden(message: &str) -> Status<'_> {
    Status {
        kind: None,
        api_version: None,
        metadata: Empty {},
        status: "Failure",
        message,
        reason: "Forbidden",
        code: StatusCode::FORBIDDEN.as_u16(),
    }
}

fn envelope(to: Addressee<'_>, kind: &str, part: &str, base: Option<&BackendAnswer>, members: Members<'_>) -> Reply {
    let mut envelope = Members::of(base.map(|base| &base.envelope[..]));
    envelope.set("apiVersion", &to.api_version);
    envelope.set("kind", &kind);
    envelope.set(part, &members);
    Reply::new(StatusCode::OK, serde_json::to_vec(&envelope).expect("members are JSON already"))
}

/// The members of a JSON object in their order, each as it came or as we set it.
#[derive(Debug)]
struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

// === impl Members ===

impl<'a> Members<'a> {
    fn of(base: Option<&'a [(String, Box<RawValue>)]>) -> Self {
        let members = base.unwrap_or_default().iter();
        Self(members.map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(&**value))).collect())
    }

    fn set<T: Serialize>(&mut self, key: &str, value: &T) {
        let value = Cow::Owned(to_raw_value(value).expect("strings, numbers and maps of strings are JSON"));
        match self.0.iter_mut().find(|(held, _)| held == key) {
            Some((_, held)) => *held = value,
            None => self.0.push((Cow::Owned(key.to_owned()), value)),
        }
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
