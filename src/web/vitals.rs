//! What the running process measures of itself: now, and each minute of the last hour.
//!
//! It is read from the same registry as `/metrics`, so that a page and an alert never say two things; and it needs no
//! history, which may be what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::recorder::settings::OnFailure;
use crate::review::clock::Timestamp;

mod exposition;

/// Of one replica, this one.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Oldest first, not empty; the last is of now.
    pub readings: Vec<Arc<Reading>>,
    pub bounds: Bounds,
    /// Whether anything can reject anywhere now, ceilings considered.
    pub can_enforce: bool,
}

/// What the configuration bounds, and what comes at the bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Reviews at once.
    pub in_flight: usize,
    /// Bytes of their bodies.
    pub in_flight_bytes: u64,
    /// Of the webhook's listener.
    pub connections: usize,
    /// Bytes of the journal.
    pub journal: u64,
    /// What becomes of an answer that cannot be recorded.
    pub on_failure: OnFailure,
    pub overload: OnOverload,
    /// The file that `serve` was started with, for commands that are to be pasted.
    pub config: Option<PathBuf>,
}

/// What a review gets that finds no room while nothing loaded can enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverload {
    /// It is answered allowed, unjudged.
    Answer,
    /// 503, as where something can enforce.
    Refuse,
}

/// Figures of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub at: Timestamp,
    families: BTreeMap<&'static str, Vec<Series>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Series {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A family that is read, and by which labels: over all others it is summed, so that a reading is small.
#[derive(Debug, Clone, Copy)]
struct Kept {
    name: &'static str,
    by: &'static [&'static str],
}

/// How the durations of a span are spread.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    pub count: u64,
    /// Upper edges in seconds, and how many took no longer; the last is infinite.
    edges: Vec<(f64, u64)>,
}

/// Labels that a series is asked for by.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The span that counts as now (ms).
pub const NOW: i64 = 5 * 60_000;
/// How far back readings go (ms).
pub const SPAN: i64 = 60 * 60_000;

/// A bucket's upper edge is a label like any other.
const LE: &str = "le";

const KEPT: [Kept; 26] = [
    Kept { name: "rehearsal_backend_breaker", by: &["policy"] },
    Kept { name: "rehearsal_backend_duration_seconds_bucket", by: &["policy", LE] },
    Kept { name: "rehearsal_backend_errors_total", by: &["policy", "kind"] },
    Kept { name: "rehearsal_certificate_end_timestamp_seconds", by: &["listener", "role", "name"] },
    Kept { name: "rehearsal_connections", by: &["listener"] },
    Kept { name: "rehearsal_connections_refused_total", by: &["listener", "reason"] },
    Kept { name: "rehearsal_in_flight_bytes", by: &[] },
    Kept { name: "rehearsal_in_flight_reviews", by: &[] },
    Kept { name: "rehearsal_journal_backlog_records", by: &[] },
    Kept { name: "rehearsal_journal_drain_failures_total", by: &[] },
    Kept { name: "rehearsal_journal_failed", by: &[] },
    Kept { name: "rehearsal_journal_fsync_seconds_bucket", by: &[LE] },
    Kept { name: "rehearsal_journal_lag_seconds", by: &[] },
    Kept { name: "rehearsal_journal_missed_total", by: &["reason"] },
    Kept { name: "rehearsal_journal_size_bytes", by: &[] },
    Kept { name: "rehearsal_last_review_timestamp_seconds", by: &["cluster"] },
    Kept { name: "rehearsal_policy_overruns_total", by: &["policy"] },
    Kept { name: "rehearsal_policy_suspensions_total", by: &["policy"] },
    Kept { name: "rehearsal_refused_total", by: &["reason"] },
    Kept { name: "rehearsal_reload_failed", by: &[] },
    Kept { name: "rehearsal_reloads_total", by: &["result"] },
    Kept { name: "rehearsal_review_duration_seconds_bucket", by: &[LE] },
    Kept { name: "rehearsal_review_own_seconds_bucket", by: &[LE] },
    Kept { name: "rehearsal_reviews_total", by: &["answer"] },
    Kept { name: "rehearsal_unjudged_total", by: &[] },
    Kept { name: "rehearsal_violations_total", by: &["policy", "mode"] },
];

// === impl Vitals ===

impl Vitals {
    fn last(&self) -> &Reading {
        self.readings.last().expect("there is a reading of now")
    }

    /// The last reading that is as old as that, else the oldest.
    fn before(&self, span: i64) -> &Reading {
        let edge = self.last().at.0.saturating_sub(span);
        let at = self.readings.partition_point(|reading| reading.at.0 <= edge);
        &self.readings[at.saturating_sub(1)]
    }

    /// Since when the figures of the last hour are.
    pub fn since(&self) -> Timestamp {
        self.before(SPAN).at
    }

    /// What a gauge is now.
    pub fn gauge(&self, name: &str, labels: Labels<'_>) -> f64 {
        self.last().sum(name, labels)
    }

    /// The most that it was at one of the readings of the hour.
    pub fn most(&self, name: &str, labels: Labels<'_>) -> f64 {
        let edge = self.since();
        let hour = self.readings.iter().filter(|reading| reading.at >= edge);
        hour.map(|reading| reading.sum(name, labels)).fold(0.0, f64::max)
    }

    /// By how much a counter grew over the last so many ms.
    pub fn grew(&self, span: i64, name: &str, labels: Labels<'_>) -> u64 {
        let (then, now) = (self.before(span).sum(name, labels), self.last().sum(name, labels));
        whole(now - then)
    }

    /// By the values of one of its labels, those that grew, the most first.
    pub fn grown_by<'a>(&'a self, span: i64, name: &str, label: &str) -> Vec<(&'a str, u64)> {
        let mut grown: Vec<(&str, u64)> = self.last().values(name, label).into_iter().map(|value| (value, 0)).collect();
        for (value, number) in &mut grown {
            *number = self.grew(span, name, &[(label, value)]);
        }
        grown.retain(|(_, number)| *number > 0);
        grown.sort_by_key(|(value, number)| (std::cmp::Reverse(*number), *value));
        grown
    }

    /// Every series of a gauge now: its labels and its value.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        self.last().families.get(name).into_iter().flatten().map(|series| (&series.labels, series.value))
    }

    /// Of a histogram, by the name of its buckets.
    pub fn spread(&self, span: i64, name: &str, labels: Labels<'_>) -> Spread {
        let (then, now) = (self.before(span), self.last());
        let mut edges: Vec<(f64, u64)> = Vec::new();
        for edge in now.values(name, LE) {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([(LE, edge)]).collect();
            let grown = whole(now.sum(name, &labels) - then.sum(name, &labels));
            edges.push((edge.parse().unwrap_or(f64::INFINITY), grown));
        }
        edges.sort_by(|one, other| one.0.total_cmp(&other.0));
        Spread { count: edges.last().map_or(0, |last| last.1), edges }
    }
}

// === impl Reading ===

impl Reading {
    /// Of what `/metrics` says at that time.
    pub fn of(at: Timestamp, exposition: &str) -> Self {
        let mut families: BTreeMap<&'static str, Vec<Series>> = BTreeMap::new();
        for sample in exposition.lines().filter_map(exposition::sample) {
            let Some(kept) = KEPT.iter().find(|kept| kept.name == sample.name) else { continue };
            let labels: BTreeMap<String, String> =
                sample.labels.into_iter().filter(|(name, _)| kept.by.contains(&name.as_str())).collect();
            let family = families.entry(kept.name).or_default();
            match family.iter_mut().find(|series| series.labels == labels) {
                Some(series) => series.value += sample.value,
                None => family.push(Series { labels, value: sample.value }),
            }
        }
        Self { at, families }
    }

    fn sum(&self, name: &str, labels: Labels<'_>) -> f64 {
        debug_assert!(KEPT.iter().any(|kept| kept.name == name), "{name} is not kept");
        let is_asked = |series: &&Series| {
            labels.iter().all(|(name, value)| series.labels.get(*name).is_some_and(|own| own == value))
        };
        self.families.get(name).into_iter().flatten().filter(is_asked).map(|series| series.value).sum()
    }

    fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let series = self.families.get(name).into_iter().flatten();
        series.filter_map(|series| series.labels.get(label).map(String::as_str)).collect()
    }
}

// === impl Spread ===

impl Spread {
    /// Seconds in which this part of them had ended, at most: the edge of a bucket. `None`: there were none; infinite: they
    /// took longer than the last edge.
    pub fn within(&self, part: f64) -> Option<f64> {
        let wanted = (self.count as f64 * part).ceil();
        self.edges.iter().find(|(_, number)| self.count > 0 && *number as f64 >= wanted).map(|(edge, _)| *edge)
    }

    /// How many took longer than these seconds, which are the edge of a bucket.
    pub fn over(&self, seconds: f64) -> u64 {
        let within = self.edges.iter().find(|(edge, _)| *edge >= seconds);
        self.count - within.map_or(self.count, |(_, number)| *number)
    }
}

/// Of a counter that never falls.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and not below 0")]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals(readings: &[(i64, &str)]) -> Vitals {
        let reading = |(minute, text): &(i64, &str)| Arc::new(Reading::of(Timestamp(minute * 60_000), text));
        let bounds = Bounds {
            in_flight: 1,
            in_flight_bytes: 1,
            connections: 1,
            journal: 1,
            on_failure: OnFailure::Answer,
            overload: OnOverload::Answer,
            config: None,
        };
        Vitals { readings: readings.iter().map(reading).collect(), bounds, can_enforce: false }
    }

    #[test]
    fn every_family_that_is_kept_is_asked_for() {
        let sources = [
            include_str!("health/arrival.rs"),
            include_str!("health/keeping.rs"),
            include_str!("health/latency.rs"),
            include_str!("health/verdicts.rs"),
        ];
        for Kept { name, .. } in KEPT {
            assert!(sources.iter().any(|text| text.contains(&format!("\"{name}\""))), "nothing asks for {name}");
        }
    }

    #[test]
    fn a_counter_grew_since_the_reading_of_then() {
        let text = |number: u32| {
            format!(
                "rehearsal_refused_total{{reason=\"overloaded\"}} {number}\nrehearsal_refused_total{{reason=\"path\"}} 7\n"
            )
        };
        let (first, second, third) = (text(1), text(4), text(9));
        let vitals = vitals(&[(0, &first), (50, &second), (58, &second), (61, &third)]);
        let overloaded: Labels<'_> = &[("reason", "overloaded")];
        assert_eq!(vitals.grew(NOW, "rehearsal_refused_total", overloaded), 5);
        assert_eq!(vitals.grew(SPAN, "rehearsal_refused_total", overloaded), 8);
        assert_eq!(vitals.grown_by(SPAN, "rehearsal_refused_total", "reason"), [("overloaded", 8)]);
        assert_eq!(vitals.since(), Timestamp(0));
        // One that was not there then.
        assert_eq!(vitals.grew(SPAN, "rehearsal_unjudged_total", &[]), 0);
    }

    #[test]
    fn a_gauge_is_what_it_is_now_and_at_most_was() {
        let vitals = vitals(&[(0, "rehearsal_journal_failed 1.0"), (1, "rehearsal_journal_failed 0.0")]);
        let of = |value: f64| value > 0.5;
        assert!(!of(vitals.gauge("rehearsal_journal_failed", &[])) && of(vitals.most("rehearsal_journal_failed", &[])));
    }

    #[test]
    fn a_histogram_tells_what_a_part_took_at_most() {
        let text = |low: u32, middle: u32, all: u32| {
            format!(
                "rehearsal_review_own_seconds_bucket{{le=\"0.001\"}} {low}\n\
                 rehearsal_review_own_seconds_bucket{{le=\"0.01\"}} {middle}\n\
                 rehearsal_review_own_seconds_bucket{{le=\"+Inf\"}} {all}\n"
            )
        };
        let (before, after) = (text(5, 5, 5), text(65, 104, 105));
        let spread = vitals(&[(0, &before), (1, &after)]).spread(SPAN, "rehearsal_review_own_seconds_bucket", &[]);
        assert_eq!((spread.count, spread.within(0.5), spread.within(0.99)), (100, Some(0.001), Some(0.01)));
        assert_eq!(spread.within(1.0), Some(f64::INFINITY));
        assert_eq!((spread.over(0.001), spread.over(0.01), spread.over(1.0)), (40, 1, 0));
        assert_eq!(Spread::default().within(0.5), None);
    }

    #[test]
    fn series_are_summed_over_labels_that_nobody_asks_by() {
        let text = "rehearsal_violations_total{policy=\"p\",rule=\"a\",mode=\"enforce\"} 2\n\
                    rehearsal_violations_total{policy=\"p\",rule=\"b\",mode=\"enforce\"} 3\n";
        let vitals = vitals(&[(0, ""), (1, text)]);
        assert_eq!(vitals.series("rehearsal_violations_total").count(), 1);
        assert_eq!(vitals.grew(SPAN, "rehearsal_violations_total", &[("mode", "enforce")]), 5);
    }
}
