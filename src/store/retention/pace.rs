//! How much one step of a deletion takes: as many rows as hold the writer for a few milliseconds.

use std::time::Duration;

/// What a step is aimed at: far from the 50 ms that nobody is made to wait, so that a slow one is not over it either.
const AIM: Duration = Duration::from_millis(12);

const FIRST: usize = 64;
const LEAST: usize = 8;
/// A statement takes as many values, and memory as many rows.
const MOST: usize = 2_000;

/// The writer is left alone for as long as a step took, and for at least this long.
const REST: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    rows: usize,
}

// === impl Pace ===

impl Pace {
    pub fn new() -> Self {
        Self { rows: FIRST }
    }

    /// How many rows the next step looks at.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// After a step over `rows` that took so long: the next one's size, at most twice as many. Answers the rest.
    pub fn took(&mut self, took: Duration, rows: usize) -> Duration {
        let share = AIM.as_secs_f64() / took.as_secs_f64().max(0.000_1);
        // A step that found less says nothing of a larger one.
        if share < 1.0 || rows >= self.rows {
            let next = self.rows as f64 * share.clamp(0.1, 2.0);
            self.rows = (next as usize).clamp(LEAST, MOST);
        }
        took.max(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_at_once() {
        let mut pace = Pace::new();
        for _ in 0..10 {
            pace.took(Duration::from_millis(1), pace.rows());
        }
        assert_eq!(pace.rows(), MOST);
        assert_eq!(pace.took(Duration::from_millis(48), MOST), Duration::from_millis(48));
        assert_eq!(pace.rows(), MOST / 4);
        // One that finds nothing is short, and says nothing.
        pace.took(Duration::from_micros(10), 0);
        assert_eq!(pace.rows(), MOST / 4);
        for _ in 0..20 {
            pace.took(Duration::from_secs(1), pace.rows());
        }
        assert_eq!(pace.rows(), LEAST);
    }
}
