//! The log of SQLite, and its copying into the database file.
//!
//! SQLite itself copies it inside of the commit after which it is long enough, and whoever commits holds the writer for as
//! long as that and its two syncs take. Here a connection of its own copies it beside the writer, which is held only for
//! the pages that came meanwhile: once all are copied, the next transaction begins the log anew.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqliteConnection;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tracing::debug;

/// Pages at which it is copied: 16 MiB. What many batches change is copied once, and a start after a crash reads no more.
const DUE: i64 = 4_096;

/// Pages that the writer is held for: a few milliseconds.
const FEW: i64 = 256;

/// How often what came meanwhile is copied beside the writer. Each time it is a part of what it was before.
const ROUNDS: usize = 4;

/// Pages at which SQLite copies it all the same: the size that the file is cut back to.
pub(super) const MOST: &str = "16384";

#[derive(Debug, Clone)]
pub(super) struct Log {
    writer: SqlitePool,
    copier: SqlitePool,
    is_copied: Arc<AtomicBool>,
}

// === impl Log ===

impl Log {
    pub fn new(writer: SqlitePool, path: &Path) -> Self {
        let copier = SqlitePoolOptions::new().max_connections(1).min_connections(0);
        let copier = copier.connect_lazy_with(super::options(path).pragma("cache_size", "-64"));
        Self { writer, copier, is_copied: Arc::default() }
    }

    /// To be called after a commit. Copies it where that is due, in a task of its own.
    pub fn committed(&self) {
        if self.is_copied.swap(true, Ordering::Acquire) {
            return;
        }
        let log = self.clone();
        tokio::spawn(async move {
            if let Err(error) = log.copy().await {
                // The next commit tries again, and at [`MOST`] pages SQLite does it itself.
                debug!("the log of the history was not copied into its file: {error}");
            }
            log.is_copied.store(false, Ordering::Release);
        });
    }

    pub async fn close(&self) {
        self.copier.close().await;
    }

    async fn copy(&self) -> sqlx::Result<()> {
        let mut copier = self.copier.acquire().await?;
        if checkpoint(&mut copier, "NOOP").await? < DUE {
            return Ok(());
        }
        for _ in 0..ROUNDS {
            if checkpoint(&mut copier, "PASSIVE").await? < FEW {
                break;
            }
        }
        drop(copier);
        let mut writer = self.writer.acquire().await?;
        checkpoint(&mut writer, "PASSIVE").await?;
        Ok(())
    }
}

/// How many of its pages are not copied. `NOOP` copies none.
async fn checkpoint(connection: &mut SqliteConnection, mode: &'static str) -> sqlx::Result<i64> {
    let text = format!("PRAGMA wal_checkpoint({mode})");
    let (_, pages, copied): (i64, i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(text)).persistent(false).fetch_one(connection).await?;
    Ok(pages - copied)
}
