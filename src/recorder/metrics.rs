//! What the journal counts.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::review::clock::Timestamp;

use super::error::NotRecorded;
use super::shared::Shared;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug)]
pub struct Metrics {
    pub(super) fsync: Histogram,
    pub(super) group: Histogram,
    pub(super) failures: Counter,
    pub(super) dropped: Counter,
    pub(super) gaps: Counter,
    pub(super) unjudged: Counter,
    pub(super) torn: Counter,
    pub(super) drained: Counter,
    pub(super) drain_failures: Counter,
    missed: Family<Reason, Counter>,
}

/// What is read when asked for, not counted.
#[derive(Debug)]
struct State(Arc<Shared>);

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self {
            // Seconds: 0.1 ms on a good SSD, 10 ms on a disk, a second where `max_wait` ends.
            fsync: Histogram::new([
                0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0,
            ]),
            // Records: up to the default of reviews in flight, and beyond.
            group: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0]),
            failures: Counter::default(),
            dropped: Counter::default(),
            gaps: Counter::default(),
            unjudged: Counter::default(),
            torn: Counter::default(),
            drained: Counter::default(),
            drain_failures: Counter::default(),
            missed: Family::default(),
        }
    }
}

impl Metrics {
    pub(super) fn missed(&self, why: &NotRecorded) {
        self.missed.get_or_create(&Reason { reason: why.reason() }).inc();
    }

    pub(super) fn register(shared: &Arc<Shared>, registry: &mut Registry) {
        let metrics = &shared.metrics;
        let counters = [
            ("failures", "Writes to the journal that failed", &metrics.failures),
            ("dropped", "Late verdicts and object samples that were not journalled", &metrics.dropped),
            ("gaps", "Gaps in the history that have ended", &metrics.gaps),
            ("unjudged", "Reviews that were not judged, under overload", &metrics.unjudged),
            ("torn", "Writes torn by a crash, cut off at the start", &metrics.torn),
            ("drained", "Records taken to the store", &metrics.drained),
            ("drain_failures", "Batches that the store did not take; each is tried again", &metrics.drain_failures),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("rehearsal_journal_{name}"), help, counter.clone());
        }
        registry.register("rehearsal_journal_missed", "Decisions that could not be recorded", metrics.missed.clone());
        registry.register(
            "rehearsal_journal_fsync_seconds",
            "How long the disk took to confirm a group of records",
            metrics.fsync.clone(),
        );
        registry.register(
            "rehearsal_journal_group_records",
            "Records written and synced at once",
            metrics.group.clone(),
        );
        registry.register_collector(Box::new(State(Arc::clone(shared))));
    }
}

// === impl State ===

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let lag = status.oldest.map_or(0.0, |oldest| (Timestamp::now().seconds() - oldest.seconds()).max(0.0));
        let oldest = status.oldest.map_or(0.0, Timestamp::seconds);
        let gauges = [
            ("lag_seconds", "Age of the oldest decision that is not yet in the store", lag),
            ("oldest_timestamp_seconds", "Time of the oldest decision not yet in the store, 0 without one", oldest),
            ("backlog_records", "Records not yet in the store", status.backlog_records as f64),
            ("backlog_bytes", "Bytes not yet in the store", status.backlog_bytes as f64),
            ("size_bytes", "Bytes of the journal on the disk", status.size as f64),
            ("failed", "1 while decisions cannot be recorded", f64::from(u8::from(status.failed.is_some()))),
            ("gap_open", "1 while a gap in the history is open", f64::from(u8::from(status.open_gap.is_some()))),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, &format!("rehearsal_journal_{name}"), help, value)?;
        }
        let damaged = ConstCounter::new(status.damaged);
        let help = "Parts of the journal that could not be read and are kept aside";
        damaged.encode(encoder.encode_descriptor("rehearsal_journal_damaged", help, None, damaged.metric_type())?)
    }
}

/// What is read when it is asked for.
pub fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}
