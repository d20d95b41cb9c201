//! A TCP link on loopback that can be cut, frozen and healed: between a replica and its database.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// As long as it lives, the port is open.
#[derive(Debug)]
pub struct Link {
    pub port: u16,
    shared: Arc<Shared>,
}

/// What the link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Passes,
    /// Holds them: nothing is lost, nothing arrives.
    Frozen,
    /// Ends what is open, and whatever comes.
    Cut,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    way: watch::Sender<Way>,
    /// How often it was cut: what was open before a cut ends also where the link is healed at once.
    cuts: watch::Sender<usize>,
    /// Bytes of the client after which the connection ends, before it has seen the server's answer to them.
    unanswered: Mutex<Option<Vec<u8>>>,
    /// How many connections ended so.
    lost: watch::Sender<usize>,
}

// === impl Link ===

impl Link {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target,
            way: watch::Sender::new(Way::Passes),
            cuts: watch::Sender::new(0),
            unanswered: Mutex::default(),
            lost: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, Arc::clone(&accepting)));
            }
        });
        Self { port, shared }
    }

    pub fn cut(&self) {
        self.shared.way.send_replace(Way::Cut);
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub fn freeze(&self) {
        self.shared.way.send_replace(Way::Frozen);
    }

    pub fn heal(&self) {
        self.shared.way.send_replace(Way::Passes);
    }

    /// The next time that a client sends these bytes, the server gets them, and the client never its answer.
    pub fn lose_the_answer_to(&self, bytes: &[u8]) {
        *self.shared.unanswered.lock().expect("not poisoned") = Some(bytes.to_vec());
    }

    /// Waits until that has happened `times` times.
    pub async fn has_lost(&self, times: usize) {
        let mut lost = self.shared.lost.subscribe();
        let has_lost = lost.wait_for(|&lost| lost >= times);
        let waited = tokio::time::timeout(super::DEADLINE, has_lost).await;
        waited.expect("the client sends those bytes").expect("the link lives");
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let before = *cuts.borrow();
    if *shared.way.borrow() == Way::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let swallow = watch::Sender::new(false);
    let up = pump(from_client, to_server, shared.way.subscribe(), |bytes| {
        let mut wanted = shared.unanswered.lock().expect("not poisoned");
        let is_it = wanted.as_ref().is_some_and(|wanted| bytes.windows(wanted.len()).any(|part| part == wanted));
        if is_it {
            *wanted = None;
            swallow.send_replace(true);
        }
        true
    });
    let down = pump(from_server, to_client, shared.way.subscribe(), |_| {
        let swallowed = *swallow.borrow();
        if swallowed {
            shared.lost.send_modify(|lost| *lost += 1);
        }
        !swallowed
    });
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cuts.wait_for(|&cuts| cuts != before) => {}
    }
}

/// Until one side ends, or `goes_on` says no to what was read.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    mut goes_on: impl FnMut(&[u8]) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        if read == 0 || !goes_on(&buffer[..read]) {
            return;
        }
        if way.wait_for(|way| *way == Way::Passes).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
