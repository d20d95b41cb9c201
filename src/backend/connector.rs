//! The connections of a webhook: pooled, HTTP/1.1 or HTTP/2, each knowing whether it has served an answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// TCP, TLS and the HTTP/2 preface together, over any network that an API server would wait for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the two minutes after which most servers and load balancers close a connection that they think unused.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Many calls share one HTTP/2 connection: when its peer is gone without a word, it must be found out soon.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// The client of one webhook. Cloning it shares its connections.
#[derive(Debug, Clone)]
pub(super) struct Connections(Client<Connector, Full<Bytes>>);

#[derive(Debug, Clone)]
struct Connector(HttpsConnector<HttpConnector>);

/// A connection and whether it has served an answer.
#[derive(Debug)]
struct Known<S> {
    stream: S,
    served: Served,
}

#[derive(Debug, Clone, Default)]
struct Served(Arc<AtomicBool>);

// === impl Connections ===

impl Connections {
    pub(super) fn new(config: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Of several addresses each gets its part of it.
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_all_versions();
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .build(Connector(https.wrap_connector(tcp)));
        Self(client)
    }

    /// Sends a request; hyper itself sends it again when a pooled connection was closed before the first byte.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let response = self.0.request(request).await?;
        if let Some(Served(served)) = response.extensions().get() {
            served.store(true, Ordering::Relaxed);
        }
        Ok(response)
    }
}

/// Whether a request failed on a connection that had served before: the webhook has probably closed it while the
/// request was on its way, and a new connection may serve it.
pub(super) fn was_stale(error: &Error) -> bool {
    let mut known = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut known);
    }
    known.get().is_some_and(|Served(served)| served.load(Ordering::Relaxed)) && !began_to_answer(error)
}

/// Something came back, though not HTTP.
fn began_to_answer(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.and_then(|cause| cause.downcast_ref::<hyper::Error>()).is_some_and(hyper::Error::is_parse)
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = Known<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Known<Stream>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        // A connection that lost the race for its request is finished in the background, where no deadline ends it.
        Box::pin(async move {
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time");
            Ok(Known { stream: stream.map_err(late)??, served: Served::default() })
        })
    }
}

// === impl Known ===

impl<S: Connection> Connection for Known<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.served.clone())
    }
}

impl<S: Read + Unpin> Read for Known<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Known<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}
