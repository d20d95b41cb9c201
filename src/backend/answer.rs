//! What a webhook answered, and the ways in which it did not.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

/// A valid answer.
#[derive(Debug, Clone)]
pub struct BackendAnswer {
    /// As it came.
    pub body: Bytes,
    pub allowed: bool,
    /// Of a denial: what the API server would show (`status.message`, else `reason`; ImageReview: `status.reason`).
    pub message: Option<String>,
    /// Of a denial, as it came.
    pub code: Option<u16>,
    /// AdmissionReview only.
    pub warnings: Vec<String>,
    pub audit_annotations: BTreeMap<String, String>,
    /// AdmissionReview only: the answer has a `patch`.
    pub patches: bool,
}

/// Why there is no answer to pass on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// Its own 429 or 5xx, which passes with its Retry-After under `on_error: fail`.
    #[error("it answered {status}: {excerpt}")]
    Status { status: http::StatusCode, retry_after: Option<http::HeaderValue>, body: Bytes, excerpt: String },
    #[error("it could not be reached: {0}")]
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
