//! What the last decisions on workloads said, each found by its workload and its time: no index leads from a workload to its
//! decisions, but a millisecond of the table's own order is short.

use std::collections::HashMap;

use super::database::Database;
use super::error::StoreError;
use super::key;
use super::sql::Sql;
use crate::review::clock::{DecisionId, Timestamp};

/// A workload, and when a decision on it was made.
pub(super) type Place = (i64, Timestamp);

/// The decisions at these places that are kept, without dry runs: their ids, and their verdicts as rows hold them.
pub(super) async fn at(
    database: &Database,
    places: impl Iterator<Item = Place>,
) -> Result<HashMap<Place, Vec<(DecisionId, String)>>, StoreError> {
    let wanted: Vec<[i64; 3]> =
        places.map(|(workload, at)| [workload, key::start(at), key::start(Timestamp(at.0 + 1))]).collect();
    let mut said: HashMap<Place, Vec<(DecisionId, String)>> = HashMap::new();
    if wanted.is_empty() {
        return Ok(said);
    }
    let is_it = "t.key >= q.since AND t.key < q.below AND t.workload = q.workload";
    let mut sql = Sql::new("WITH wanted(workload, since, below) AS (");
    sql.values(wanted).push(&format!(
        ") SELECT t.workload, t.key, t.id, o.verdicts FROM wanted q {} JOIN outcomes o ON o.id = t.outcome \
         WHERE {is_it} AND NOT t.dry_run",
        database.looked_up("decisions", is_it)
    ));
    for mut row in database.fetch(sql).await? {
        let key = row.int(1)?;
        let id = row.id_at(key, 2)?;
        said.entry((row.int(0)?, key::at(key))).or_default().push((id, row.text(3)?));
    }
    Ok(said)
}
