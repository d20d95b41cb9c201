//! What replicas say of themselves beside how far they have stored: what each alone knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Store;
use super::database::Database;
use super::error::StoreError;
use super::read::Standing;
use super::sql::{Row, Sql};
use super::standing::{ALL, standing};
use crate::review::clock::Timestamp;
use crate::review::decision::Protocol;

/// A replica, as of its last heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    pub standing: Standing,
    pub started_at: Timestamp,
    /// It has stopped in order, with all that it decided stored.
    pub has_stopped: bool,
    pub version: String,
    /// Of its policies.
    pub revision: String,
    /// `None`: it is of a version that does not say.
    pub said: Option<Said>,
}

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
    /// Reviews that named it and proved nothing.
    pub unproven: u64,
}

/// Those that have said something, the one that was heard of last first.
async fn replicas(database: &Database) -> Result<Vec<Replica>, StoreError> {
    let sql = Sql::new(
        "SELECT replica, clusters, seen_at, drained_until, started_at, version, revision, said FROM replicas \
         WHERE seen_at IS NOT NULL ORDER BY seen_at DESC, id",
    );
    database.fetch(sql).await?.into_iter().map(replica).collect()
}

fn replica(mut row: Row) -> Result<Replica, StoreError> {
    let said = row.opt_text(7)?.map(|said| serde_json::from_str(&said)).transpose()?;
    Ok(Replica {
        started_at: Timestamp(row.opt_int(4)?.unwrap_or_default()),
        has_stopped: row.int(3)? == ALL,
        version: row.opt_text(5)?.unwrap_or_default(),
        revision: row.opt_text(6)?.unwrap_or_default(),
        said,
        standing: standing(row)?,
    })
}

// === impl Store ===

impl Store {
    /// Every replica that this history has heard of, the one that was heard of last first.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        replicas(&self.database).await
    }
}
