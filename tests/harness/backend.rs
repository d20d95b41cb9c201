//! A webhook over real sockets that answers, or misbehaves, as a [`Script`] says, and remembers what it was sent.
//!
//! It runs on a thread of its own, so it goes on while the runtime of a test is blocked.
//!
//! ```ignore
//! let backend = Backend::start(Script::deny("no").over(Transport::Tls(Tls::default())));
//! backend.hold();
//! // .. ask it ..
//! let requests = backend.wait_received(1).await;
//! backend.release();
//! backend.play(Script::half_then_hang());
//! ```

#[path = "backend/exchange.rs"]
mod exchange;
#[path = "backend/tls.rs"]
pub mod tls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use exchange::{End, Tape};
pub use exchange::{Received, Reply};
pub use tls::Tls;

/// How long a condition may take to hold: far more than it needs, far less than a hung test.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running webhook. Dropping it closes everything that it opened.
#[derive(Debug)]
pub struct Backend {
    /// Without a path: `https://localhost:4711`, `http://127.0.0.1:4711`.
    pub url: String,
    /// Who signed its certificate; empty without TLS.
    pub ca_pem: String,
    pub addr: SocketAddr,
    stage: Arc<Stage>,
    runtime: Option<Runtime>,
}

/// What the webhook does. The transport is fixed when it starts, the rest can be switched by [`Backend::play`].
#[derive(Debug, Clone)]
pub struct Script {
    act: Act,
    transport: Transport,
}

/// What a connection is.
#[derive(Debug, Clone)]
pub enum Transport {
    /// HTTP/1.1, and HTTP/2 with prior knowledge.
    Plain,
    Tls(Tls),
    /// Accepts, and answers a TLS greeting with something else.
    NotTls,
}

type Judge = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

#[derive(Clone)]
enum Act {
    Reply(Judge),
    /// Half of a valid answer, then nothing.
    HalfThenHang,
    /// Half of a valid answer, then the end of the connection.
    HalfThenReset,
    /// Reads the request and closes the connection.
    HangUp,
    /// As it should on a new connection; hangs up on the second request of one.
    HangUpOnReuse,
    /// Reads the request and never answers.
    Never,
    /// Closes what it accepts.
    CloseAtOnce,
}

/// What the connections share with the test.
#[derive(Debug)]
struct Stage {
    act: Mutex<Act>,
    received: watch::Sender<Vec<Received>>,
    held: watch::Sender<bool>,
    /// A change ends every connection.
    curtain: watch::Sender<u64>,
    open: watch::Sender<u64>,
    connections: AtomicU64,
}

/// A connection that is open while this lives.
struct Open<'a>(&'a Stage);

// === impl Backend ===

impl Backend {
    pub fn start(script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("scripted-backend")
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        listener.set_nonblocking(true).expect("a socket");
        let addr = listener.local_addr().expect("bound");
        let (origin, greeting, ca_pem) = match &script.transport {
            Transport::Plain => ("http://127.0.0.1", Greeting::Plain, String::new()),
            Transport::NotTls => ("https://localhost", Greeting::NotTls, String::new()),
            Transport::Tls(tls) => {
                let (config, ca_pem) = tls.server_config();
                ("https://localhost", Greeting::Tls(TlsAcceptor::from(Arc::new(config))), ca_pem)
            }
        };
        let stage = Arc::new(Stage {
            act: Mutex::new(script.act),
            received: watch::channel(Vec::new()).0,
            held: watch::channel(false).0,
            curtain: watch::channel(0).0,
            open: watch::channel(0).0,
            connections: AtomicU64::new(0),
        });
        runtime.spawn(accept(listener, greeting, Arc::clone(&stage)));
        let url = format!("{origin}:{}", addr.port());
        Self { url, ca_pem, addr, stage, runtime: Some(runtime) }
    }

    /// Requests that are answered from now on are answered so.
    pub fn play(&self, script: Script) {
        *self.stage.act.lock().expect("no panic while held") = script.act;
    }

    /// Requests that come from now on are read, remembered, and wait.
    pub fn hold(&self) {
        self.stage.held.send_replace(true);
    }

    /// Answers what was held.
    pub fn release(&self) {
        self.stage.held.send_replace(false);
    }

    pub fn received(&self) -> Vec<Received> {
        self.stage.received.borrow().clone()
    }

    /// What was received, once it is at least `count` requests.
    pub async fn wait_received(&self, count: usize) -> Vec<Received> {
        let mut received = self.stage.received.subscribe();
        let enough = tokio::time::timeout(DEADLINE, received.wait_for(|received| received.len() >= count)).await;
        match enough {
            Ok(received) => received.expect("the stage is ours").clone(),
            Err(_) => panic!("{} requests at {} after {DEADLINE:?}, {count} expected", self.received().len(), self.url),
        }
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.stage.connections.load(Ordering::SeqCst)
    }

    /// Ends every open connection, as a restart of the webhook would; returns when they are closed.
    pub async fn close_connections(&self) {
        self.stage.curtain.send_modify(|count| *count += 1);
        let mut open = self.stage.open.subscribe();
        let closed = tokio::time::timeout(DEADLINE, open.wait_for(|open| *open == 0)).await;
        closed.expect("closed in time").expect("the stage is ours");
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime inside another one panics.
            runtime.shutdown_background();
        }
    }
}

// === impl Script ===

impl Script {
    /// A valid answer in the protocol and version of the request.
    pub fn allow() -> Self {
        Self::judge(Received::allowed)
    }

    pub fn deny(message: &'static str) -> Self {
        Self::judge(move |received| received.denied(message))
    }

    pub fn judge(judge: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Act::Reply(Arc::new(judge)))
    }

    /// The same to everybody.
    pub fn reply(reply: Reply) -> Self {
        Self::judge(move |_| reply.clone())
    }

    pub fn half_then_hang() -> Self {
        Self::of(Act::HalfThenHang)
    }

    pub fn half_then_reset() -> Self {
        Self::of(Act::HalfThenReset)
    }

    /// Reads the request and closes the connection.
    pub fn hang_up() -> Self {
        Self::of(Act::HangUp)
    }

    /// Allows on a new connection; reads the second request of one and closes it.
    pub fn hang_up_on_reuse() -> Self {
        Self::of(Act::HangUpOnReuse)
    }

    pub fn never() -> Self {
        Self::of(Act::Never)
    }

    pub fn close_at_once() -> Self {
        Self::of(Act::CloseAtOnce)
    }

    pub fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    fn of(act: Act) -> Self {
        Self { act, transport: Transport::Plain }
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reply(_) => "Reply",
            Self::HalfThenHang => "HalfThenHang",
            Self::HalfThenReset => "HalfThenReset",
            Self::HangUp => "HangUp",
            Self::HangUpOnReuse => "HangUpOnReuse",
            Self::Never => "Never",
            Self::CloseAtOnce => "CloseAtOnce",
        })
    }
}

// === the connections ===

#[derive(Clone)]
enum Greeting {
    Plain,
    Tls(TlsAcceptor),
    NotTls,
}

async fn accept(listener: std::net::TcpListener, greeting: Greeting, stage: Arc<Stage>) {
    let listener = TcpListener::from_std(listener).expect("inside the runtime");
    while let Ok((stream, _)) = listener.accept().await {
        let connection = stage.connections.fetch_add(1, Ordering::SeqCst) + 1;
        if matches!(*stage.act.lock().expect("no panic while held"), Act::CloseAtOnce) {
            continue;
        }
        let (greeting, stage) = (greeting.clone(), Arc::clone(&stage));
        let mut curtain = stage.curtain.subscribe();
        stage.open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            // Outlives the socket, which the block below drops.
            let _open = Open(&stage);
            tokio::select! {
                () = serve(stream, greeting, &stage, connection) => {}
                _ = curtain.changed() => {}
            }
        });
    }
}

async fn serve(mut stream: TcpStream, greeting: Greeting, stage: &Arc<Stage>, connection: u64) {
    stream.set_nodelay(true).expect("a socket");
    match greeting {
        Greeting::Plain => serve_http(stream, stage, connection, None).await,
        Greeting::NotTls => {
            // A client that leaves before it has read this is the test's business.
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
            let _ = stream.shutdown().await;
        }
        Greeting::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let chain = stream.get_ref().1.peer_certificates();
            let leaf = chain.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
            serve_http(stream, stage, connection, leaf).await;
        }
    }
}

async fn serve_http<S>(stream: S, stage: &Arc<Stage>, connection: u64, client_certificate: Option<Vec<u8>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = AtomicU64::new(0);
    let service = service_fn(|request| {
        let before = served.fetch_add(1, Ordering::SeqCst);
        stage.answer(request, connection, client_certificate.clone(), before)
    });
    // A connection that breaks is what many scripts are about.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

// === impl Open ===

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

// === impl Stage ===

impl Stage {
    fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: u64,
        client_certificate: Option<Vec<u8>>,
        before: u64,
    ) -> impl Future<Output = Result<Response<Tape>, io::Error>> + Send + use<> {
        let stage = Arc::clone(self);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let received = Received {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                body,
                connection,
                client_certificate,
            };
            stage.received.send_modify(|all| all.push(received.clone()));
            let mut held = stage.held.subscribe();
            held.wait_for(|held| !held).await.map_err(io::Error::other)?;
            stage.play(&received, before).await
        }
    }

    async fn play(&self, received: &Received, before: u64) -> Result<Response<Tape>, io::Error> {
        let act = self.act.lock().expect("no panic while held").clone();
        match act {
            Act::Reply(judge) => Ok(judge(received).into_response(End::Whole)),
            Act::HangUpOnReuse if before == 0 => Ok(received.allowed().into_response(End::Whole)),
            Act::HalfThenHang => Ok(received.allowed().into_response(End::Hang)),
            Act::HalfThenReset => Ok(received.allowed().into_response(End::Break(20))),
            Act::HangUp | Act::HangUpOnReuse | Act::CloseAtOnce => Err(io::Error::other("as the script says")),
            Act::Never => std::future::pending().await,
        }
    }
}
