//! A webhook that fails again and again is left alone for a while.
//!
//! Closed: every call goes out. After [`FAILURES`] failures running it opens: calls fail at once, until a pause is over.
//! Then one call goes out as a probe; its success closes the breaker, its failure doubles the pause.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Fewer would open on one rollout of the backend.
const FAILURES: u32 = 5;
/// Short, since an enforcing webhook that is left alone fails every deploy.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pause: Duration,
    /// When the next probe may go out; `None` while closed.
    probe_at: Option<Instant>,
    probing: bool,
}

/// Leave to make one call. Dropped without an outcome, it counts as neither.
#[derive(Debug)]
pub struct Leave<'a> {
    breaker: &'a Breaker,
    probe: bool,
    told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    pub failures: u32,
    pub retry_in: Duration,
}

// === impl Breaker ===

impl Breaker {
    pub fn enter(&self, now: Instant) -> Result<Leave<'_>, Open> {
        let mut state = self.lock();
        let Some(probe_at) = state.probe_at else { return Ok(self.leave(false)) };
        if state.probing || now < probe_at {
            return Err(Open { failures: state.failures, retry_in: probe_at.saturating_duration_since(now) });
        }
        state.probing = true;
        Ok(self.leave(true))
    }

    pub fn is_open(&self) -> bool {
        self.lock().probe_at.is_some()
    }

    fn leave(&self, probe: bool) -> Leave<'_> {
        Leave { breaker: self, probe, told: false }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// === impl Leave ===

impl Leave<'_> {
    pub fn succeeded(mut self) {
        self.told = true;
        *self.breaker.lock() = State::default();
    }

    pub fn failed(mut self, now: Instant) {
        self.told = true;
        let mut state = self.breaker.lock();
        state.failures = state.failures.saturating_add(1);
        if self.probe {
            state.probing = false;
        }
        if state.failures >= FAILURES && (self.probe || state.probe_at.is_none()) {
            state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            // Replicas that opened together do not probe together.
            state.probe_at = Some(now + state.pause.mul_f64(0.8 + fastrand::f64() * 0.4));
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.probe && !self.told {
            self.breaker.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            breaker.enter(now).expect("closed").failed(now);
        }
    }

    #[test]
    fn it_opens_after_failures_running_and_a_probe_closes_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, FAILURES - 1, now);
        breaker.enter(now).expect("still closed").succeeded();
        fail(&breaker, FAILURES, now);
        let open = breaker.enter(now).expect_err("open");
        assert_eq!(open.failures, FAILURES);
        assert!(open.retry_in <= FIRST_PAUSE.mul_f64(1.2), "{open:?}");

        let later = now + open.retry_in;
        let probe = breaker.enter(later).expect("a probe");
        assert!(breaker.enter(later).is_err(), "one probe at a time");
        probe.succeeded();
        assert!(!breaker.is_open());
        assert!(breaker.enter(later).is_ok());
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_a_bound() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        fail(&breaker, FAILURES, now);
        for _ in 0..20 {
            now += breaker.enter(now).expect_err("open").retry_in;
            breaker.enter(now).expect("a probe").failed(now);
        }
        let pause = breaker.enter(now).expect_err("open").retry_in;
        assert!(pause >= LONGEST_PAUSE.mul_f64(0.8) && pause <= LONGEST_PAUSE.mul_f64(1.2), "{pause:?}");
    }

    #[test]
    fn a_probe_that_was_given_up_lets_another_one_out() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, FAILURES, now);
        let later = now + breaker.enter(now).expect_err("open").retry_in;
        drop(breaker.enter(later).expect("a probe"));
        assert!(breaker.enter(later).is_ok());
    }

    #[test]
    fn late_failures_of_calls_sent_before_it_opened_do_not_lengthen_the_pause() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let early: Vec<_> = (0..20).map(|_| breaker.enter(now).expect("closed")).collect();
        early.into_iter().for_each(|leave| leave.failed(now));
        assert!(breaker.enter(now).expect_err("open").retry_in <= FIRST_PAUSE.mul_f64(1.2));
    }
}
