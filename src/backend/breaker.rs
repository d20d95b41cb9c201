//! Stops asking a webhook that does not answer, and finds out when it does again.
//!
//! Closed: everything passes. After [`TRIPS_AT`] failures running it is open: nothing passes for a while. Then one
//! call passes as a probe: its success closes the breaker, its failure opens it for twice as long.

use std::time::{Duration, Instant};

/// One lost connection takes a few calls with it; this many in a row without a success between are more than that.
const TRIPS_AT: u32 = 5;
/// A pod that restarts is back about then.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// While the breaker is open an enforcing policy fails every review: a backend that is back must not stay unasked for
/// longer than a person waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Running.
    failures: u32,
    /// How often it has opened since it was last closed.
    trips: u32,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// A probe is out.
    HalfOpen,
}

/// The right to ask, to be handed back with what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pass {
    Ordinary,
    Probe,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sign {
    /// It answered, whatever it said.
    Alive,
    /// Unreachable, late, or a 5xx.
    Dead,
    /// It was not asked after all.
    Nothing,
}

/// Why nothing passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Open {
    pub failures: u32,
    pub retry_in: Duration,
}

// === impl Breaker ===

impl Breaker {
    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Open> {
        match self.state {
            State::Closed => Ok(Pass::Ordinary),
            State::Open { until } if now < until => Err(self.refusal(until - now)),
            State::Open { .. } => {
                self.state = State::HalfOpen;
                Ok(Pass::Probe)
            }
            State::HalfOpen => Err(self.refusal(FIRST_WAIT)),
        }
    }

    /// `jitter` is a random number from 0 to 1, so that several replicas do not probe at the same moment.
    pub(super) fn report(&mut self, pass: Pass, sign: Sign, now: Instant, jitter: f64) {
        match (sign, pass) {
            (Sign::Alive, _) => *self = Self::default(),
            (Sign::Dead, Pass::Probe) => self.trip(now, jitter),
            (Sign::Dead, Pass::Ordinary) if self.state == State::Closed => {
                self.failures += 1;
                if self.failures >= TRIPS_AT {
                    self.failures -= 1;
                    self.trip(now, jitter);
                }
            }
            // It was asked before the breaker opened, and says nothing new.
            (Sign::Dead, Pass::Ordinary) => {}
            // The next call is the probe.
            (Sign::Nothing, Pass::Probe) if self.state == State::HalfOpen => self.state = State::Open { until: now },
            (Sign::Nothing, _) => {}
        }
    }

    fn trip(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let wait = LONGEST_WAIT.min(FIRST_WAIT * 2_u32.pow(self.trips.min(10)));
        self.trips = self.trips.saturating_add(1);
        self.state = State::Open { until: now + wait.mul_f64(0.8 + 0.4 * jitter) };
    }

    fn refusal(&self, retry_in: Duration) -> Open {
        Open { failures: self.failures, retry_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 0.5;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AT {
            let pass = breaker.admit(now).expect("closed");
            breaker.report(pass, Sign::Dead, now, MIDDLE);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_running_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for round in 0..20 {
            assert_eq!(breaker.admit(now), Ok(Pass::Ordinary), "round {round}");
            let sign = if round % TRIPS_AT == TRIPS_AT - 1 { Sign::Alive } else { Sign::Dead };
            breaker.report(Pass::Ordinary, sign, now, MIDDLE);
        }
        let mut breaker = tripped(now);
        assert_eq!(breaker.admit(now), Err(Open { failures: TRIPS_AT, retry_in: FIRST_WAIT }));
    }

    #[test]
    fn one_probe_passes_when_the_wait_is_over() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        let later = now + FIRST_WAIT;
        assert!(breaker.admit(later - Duration::from_millis(1)).is_err());
        assert_eq!(breaker.admit(later), Ok(Pass::Probe));
        assert!(breaker.admit(later).is_err(), "one at a time");
        breaker.report(Pass::Probe, Sign::Alive, later, MIDDLE);
        assert_eq!(breaker.admit(later), Ok(Pass::Ordinary));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_the_longest() {
        let mut now = Instant::now();
        let mut breaker = tripped(now);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let refused = breaker.admit(now).expect_err("open");
            waits.push(refused.retry_in.as_millis());
            now += refused.retry_in;
            assert_eq!(breaker.admit(now), Ok(Pass::Probe));
            breaker.report(Pass::Probe, Sign::Dead, now, MIDDLE);
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(breaker.admit(now).expect_err("open").failures, TRIPS_AT + 6);
    }

    #[test]
    fn a_probe_that_was_never_sent_leaves_the_next_call_to_probe() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        let later = now + FIRST_WAIT;
        assert_eq!(breaker.admit(later), Ok(Pass::Probe));
        breaker.report(Pass::Probe, Sign::Nothing, later, MIDDLE);
        assert_eq!(breaker.admit(later), Ok(Pass::Probe));
    }

    #[test]
    fn calls_from_before_it_opened_close_it_or_change_nothing() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        let until = breaker.state();
        breaker.report(Pass::Ordinary, Sign::Dead, now + Duration::from_millis(100), MIDDLE);
        assert_eq!(breaker.state(), until);
        breaker.report(Pass::Ordinary, Sign::Nothing, now, MIDDLE);
        assert_eq!(breaker.state(), until);
        breaker.report(Pass::Ordinary, Sign::Alive, now, MIDDLE);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn jitter_moves_the_wait_by_a_fifth_at_most() {
        let now = Instant::now();
        for (jitter, wait) in [(0.0, 400), (1.0, 600)] {
            let mut breaker = Breaker::default();
            for _ in 0..TRIPS_AT {
                breaker.report(Pass::Ordinary, Sign::Dead, now, jitter);
            }
            assert_eq!(breaker.admit(now).expect_err("open").retry_in.as_millis(), wait);
        }
    }
}
