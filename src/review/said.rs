//! What a replica says of itself, since it alone knows: what came to it, and what it listens with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Protocol;

/// What a replica alone knows. Of what a later version says more, an earlier one reads what it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Of everything that it listens with or calls with.
    pub certificates: Vec<CertificateEnd>,
    /// Since its start.
    pub clusters: BTreeMap<String, SeenOfCluster>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificateEnd {
    pub end: Timestamp,
    /// As in `rehearsal_certificate_end_timestamp_seconds`.
    pub role: String,
    pub name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenOfCluster {
    pub protocols: Vec<Protocol>,
    /// Reviews that named it and came with neither a certificate nor a token of it.
    pub unproven: u64,
}
