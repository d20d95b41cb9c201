//! Where and how the webhook listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::admission::shed::Overload;

use super::tls::Subject;

#[derive(Debug, Clone, PartialEq)]
pub struct WebhookListenerSettings {
    pub listen: SocketAddr,
    pub tls: TlsSettings,
    pub limits: Limits,
    pub timeouts: Timeouts,
}

/// A cluster, and what proves that a review comes from it: at least one of the two.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSettings {
    pub name: String,
    /// Of the API server's client certificate.
    pub client_subject: Option<Subject>,
    /// Holds the token in the path that the API server sends to.
    pub path_token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TlsSettings {
    Off,
    /// PEM files. With `client_ca` a verified client certificate is required.
    Files {
        certificate: PathBuf,
        key: PathBuf,
        client_ca: Option<PathBuf>,
    },
    /// A CA kept under the data directory, a leaf for these names and addresses, renewed.
    SelfMade {
        dir: PathBuf,
        names: Vec<String>,
        client_ca: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of one request body.
    pub max_body: u64,
    /// Reviews at once.
    pub max_in_flight: usize,
    /// Bytes of their bodies.
    pub max_in_flight_bytes: u64,
    pub connections: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    pub handshake: Duration,
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
    /// With a jitter of 10 %.
    pub connection_age: Duration,
}
