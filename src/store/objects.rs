//! Redacted objects of reviews, and which of them are kept.

use std::collections::HashSet;

use super::bucket::Width;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::fact::Names;
use super::key;
use super::settings::Objects;
use super::sql::{Insert, Sql, Value};
use crate::review::clock::DecisionId;
use crate::review::decision::ObjectSample;

/// Samples looked up in one statement.
const LOOKED_UP: usize = 300;

/// Review, cluster and day. A review's hash holds its workload.
type Sample = ([u8; 32], i64, i64);

pub(super) async fn insert(
    tx: &mut Transaction,
    objects: &[&ObjectSample],
    kept: Objects,
    names: &Names,
) -> Result<(), StoreError> {
    let mut samples = Vec::with_capacity(objects.len());
    for object in objects {
        let day = Width::Day.floor(object.at).0;
        samples.push((*object, (object.review.0, names.cluster(&object.cluster)?, day)));
    }
    let mut taken = HashSet::new();
    match kept {
        Objects::None => return Ok(()),
        Objects::All => {}
        Objects::Sample => {
            for samples in samples.chunks(LOOKED_UP) {
                taken.extend(stored(tx, samples.iter().map(|(_, sample)| sample)).await?);
            }
        }
    }
    let columns = &["decision", "cluster", "review", "day", "at", "object"];
    let mut insert = Insert::into("objects", columns, "ON CONFLICT DO NOTHING");
    for (object, sample) in samples {
        let (review, cluster, day) = sample;
        if kept == Objects::All || taken.insert(sample) {
            insert.row([
                object.decision.into(),
                cluster.into(),
                review.as_slice().into(),
                day.into(),
                object.at.0.into(),
                object.object.as_str().into(),
            ]);
        }
    }
    tx.insert(insert).await
}

/// The object of a decision, else the sample of its review, cluster and day.
pub(super) async fn read(database: &Database, id: DecisionId, at_key: i64) -> Result<Option<String>, StoreError> {
    let mut sql = Sql::new("SELECT object FROM objects WHERE decision = ");
    sql.bind(id);
    if let Some(row) = database.fetch(sql).await?.first_mut() {
        return row.opt_text(0);
    }
    let mut sql = Sql::new(
        "SELECT s.object FROM decisions d JOIN reviews v ON v.id = d.review \
         JOIN objects s ON s.review = v.hash AND s.cluster = d.cluster AND s.day = ",
    );
    sql.bind(Width::Day.floor(key::at(at_key)).0).push(" WHERE d.key = ").bind(at_key);
    sql.push(" ORDER BY s.at LIMIT 1");
    database.fetch(sql).await?.first_mut().map_or(Ok(None), |row| row.opt_text(0))
}

async fn stored(tx: &mut Transaction, samples: impl Iterator<Item = &Sample>) -> Result<Vec<Sample>, StoreError> {
    let mut sql = Sql::new("SELECT review, cluster, day FROM objects WHERE (review, cluster, day) IN (");
    sql.values(
        samples.map(|(review, cluster, day)| -> [Value; 3] {
            [review.as_slice().into(), (*cluster).into(), (*day).into()]
        }),
    );
    sql.push(")");
    let rows = tx.fetch(sql).await?;
    rows.iter().map(|row| Ok((row.hash(0)?, row.int(1)?, row.int(2)?))).collect()
}
