//! A policy that overran several times running is left alone for a while: each time it held a thread, and a review.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of one policy of one revision.
#[derive(Debug, Default)]
pub struct Suspension(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Running.
    overruns: u32,
    until: Option<Instant>,
}

/// So many running.
const OVERRUNS: u32 = 3;

// === impl Suspension ===

impl Suspension {
    pub const LENGTH: Duration = Duration::from_secs(10);
    pub const WHY: &str = "since it overran its limit 3 times running";

    /// How long it lasts yet, where it does.
    pub fn left(&self) -> Option<Duration> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.until?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Whether it begins now.
    pub fn heard(&self, overran: bool) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !overran {
            state.overruns = 0;
            return false;
        }
        if state.until.is_some_and(|until| Instant::now() < until) {
            // It was on its way when the suspension began.
            return false;
        }
        state.overruns += 1;
        let begins = state.overruns >= OVERRUNS;
        if begins {
            *state = State { overruns: 0, until: Some(Instant::now() + Self::LENGTH) };
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_overruns_running_begin_one_and_a_verdict_between_does_not() {
        let suspension = Suspension::default();
        assert!(!suspension.heard(true) && !suspension.heard(true) && !suspension.heard(false));
        assert!(!suspension.heard(true) && !suspension.heard(true));
        assert_eq!(suspension.left(), None);
        assert!(suspension.heard(true));
        assert!(suspension.left().is_some_and(|left| left <= Suspension::LENGTH));
        assert!(!(0..3).any(|_| suspension.heard(true)), "those that were on their way begin no other");
    }
}
