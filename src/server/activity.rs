//! What a connection is doing, so that one that does nothing, or dawdles over a header, is closed in time.
//!
//! hyper's own header time-out also runs while a kept-alive connection is idle; here the two are apart.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Between two looks at a connection: shorter times, which only a test sets, must not keep a processor busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
    header: Duration,
    idle: Duration,
}

#[derive(Debug)]
struct State {
    requests: usize,
    /// The connection ends with its next answer.
    retired: bool,
    /// It was told to end: what it still sends keeps it open no longer.
    ending: bool,
    framing: Framing,
    phase: Phase,
    since: Instant,
}

/// HTTP/2 sends frames outside of requests: bytes without a request are no header there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Unknown,
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The first bytes of a request came.
    Header,
}

/// Counts as a request under way while it lives.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

/// A stream that tells its [`Activity`] of bytes read.
#[derive(Debug)]
pub struct Watched<T> {
    stream: T,
    activity: Arc<Activity>,
}

// === impl Activity ===

impl Activity {
    pub fn new(header: Duration, idle: Duration, framing: Framing) -> Arc<Self> {
        // A new connection owes its first header.
        let state =
            State { requests: 0, retired: false, ending: false, framing, phase: Phase::Header, since: Instant::now() };
        Arc::new(Self { state: Mutex::new(state), header, idle })
    }

    pub fn request(self: &Arc<Self>, version: http::Version) -> Busy {
        self.update(|state| {
            state.requests += 1;
            state.phase = Phase::Idle;
            if version == http::Version::HTTP_2 {
                state.framing = Framing::Http2;
            }
        });
        Busy(Arc::clone(self))
    }

    /// Has the connection end with its next answer, if it speaks HTTP/1.1: to close it while it is idle could lose a
    /// request that is on its way. False when it speaks HTTP/2, which can say so itself.
    pub fn retire(&self) -> bool {
        let mut state = self.lock();
        state.retired = state.framing != Framing::Http2;
        state.retired
    }

    /// The connection was told to end. From now on only requests under way keep it, no bytes: a peer that ignores a
    /// GOAWAY and sends PINGs would stay for ever.
    pub fn end(&self) {
        self.update(|state| state.ending = true);
    }

    /// Resolves when the connection has been idle, or at one header, for too long.
    ///
    /// It looks at least as often as the shorter of both times, down to [`SHORTEST_PAUSE`]: what begins after a look is
    /// not overdue before the next one, so that no request has to wake it.
    pub async fn overdue(&self) {
        let pause = self.header.min(self.idle).max(SHORTEST_PAUSE);
        loop {
            let now = Instant::now();
            let next = now + pause;
            match self.deadline() {
                Some(deadline) if deadline <= now => return,
                deadline => tokio::time::sleep_until(deadline.map_or(next, |deadline| deadline.min(next)).into()).await,
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        match state.phase {
            _ if state.requests > 0 => None,
            Phase::Idle => Some(state.since + self.idle),
            Phase::Header => Some(state.since + self.header),
        }
    }

    fn read_some(&self) {
        let mut state = self.lock();
        if state.requests > 0 || state.ending || state.phase == Phase::Header {
            return;
        }
        state.since = Instant::now();
        if state.framing != Framing::Http2 {
            state.phase = Phase::Header;
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// === impl Busy ===

impl Busy {
    /// Whether the connection ends with the answer to this request.
    pub fn is_last(&self) -> bool {
        self.0.lock().retired
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.update(|state| {
            state.requests -= 1;
            state.since = Instant::now();
        });
    }
}

// === impl Watched ===

impl<T> Watched<T> {
    pub fn new(stream: T, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.read_some();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_an_http_2_connection_open_until_it_is_told_to_end() {
        let activity = Activity::new(Duration::from_secs(10), Duration::from_secs(120), Framing::Http2);
        drop(activity.request(http::Version::HTTP_2));
        let idle = activity.deadline();
        activity.read_some();
        let kept = activity.deadline();
        assert!(kept > idle, "a PING is a sign of life");
        activity.end();
        activity.read_some();
        assert_eq!(activity.deadline(), kept, "not any more");
    }
}
