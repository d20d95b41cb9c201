//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::activity::{Activity, Framing, Watched};
use super::callers::Peer;
use super::settings::{Limits, Timeouts};
use super::webhook::MAX_HEADERS;

/// The largest window that HTTP/2 has.
const MAX_WINDOW: u64 = (1 << 31) - 1;
/// Header bytes of one HTTP/2 request.
const MAX_HEADER_LIST: u32 = 32 * 1024;

/// What every connection of a listener is served with.
#[derive(Debug, Clone)]
pub struct Protocols {
    builder: auto::Builder<TokioExecutor>,
    timeouts: Timeouts,
}

// === impl Protocols ===

impl Protocols {
    pub fn new(limits: &Limits, timeouts: &Timeouts) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let window = u32::try_from(limits.max_body.clamp(1 << 20, MAX_WINDOW)).expect("clamped to 31 bits");
        let streams = u32::try_from(limits.max_in_flight.max(128)).unwrap_or(u32::MAX);
        builder
            .http1()
            .timer(TokioTimer::new())
            // Ours tells a slow header from an idle connection; see `activity`.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams)
            .initial_stream_window_size(window)
            .initial_connection_window_size(window)
            .max_header_list_size(MAX_HEADER_LIST);
        Self { builder, timeouts: timeouts.clone() }
    }

    /// Serves `stream` until it ends, is overdue, too old, or `stop` is cancelled and its requests are answered.
    /// Each request carries the `address` at the other end, and the `peer`, if its certificate was verified.
    pub async fn serve<T, S, B>(
        &self,
        stream: T,
        framing: Framing,
        (address, peer): (SocketAddr, Option<Arc<Peer>>),
        service: S,
        stop: CancellationToken,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let activity = Activity::new(self.timeouts.header, self.timeouts.idle, framing);
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let busy = Arc::clone(&activity);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(Arc::clone(peer));
            }
            let busy = busy.request(request.version());
            let service = service.clone();
            async move {
                let mut response = service.oneshot(request).await;
                if let Ok(response) = &mut response
                    && busy.is_last()
                {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                drop(busy);
                response
            }
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let is_stopping = tokio::select! {
            // Clients leave in many ways, none of which is news.
            _ = connection.as_mut() => return,
            () = activity.overdue() => return,
            () = tokio::time::sleep(self.age()) => false,
            () = stop.cancelled() => true,
        };
        if !is_stopping && activity.retire() {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = activity.overdue() => return,
                () = stop.cancelled() => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        activity.end();
        tokio::select! {
            _ = connection => {}
            () = activity.overdue() => {}
        }
    }

    /// With a jitter of 10 %, so that connections made together do not end together.
    fn age(&self) -> Duration {
        self.timeouts.connection_age.mul_f64(0.9 + fastrand::f64() * 0.2)
    }
}
