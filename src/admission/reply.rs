//! One HTTP answer, whole.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// Always JSON.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
    pub retry_after: Option<HeaderValue>,
    pub connection: Connection,
}

/// What becomes of the connection that it goes out on (HTTP/1.1; a stream of HTTP/2 just ends).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    Keep,
    /// The request was not read to its end: what follows on the connection is not a request.
    Close,
}

// === impl Reply ===

impl Reply {
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), retry_after: None, connection: Connection::Keep }
    }

    pub fn closing(self) -> Self {
        Self { connection: Connection::Close, ..self }
    }

    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, after);
        }
        if self.connection == Connection::Close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
