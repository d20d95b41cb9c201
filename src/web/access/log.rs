//! The access log: what is noted of it, and what is counted alone.
//!
//! Whoever is refused a thousand times in a minute fills no database: of the same refusals some get a row, and the next row
//! says how many had none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use tracing::warn;

use super::super::health::known::PATIENCE;
use super::visitor::PeerAddress;
use crate::review::clock::{DecisionId, Timestamp};
use crate::store::Store;
use crate::store::access::{Access, Event, Means};

#[derive(Debug)]
pub struct AccessLog {
    metrics: Metrics,
    refused: Mutex<HashMap<(String, Reason), Refusals>>,
    seen: Mutex<HashMap<(Means, String), Instant>>,
}

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Name and password do not go together.
    Password,
    /// Too many failures before.
    Limited,
    /// A form that we did not make, or made too long ago.
    Form,
    /// An unknown or an ended token.
    Token,
    /// Headers that name somebody, from somewhere else than the proxy.
    Peer,
    /// Headers of the proxy that name nobody that can be.
    Header,
    /// The provider vouches for nobody.
    Provider,
    /// Known, and without any rights.
    Role,
    /// Without rights to this.
    Rights,
}

#[derive(Debug, Clone, Copy)]
struct Refusals {
    since: Instant,
    rows: u32,
    without_row: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMeans {
    means: &'static str,
}

#[derive(Debug, Default)]
struct Metrics {
    sign_ins: Family<ByMeans, Counter>,
    refusals: Family<ByReason, Counter>,
    unlogged: Counter,
}

/// Rows of the same refusals from one address, and in which time.
const ROWS: u32 = 20;
const SPAN: Duration = Duration::from_secs(60);
/// Addresses and reasons that are told apart.
const REMEMBERED: usize = 10_000;
/// Who needs no sign-in here is noted again after this.
const SEEN: Duration = Duration::from_secs(12 * 3_600);
/// A database that hangs takes no row in the end: so long it may take to.
const NOTING: Duration = Duration::from_secs(10);
/// Of what others send, so many characters are noted.
const NOTED: usize = 500;

// === impl AccessLog ===

impl AccessLog {
    pub fn new(registry: &mut Registry) -> Self {
        Self { metrics: Metrics::register(registry), refused: Mutex::default(), seen: Mutex::default() }
    }

    /// What is to be noted of somebody; noting it is for the store.
    pub fn entry(event: Event, who: Option<(&str, Means)>, peer: PeerAddress, what: &str) -> Access {
        let at = Timestamp::now();
        let clipped = |text: &str| text.chars().take(NOTED).collect::<String>();
        Access {
            id: DecisionId::at(at),
            at,
            event,
            who: who.map(|(name, _)| clipped(name)),
            means: who.map(|(_, means)| means),
            peer: peer.text(),
            what: clipped(what),
            more: 0,
        }
    }

    pub fn signed_in(&self, means: Means) {
        self.metrics.sign_ins.get_or_create(&ByMeans { means: means.as_str() }).inc();
    }

    /// Who proves who they are with every request is noted once in a while.
    pub async fn seen(&self, store: Option<&Store>, name: &str, means: Means, peer: PeerAddress) {
        if !self.is_new(name, means) {
            return;
        }
        self.signed_in(means);
        let what = match means {
            Means::Token => "first use of the token in 12 h, at this replica",
            _ => "first visit in 12 h, at this replica",
        };
        self.note(store, Self::entry(Event::SignIn, Some((name, means)), peer, what)).await;
    }

    pub async fn refused(
        &self,
        store: Option<&Store>,
        reason: Reason,
        who: Option<(&str, Means)>,
        peer: PeerAddress,
        what: &str,
    ) {
        self.metrics.refusals.get_or_create(&ByReason { reason: reason.as_str() }).inc();
        let Some(more) = self.pass(peer.text(), reason) else {
            self.metrics.unlogged.inc();
            return;
        };
        let entry = Self::entry(Event::Refusal, who, peer, &format!("{}: {what}", reason.told()));
        self.note(store, Access { more, ..entry }).await;
    }

    /// What cannot be noted is in the process's own log, and counted. Whoever asked waits a moment for it, and is noted even
    /// if they do not.
    pub async fn note(&self, store: Option<&Store>, access: Access) {
        let (unlogged, store) = (self.metrics.unlogged.clone(), store.cloned());
        let noting = tokio::spawn(async move {
            if let Err(error) = noted(store.as_ref(), &access).await {
                unlogged.inc();
                let (event, who) = (access.event.as_str(), access.who.as_deref().unwrap_or("nobody known"));
                warn!(event, who, peer = access.peer, what = access.what, "not in the access log: {error}");
            }
        });
        // It goes on by itself.
        drop(timeout(PATIENCE, noting).await);
    }

    /// How many had no row since the last that had one; `None`: this one has none either.
    fn pass(&self, peer: String, reason: Reason) -> Option<u64> {
        let now = Instant::now();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REMEMBERED {
            refused.retain(|_, refusals| now.duration_since(refusals.since) < SPAN);
            if refused.len() >= REMEMBERED {
                return None;
            }
        }
        let start = Refusals { since: now, rows: 0, without_row: 0 };
        let refusals = refused.entry((peer, reason)).or_insert(start);
        if now.duration_since(refusals.since) >= SPAN {
            *refusals = Refusals { without_row: refusals.without_row, ..start };
        }
        if refusals.rows >= ROWS {
            refusals.without_row += 1;
            return None;
        }
        refusals.rows += 1;
        Some(std::mem::take(&mut refusals.without_row))
    }

    fn is_new(&self, name: &str, means: Means) -> bool {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (means, name.to_owned());
        if seen.get(&key).is_some_and(|last| now.duration_since(*last) < SEEN) {
            return false;
        }
        if seen.len() >= REMEMBERED {
            seen.retain(|_, last| now.duration_since(*last) < SEEN);
        }
        if seen.len() < REMEMBERED {
            seen.insert(key, now);
        }
        true
    }
}

/// Why not, for a person.
async fn noted(store: Option<&Store>, access: &Access) -> Result<(), String> {
    let Some(store) = store else { return Err("the history is not open".to_owned()) };
    match timeout(NOTING, store.note_access(access)).await {
        Ok(noted) => noted.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the history did not take it within {} s", NOTING.as_secs())),
    }
}

// === impl Reason ===

impl Reason {
    const ALL: [Self; 9] = [
        Self::Password,
        Self::Limited,
        Self::Form,
        Self::Token,
        Self::Peer,
        Self::Header,
        Self::Provider,
        Self::Role,
        Self::Rights,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Limited => "limited",
            Self::Form => "form",
            Self::Token => "token",
            Self::Peer => "peer",
            Self::Header => "header",
            Self::Provider => "provider",
            Self::Role => "role",
            Self::Rights => "rights",
        }
    }

    /// Before what it was about.
    fn told(self) -> &'static str {
        match self {
            Self::Password => "name and password do not go together",
            Self::Limited => "too many failed attempts before",
            Self::Form => "a form that is not ours, or too old",
            Self::Token => "an unknown or ended token",
            Self::Peer => "headers of a proxy from elsewhere",
            Self::Header => "headers of the proxy that cannot be",
            Self::Provider => "the provider does not vouch",
            Self::Role => "neither a role nor a team",
            Self::Rights => "without rights",
        }
    }
}

// === impl Metrics ===

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for means in Means::ALL {
            drop(metrics.sign_ins.get_or_create(&ByMeans { means: means.as_str() }));
        }
        for reason in Reason::ALL {
            drop(metrics.refusals.get_or_create(&ByReason { reason: reason.as_str() }));
        }
        registry.register("rehearsal_sign_ins", "Sign-ins to the report, by means", metrics.sign_ins.clone());
        registry.register(
            "rehearsal_access_refusals",
            "Requests to the report that were refused, by reason",
            metrics.refusals.clone(),
        );
        registry.register(
            "rehearsal_access_unlogged",
            "What happened at the report and has no row of its own in the access log",
            metrics.unlogged.clone(),
        );
        metrics
    }
}
