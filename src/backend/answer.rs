//! What a webhook answered, and the ways in which it did not.
//!
//! An answer is read as the API server would read it, but what the API server would take for a silent denial (no
//! `status`, no `allowed`) is an error here.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::review::decision::Protocol;
use crate::review::strict;

/// A JSON object's members in their order, each value as it came.
pub type Members = Vec<(String, Box<RawValue>)>;

/// A valid answer.
#[derive(Debug, Clone)]
pub struct BackendAnswer {
    pub allowed: bool,
    /// Of a denial: what the API server would show.
    pub message: Option<String>,
    /// Of a denial: what the API server would send, 403 where the webhook gave none, 400 where it gave one below 400.
    pub code: u16,
    /// AdmissionReview only.
    pub warnings: Vec<String>,
    pub audit_annotations: BTreeMap<String, String>,
    /// AdmissionReview only: it has a `patch`.
    pub patches: bool,
    /// The whole, without the member below.
    pub envelope: Members,
    /// `response` of an AdmissionReview, `status` of an ImageReview.
    pub response: Members,
}

/// Why there is no answer to pass on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// Its own 429 or 5xx, which passes with its Retry-After under `on_error: fail`.
    #[error("its webhook answered {status}{excerpt}")]
    Status { status: http::StatusCode, retry_after: Option<http::HeaderValue>, excerpt: Excerpt },
    #[error("its webhook could not be reached: {0}")]
    Unreachable(String),
    #[error("its webhook did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// Another status, a redirect, not JSON, the wrong kind, uid or version, `{{}}`, no status, too large.
    #[error("the answer of its webhook cannot be used: {0}")]
    Invalid(String),
    #[error("{0} calls to its webhook are in flight already (max_in_flight)")]
    Full(usize),
    #[error("its webhook failed {failures} times running and is asked again in {} ms", .retry_in.as_millis())]
    BreakerOpen { failures: u32, retry_in: Duration },
}

/// The beginning of a text that a person may want to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt(String);

/// Whom an answer must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub protocol: Protocol,
    pub api_version: &'a str,
    pub uid: Option<&'a str>,
}

#[derive(Deserialize)]
struct Object(#[serde(deserialize_with = "members")] Members);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: Option<String>,
    allowed: Option<bool>,
    status: Option<Status>,
    patch: Option<String>,
    patch_type: Option<String>,
    warnings: Option<Vec<String>>,
    audit_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Status {
    message: Option<String>,
    reason: Option<String>,
    code: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageReviewStatus {
    allowed: Option<bool>,
    reason: Option<String>,
    audit_annotations: Option<BTreeMap<String, String>>,
}

/// How much of an answer that cannot be used is shown.
const EXCERPT: usize = 200;

// === impl BackendAnswer ===

impl BackendAnswer {
    /// Reads the body of a 2xx answer.
    pub fn parse(body: &Bytes, expected: Expected<'_>) -> Result<Self, BackendError> {
        if body.is_empty() {
            return Err(BackendError::Invalid("it is empty".into()));
        }
        strict::check(body).map_err(|error| BackendError::Invalid(format!("{error}{}", Excerpt::of(body))))?;
        let Object(mut envelope) = read(body)?;
        expect_member(&envelope, "kind", expected.kind())?;
        expect_member(&envelope, "apiVersion", expected.api_version)?;
        let part = expected.part();
        let at = envelope.iter().position(|(key, _)| key == part);
        let value = at.map(|at| envelope.remove(at).1).filter(|value| value.get() != "null");
        let value = value.ok_or_else(|| BackendError::Invalid(format!("it has no `{part}`{}", Excerpt::of(body))))?;
        let Object(response) = read(value.get().as_bytes())?;
        let answer = match expected.protocol {
            Protocol::ImageReview => Self::of_image_review(read(value.get().as_bytes())?)?,
            Protocol::AdmissionReview => Self::of_response(read(value.get().as_bytes())?, expected.uid)?,
        };
        Ok(Self { envelope, response, ..answer })
    }

    /// What a denial says.
    pub fn violation_text(&self) -> &str {
        self.message.as_deref().unwrap_or("denied without a message")
    }

    fn of_image_review(status: ImageReviewStatus) -> Result<Self, BackendError> {
        let allowed = status.allowed.ok_or_else(|| BackendError::Invalid("`status` has no `allowed`".into()))?;
        Ok(Self {
            message: status.reason.filter(|reason| !allowed && !reason.is_empty()),
            audit_annotations: status.audit_annotations.unwrap_or_default(),
            ..Self::bare(allowed)
        })
    }

    fn of_response(response: Response, uid: Option<&str>) -> Result<Self, BackendError> {
        let invalid = |why: String| Err(BackendError::Invalid(why));
        let Some(allowed) = response.allowed else { return invalid("`response` has no `allowed`".into()) };
        match response.uid.as_deref() {
            // kube-image-bouncer answers without one.
            None | Some("") => {}
            given if given == uid => {}
            Some(given) => return invalid(format!("its uid is `{given:.64}`, not that of the review")),
        }
        let patches = patches(response.patch.as_deref(), response.patch_type.as_deref())?;
        let (message, code) = response.status.map(|status| (status.message.or(status.reason), status.code)).unzip();
        Ok(Self {
            message: message.flatten().filter(|message| !allowed && !message.is_empty()),
            code: denial_code(code.flatten()),
            warnings: response.warnings.unwrap_or_default(),
            audit_annotations: response.audit_annotations.unwrap_or_default(),
            patches,
            ..Self::bare(allowed)
        })
    }

    fn bare(allowed: bool) -> Self {
        Self {
            allowed,
            message: None,
            code: denial_code(None),
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
            patches: false,
            envelope: Vec::new(),
            response: Vec::new(),
        }
    }
}

/// The API server turns a code below 400 into 400.
fn denial_code(given: Option<i64>) -> u16 {
    match given {
        None | Some(0) => 403,
        Some(code) => u16::try_from(code).ok().filter(|code| (400..600).contains(code)).unwrap_or(400),
    }
}

/// Both or neither, and a JSONPatch.
fn patches(patch: Option<&str>, patch_type: Option<&str>) -> Result<bool, BackendError> {
    let patch = patch.filter(|patch| !patch.is_empty());
    match (patch, patch_type) {
        (None, None) => Ok(false),
        (Some(patch), Some("JSONPatch")) => {
            let decoded = STANDARD.decode(patch).map_err(|_| BackendError::Invalid("its patch is not base64".into()))?;
            serde_json::from_slice::<Vec<&RawValue>>(&decoded)
                .map(|_| true)
                .map_err(|_| BackendError::Invalid("its patch is not a JSON list of operations".into()))
        }
        (Some(_), Some(other)) => Err(BackendError::Invalid(format!("its patchType is `{other:.64}`, not JSONPatch"))),
        (Some(_), None) => Err(BackendError::Invalid("it has a patch but no patchType".into())),
        (None, Some(_)) => Err(BackendError::Invalid("it has a patchType but no patch".into())),
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, BackendError> {
    serde_json::from_slice(json).map_err(|error| BackendError::Invalid(format!("{error}{}", Excerpt::of(json))))
}

/// As the API server does, a missing `kind` or `apiVersion` is let pass; a wrong one is not.
fn expect_member(members: &Members, key: &str, expected: &str) -> Result<(), BackendError> {
    let Some((_, value)) = members.iter().find(|(held, _)| held == key) else { return Ok(()) };
    match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(None) => Ok(()),
        Ok(Some(given)) if given == expected || given.is_empty() => Ok(()),
        _ => Err(BackendError::Invalid(format!("its {key} is {:.80}, not {expected}", value.get()))),
    }
}

fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Members;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    deserializer.deserialize_map(InOrder)
}

// === impl Expected ===

impl Expected<'_> {
    fn kind(self) -> &'static str {
        self.protocol.as_str()
    }

    fn part(self) -> &'static str {
        match self.protocol {
            Protocol::ImageReview => "status",
            Protocol::AdmissionReview => "response",
        }
    }
}

// === impl Excerpt ===

impl Excerpt {
    pub fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
        Self(text.trim().chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect())
    }
}

impl std::fmt::Display for Excerpt {
    /// `: TEXT`, or nothing where there is no text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(protocol: Protocol, text: &str) -> Result<BackendAnswer, String> {
        let api_version = match protocol {
            Protocol::ImageReview => "imagepolicy.k8s.io/v1alpha1",
            Protocol::AdmissionReview => "admission.k8s.io/v1",
        };
        let expected = Expected { protocol, api_version, uid: Some("u") };
        BackendAnswer::parse(&Bytes::copy_from_slice(text.as_bytes()), expected).map_err(|error| error.to_string())
    }

    fn image_review(text: &str) -> Result<BackendAnswer, String> {
        parse(Protocol::ImageReview, text)
    }

    fn response(members: &str) -> Result<BackendAnswer, String> {
        parse(Protocol::AdmissionReview, &format!(r#"{{"response":{{{members}}}}}"#))
    }

    #[test]
    fn what_the_api_server_would_take_for_a_silent_denial_is_an_error() {
        for text in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"status":{}}"#,
            r#"{"status":null}"#,
            r#"{"status":{"Allowed":true}}"#,
            r#"{"status":{"allowed":"true"}}"#,
            r#"{"status":{"allowed":null}}"#,
            r#"{"status":{"allowed":true,"allowed":false}}"#,
            r#"{"kind":"Pod","status":{"allowed":true}}"#,
            r#"{"apiVersion":"imagepolicy.k8s.io/v1","status":{"allowed":true}}"#,
            "<html>",
        ] {
            assert!(image_review(text).is_err(), "{text}");
        }
        assert!(response("").is_err());
        assert!(response(r#""uid":"u""#).is_err());
    }

    #[test]
    fn a_missing_kind_version_or_uid_is_let_pass_and_a_wrong_uid_is_not() {
        assert!(image_review(r#"{"status":{"allowed":true}}"#).is_ok_and(|answer| answer.allowed));
        assert!(response(r#""allowed":true"#).is_ok());
        assert!(response(r#""allowed":true,"uid":"u""#).is_ok());
        assert!(response(r#""allowed":true,"uid":"other""#).is_err());
    }

    #[test]
    fn the_message_wins_over_the_reason_and_only_a_denial_has_one() {
        let denied = response(r#""allowed":false,"status":{"message":"m","reason":"r","code":302}"#).expect("valid");
        assert_eq!((denied.message.as_deref(), denied.code), (Some("m"), 400));
        let denied = response(r#""allowed":false,"status":{"reason":"r"}"#).expect("valid");
        assert_eq!((denied.message.as_deref(), denied.code), (Some("r"), 403));
        let allowed = response(r#""allowed":true,"status":{"message":"m"}"#).expect("valid");
        assert_eq!(allowed.message, None);
        let denied = image_review(r#"{"status":{"allowed":false,"reason":"no"}}"#).expect("valid");
        assert_eq!(denied.violation_text(), "no");
    }

    #[test]
    fn unknown_members_are_kept_in_their_order_as_they_came() {
        let answer = response(r#""x":1.50,"allowed":true,"y":{"b":1, "a":2}"#).expect("valid");
        let members: Vec<_> = answer.response.iter().map(|(key, value)| (key.as_str(), value.get())).collect();
        assert_eq!(members, [("x", "1.50"), ("allowed", "true"), ("y", r#"{"b":1, "a":2}"#)]);
    }

    #[test]
    fn a_patch_is_both_or_neither_and_a_json_patch() {
        assert!(response(r#""allowed":true,"patchType":"JSONPatch","patch":"W10=""#).is_ok_and(|a| a.patches));
        for members in [
            r#""patch":"W10=""#,
            r#""patchType":"JSONPatch""#,
            r#""patchType":"MergePatch","patch":"W10=""#,
            r#""patchType":"JSONPatch","patch":"!!""#,
            r#""patchType":"JSONPatch","patch":"e30=""#,
        ] {
            assert!(response(&format!(r#""allowed":true,{members}"#)).is_err(), "{members}");
        }
    }
}
