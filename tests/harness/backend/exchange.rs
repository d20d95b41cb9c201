//! What the scripted webhook is sent and what it answers.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Counts accepted connections, from 1.
    pub connection: u64,
    /// The leaf that the client showed, DER.
    pub client_certificate: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// A response body that may end badly.
#[derive(Debug)]
pub struct Tape {
    frames: VecDeque<Bytes>,
    /// Promised in `Content-Length`.
    length: u64,
    end: End,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Whole,
    Hang,
    /// After so many more polls, in which what stands before it is sent.
    Break(u8),
}

// === impl Received ===

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a review")
    }

    /// A valid answer in the protocol and version of the request; `judgement` is the part that judges.
    pub fn answer(&self, mut judgement: Value) -> Reply {
        let review = self.json();
        let part = match review["kind"].as_str() {
            Some("AdmissionReview") => {
                judgement["uid"] = review["request"]["uid"].clone();
                "response"
            }
            _ => "status",
        };
        Reply::json(&json!({"apiVersion": review["apiVersion"], "kind": review["kind"], part: judgement}))
    }

    pub fn allowed(&self) -> Reply {
        self.answer(json!({"allowed": true}))
    }

    pub fn denied(&self, message: &str) -> Reply {
        match self.json()["kind"].as_str() {
            Some("AdmissionReview") => self.answer(json!({"allowed": false, "status": {"message": message}})),
            _ => self.answer(json!({"allowed": false, "reason": message})),
        }
    }
}

// === impl Reply ===

impl Reply {
    pub fn json(body: &Value) -> Self {
        Self::of(200, "application/json", body.to_string())
    }

    pub fn of(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response(self, end: End) -> Response<Tape> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let length = u64::try_from(self.body.len()).expect("a body fits");
        let sent = match end {
            End::Whole => self.body,
            End::Hang | End::Break(_) => self.body.slice(..self.body.len() / 2),
        };
        response.body(Tape { frames: VecDeque::from([sent]), length, end }).expect("a response")
    }
}

// === impl Tape ===

impl Body for Tape {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Hang => Poll::Pending,
            End::Break(0) => Poll::Ready(Some(Err(io::Error::other("as the script says")))),
            End::Break(left) => {
                self.end = End::Break(left - 1);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && matches!(self.end, End::Whole)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
