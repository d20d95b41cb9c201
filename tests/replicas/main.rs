//! Several replicas of the real binary over one Postgres, and its schema.

#[path = "../harness/mod.rs"]
mod harness;

mod ceilings;
mod migrations;
#[path = "../faults/history.rs"]
#[expect(dead_code, reason = "the tests of faults use more of it")]
mod rows;
mod schema;
#[path = "../database/setup.rs"]
#[expect(dead_code, reason = "the tests of a database that fails use more of it")]
mod setup;
mod several;
mod tickets;

use std::fs;

use harness::reviews::pod_review;
use harness::{Builder, Rehearsal};
use setup::Database;

// === impl Database ===

impl Database {
    /// A replica that serves `cluster`; with `more` lines of configuration.
    fn serving(&self, cluster: &str, more: &str) -> Builder {
        self.through(self.port(), cluster, more)
    }

    /// The same over another port.
    fn through(&self, port: u16, cluster: &str, more: &str) -> Builder {
        self.replica(port, &format!("cluster: {cluster}\n{more}"))
    }

    /// `rehearsal migrate`, not yet started.
    fn migrate(&self) -> Builder {
        self.serving("lab", "").args(&["migrate"])
    }

    /// The number of the last migration.
    fn schema(&self) -> String {
        self.psql("SELECT max(version) FROM _sqlx_migrations")
    }
}

/// The id in a replica's data directory.
fn id(replica: &Rehearsal) -> String {
    fs::read_to_string(replica.data_dir().join("replica")).expect("made at the first start").trim().to_owned()
}

/// Sends reviews of these uids, each of which is allowed and would be rejected.
async fn send(replica: &Rehearsal, uids: impl IntoIterator<Item = String>) {
    for uid in uids {
        let review = pod_review(&uid, "shop", &uid, &["nginx"]);
        assert!(replica.review("/review", &review).await.allowed(), "{uid}");
    }
}

fn uids(prefix: &str, count: usize) -> impl Iterator<Item = String> + use<> {
    let prefix = prefix.to_owned();
    (0..count).map(move |n| format!("{prefix}-{n}"))
}
