//! Since when this process has served which clusters: without it, "nothing was rejected" and "nobody looked" are alike.
//!
//! # Invariants
//!
//! 1. A span holds no time in which the process was not there. It is looked at every round of the keeper and journalled
//!    at every beat: a kill leaves at most the time between two beats unsaid.
//! 2. Beats of one span have the same beginning and later and later ends, so that any of them but the last may be lost.
//! 3. A clock that is set, a machine that slept, a process that was stopped: each ends the span, and the next one begins
//!    at what the clock says then.
//! 4. No span begins before the process did. A clock that says so has been set back, and may be right again in a moment:
//!    what it says is no presence, and would be a silence from then to the beginning. Only where it stays there for
//!    [`SETTLED`] was it the beginning that was wrong.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::review::clock::Timestamp;
use crate::review::decision::{Record, UNDECLARED};

use super::shared::hold;

/// A sender chooses the cluster in its path: past this many, more are not named.
const MAX_CLUSTERS: usize = 200;

/// A clock that is this far from where it should be was set: slewing and a scheduler's delays stay far below.
const STEP: Duration = Duration::from_secs(2);

/// Longer than a process is kept from running by anything but a stop: of a disk, of a debugger, of its machine.
const STALL: Duration = Duration::from_secs(30);

/// A clock that was set for so long is not set back by whoever corrects clocks: that is done within minutes.
const SETTLED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Presence {
    every: Duration,
    span: Mutex<Option<Span>>,
}

#[derive(Debug)]
struct Span {
    replica: Uuid,
    clusters: BTreeSet<String>,
    /// When the process began to serve: no span is earlier.
    begun: Timestamp,
    from: Timestamp,
    to: Timestamp,
    /// When `to` was read.
    seen: Instant,
    /// When the clock was last read, whatever it said.
    looked: Instant,
    /// Since when the clock says a time before `begun`.
    astray: Option<Instant>,
    /// When it was last journalled.
    beat: Option<Instant>,
    /// Spans before it that are not journalled.
    ended: Vec<Record>,
    /// It moves no more.
    has_left: bool,
    /// All of it is journalled.
    has_ended: bool,
}

// === impl Presence ===

impl Presence {
    /// Beats come `every` so often.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, span: Mutex::default() }
    }

    pub(super) fn begin(&self, replica: Uuid, clusters: BTreeSet<String>, now: Timestamp, seen: Instant) {
        *hold(&self.span) = Some(Span {
            replica,
            clusters,
            begun: now,
            from: now,
            to: now,
            seen,
            looked: seen,
            astray: None,
            beat: None,
            ended: Vec::new(),
            has_left: false,
            has_ended: false,
        });
    }

    /// A review of `cluster` came, so that this one is served too.
    pub(super) fn serves(&self, cluster: &str) {
        if let Some(span) = &mut *hold(&self.span)
            // Nobody is missing there.
            && cluster != UNDECLARED
            && span.clusters.len() < MAX_CLUSTERS
            && !span.clusters.contains(cluster)
        {
            span.clusters.insert(cluster.to_owned());
        }
    }

    /// Those that are served, or were until the end.
    pub(super) fn clusters(&self) -> Vec<String> {
        hold(&self.span).as_ref().map_or_else(Vec::new, |span| span.clusters.iter().cloned().collect())
    }

    /// The process is there.
    pub(super) fn look(&self, now: Timestamp, at: Instant) {
        if let Some(span) = &mut *hold(&self.span) {
            span.look(now, at);
        }
    }

    /// What is to be journalled now.
    pub(super) fn due(&self, at: Instant) -> Vec<Record> {
        hold(&self.span).as_mut().map_or_else(Vec::new, |span| span.due(at, self.every))
    }

    /// The process serves no more.
    pub(super) fn leave(&self, now: Timestamp, at: Instant) {
        if let Some(span) = &mut *hold(&self.span) {
            span.look(now, at);
            span.has_left = true;
        }
    }

    /// What is still to be journalled when nothing is looked at any more.
    pub(super) fn end(&self, at: Instant) -> Vec<Record> {
        hold(&self.span).as_mut().map_or_else(Vec::new, |span| {
            let last = span.due(at, Duration::ZERO);
            (span.has_left, span.has_ended) = (true, true);
            last
        })
    }
}

// === impl Span ===

impl Span {
    /// Moves its end, or begins anew.
    fn look(&mut self, now: Timestamp, at: Instant) {
        if self.has_left {
            return;
        }
        let has_stalled = at.duration_since(self.looked) > STALL;
        self.looked = at;
        if self.is_astray(now, at) {
            return;
        }
        // Through a time in which the clock was astray, too.
        let expected = self.to.0.saturating_add(millis(at.duration_since(self.seen)));
        self.seen = at;
        if !has_stalled && now.0.abs_diff(expected) <= STEP.as_millis() as u64 {
            self.to = self.to.max(now);
            return;
        }
        self.ended.push(self.record());
        (self.from, self.to, self.beat) = (now, now, None);
    }

    /// Whether the clock says a time before the beginning, and not for long.
    fn is_astray(&mut self, now: Timestamp, at: Instant) -> bool {
        if now >= self.begun {
            self.astray = None;
            return false;
        }
        let since = *self.astray.get_or_insert(at);
        if at.duration_since(since) < SETTLED {
            return true;
        }
        self.begun = now;
        self.astray = None;
        false
    }

    fn due(&mut self, at: Instant, every: Duration) -> Vec<Record> {
        if self.has_ended {
            return Vec::new();
        }
        let mut records = std::mem::take(&mut self.ended);
        if self.beat.is_none_or(|beat| at.duration_since(beat) >= every) {
            self.beat = Some(at);
            records.push(self.record());
        }
        records
    }

    fn record(&self) -> Record {
        let clusters = self.clusters.iter().cloned().collect();
        Record::Presence { replica: self.replica, clusters, from: self.from, to: self.to }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    struct Clock {
        presence: Presence,
        begun: Instant,
    }

    impl Clock {
        /// Serving `prod` since the wall clock's 1,000 s.
        fn begun() -> Self {
            let (presence, begun) = (Presence::new(EVERY), Instant::now());
            presence.begin(Uuid::nil(), BTreeSet::from(["prod".to_owned()]), Timestamp(1_000_000), begun);
            Self { presence, begun }
        }

        /// Spans in seconds at `wall`, `since` the beginning.
        fn look(&self, wall: i64, since: u64) -> Vec<(i64, i64)> {
            let at = self.begun + Duration::from_secs(since);
            self.presence.look(Timestamp(wall * 1_000), at);
            self.presence.due(at).iter().map(span).collect()
        }
    }

    fn span(record: &Record) -> (i64, i64) {
        match record {
            Record::Presence { from, to, .. } => (from.0 / 1_000, to.0 / 1_000),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_span_grows_from_beat_to_beat() {
        let clock = Clock::begun();
        assert_eq!(clock.look(1_000, 0), [(1_000, 1_000)]);
        assert_eq!(clock.look(1_014, 14), []);
        assert_eq!(clock.look(1_015, 15), [(1_000, 1_015)]);
        assert_eq!(clock.look(1_031, 31), [(1_000, 1_031)]);
        clock.presence.leave(Timestamp(1_040_000), clock.begun + Duration::from_secs(40));
        assert_eq!(clock.look(1_044, 44), [], "it has left");
        let last = clock.presence.end(clock.begun + Duration::from_secs(45));
        assert_eq!(last.iter().map(span).collect::<Vec<_>>(), [(1_000, 1_040)]);
        assert_eq!(clock.look(1_055, 55), [], "it has ended");
        assert_eq!(clock.presence.clusters(), ["prod"]);
    }

    #[test]
    fn a_clock_that_is_set_begins_a_new_span_each_way() {
        let clock = Clock::begun();
        assert_eq!(clock.look(1_000, 0), [(1_000, 1_000)]);
        assert_eq!(clock.look(1_004, 4), []);
        assert_eq!(clock.look(87_405, 5), [(1_000, 1_004), (87_405, 87_405)]);
        assert_eq!(clock.look(87_420, 20), [(87_405, 87_420)]);
        assert_eq!(clock.look(1_021, 21), [(87_405, 87_420), (1_021, 1_021)]);
        // Slewed, and never backwards.
        assert_eq!(clock.look(1_020, 22), []);
        assert_eq!(clock.look(1_035, 36), [(1_021, 1_035)]);
    }

    #[test]
    fn a_clock_that_is_before_the_beginning_for_a_moment_makes_no_presence_and_ends_none() {
        let clock = Clock::begun();
        assert_eq!(clock.look(1_000, 0), [(1_000, 1_000)]);
        assert_eq!(clock.look(1_010, 10), []);
        for since in 11..=15 {
            let found = clock.look(-690_000 + since, since as u64);
            assert!(found.iter().all(|span| *span == (1_000, 1_010)), "{found:?}");
        }
        assert_eq!(clock.look(1_016, 16), []);
        assert_eq!(clock.look(1_030, 30), [(1_000, 1_030)]);
    }

    #[test]
    fn a_clock_that_stays_before_the_beginning_was_wrong_at_the_beginning() {
        let clock = Clock::begun();
        assert_eq!(clock.look(1_000, 0), [(1_000, 1_000)]);
        for since in (15..600).step_by(15) {
            assert_eq!(clock.look(since, since as u64), [(1_000, 1_000)]);
        }
        assert_eq!(clock.look(600, 600), [(1_000, 1_000)]);
        assert_eq!(clock.look(615, 615), [(1_000, 1_000), (615, 615)]);
        assert_eq!(clock.look(630, 630), [(615, 630)]);
    }

    #[test]
    fn a_process_that_was_stopped_was_not_there() {
        let clock = Clock::begun();
        assert_eq!(clock.look(1_000, 0), [(1_000, 1_000)]);
        assert_eq!(clock.look(4_600, 3_600), [(1_000, 1_000), (4_600, 4_600)]);
        // The machine slept: its monotonic clock stood.
        assert_eq!(clock.look(8_201, 3_601), [(4_600, 4_600), (8_201, 8_201)]);
    }

    #[test]
    fn clusters_that_send_are_served_too_up_to_a_bound() {
        let clock = Clock::begun();
        for number in 0..500 {
            clock.presence.serves(&format!("c{number:03}"));
        }
        let records = clock.presence.due(clock.begun);
        let Record::Presence { clusters, .. } = &records[0] else { panic!("{records:?}") };
        assert_eq!((clusters.len(), clusters[0].as_str(), clusters[199].as_str()), (200, "c000", "prod"));
    }
}
