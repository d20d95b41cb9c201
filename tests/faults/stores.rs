//! The same fault over either database.

use crate::harness::{Builder, Rehearsal, postgres};

/// Where the history is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A fault over both databases, each a test.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::stores::Kind::Sqlite).await; })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::stores::Kind::Postgres).await; })*
        }
    };
}
pub(crate) use on_both;

// === impl Kind ===

impl Kind {
    /// With a configuration that names no store, over an empty one.
    pub fn builder(self, config: &str) -> Builder {
        match self {
            Self::Sqlite => Rehearsal::builder().config(config),
            Self::Postgres => {
                let server = postgres::shared();
                Rehearsal::builder().config(config).on_postgres(&server.url(&server.database()))
            }
        }
    }
}
