//! A load generator: connections that ask, wait for the whole answer, and ask again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::harness::certs;

/// What the connections of one generator speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

/// Connections to one server, kept between runs.
pub struct Load {
    handle: Handle,
    shared: Arc<Shared>,
    connections: Vec<Arc<Mutex<Option<Sender>>>>,
}

/// What a run gave.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// 200s.
    pub good: u64,
    /// 200s a second.
    pub rate: f64,
    /// Answers other than 200, and connections that broke.
    pub refused: u64,
    /// What the first of these was.
    pub refusal: Option<String>,
    /// Seconds of each answer with 200.
    pub latencies: Vec<f64>,
}

struct Shared {
    to: Uri,
    path: &'static str,
    tls: Option<TlsConnector>,
    speaks: Speaks,
    bodies: Vec<Bytes>,
    next: AtomicUsize,
    good: AtomicU64,
    refused: AtomicU64,
    refusal: OnceLock<String>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

// === impl Load ===

impl Load {
    /// `url` is scheme, host and port; of `bodies` each is sent in turn.
    pub fn new(handle: &Handle, url: &str, ca_pem: Option<&str>, speaks: Speaks, bodies: &[Bytes]) -> Self {
        let tls = ca_pem.map(|pem| {
            let mut config = certs::client_config(Some(pem), None);
            config.alpn_protocols = vec![if speaks == Speaks::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            TlsConnector::from(Arc::new(config))
        });
        let shared = Shared {
            to: url.parse().expect("a URL"),
            path: "/review?timeout=10s",
            tls,
            speaks,
            bodies: bodies.to_vec(),
            next: AtomicUsize::new(0),
            good: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refusal: OnceLock::new(),
        };
        Self { handle: handle.clone(), shared: Arc::new(shared), connections: Vec::new() }
    }

    /// At another path.
    pub fn at(mut self, path: &'static str) -> Self {
        Arc::get_mut(&mut self.shared).expect("nothing was asked yet").path = path;
        self
    }

    /// Asks over `connections` at once until each of the bodies was sent once.
    pub fn each_once(&mut self, connections: usize) -> Outcome {
        self.grow(connections);
        self.shared.reset();
        let begun = Instant::now();
        let left = Arc::new(AtomicUsize::new(self.shared.bodies.len()));
        let tasks: Vec<_> = self.connections[..connections]
            .iter()
            .map(|connection| {
                let (shared, connection, left) = (Arc::clone(&self.shared), Arc::clone(connection), Arc::clone(&left));
                self.handle.spawn(async move {
                    let sender = &mut *connection.lock().await;
                    let mut latencies = Vec::new();
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        latencies.extend(ask(&shared, sender).await);
                    }
                    latencies
                })
            })
            .collect();
        self.gather(begun, tasks)
    }

    /// Asks over `connections` at once, each again as soon as it has its answer, for `span`.
    pub fn closed(&mut self, connections: usize, span: Duration) -> Outcome {
        self.grow(connections);
        self.shared.reset();
        let begun = Instant::now();
        let until = begun + span;
        let tasks: Vec<_> = self.connections[..connections]
            .iter()
            .map(|connection| {
                let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(connection));
                self.handle.spawn(async move { ask_until(&shared, &mut *connection.lock().await, until).await })
            })
            .collect();
        self.gather(begun, tasks)
    }

    /// Asks `rate` times a second, whatever becomes of the answers, over `connections` that take turns, for `span`. What
    /// comes while all of them wait is sent as soon as one is free.
    pub fn open(&mut self, connections: usize, rate: f64, span: Duration) -> Outcome {
        self.grow(connections);
        self.shared.reset();
        let begun = Instant::now();
        let asked = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = self.connections[..connections]
            .iter()
            .map(|connection| {
                let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(connection));
                let asked = Arc::clone(&asked);
                self.handle.spawn(async move {
                    let sender = &mut *connection.lock().await;
                    let mut latencies = Vec::new();
                    loop {
                        let due = Duration::from_secs_f64(asked.fetch_add(1, Ordering::Relaxed) as f64 / rate);
                        if due >= span {
                            return latencies;
                        }
                        tokio::time::sleep_until((begun + due).into()).await;
                        latencies.extend(ask(&shared, sender).await);
                    }
                })
            })
            .collect();
        self.gather(begun, tasks)
    }

    fn grow(&mut self, connections: usize) {
        while self.connections.len() < connections {
            self.connections.push(Arc::default());
        }
    }

    fn gather(&self, begun: Instant, tasks: Vec<tokio::task::JoinHandle<Vec<f64>>>) -> Outcome {
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(self.handle.block_on(task).expect("no panic"));
        }
        let good = self.shared.good.load(Ordering::Relaxed);
        Outcome {
            good,
            rate: good as f64 / begun.elapsed().as_secs_f64(),
            refused: self.shared.refused.load(Ordering::Relaxed),
            refusal: self.shared.refusal.get().cloned(),
            latencies,
        }
    }
}

/// Once at least, however late it gets to it.
async fn ask_until(shared: &Shared, sender: &mut Option<Sender>, until: Instant) -> Vec<f64> {
    let mut latencies = Vec::new();
    loop {
        latencies.extend(ask(shared, sender).await);
        if Instant::now() >= until {
            return latencies;
        }
    }
}

/// One answer; its time where it was a 200.
async fn ask(shared: &Shared, sender: &mut Option<Sender>) -> Option<f64> {
    let begun = Instant::now();
    let request = shared.request();
    if sender.is_none() {
        *sender = Some(shared.connect().await);
    }
    let answered = sender.as_mut().expect("connected").send(request).await;
    match answered {
        Ok((StatusCode::OK, last)) => {
            if last {
                *sender = None;
            }
            shared.good.fetch_add(1, Ordering::Relaxed);
            Some(begun.elapsed().as_secs_f64())
        }
        Ok((status, last)) => {
            if last {
                *sender = None;
            }
            shared.refused(|| status.to_string());
            None
        }
        Err(error) => {
            *sender = None;
            shared.refused(|| error.to_string());
            None
        }
    }
}

// === impl Shared ===

impl Shared {
    fn reset(&self) {
        self.good.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
    }

    fn refused(&self, why: impl FnOnce() -> String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refusal.get_or_init(why);
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let body = &self.bodies[self.next.fetch_add(1, Ordering::Relaxed) % self.bodies.len()];
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.speaks {
            Speaks::Http1 => {
                headers.insert(HOST, HeaderValue::from_static("localhost"));
                *request.uri_mut() = Uri::from_static(self.path);
            }
            Speaks::Http2 => {
                *request.version_mut() = http::Version::HTTP_2;
                let uri = Uri::builder().scheme("https").authority("localhost").path_and_query(self.path);
                *request.uri_mut() = uri.build().expect("a URI");
            }
        }
        request
    }

    async fn connect(&self) -> Sender {
        let authority = self.to.authority().expect("host and port").as_str();
        let stream = TcpStream::connect(authority).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        match &self.tls {
            None => self.shake_hands(stream).await,
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("a name");
                self.shake_hands(tls.connect(name, stream).await.expect("a TLS handshake")).await
            }
        }
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S) -> Sender {
        match self.speaks {
            Speaks::Http1 => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
                tokio::spawn(connection);
                Sender::One(sender)
            }
            Speaks::Http2 => {
                let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
                let (sender, connection) = shaken.expect("HTTP/2");
                tokio::spawn(connection);
                Sender::Two(sender)
            }
        }
    }
}

// === impl Sender ===

impl Sender {
    /// The status, once the whole body is there, and whether the connection ends with it.
    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<(StatusCode, bool)> {
        let response = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = response.status();
        let last = response.headers().get(http::header::CONNECTION).is_some_and(|value| value == "close");
        response.into_body().collect().await?;
        Ok((status, last))
    }
}
