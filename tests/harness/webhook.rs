//! A webhook backend that does as the test says and remembers what it was sent.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::wait_for;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Webhook {
    addr: SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Received>>>,
    held: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub version: http::Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub client_certificate: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

type Judge = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// What connections share.
#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    held: watch::Receiver<bool>,
    judge: Judge,
}

// === impl Webhook ===

impl Webhook {
    /// Plain HTTP, 1.1 and 2.
    pub async fn start(judge: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, judge).await
    }

    pub async fn start_tls(config: ServerConfig, judge: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Some(config), judge).await
    }

    pub async fn allowing() -> Self {
        Self::start(Received::allowed).await
    }

    pub async fn denying(message: &'static str) -> Self {
        Self::start(move |request| request.denied(message)).await
    }

    async fn listen(tls: Option<ServerConfig>, judge: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let received = Arc::new(Mutex::new(Vec::new()));
        let (held, holding) = watch::channel(false);
        let shared = Shared { received: Arc::clone(&received), held: holding, judge: Arc::new(judge) };
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            // Connections end with the listener.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, acceptor.clone(), shared.clone()));
            }
        });
        Self { addr, scheme, received, held, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }

    /// Requests that come from now on are read, remembered, and not answered.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Answers what was held.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic while held").clone()
    }

    /// What was received, once it is `count` requests.
    pub async fn received_count(&self, count: usize) -> Vec<Received> {
        wait_for(&format!("{count} requests at {}", self.addr), || async {
            let received = self.received();
            assert!(received.len() <= count, "{} requests at {}, {count} expected", received.len(), self.addr);
            (received.len() == count).then_some(received)
        })
        .await
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: Shared) {
    let builder = auto::Builder::new(TokioExecutor::new());
    let Some(acceptor) = acceptor else {
        // A client that leaves is the test's business.
        let _ =
            builder.serve_connection(TokioIo::new(stream), service_fn(|request| shared.answer(request, None))).await;
        return;
    };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    let service = service_fn(|request| shared.answer(request, peer.clone()));
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

// === impl Shared ===

impl Shared {
    fn answer(
        &self,
        request: Request<Incoming>,
        client_certificate: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<http::Response<Full<Bytes>>, hyper::Error>> + Send + use<> {
        let mut shared = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let received = Received {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                body,
                client_certificate,
            };
            shared.received.lock().expect("no panic while held").push(received.clone());
            // The sender is gone when the test is over.
            let _ = shared.held.wait_for(|held| !held).await;
            Ok((shared.judge)(&received).into_response())
        }
    }
}

// === impl Received ===

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a review")
    }

    pub fn namespace(&self) -> String {
        let review = self.json();
        let namespace = review.pointer("/spec/namespace").or_else(|| review.pointer("/request/namespace"));
        namespace.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// `timeout` of the query, as it came.
    pub fn timeout(&self) -> Option<Duration> {
        let value = self.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
        Some(Duration::from_millis(value.strip_suffix("ms").expect("in ms").parse().expect("a number")))
    }

    /// A valid answer in the protocol and version of the request; `response` is the part that judges.
    pub fn answer(&self, response: Value) -> Reply {
        let review = self.json();
        let mut response = response;
        let (part, version) = match review["kind"].as_str() {
            Some("AdmissionReview") => {
                response["uid"] = review["request"]["uid"].clone();
                ("response", &review["apiVersion"])
            }
            _ => ("status", &review["apiVersion"]),
        };
        Reply::json(json!({"apiVersion": version, "kind": review["kind"], part: response}))
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
    pub fn json(body: Value) -> Self {
        Self::of(200, "application/json", body.to_string())
    }

    pub fn of(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn into_response(self) -> http::Response<Full<Bytes>> {
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Full::new(self.body)).expect("a response")
    }
}
