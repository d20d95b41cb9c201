//! `complete_until` for `/metrics`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::recorder::Recorder;

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
        let gauges = [
            (
                "rehearsal_complete_until_timestamp_seconds",
                "Everything decided before, by whatever replica, is in the history",
                completeness.until.0 as f64 / 1_000.0,
            ),
            (
                "rehearsal_replicas_behind",
                "Replicas whose decisions may be missing in the history, this one included",
                completeness.behind.len() as f64,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
