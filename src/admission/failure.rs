//! Every error to its reply, once.
//!
//! The body is always a `metav1.Status`: the API server shows its message to the user, and it can never be taken for
//! an ImageReview without a status, which would be a silent denial.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::review::clock::DecisionId;
use crate::review::decode::DecodeError;

use super::Reply;

/// Why a request got no answer of a policy.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the request has no Host header, or several; send one")]
    NoHost,
    #[error("{method} is not answered here; reviews are sent with POST")]
    Method { method: http::Method },
    /// The path is not shown beyond its first part: what follows may be a token.
    #[error(
        "there is nothing at {begins}; reviews go to /review/CLUSTER, /review, /image_policy or /, where CLUSTER is a DNS \
         label (lower-case letters, digits and '-', at most 63), and where `clusters` are declared to \
         /review/CLUSTER/TOKEN too"
    )]
    Path { begins: String },
    #[error("the media type is {}; send application/json", .0.as_deref().unwrap_or("missing"))]
    MediaType(Option<String>),
    #[error("the request has more than 100 headers; send fewer")]
    TooManyHeaders,
    #[error("the transfer coding is not `chunked`; send the body with a Content-Length or in chunks")]
    TransferEncoding,
    #[error("the body is larger than webhook.limits.max_body, {max_body} bytes")]
    TooLarge { max_body: u64 },
    #[error("the body did not arrive within webhook.timeouts.body, {} ms", .0.as_millis())]
    SlowBody(Duration),
    #[error("the body ended early: {0}")]
    BrokenBody(String),
    #[error("{0}")]
    Unreadable(#[from] DecodeError),
    #[error("more reviews at once than webhook.limits admits; none was judged")]
    Overloaded,
    #[error("rehearsal failed while it judged this review; its log has the panic")]
    Panicked,
}

/// A `metav1.Status`, as the API server reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<&'static str>,
    pub metadata: Empty,
    pub status: &'static str,
    pub message: &'a str,
    pub reason: &'static str,
    pub code: u16,
}

#[derive(Debug, Serialize)]
pub(super) struct Empty {}

/// A failure of a policy that enforces, or of ours, on a review that has a decision.
pub fn failed(code: StatusCode, message: &str, retry_after: Option<HeaderValue>) -> Reply {
    Reply { retry_after, ..status_reply(code, message) }
}

/// The message of a failure, which names policy, cause and decision.
pub fn message(policy: &str, cause: &str, decision: DecisionId) -> String {
    format!("policy {policy} could not judge this request: {cause} (decision {decision})")
}

fn status_reply(code: StatusCode, message: &str) -> Reply {
    let status = Status {
        kind: Some("Status"),
        api_version: Some("v1"),
        metadata: Empty {},
        status: "Failure",
        message,
        reason: reason(code),
        code: code.as_u16(),
    };
    Reply::new(code, serde_json::to_vec(&status).expect("a Status of strings and a number is JSON"))
}

/// The `metav1.StatusReason` of a code, as the API server itself uses it.
pub(super) fn reason(code: StatusCode) -> &'static str {
    match code {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        code if code.is_server_error() => "InternalError",
        _ => "Invalid",
    }
}

// === impl Failure ===

impl Failure {
    /// For the metric `rehearsal_refused_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoHost => "no_host",
            Self::Method { .. } => "method",
            Self::Path { .. } => "path",
            Self::MediaType(_) => "media_type",
            Self::TooManyHeaders => "too_many_headers",
            Self::TransferEncoding => "transfer_encoding",
            Self::TooLarge { .. } => "too_large",
            Self::SlowBody(_) => "slow_body",
            Self::BrokenBody(_) => "broken_body",
            Self::Unreadable(_) => "unreadable",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panicked",
        }
    }

    fn code(&self) -> StatusCode {
        match self {
            Self::NoHost | Self::TransferEncoding | Self::BrokenBody(_) | Self::Unreadable(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path { .. } => StatusCode::NOT_FOUND,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded | Self::Panicked => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn reply(&self) -> Reply {
        let reply = status_reply(self.code(), &self.to_string());
        match self {
            // What is left of these bodies was not read.
            Self::SlowBody(_) | Self::BrokenBody(_) | Self::TooLarge { .. } | Self::TransferEncoding => reply.closing(),
            _ => reply,
        }
    }
}
