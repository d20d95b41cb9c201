//! The journal of a process that was killed before it could store it.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{Connection as _, SqliteConnection};

use super::reviews::pod_review;
use super::{Builder, Rehearsal};

/// A data directory whose journal holds `count` decisions that no history has.
pub async fn orphan(builder: Builder, count: usize) -> Rehearsal {
    let mut rehearsal = builder.start().await;
    let url = format!("sqlite://{}", rehearsal.data_dir().join("history.sqlite").display());
    let mut other = SqliteConnection::connect(&url).await.expect("SQLite takes several processes");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    for n in 0..count {
        let review = pod_review(&format!("orphan-{n}"), "n", "p", &[&format!("nginx:{n}")]);
        assert!(rehearsal.review("/review/lab", &review).await.allowed());
    }
    rehearsal.kill9();
    rehearsal
}

/// The file of its records.
pub fn segment(data_dir: &Path) -> PathBuf {
    let files = fs::read_dir(data_dir.join("journal")).expect("readable").map(|entry| entry.expect("readable").path());
    let mut segments: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "journal")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}
