//! Servers as bare as hyper lets them be: the webhook behind us, and what we are compared with.
//!
//! What is compared runs as a process of its own, as `rehearsal` does, on the same shape of runtime: the bench starts
//! its own binary again ([`serve_if_asked`]).

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::certs::{self, Authority, Identity};

/// What a bare server does with a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Role {
    /// Reads the body and answers `allowed` to its uid, after a while.
    Judge { after: Duration },
    /// Reads the body and answers a constant.
    Constant,
    /// Hands request and answer through, as they come.
    Hop { to: String },
}

/// Certificates for both sides of a hop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tls {
    pub ca_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A bare server in a process of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Served {
    child: Child,
    pub url: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    role: Role,
    tls: Option<Tls>,
}

type Answer = Response<Either<Full<Bytes>, Incoming>>;
type HopClient = Client<HttpsConnector<HttpConnector>, Incoming>;

/// Set for a process that is to be a bare server.
const ORDER: &str = "BENCH_BARE_SERVER";

/// Serves until it is killed, where this process was started for that. The first line of every bench.
pub fn serve_if_asked() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).expect("it is ours");
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        println!("{}", listener.local_addr().expect("bound"));
        std::io::stdout().flush().expect("a pipe");
        serve(listener, order.role, order.tls).await;
    });
}

/// The shape that `rehearsal serve` has.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A bare server in this process, on the runtime that this is called in. Its URL.
pub async fn spawn(role: Role, tls: Option<Tls>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = url(listener.local_addr().expect("bound"), tls.as_ref());
    tokio::spawn(serve(listener, role, tls));
    url
}

fn url(address: SocketAddr, tls: Option<&Tls>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    format!("{scheme}://127.0.0.1:{}", address.port())
}

async fn serve(listener: TcpListener, role: Role, tls: Option<Tls>) {
    let client = Arc::new(match &role {
        Role::Hop { .. } => Some(client(tls.as_ref())),
        Role::Judge { .. } | Role::Constant => None,
    });
    let acceptor = tls.map(|tls| {
        let mut config = tls.identity().server_config();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a socket");
        let (role, client, acceptor) = (role.clone(), Arc::clone(&client), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, role, client).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => connection(stream, role, client).await,
                    Err(error) => eprintln!("bare server: {error}"),
                },
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    role: Role,
    client: Arc<Option<HopClient>>,
) {
    let role = Arc::new(role);
    let service = service_fn(move |request| {
        let (role, client) = (Arc::clone(&role), Arc::clone(&client));
        async move { Ok::<Answer, Infallible>(answer(request, &role, client.as_ref().as_ref()).await) }
    });
    // A generator that leaves is no news.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, role: &Role, client: Option<&HopClient>) -> Answer {
    match role {
        Role::Hop { to } => {
            let client = client.expect("a hop has a client");
            let (mut parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            parts.uri = format!("{to}{path}").parse::<Uri>().expect("a URI with a path");
            parts.version = http::Version::HTTP_11;
            match client.request(Request::from_parts(parts, body)).await {
                Ok(response) => response.map(Either::Right),
                Err(error) => {
                    eprintln!("bare hop: {error}");
                    let mut response = Response::new(Either::Left(Full::default()));
                    *response.status_mut() = StatusCode::BAD_GATEWAY;
                    response
                }
            }
        }
        Role::Judge { after } => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            if !after.is_zero() {
                tokio::time::sleep(*after).await;
            }
            json(allowed(uid(&body)))
        }
        Role::Constant => {
            drop(request.into_body().collect().await);
            json(Bytes::from_static(CONSTANT.as_bytes()))
        }
    }
}

const CONSTANT: &str = concat!(
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":"#,
    r#"{"uid":"3d0cef2f-2da2-4fcf-9257-f39145515a60","allowed":true}}"#
);

/// The API server writes the uid first, so that this costs next to nothing.
fn uid(body: &[u8]) -> &[u8] {
    const KEY: &[u8] = b"\"uid\":\"";
    let at = body.windows(KEY.len()).position(|window| window == KEY).map_or(0, |at| at + KEY.len());
    body.get(at..at + 36).unwrap_or_default()
}

fn allowed(uid: &[u8]) -> Bytes {
    let start = CONSTANT.find("3d0c").expect("the uid");
    [&CONSTANT.as_bytes()[..start], uid, &CONSTANT.as_bytes()[start + 36..]].concat().into()
}

fn json(body: Bytes) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn client(tls: Option<&Tls>) -> HopClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let config = certs::client_config(tls.map(|tls| tls.ca_pem.as_str()), None);
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_all_versions();
    Client::builder(TokioExecutor::new()).build(https.wrap_connector(tcp))
}

// === impl Tls ===

impl Tls {
    pub fn new() -> Self {
        let authority = Authority::new("bench");
        let server = authority.server(&[]);
        Self { ca_pem: authority.pem, certificate_pem: server.certificate_pem, key_pem: server.key_pem }
    }

    pub fn identity(&self) -> Identity {
        Identity { certificate_pem: self.certificate_pem.clone(), key_pem: self.key_pem.clone() }
    }
}

// === impl Served ===

impl Served {
    pub fn start(role: Role, tls: Option<&Tls>) -> Self {
        let order = Order { role, tls: tls.cloned() };
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .env(ORDER, serde_json::to_string(&order).expect("JSON"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().parse().expect("an address");
        Self { child, url: url(address, tls) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
