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

async fn fill(mut body: Incoming, mut room: gate::Bytes, bounds: Bounds) -> Read {
    let declared = body.size_hint().lower();
    if declared > bounds.max_body {
        drain(&mut body, DISCARD * bounds.max_body).await;
        return Read::TooLarge;
    }
    let mut whole = Gathered::default();
    let mut fits = room.grow_to(declared);
    loop {
        let data = match body.frame().await {
            None => break,
            Some(Err(error)) => return Read::Broken(error.to_string()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let length = whole.length + data.len() as u64;
        if length > bounds.max_body {
            drain(&mut body, DISCARD * bounds.max_body - length.min(DISCARD * bounds.max_body)).await;
            return Read::TooLarge;
        }
        fits = fits && room.grow_to(length);
        if fits {
            whole.keep(data);
        } else {
            whole.keep_beginning(data);
        }
    }
    if fits { Read::Whole(whole.into_bytes(), room) } else { Read::NoRoom(whole.into_bytes()) }
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

/// Chunks as they came: most bodies are one, and are not copied.
#[derive(Debug, Default)]
struct Gathered {
    chunks: Vec<Bytes>,
    /// Of the body so far, kept or not.
    length: u64,
}

// === impl Gathered ===

impl Gathered {
    fn keep(&mut self, data: Bytes) {
        self.length += data.len() as u64;
        if !data.is_empty() {
            self.chunks.push(data);
        }
    }

    /// Keeps only what an unjudged answer needs, and lets go of what was kept beyond it.
    fn keep_beginning(&mut self, data: Bytes) {
        self.keep(data);
        let mut beginning = std::mem::take(self).joined();
        let length = beginning.1;
        beginning.0.truncate(BEGINNING);
        *self = Self { chunks: vec![Bytes::copy_from_slice(&beginning.0)], length };
    }

    fn into_bytes(self) -> Bytes {
        self.joined().0
    }

    fn joined(mut self) -> (Bytes, u64) {
        if self.chunks.len() <= 1 {
            return (self.chunks.pop().unwrap_or_default(), self.length);
        }
        let mut whole = BytesMut::with_capacity(self.chunks.iter().map(Bytes::len).sum());
        self.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        (whole.freeze(), self.length)
    }
}
