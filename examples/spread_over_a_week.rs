//! Spreads the decisions of one history over the week before now, into a new one: for pictures of the report that show
//! what it looks like after a while. What each decision says is what Rehearsal decided; only when, and how often, is made.
//!
//! `cargo run --example spread_over_a_week -- FROM TO`, both data directories that no process holds.

use std::error::Error;
use std::path::PathBuf;

use fastrand::Rng;
use rehearsal::review::clock::{DecisionId, Timestamp};
use rehearsal::review::decision::{Decision, Record};
use rehearsal::store::Store;
use rehearsal::store::reach::Reach;
use rehearsal::store::read::{Filter, StoredDecision};
use rehearsal::store::settings::{HistorySettings, Objects, RetentionSettings, StoreSettings};
use uuid::Uuid;

const HOUR: i64 = 3_600_000;
const WEEK: i64 = 7 * 24;
/// The largest page of a list.
const ALL: u16 = 1_000;
/// Reviews in the busiest hour.
const BUSY: f64 = 110.0;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to), None) = (folders.next(), folders.next(), folders.next()) else {
        return Err("two folders are expected: the history to read, and the one to write".into());
    };
    let found = open(from).await?.decisions(&Filter::of(Reach::Everything), ALL, None).await?.decisions;
    let target = open(to).await?;
    let now = Timestamp::now();
    let mut rng = Rng::with_seed(7);
    for hour in (0..WEEK).rev() {
        let from = Timestamp(now.0 - (hour + 1) * HOUR);
        let count = BUSY * traffic(from) * (0.8 + rng.f64() * 0.4);
        let mut records = Vec::new();
        for _ in 0..count as usize {
            let Some(stored) = choose(&found, hour, &mut rng) else { continue };
            let at = Timestamp(from.0 + rng.i64(0..HOUR));
            records.push(Record::Review(stored.review.clone()));
            records.push(Record::Decision(Box::new(Decision {
                id: DecisionId::at(at),
                at,
                ..stored.decision.clone()
            })));
        }
        target.apply(&records).await?;
    }
    target.close().await;
    Ok(())
}

async fn open(data: PathBuf) -> Result<Store, Box<dyn Error>> {
    std::fs::create_dir_all(&data)?;
    let history =
        HistorySettings { objects: Objects::None, max_names: 200_000, retention: RetentionSettings::default() };
    Ok(Store::open(&StoreSettings::Sqlite(data), &history, Uuid::nil()).await?)
}

/// More by day than by night, little at the weekend: from 0 to 1.
fn traffic(at: Timestamp) -> f64 {
    let (day, hour) = (at.0.div_euclid(24 * HOUR), at.0.rem_euclid(24 * HOUR) / HOUR);
    // The first day of 1970 was a Thursday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    let by_hour = match hour {
        7..=17 => 1.0 - (hour as f64 - 12.0).abs() * 0.08,
        18..=21 => 0.35,
        _ => 0.15,
    };
    by_hour * if weekend { 0.3 } else { 1.0 }
}

/// The first ones come often and the last ones seldom; teams mend what they are told of, so that there is less of what
/// would be rejected as the week goes by.
fn choose<'a>(found: &'a [StoredDecision], hours_ago: i64, rng: &mut Rng) -> Option<&'a StoredDecision> {
    let at = (rng.f64().powi(2) * found.len() as f64) as usize;
    let stored = found.iter().rev().nth(at)?;
    let mended = 0.6 * (1.0 - hours_ago as f64 / WEEK as f64);
    let objection = stored.decision.would_reject || stored.decision.code == 403;
    (!objection || rng.f64() > mended).then_some(stored)
}
