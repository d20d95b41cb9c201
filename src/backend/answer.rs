//! What a webhook answered, and the ways in which it did not.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;

use crate::policy::rules::RuleViolation;
use crate::review::decision::Protocol;

use super::decode;

/// A valid answer.
#[derive(Debug, Clone)]
pub struct BackendAnswer {
    /// As it came.
    pub body: Bytes,
    pub allowed: bool,
    /// Of a denial: what the API server would show (`status.message`, else `reason`; ImageReview: `status.reason`).
    pub message: Option<String>,
    /// Of a denial, as it came; one that is no HTTP status at all (negative, over 65,535) counts as none.
    pub code: Option<u16>,
    /// AdmissionReview only.
    pub warnings: Vec<String>,
    pub audit_annotations: BTreeMap<String, String>,
    /// AdmissionReview only: the answer has a `patch`.
    pub patches: bool,
    /// Of an OPA's denial: what its rules found, as many as a policy keeps. Other webhooks have one rule, their name.
    pub violations: Vec<RuleViolation>,
    /// Those past that.
    pub omitted: u32,
    /// The members of `response` (ImageReview: `status`) in their order, each value byte for byte as it came. None in an
    /// answer that is not of the review's protocol.
    pub response: Vec<(String, Box<RawValue>)>,
    /// The members of the whole answer likewise, the one in `response` too.
    pub envelope: Vec<(String, Box<RawValue>)>,
}

/// Why there is no answer to pass on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// Its own 429 or 5xx, which passes with its Retry-After under `on_error: fail`. `body` has at most 64 KiB of it;
    /// `excerpt` is the message of a `metav1.Status`, else the beginning of its text.
    #[error("it answered {status}: {excerpt}")]
    Status { status: StatusCode, retry_after: Option<HeaderValue>, body: Bytes, excerpt: String },
    /// No connection, or one that ended before the answer did.
    #[error("{0}")]
    Unreachable(String),
    #[error("it did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// Another status, a redirect, not JSON, the wrong kind, uid or version, `{}`, no status, too large.
    #[error("its answer cannot be used: {0}")]
    Invalid(String),
    #[error("{0} calls to it are already in flight (max_in_flight)")]
    Full(usize),
    #[error("it has failed {failures} times running; it is asked again in {} ms", .retry_in.as_millis())]
    BreakerOpen { failures: u32, retry_in: Duration },
}

// === impl BackendAnswer ===

impl BackendAnswer {
    /// Reads an answer to a review of `protocol`, `api_version` (with its group) and `uid`.
    ///
    /// Accepted is what the API server accepts, and an answer without uid, apiVersion or kind, which the API server
    /// gets repaired.
    ///
    /// # Errors
    /// [`BackendError::Invalid`]: not JSON or a key twice, another kind, version or uid, no `status`, `response` or
    /// `allowed`, or a field that the API server could not read.
    pub fn parse(body: Bytes, protocol: Protocol, api_version: &str, uid: Option<&str>) -> Result<Self, BackendError> {
        decode::decode(body, protocol, api_version, uid).map_err(BackendError::Invalid)
    }

    /// It answers in the review's protocol, and can be passed on as it came.
    pub fn is_whole(&self) -> bool {
        !self.response.is_empty()
    }

    /// What of it can be said in the other protocol, which has no code, no patch and no field that is unknown here.
    ///
    /// # Errors
    /// It has a patch. A bridge stands where a validating webhook would, whose patch the API server refuses as well.
    pub fn bridged(self) -> Result<Self, BackendError> {
        if self.patches {
            let problem = "it has a patch, which a review of the other protocol has no place for";
            return Err(BackendError::Invalid(problem.to_owned()));
        }
        Ok(Self { code: None, response: Vec::new(), envelope: Vec::new(), ..self })
    }

    /// What a violation of it says.
    pub fn violation_text(&self) -> &str {
        self.message.as_deref().unwrap_or("denied without a message")
    }
}

// === impl BackendError ===

impl BackendError {
    /// All that [`Self::kind`] gives.
    pub const KINDS: [&str; 6] = ["status", "unreachable", "late", "invalid", "full", "breaker_open"];

    /// For the metric `rehearsal_backend_errors`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Unreachable(_) => "unreachable",
            Self::Late(_) => "late",
            Self::Invalid(_) => "invalid",
            Self::Full(_) => "full",
            Self::BreakerOpen { .. } => "breaker_open",
        }
    }
}
