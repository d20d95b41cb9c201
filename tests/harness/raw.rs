//! Sockets without a client's manners: half requests, endless ones, two at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::http::Alpn;
use super::{DEADLINE, Url, certs};

pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// One connection, byte by byte.
pub struct RawConnection {
    io: Box<dyn Duplex>,
    /// Read, but not yet handed out.
    ahead: Vec<u8>,
}

/// One HTTP/1.1 response, read by its Content-Length or to the end of the connection.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    /// The status line and the headers as they came.
    pub head: String,
    pub body: Vec<u8>,
}

pub type H2Sender = http2::SendRequest<BoxBody<Bytes, Infallible>>;

/// A body whose chunks the test sends when it likes, and its sending end.
pub fn dripping() -> (mpsc::Sender<Bytes>, Dripping) {
    let (sender, chunks) = mpsc::channel(1);
    (sender, Dripping(chunks))
}

#[derive(Debug)]
pub struct Dripping(mpsc::Receiver<Bytes>);

/// A bare TCP connection.
pub async fn tcp(url: &Url) -> RawConnection {
    let stream = TcpStream::connect(url.addr).await.expect("it listens");
    RawConnection { io: Box::new(stream), ahead: Vec::new() }
}

/// A TLS connection that offers one protocol (plain TCP where the listener speaks no TLS).
pub async fn connect(url: &Url, ca_pem: Option<&str>, alpn: Alpn) -> RawConnection {
    let stream = TcpStream::connect(url.addr).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    if !url.tls {
        return RawConnection { io: Box::new(stream), ahead: Vec::new() };
    }
    let mut config = certs::client_config(ca_pem, None);
    config.alpn_protocols = match alpn {
        Alpn::H1 => vec![b"http/1.1".to_vec()],
        Alpn::H2 => vec![b"h2".to_vec()],
        Alpn::Any => Vec::new(),
    };
    let name = ServerName::from(url.addr.ip());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    RawConnection { io: Box::new(stream), ahead: Vec::new() }
}

/// One HTTP/2 connection, for many streams of the caller's.
pub async fn h2(url: &Url, ca_pem: Option<&str>) -> H2Sender {
    let connection = connect(url, ca_pem, Alpn::H2).await;
    let (sender, driver) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(connection.io))
        .await
        .expect("an HTTP/2 preface");
    tokio::spawn(driver);
    sender
}

// === impl Dripping ===

impl Body for Dripping {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

// === impl RawConnection ===

impl RawConnection {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("it reads");
    }

    /// Fails when the other side has closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.io.write_all(bytes.as_ref()).await?;
        self.io.flush().await
    }

    /// The next response.
    ///
    /// # Panics
    /// When the connection ends first, or after [`DEADLINE`].
    pub async fn response(&mut self) -> RawResponse {
        tokio::time::timeout(DEADLINE, self.read_response())
            .await
            .unwrap_or_else(|_| panic!("no response in time; so far: {:?}", String::from_utf8_lossy(&self.ahead)))
    }

    async fn read_response(&mut self) -> RawResponse {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let ended = self.fill().await == 0;
            assert!(!ended, "closed without a response; so far: {:?}", String::from_utf8_lossy(&self.ahead));
        };
        let head = String::from_utf8_lossy(&self.ahead.drain(..end).collect::<Vec<u8>>()).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().expect("a number"))
        });
        while length.is_none_or(|length| self.ahead.len() < length) {
            if self.fill().await == 0 {
                break;
            }
        }
        let body = self.ahead.drain(..length.unwrap_or(self.ahead.len()).min(self.ahead.len())).collect();
        RawResponse { status, head, body }
    }

    /// Waits for the other side to close, and gives what it still sent.
    ///
    /// # Panics
    /// When it has not closed after `within`.
    pub async fn closed(&mut self, within: Duration) -> Vec<u8> {
        tokio::time::timeout(within, async { while self.fill().await > 0 {} })
            .await
            .unwrap_or_else(|_| panic!("still open after {within:?}"));
        std::mem::take(&mut self.ahead)
    }

    /// How much came; 0 at the end, and on a reset, which ends it as well.
    async fn fill(&mut self) -> usize {
        let mut chunk = [0_u8; 16 * 1024];
        let read = self.io.read(&mut chunk).await.unwrap_or(0);
        self.ahead.extend_from_slice(&chunk[..read]);
        read
    }
}

impl std::fmt::Debug for RawConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawConnection").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

// === impl RawResponse ===

impl RawResponse {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn closes(&self) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case("connection: close"))
    }
}
