//! `complete_until`, and clusters that nobody serves, for `/metrics`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::recorder::Recorder;
use crate::recorder::metrics::gauge;
use crate::review::clock::Timestamp;

use super::condition::Condition;

/// What is asked for when it is read.
#[derive(Debug)]
struct State {
    condition: Arc<Condition>,
    recorder: Recorder,
    replica: Uuid,
}

pub fn register(registry: &mut Registry, condition: &Arc<Condition>, recorder: &Recorder, replica: Uuid) {
    let (condition, recorder) = (Arc::clone(condition), recorder.clone());
    registry.register_collector(Box::new(State { condition, recorder, replica }));
}

// === impl State ===

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let completeness = self.condition.completeness(&self.recorder, self.replica);
        gauge(
            &mut encoder,
            "rehearsal_complete_until_timestamp_seconds",
            "Everything decided before, by whatever replica, is in the history; 0 where a journal cannot be read",
            completeness.until.map_or(0.0, Timestamp::seconds),
        )?;
        gauge(
            &mut encoder,
            "rehearsal_replicas_behind",
            "Replicas whose decisions may be missing in the history, this one included",
            completeness.behind.len() as f64,
        )?;
        gauge(
            &mut encoder,
            "rehearsal_clusters_silent",
            "Clusters that a replica served before and none serves now: each is an open gap in the history",
            self.condition.silent_clusters() as f64,
        )
    }
}
