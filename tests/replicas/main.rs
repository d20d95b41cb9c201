//! Several replicas of the real binary over one Postgres, and its schema.

#[path = "../harness/mod.rs"]
mod harness;

mod migrations;
#[path = "../faults/history.rs"]
#[expect(dead_code, reason = "the tests of faults use more of it")]
mod rows;
mod schema;
mod secured;
mod several;

use std::fs;

use harness::postgres::{self, Server};
use harness::reviews::pod_review;
use harness::{Builder, Rehearsal};

/// A database of one test on the server that all share.
struct Database {
    server: &'static Server,
    name: String,
}

// === impl Database ===

impl Database {
    fn new() -> Self {
        let server = postgres::shared();
        Self { server, name: server.database() }
    }

    /// A replica that serves `cluster`; with `more` lines of configuration.
    fn replica(&self, cluster: &str, more: &str) -> Builder {
        self.through(self.server.port, cluster, more)
    }

    /// The same over another port.
    fn through(&self, port: u16, cluster: &str, more: &str) -> Builder {
        let url = format!("postgres://{}@127.0.0.1:{port}/{}", postgres::USER, self.name);
        let config = format!("cluster: {cluster}\nstore: {{url: '{url}', password_file: pg.txt}}\n{more}");
        Rehearsal::builder().config(&config).file("pg.txt", postgres::PASSWORD)
    }

    /// `rehearsal migrate`, not yet started.
    fn migrate(&self) -> Builder {
        self.replica("lab", "").args(&["migrate"])
    }

    fn sql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }

    /// The number of the last migration.
    fn schema(&self) -> String {
        self.sql("SELECT max(version) FROM _sqlx_migrations")
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

fn uids(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("{prefix}-{n}"))
}
