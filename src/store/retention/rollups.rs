//! Roll-ups by their own age: quarter hours, hours and days each for as long as they are read.

use super::super::bucket::Width;
use super::super::database::Database;
use super::super::error::StoreError;
use super::super::hold::{self, Hold};
use super::super::horizon::{self, Mark, mark};
use super::super::rule_text;
use super::super::sql::{FOR_EACH_JOIN, Sql, Value};
use super::events::delete_rows;
use super::{DAY, Sweep};
use crate::review::clock::Timestamp;

/// Places, each a seek in an index, that one statement looks at.
const PLACES: usize = 200;

/// A table whose key begins with a place and goes on with a time.
struct Rolled {
    table: &'static str,
    place: &'static [&'static str],
    key: &'static [&'static str],
    /// The time of a row `t`, in ms.
    at: &'static str,
}

const ROLLUPS: [Rolled; 6] = [
    by_bucket("rollup_totals", &["cluster", "namespace", "width", "bucket", "dry_run", "replica"]),
    by_bucket("rollup_rules", &["cluster", "namespace", "width", "bucket", "rule", "dry_run", "replica"]),
    by_bucket("rollup_repositories", &["cluster", "namespace", "width", "bucket", "repository", "dry_run", "replica"]),
    by_bucket("rollup_candidates", &["cluster", "namespace", "width", "bucket", "cell", "dry_run", "replica"]),
    by_bucket("rollup_agreements", &["cluster", "namespace", "width", "bucket", "cell", "dry_run", "replica"]),
    by_bucket(
        "rollup_disagreements",
        &["cluster", "namespace", "width", "bucket", "cell", "rule", "repository", "dry_run", "replica"],
    ),
];

const fn by_bucket(table: &'static str, key: &'static [&'static str]) -> Rolled {
    Rolled { table, place: &["cluster", "namespace"], key, at: "t.bucket" }
}

const WORKLOADS: Rolled = Rolled {
    table: "workload_rules",
    place: &["rule"],
    key: &["rule", "day", "workload", "dry_run", "replica"],
    at: "t.day",
};

const USES: Rolled = Rolled {
    table: "exemption_uses",
    place: &["exemption"],
    key: &["exemption", "day", "namespace", "workload", "dry_run", "replica"],
    at: "t.day",
};

/// Of the workloads' evidence: what is older is read by nobody.
const JUDGED: Rolled = Rolled {
    table: "workload_judged",
    place: &["version"],
    key: &["version", "namespace", "workload", "replica"],
    at: "t.last_key >> 21",
};
const AGAINST: Rolled = Rolled {
    table: "workload_against",
    place: &["rule"],
    key: &["rule", "version", "namespace", "workload", "replica"],
    at: "(CASE WHEN t.last_key > t.exempted_key THEN t.last_key ELSE t.exempted_key END) >> 21",
};

/// Who asked for an image: not since.
const IMAGES: Rolled = Rolled {
    table: "image_workloads",
    place: &["image"],
    key: &["image", "workload", "dry_run", "replica"],
    at: "t.last_at",
};

/// What of the tables goes: before the cutoff, in spans of `length` ms, where `and` holds too.
struct Pass {
    mark: Mark,
    cutoff: Timestamp,
    length: i64,
    and: String,
}

pub(super) async fn run(database: &Database, sweep: &mut Sweep) -> Result<(), StoreError> {
    let due = &sweep.due;
    let days = due.days;
    let widths = [
        (mark::QUARTERS, Width::Quarter, due.quarters),
        (mark::HOURS, Width::Hour, due.hours),
        (mark::DAYS, Width::Day, days),
    ];
    for (mark, width, cutoff) in widths {
        let and = format!(" AND t.width = {}", width.minutes());
        let pass = Pass { mark, cutoff, length: width.minutes() * 60_000, and };
        let places = "SELECT id, 0 FROM clusters UNION ALL SELECT cluster, id FROM namespaces";
        pass.run(database, sweep, &ROLLUPS, places).await?;
    }
    let pass = Pass { mark: mark::WORKLOADS, cutoff: days, length: DAY, and: String::new() };
    pass.run(database, sweep, &[WORKLOADS], "SELECT id FROM rules").await?;
    let pass = Pass { mark: mark::USES, ..pass };
    pass.run(database, sweep, &[USES], "SELECT id FROM exemptions").await?;
    evidence(database, sweep, days).await
}

/// A walk of all rows, once a day: no index is by their time, which every batch changes. It may change theirs between the
/// reading and the deletion, too.
async fn evidence(database: &Database, sweep: &mut Sweep, cutoff: Timestamp) -> Result<(), StoreError> {
    let mut pass = Pass { mark: mark::JUDGED, cutoff, length: 1, and: String::new() };
    pass.run(database, sweep, &[JUDGED], "SELECT id FROM versions").await?;
    pass.mark = mark::AGAINST;
    pass.run(database, sweep, &[AGAINST], "SELECT id FROM rules").await?;
    pass.mark = mark::IMAGES;
    pass.run(database, sweep, &[IMAGES], "SELECT id FROM images").await?;
    texts(database, sweep, cutoff).await
}

/// Texts of rules that no evidence is read by any more: once a day, after the evidence.
async fn texts(database: &Database, sweep: &mut Sweep, cutoff: Timestamp) -> Result<(), StoreError> {
    let walked = sweep.walked(database, mark::TEXTS).await?;
    if walked >= cutoff {
        return Ok(());
    }
    sweep.other_rows();
    loop {
        let mut step = sweep.begin(database).await?;
        let gone = rule_text::forget(&mut step.tx, cutoff, sweep.rows()).await?;
        if gone == 0 {
            horizon::advance(&mut step.tx, mark::TEXTS, walked, cutoff).await?;
            return step.tx.commit().await;
        }
        sweep.done(step, gone, "rule_texts", gone).await?;
    }
}

// === impl Pass ===

impl Pass {
    async fn run(
        &self,
        database: &Database,
        sweep: &mut Sweep,
        tables: &[Rolled],
        places: &str,
    ) -> Result<(), StoreError> {
        let walked = sweep.walked(database, self.mark).await?;
        if walked >= self.cutoff {
            return Ok(());
        }
        let places: Vec<Vec<Value>> = database.fetch(Sql::new(places)).await?.into_iter().map(|row| row.0).collect();
        for rolled in tables {
            sweep.other_rows();
            for places in places.chunks(PLACES) {
                self.delete(database, sweep, rolled, places).await?;
            }
        }
        let mut step = sweep.begin(database).await?;
        horizon::advance(&mut step.tx, self.mark, walked, self.cutoff).await?;
        step.tx.commit().await
    }

    async fn delete(
        &self,
        database: &Database,
        sweep: &mut Sweep,
        rolled: &Rolled,
        places: &[Vec<Value>],
    ) -> Result<(), StoreError> {
        loop {
            let mut sql = rolled.due(places, self, &sweep.due.holds);
            sql.push(" LIMIT ").bind(sweep.rows() as i64);
            let found: Vec<Vec<Value>> = database.fetch(sql).await?.into_iter().map(|row| row.0).collect();
            let rows = found.len();
            if rows == 0 {
                return Ok(());
            }
            let mut step = sweep.begin(database).await?;
            let gone = step.tx.fetch(rolled.deletion(found, self, &sweep.due.holds)).await?.len();
            sweep.done(step, rows, rolled.table, gone).await?;
        }
    }
}

// === impl Rolled ===

impl Rolled {
    /// The keys of the places' rows that are due: for each place one range of the index.
    fn due(&self, places: &[Vec<Value>], pass: &Pass, holds: &[Hold]) -> Sql {
        let Self { table, place, key, .. } = self;
        let join: Vec<String> = place.iter().map(|column| format!("t.{column} = s.{column}")).collect();
        let mut sql = Sql::new(&format!("WITH places({}) AS (", place.join(", ")));
        sql.values(places.iter().cloned());
        let (key, join) = (key.join(", t."), join.join(" AND "));
        sql.push(&format!(") SELECT t.{key} FROM places s {FOR_EACH_JOIN} {table} t WHERE {join}"));
        sql.append(self.is_due(pass, holds));
        sql
    }

    /// Of those that were found, the ones that are due still: a row for each.
    fn deletion(&self, found: Vec<Vec<Value>>, pass: &Pass, holds: &[Hold]) -> Sql {
        let mut sql = delete_rows(self.table, self.key, found);
        sql.append(self.is_due(pass, holds)).push(" RETURNING 1");
        sql
    }

    /// ` AND ..`, of rows `t`.
    fn is_due(&self, pass: &Pass, holds: &[Hold]) -> Sql {
        let mut sql = Sql::new(&format!("{} AND {} < ", pass.and, self.at));
        sql.bind(pass.cutoff.0).append(hold::unheld(holds, self.at, pass.length));
        sql
    }
}

/// What deletes the evidence of who was judged before, as it is due now.
#[cfg(test)]
pub(in crate::store) async fn deletion_of_judged(database: &Database, before: Timestamp) -> Result<Sql, StoreError> {
    let pass = Pass { mark: mark::JUDGED, cutoff: before, length: 1, and: String::new() };
    let versions = database.fetch(Sql::new("SELECT id FROM versions")).await?;
    let versions: Vec<Vec<Value>> = versions.into_iter().map(|row| row.0).collect();
    let found = database.fetch(JUDGED.due(&versions, &pass, &[])).await?;
    Ok(JUDGED.deletion(found.into_iter().map(|row| row.0).collect(), &pass, &[]))
}
