//! Who did what with the report: sign-ins, sign-outs, refusals, exports.
//!
//! Invariant: rows are only added, and go as other events do; a session begins and ends in the transaction that says so.

use super::Store;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::read::Cursor;
use super::sql::{Insert, Row, Sql};
use crate::review::clock::{DecisionId, Timestamp};

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// In the order of time.
    pub id: DecisionId,
    pub at: Timestamp,
    pub event: Event,
    /// `None`: nobody that is known.
    pub who: Option<String>,
    /// How they are known.
    pub means: Option<Means>,
    /// The address at the other end of the connection.
    pub peer: String,
    pub what: String,
    /// Of the same before it that have no row of their own.
    pub more: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    SignIn,
    SignOut,
    Refusal,
    Export,
}

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Means {
    Users,
    Oidc,
    Proxy,
    Token,
}

/// Which of them a list shows. Absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accesses {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub event: Option<Event>,
    pub who: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPage {
    /// Newest first.
    pub accesses: Vec<Access>,
    /// Where the next page begins; `None` where there is no more.
    pub next: Option<Cursor>,
}

const COLUMNS: [&str; 8] = ["id", "at", "event", "who", "means", "peer", "what", "more"];

/// In a transaction of its own.
async fn note(database: &Database, access: &Access) -> Result<(), StoreError> {
    let mut tx = database.begin_soon().await?;
    insert(&mut tx, access).await?;
    tx.commit().await
}

pub(super) async fn insert(tx: &mut Transaction, access: &Access) -> Result<(), StoreError> {
    let Access { id, at, event, who, means, peer, what, more } = access;
    let mut insert = Insert::into("access_log", &COLUMNS, "");
    insert.row([
        (*id).into(),
        at.0.into(),
        event.as_str().into(),
        who.as_deref().into(),
        means.map(Means::as_str).into(),
        peer.as_str().into(),
        what.as_str().into(),
        (*more).into(),
    ]);
    tx.insert(insert).await
}

async fn list(
    database: &Database,
    asked: &Accesses,
    limit: u16,
    after: Option<Cursor>,
) -> Result<AccessPage, StoreError> {
    let mut sql = Sql::new(&format!("SELECT {} FROM access_log WHERE at >= ", COLUMNS.join(", ")));
    sql.bind(asked.since.map_or(i64::MIN, |since| since.0));
    sql.push(" AND at < ").bind(asked.until.map_or(i64::MAX, |until| until.0));
    if let Some(event) = asked.event {
        sql.push(" AND event = ").bind(event.as_str());
    }
    if let Some(who) = &asked.who {
        sql.push(" AND who = ").bind(who.as_str());
    }
    if let Some(Cursor { at, id }) = after {
        sql.push(" AND (at < ").bind(at.0).push(" OR (at = ").bind(at.0).push(" AND id < ").bind(id).push("))");
    }
    sql.push(" ORDER BY at DESC, id DESC LIMIT ").bind(i64::from(limit) + 1);
    let rows = database.fetch(sql).await?;
    let mut accesses = rows.into_iter().map(access).collect::<Result<Vec<_>, _>>()?;
    let is_more = accesses.len() > usize::from(limit);
    accesses.truncate(limit.into());
    let next = accesses.last().filter(|_| is_more).map(|last| Cursor { at: last.at, id: last.id });
    Ok(AccessPage { accesses, next })
}

fn access(mut row: Row) -> Result<Access, StoreError> {
    let event = row.text(2)?;
    let means = row.opt_text(4)?;
    let unknown = |what: &str| StoreError::broken(format!("the access log names {what:?}"));
    Ok(Access {
        id: row.id(0)?,
        at: Timestamp(row.int(1)?),
        event: Event::of(&event).ok_or_else(|| unknown(&event))?,
        who: row.opt_text(3)?,
        means: means.map(|means| Means::of(&means).ok_or_else(|| unknown(&means))).transpose()?,
        peer: row.text(5)?,
        what: row.text(6)?,
        more: row.count(7)?,
    })
}

// === impl Store ===

impl Store {
    /// Says what somebody did with the report.
    pub async fn note_access(&self, access: &Access) -> Result<(), StoreError> {
        note(&self.database, access).await
    }

    /// At most `limit` of what people did with the report, newest first, after the cursor.
    pub async fn accesses(
        &self,
        asked: &Accesses,
        limit: u16,
        after: Option<Cursor>,
    ) -> Result<AccessPage, StoreError> {
        list(&self.database, asked, limit, after).await
    }
}

// === impl Event ===

impl Event {
    pub const ALL: [Self; 4] = [Self::SignIn, Self::SignOut, Self::Refusal, Self::Export];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignOut => "sign-out",
            Self::Refusal => "refusal",
            Self::Export => "export",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

// === impl Means ===

impl Means {
    pub const ALL: [Self; 4] = [Self::Users, Self::Oidc, Self::Proxy, Self::Token];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Oidc => "oidc",
            Self::Proxy => "proxy",
            Self::Token => "token",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|means| means.as_str() == text)
    }
}
