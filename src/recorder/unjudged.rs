//! Reviews that were answered without being judged: too many to be decisions, counted instead.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Record;

use super::shared::hold;

/// The width of a bucket: that of the finest roll-up.
const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;

/// A sender chooses the cluster in its path: past this many in one interval, the rest count as [`OTHER`].
const MAX_CLUSTERS: usize = 200;

/// No cluster that a path names: a label has no parentheses.
const OTHER: &str = "(other)";

#[derive(Debug, Default)]
pub(super) struct Unjudged {
    counts: Mutex<BTreeMap<Timestamp, BTreeMap<String, u64>>>,
}

impl Unjudged {
    pub(super) fn count(&self, cluster: &str, at: Timestamp) {
        let bucket = Timestamp(at.0.div_euclid(QUARTER_HOUR_MS) * QUARTER_HOUR_MS);
        let mut counts = hold(&self.counts);
        let clusters = counts.entry(bucket).or_default();
        if let Some(counted) = clusters.get_mut(cluster) {
            *counted += 1;
        } else if clusters.len() < MAX_CLUSTERS {
            clusters.insert(cluster.to_owned(), 1);
        } else {
            *clusters.entry(OTHER.to_owned()).or_default() += 1;
        }
    }

    /// Takes all counts, as records to journal.
    pub(super) fn take(&self) -> Vec<Record> {
        let counts = std::mem::take(&mut *hold(&self.counts));
        let records = counts.into_iter().flat_map(|(bucket, clusters)| {
            clusters.into_iter().map(move |(cluster, count)| {
                let id = DecisionId::at(Timestamp::now());
                Record::Unjudged { id, cluster, bucket, count }
            })
        });
        records.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(unjudged: &Unjudged) -> Vec<(String, i64, u64)> {
        let records = unjudged.take().into_iter().map(|record| match record {
            Record::Unjudged { cluster, bucket, count, .. } => (cluster, bucket.0, count),
            other => panic!("{other:?}"),
        });
        records.collect()
    }

    #[test]
    fn counts_are_kept_by_cluster_and_quarter_hour() {
        let unjudged = Unjudged::default();
        unjudged.count("a", Timestamp(1));
        unjudged.count("a", Timestamp(QUARTER_HOUR_MS - 1));
        unjudged.count("a", Timestamp(QUARTER_HOUR_MS));
        unjudged.count("b", Timestamp(5));
        assert_eq!(taken(&unjudged), [("a".into(), 0, 2), ("b".into(), 0, 1), ("a".into(), QUARTER_HOUR_MS, 1)]);
        assert_eq!(taken(&unjudged), []);
    }

    #[test]
    fn clusters_past_the_bound_lose_their_name_and_no_count() {
        let unjudged = Unjudged::default();
        for number in 0..MAX_CLUSTERS + 50 {
            unjudged.count(&format!("c{number}"), Timestamp(0));
        }
        let counts = taken(&unjudged);
        assert_eq!(counts.len(), MAX_CLUSTERS + 1);
        assert!(counts.contains(&(OTHER.to_owned(), 0, 50)));
    }
}
