//! A request's body, read within its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::admission::gate;
use crate::admission::shed::BEGINNING;

/// How much of a body that is refused is still read, so that the client sees the answer instead of a reset: this many
/// times `max_body`.
const DISCARD: u64 = 4;

/// What bounds the reading of one body.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_body: u64,
    pub timeout: Duration,
}

/// A body that was read.
#[derive(Debug)]
pub enum Read {
    Whole(Bytes, gate::Bytes),
    TooLarge,
    /// There was no room for its bytes: this is how it begins.
    NoRoom(Bytes),
    Slow,
    Broken(String),
}

/// Reads `body` into `room`. Past a bound the rest is thrown away.
pub async fn read(body: Incoming, room: gate::Bytes, bounds: Bounds) -> Read {
    let deadline = Instant::now() + bounds.timeout;
    match timeout_at(deadline, fill(body, room, bounds)).await {
        Ok(read) => read,
        Err(_) => Read::Slow,
    }
}

/// Throws `body` away, as far as [`DISCARD`] and the time-out allow.
pub async fn discard(mut body: Incoming, bounds: Bounds) {
    let rest = drain(&mut body, DISCARD * bounds.max_body);
    timeout_at(Instant::now() + bounds.timeout, rest).await.ok();
}

/// Room is taken as bytes come, not as they are announced: who announces much and sends little takes it from nobody.
async fn fill(mut body: Incoming, room: gate::Bytes, bounds: Bounds) -> Read {
    let declared = body.size_hint().lower();
    if declared > bounds.max_body {
        drain(&mut body, DISCARD * bounds.max_body).await;
        return Read::TooLarge;
    }
    let (mut whole, mut length, mut room) = (Gathered::default(), 0, Some(room));
    loop {
        let data = match body.frame().await {
            None => break,
            Some(Err(error)) => return Read::Broken(error.to_string()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        length += data.len() as u64;
        if length > bounds.max_body {
            drop((whole, room));
            drain(&mut body, (DISCARD * bounds.max_body).saturating_sub(length)).await;
            return Read::TooLarge;
        }
        if room.as_mut().is_some_and(|room| room.grow_to(length)) {
            whole.keep(data, declared);
        } else {
            room = None;
            whole.keep_beginning(&data);
        }
    }
    match room {
        Some(room) => Read::Whole(whole.into_bytes(), room),
        None => Read::NoRoom(whole.into_bytes()),
    }
}

async fn drain(body: &mut Incoming, most: u64) {
    let mut read = 0;
    while read < most {
        match body.frame().await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => return,
        }
    }
}

/// A body as it comes. Most are one chunk, which is not copied; more are joined at once, since each alone holds on to
/// the buffer that it was read into: a body of chunks of one byte would cost a multiple of its length.
#[derive(Debug)]
enum Gathered {
    One(Bytes),
    Joined(BytesMut),
}

// === impl Gathered ===

impl Gathered {
    /// `declared`: how long the whole will be, where that is known.
    fn keep(&mut self, data: Bytes, declared: u64) {
        match self {
            _ if data.is_empty() => {}
            Self::One(first) if first.is_empty() => *first = data,
            Self::One(first) => {
                let length = first.len() + data.len();
                // Bounded by `max_body`; pages that no byte comes for are never touched.
                let mut joined = BytesMut::with_capacity(length.max(usize::try_from(declared).unwrap_or(length)));
                joined.extend_from_slice(first);
                joined.extend_from_slice(&data);
                *self = Self::Joined(joined);
            }
            Self::Joined(joined) => joined.extend_from_slice(&data),
        }
    }

    /// Keeps only what an unjudged answer needs, and lets go of what was kept beyond it.
    fn keep_beginning(&mut self, data: &[u8]) {
        let kept = self.as_slice();
        let kept = &kept[..kept.len().min(BEGINNING)];
        let more = &data[..data.len().min(BEGINNING - kept.len())];
        if kept.len() < self.as_slice().len() || !more.is_empty() {
            *self = Self::One(Bytes::from([kept, more].concat()));
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Joined(bytes) => bytes.freeze(),
        }
    }
}

impl Default for Gathered {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_beginning_is_short() {
        let mut whole = Gathered::default();
        for chunk in ["ab", "", "c", "de"] {
            whole.keep(Bytes::from_static(chunk.as_bytes()), 0);
        }
        assert_eq!(whole.as_slice(), b"abcde");
        whole.keep_beginning(b"fg");
        assert_eq!(whole.as_slice(), b"abcdefg");
        whole.keep_beginning(&[b'x'; 2 * BEGINNING]);
        assert_eq!(whole.as_slice().len(), BEGINNING);
        whole.keep_beginning(b"y");
        let beginning = whole.into_bytes();
        assert!(beginning.starts_with(b"abcdefgx") && beginning.ends_with(b"x"));
    }
}
