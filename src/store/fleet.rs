//! What replicas say of themselves beside how far they have stored: what each alone knows.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use super::Store;
use super::database::Database;
use super::error::StoreError;
use super::read::Standing;
use super::sql::{Row, Sql};
use super::standing::{ALL, standing};
use crate::review::clock::{DAY, Timestamp};
use crate::review::said::Said;

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
    /// `None`: it is of a version that does not say, or says it in words to come.
    pub said: Option<Said>,
}

/// For as long one that has stopped in order, with all that it decided stored, is told of (ms). Each restart of a pod
/// without a disk leaves one.
const TOLD: i64 = DAY;

/// What was read and could not be understood is said once, not with every page.
static SAID_UNREADABLE: AtomicBool = AtomicBool::new(false);

async fn replicas(database: &Database, now: Timestamp) -> Result<Vec<Replica>, StoreError> {
    let mut sql = Sql::new(
        "SELECT replica, clusters, seen_at, drained_until, started_at, version, revision, said FROM replicas \
         WHERE seen_at IS NOT NULL AND (drained_until < ",
    );
    sql.bind(ALL).push(" OR seen_at > ").bind(now.0.saturating_sub(TOLD)).push(") ORDER BY seen_at DESC, id");
    database.fetch(sql).await?.into_iter().map(replica).collect()
}

fn replica(mut row: Row) -> Result<Replica, StoreError> {
    let said = row.opt_text(7)?;
    Ok(Replica {
        started_at: Timestamp(row.opt_int(4)?.unwrap_or_default()),
        has_stopped: row.int(3)? == ALL,
        version: row.opt_text(5)?.unwrap_or_default(),
        revision: row.opt_text(6)?.unwrap_or_default(),
        said: said.and_then(|said| understood(&said)),
        standing: standing(row)?,
    })
}

/// A version to come may say what this one has no word for, and the page is worth more than that.
fn understood(said: &str) -> Option<Said> {
    serde_json::from_str(said)
        .inspect_err(|error| {
            if !SAID_UNREADABLE.swap(true, Ordering::Relaxed) {
                warn!("what a replica says of itself cannot be read here, it may be of a later version: {error}");
            }
        })
        .ok()
}

// === impl Store ===

impl Store {
    /// Those that have said something and run, or may, or have stopped within a day: the one that was heard of last first.
    pub async fn replicas(&self, now: Timestamp) -> Result<Vec<Replica>, StoreError> {
        replicas(&self.database, now).await
    }
}
