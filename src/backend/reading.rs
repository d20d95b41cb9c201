//! Reading what came back, never more of it than is of use.

use std::error::Error;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::review::strict;

use super::answer::BackendError;

/// What an API server reads of a webhook's answer (`DefaultMaxRequestBodySize`).
const MAX_ANSWER: usize = 3 << 20;
/// Of a 429 or 5xx: far more than a person reads.
const MAX_ERROR: usize = 64 << 10;
/// Characters of an error's text in one line of a log, a page or kubectl.
const EXCERPT: usize = 256;

/// The body of an answer.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, BackendError> {
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(BackendError::Invalid(format!("it is over {} MiB", MAX_ANSWER >> 20)))
        }
        Err(error) => Err(BackendError::Unreachable(format!("its answer broke off: {}", causes(&*error)))),
    }
}

/// A 429 or 5xx with what arrives of its body until the deadline.
pub(super) async fn status(head: response::Parts, body: Incoming, deadline: Instant) -> BackendError {
    let body = beginning(body, deadline).await;
    BackendError::Status {
        status: head.status,
        retry_after: head.headers.get(RETRY_AFTER).cloned(),
        excerpt: excerpt(&body),
        body,
    }
}

/// The status alone is worth telling: a body that breaks off or does not end is cut.
async fn beginning(mut body: Incoming, deadline: Instant) -> Bytes {
    let mut read = BytesMut::new();
    while read.len() < MAX_ERROR {
        let frame = tokio::time::timeout_at(deadline.into(), body.frame()).await;
        let Ok(Some(Ok(frame))) = frame else { break };
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data[..data.len().min(MAX_ERROR - read.len())]);
        }
    }
    read.freeze()
}

/// The message of a `metav1.Status`, else the beginning of the text, on one line.
fn excerpt(body: &[u8]) -> String {
    let document = strict::parse(body).ok();
    let message = document.as_ref().and_then(|document| document.root().member("message")?.text());
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(body));
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(EXCERPT) {
            line.truncate(end);
            line.push('…');
            return line;
        }
    }
    if line.is_empty() { "(without a text)".to_owned() } else { line }
}

/// An error and what caused it, each said once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        let text = cause.to_string();
        // The client's own words for "no connection" and "no answer", which stand before this already.
        if ["client error (Connect)", "client error (SendRequest)"].contains(&text.as_str()) || said.contains(&text) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&text);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_that_a_person_can_read() {
        assert_eq!(excerpt(b""), "(without a text)");
        assert_eq!(excerpt(b" \r\n\t"), "(without a text)");
        assert_eq!(excerpt(b"<h1>no\n healthy\x00upstream</h1>\n"), "<h1>no healthy upstream</h1>");
        assert_eq!(excerpt(br#"{"kind":"Status","message":"come back\nlater","code":503}"#), "come back later");
        assert_eq!(excerpt(br#"{"kind":"Status"}"#), r#"{"kind":"Status"}"#);
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        let long = excerpt("ü".repeat(70_000).as_bytes());
        assert_eq!((long.chars().count(), long.ends_with('…')), (EXCERPT + 1, true));
    }

    #[test]
    fn a_chain_of_causes_repeats_nothing() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("tcp connect error: refused")]
        struct Middle(#[source] std::io::Error);
        let error = Outer(Middle(std::io::Error::other("refused")));
        assert_eq!(causes(&error), "tcp connect error: refused");
    }
}
