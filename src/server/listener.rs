//! Accepts connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::warn;

use super::activity::Framing;
use super::connection::Protocols;
use super::metrics::Metrics;
use super::settings::{Limits, Timeouts};
use super::tls::{self, HandshakeFailure, ServerTls};

/// After an accept that failed for want of file descriptors the next would fail at once too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
#[error("{field}: cannot listen on {address}: {source}; choose another address, or stop what listens there")]
pub struct ListenError {
    field: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// What the connections of a listener share.
#[derive(Debug)]
pub struct Terms {
    /// For metrics and the log: `webhook`, `report`, `admin`.
    pub listener: &'static str,
    pub tls: Option<Arc<ServerTls>>,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub metrics: Arc<Metrics>,
}

struct Shared<S> {
    terms: Terms,
    protocols: Protocols,
    service: S,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

// === impl Listener ===

impl Listener {
    /// `field` is where the configuration names the address.
    pub async fn bind(field: &'static str, address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError { field, address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address })
    }

    /// With the real port when the configured one is 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled; then closes the port and returns. The connections, which end gracefully, are
    /// in `tasks`.
    pub async fn serve<S, B>(self, service: S, terms: Terms, stop: CancellationToken, tasks: TaskTracker)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let shared = Arc::new(Shared {
            protocols: Protocols::new(&terms.limits, &terms.timeouts),
            places: Arc::new(Semaphore::new(terms.limits.connections)),
            service,
            terms,
            stop: stop.clone(),
        });
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => drop(tasks.spawn(Arc::clone(&shared).connection(stream, peer))),
                Err(error) => shared.not_accepted(&error).await,
            }
        }
    }
}

// === impl Shared ===

impl<S, B> Shared<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else {
            let why = format!("all {} connections of this listener are in use", self.terms.limits.connections);
            self.refused("too_many_connections", peer, &why);
            return;
        };
        let _open = self.terms.metrics.opened(self.terms.listener);
        // Answers are one small write each: waiting to fill a packet only delays them.
        stream.set_nodelay(true).ok();
        let Some(server) = &self.terms.tls else {
            let (service, stop) = (self.service.clone(), self.stop.clone());
            return self.protocols.serve(stream, Framing::Unknown, (peer, None), service, stop).await;
        };
        let handshake = TlsAcceptor::from(server.config()).accept(stream);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.terms.timeouts.handshake, handshake) => shaken,
            // It has asked for nothing yet: what is in flight must not share the grace with it.
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let framing = match session.alpn_protocol() {
                    Some(b"h2") => Framing::Http2,
                    _ => Framing::Unknown,
                };
                let own = session.peer_certificates().and_then(<[_]>::first);
                let peer = (peer, own.and_then(tls::peer).map(Arc::new));
                self.protocols.serve(stream, framing, peer, self.service.clone(), self.stop.clone()).await;
            }
            Ok(Err(error)) => match HandshakeFailure::of(&error) {
                // A probe that only opens the port, as a kubelet's or a load balancer's: counted, but no news.
                HandshakeFailure::Gone => {
                    self.terms.metrics.refused(self.terms.listener, HandshakeFailure::Gone.as_str())
                }
                failure => self.refused(failure.as_str(), peer, &error.to_string()),
            },
            Err(_) => self.refused("slow_handshake", peer, "webhook.timeouts.handshake is over"),
        }
    }
}

impl<S> Shared<S> {
    fn refused(&self, reason: &'static str, peer: SocketAddr, why: &str) {
        let listener = self.terms.listener;
        self.terms.metrics.refused(listener, reason);
        if let Some(silent) = self.terms.metrics.said.pass() {
            warn!(listener, %peer, reason, silent, "connection refused: {why}");
        }
    }

    async fn not_accepted(&self, error: &io::Error) {
        let listener = self.terms.listener;
        self.terms.metrics.refused(listener, "accept");
        if let Some(silent) = self.terms.metrics.said.pass() {
            warn!(listener, silent, "a connection could not be accepted: {error}; is the limit of open files reached?");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
