//! Who is signed in: by the hash of what their cookie holds, so that whoever reads the history can be nobody.

use super::Store;
use super::access::{self, Access, Means};
use super::database::Database;
use super::error::StoreError;
use super::sql::{Insert, Row, Sql};
use crate::review::clock::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of what the cookie holds.
    pub key: [u8; 32],
    /// As people read it.
    pub who: String,
    /// Of one person alone: by which all of theirs are ended.
    pub subject: String,
    pub means: Means,
    /// SHA-256 of the hash of the password that it began with; `None`: another vouches for them.
    pub proof: Option<[u8; 32]>,
    /// As they were when it began.
    pub groups: Vec<String>,
    pub began_at: Timestamp,
    /// To the minute.
    pub seen_at: Timestamp,
    /// At the latest.
    pub ends_at: Timestamp,
}

/// Which sessions end.
#[derive(Debug, Clone, Copy)]
pub enum Ended<'a> {
    One([u8; 32]),
    /// All of somebody, by subject.
    Of(&'a str, Means),
}

const COLUMNS: [&str; 9] = ["key", "who", "subject", "means", "proof", "groups", "began_at", "seen_at", "ends_at"];

/// In the place of the one that the same browser had.
async fn begin(
    database: &Database,
    session: &Session,
    instead_of: Option<[u8; 32]>,
    noted: &Access,
) -> Result<(), StoreError> {
    let Session { key, who, subject, means, proof, groups, began_at, seen_at, ends_at } = session;
    let mut tx = database.begin_soon().await?;
    database.check_schema(&mut tx).await?;
    if let Some(old) = instead_of {
        tx.execute(deletion(Ended::One(old))).await?;
    }
    let mut insert = Insert::into("sessions", &COLUMNS, "");
    insert.row([
        key.as_slice().into(),
        who.as_str().into(),
        subject.as_str().into(),
        means.as_str().into(),
        proof.as_ref().map(<[u8; 32]>::as_slice).into(),
        serde_json::to_string(groups)?.into(),
        began_at.0.into(),
        seen_at.0.into(),
        ends_at.0.into(),
    ]);
    tx.insert(insert).await?;
    access::insert(&mut tx, noted).await?;
    tx.commit().await
}

async fn one(database: &Database, key: [u8; 32]) -> Result<Option<Session>, StoreError> {
    let mut sql = Sql::new(&format!("SELECT {} FROM sessions WHERE key = ", COLUMNS.join(", ")));
    sql.bind(&key[..]);
    database.fetch(sql).await?.pop().map(session).transpose()
}

async fn saw(database: &Database, key: [u8; 32], at: Timestamp) -> Result<(), StoreError> {
    let mut tx = database.begin_soon().await?;
    let mut sql = Sql::new("UPDATE sessions SET seen_at = ");
    sql.bind(at.0).push(" WHERE key = ").bind(&key[..]);
    tx.execute(sql).await?;
    tx.commit().await
}

async fn end(database: &Database, ended: Ended<'_>, noted: &Access) -> Result<(), StoreError> {
    let mut tx = database.begin_soon().await?;
    tx.execute(deletion(ended)).await?;
    access::insert(&mut tx, noted).await?;
    tx.commit().await
}

/// Of a sweep.
pub(super) fn ended_before(now: Timestamp) -> Sql {
    let mut sql = Sql::new("DELETE FROM sessions WHERE ends_at <= ");
    sql.bind(now.0).push(" RETURNING ends_at");
    sql
}

fn deletion(ended: Ended<'_>) -> Sql {
    let mut sql = Sql::new("DELETE FROM sessions WHERE ");
    match ended {
        Ended::One(key) => sql.push("key = ").bind(&key[..]),
        Ended::Of(subject, means) => sql.push("subject = ").bind(subject).push(" AND means = ").bind(means.as_str()),
    };
    sql
}

fn session(mut row: Row) -> Result<Session, StoreError> {
    let means = row.text(3)?;
    let proof = row.is_some(4).then(|| row.hash(4)).transpose()?;
    Ok(Session {
        key: row.hash(0)?,
        who: row.text(1)?,
        subject: row.text(2)?,
        means: Means::of(&means).ok_or_else(|| StoreError::broken(format!("a session is by {means:?}")))?,
        proof,
        groups: serde_json::from_str(&row.text(5)?)?,
        began_at: Timestamp(row.int(6)?),
        seen_at: Timestamp(row.int(7)?),
        ends_at: Timestamp(row.int(8)?),
    })
}

// === impl Store ===

impl Store {
    /// Begins a session, in the place of the one that the same browser had, and says so.
    pub async fn begin_session(
        &self,
        session: &Session,
        instead_of: Option<[u8; 32]>,
        noted: &Access,
    ) -> Result<(), StoreError> {
        begin(&self.database, session, instead_of, noted).await
    }

    /// Whether it still holds is for the caller to say.
    pub async fn session(&self, key: [u8; 32]) -> Result<Option<Session>, StoreError> {
        one(&self.database, key).await
    }

    /// That a session is in use.
    pub async fn saw_session(&self, key: [u8; 32], at: Timestamp) -> Result<(), StoreError> {
        saw(&self.database, key, at).await
    }

    /// Ends sessions, and says so.
    pub async fn end_sessions(&self, ended: Ended<'_>, noted: &Access) -> Result<(), StoreError> {
        end(&self.database, ended, noted).await
    }
}
