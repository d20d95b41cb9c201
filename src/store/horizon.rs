//! How far the history is deleted: what pages say of it, and where the next deletion goes on.
//!
//! Invariants: a horizon is written in the transaction of the deletion that it speaks of, and only grows; it is there
//! only once something was deleted. A walk's mark is written in the transaction of its last deletion: all that is due
//! and before it is gone. Whoever writes rows before a mark, or lets go of what was kept there, lowers it in the same
//! transaction.

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::key;
use super::read::Horizons;
use super::sql::Sql;
use crate::review::clock::Timestamp;

/// What was deleted of the decisions: allowed ones, notable ones, dry runs, and what went early for the size.
pub(super) const DECISIONS: &str = "decisions";
pub(super) const NOTABLE: &str = "notable";
pub(super) const DRY_RUN: &str = "dry_run";
pub(super) const SIZE: &str = "max_size";

/// Before which no decision was taken for evidence of its workload: none was, before the history had a place for it.
pub(super) const EVIDENCE: &str = "evidence";

/// Before which no decision was counted by what local policies and webhooks said of it, for the same reason.
pub(super) const AGREEMENTS: &str = "agreements";
/// Before which no use of an exemption or a ticket was counted.
pub(super) const EXEMPTIONS: &str = "exemptions";

/// How far a walk has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(pub &'static str);

pub(super) mod mark {
    use super::Mark;

    pub const DECISIONS: Mark = Mark("walked:decisions");
    pub const NOTABLE: Mark = Mark("walked:notable");
    pub const DRY_RUN: Mark = Mark("walked:dry_run");
    pub const OBJECTS: Mark = Mark("walked:objects");
    pub const NOTABLE_OBJECTS: Mark = Mark("walked:notable_objects");
    pub const AMENDMENTS: Mark = Mark("walked:pending_amendments");
    pub const UNJUDGED: Mark = Mark("walked:unjudged");
    pub const QUARTERS: Mark = Mark("walked:quarters");
    pub const HOURS: Mark = Mark("walked:hours");
    pub const DAYS: Mark = Mark("walked:days");
    pub const WORKLOADS: Mark = Mark("walked:workload_rules");
    pub const USES: Mark = Mark("walked:exemption_uses");
    pub const JUDGED: Mark = Mark("walked:workload_judged");
    pub const AGAINST: Mark = Mark("walked:workload_against");
    pub const IMAGES: Mark = Mark("walked:image_workloads");
    pub const TEXTS: Mark = Mark("walked:rule_texts");
    pub const CONTENTS: Mark = Mark("walked:contents");
    pub const ACCESS: Mark = Mark("walked:access_log");
    /// The end of the day whose partitions are being replaced.
    pub const CLAIMED: Mark = Mark("walked:claimed");

    pub const ALL: [Mark; 19] = [
        DECISIONS,
        NOTABLE,
        DRY_RUN,
        OBJECTS,
        NOTABLE_OBJECTS,
        AMENDMENTS,
        UNJUDGED,
        QUARTERS,
        HOURS,
        DAYS,
        WORKLOADS,
        USES,
        JUDGED,
        AGAINST,
        IMAGES,
        TEXTS,
        CONTENTS,
        ACCESS,
        CLAIMED,
    ];
}

/// Before everything.
const BEGINNING: i64 = i64::MIN;

/// Rows of this time are there again, or may go now: what is marked as walked is walked again from there.
pub(super) async fn lower(tx: &mut Transaction, at: Timestamp) -> Result<(), StoreError> {
    let mut sql = Sql::new("UPDATE horizons SET before = ");
    sql.bind(at.0).push(" WHERE kind LIKE 'walked:%' AND before > ").bind(at.0);
    tx.execute(sql).await
}

/// Makes the marks that are not there yet.
pub(super) async fn prepare(tx: &mut Transaction) -> Result<(), StoreError> {
    let mut sql = Sql::new("INSERT INTO horizons (kind, before) ");
    sql.values(mark::ALL.map(|Mark(kind)| -> [super::sql::Value; 2] { [kind.into(), BEGINNING.into()] }));
    sql.push(" ON CONFLICT DO NOTHING");
    tx.execute(sql).await
}

pub(super) async fn read(tx: &mut Transaction, Mark(kind): Mark) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(tx.fetch(before(kind)).await?.first().map_or(Ok(BEGINNING), |row| row.int(0))?))
}

fn before(kind: &'static str) -> Sql {
    let mut sql = Sql::new("SELECT before FROM horizons WHERE kind = ");
    sql.bind(kind);
    sql
}

/// Moves a mark on, unless somebody has lowered it since it was read as `from`. Whether it moved.
pub(super) async fn advance(
    tx: &mut Transaction,
    Mark(kind): Mark,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool, StoreError> {
    let mut sql = Sql::new("UPDATE horizons SET before = ");
    sql.bind(to.0).push(" WHERE kind = ").bind(kind).push(" AND before = ").bind(from.0).push(" RETURNING 1");
    Ok(!tx.fetch(sql).await?.is_empty())
}

/// Wherever it stands.
pub(super) async fn set(tx: &mut Transaction, Mark(kind): Mark, to: Timestamp) -> Result<(), StoreError> {
    let mut sql = Sql::new("UPDATE horizons SET before = ");
    sql.bind(to.0).push(" WHERE kind = ").bind(kind);
    tx.execute(sql).await
}

/// That something before `before` was deleted.
pub(super) async fn deleted(tx: &mut Transaction, kind: &'static str, before: Timestamp) -> Result<(), StoreError> {
    let mut sql = Sql::new("INSERT INTO horizons (kind, before) VALUES (");
    sql.bind(kind).push(", ").bind(before.0).push(
        ") ON CONFLICT (kind) DO UPDATE SET before = CASE WHEN excluded.before > horizons.before \
         THEN excluded.before ELSE horizons.before END",
    );
    tx.execute(sql).await
}

/// All decisions that there are were taken for evidence, and counted: of a history that this version wrote whole. The rows
/// of an earlier one lead to no list behind a figure.
pub(super) async fn all_counted(tx: &mut Transaction) -> Result<(), StoreError> {
    let mut sql = Sql::new("DELETE FROM horizons WHERE kind IN ");
    sql.list([EVIDENCE, AGREEMENTS, EXEMPTIONS]);
    tx.execute(sql).await
}

/// Since when decisions are counted by what local policies and webhooks said of them. `None`: from the beginning.
pub(super) async fn agreed_since(database: &Database) -> Result<Option<Timestamp>, StoreError> {
    Ok(database.fetch(before(AGREEMENTS)).await?.first().map(|row| row.int(0)).transpose()?.map(Timestamp))
}

/// The same as the first key that is counted so. A decision of before that is stored only now is not, nor is a late
/// verdict on one: whether it counts must be read from its key alone, as a list does.
pub(super) async fn agreed_from(tx: &mut Transaction) -> Result<Option<i64>, StoreError> {
    let since = tx.fetch(before(AGREEMENTS)).await?.first().map(|row| row.int(0)).transpose()?;
    Ok(since.map(|since| key::start(Timestamp(since))))
}

pub(super) async fn all(database: &Database) -> Result<Horizons, StoreError> {
    let mut horizons = Horizons::default();
    for mut row in database.fetch(Sql::new("SELECT kind, before FROM horizons")).await? {
        let (kind, before) = (row.text(0)?, Some(Timestamp(row.int(1)?)));
        match kind.as_str() {
            DECISIONS => horizons.decisions = before,
            NOTABLE => horizons.notable = before,
            DRY_RUN => horizons.dry_run = before,
            SIZE => horizons.for_size = before,
            walked if walked == mark::DAYS.0 => horizons.figures = begun(before),
            walked if walked == mark::UNJUDGED.0 => horizons.events = begun(before),
            _ => {}
        }
    }
    Ok(horizons)
}

/// Of a walk that has gone anywhere.
fn begun(before: Option<Timestamp>) -> Option<Timestamp> {
    before.filter(|before| before.0 != BEGINNING)
}
