//! Ranges of keys, and the stretches of them that a search reads one after the other.
//!
//! A plan on Postgres names each day's partition in each range that it merges, which takes longer than to read a page: a
//! search goes back from the newest day in stretches that double, and mostly ends in the first.

use super::bucket::Day;
use super::key;
use super::sql::Sql;
use crate::review::clock::Timestamp;

/// What is older than the stretches of 1, 2, 4, ... days is one stretch: 63 days ago.
const DOUBLED: usize = 6;

/// Keys: `from` is in it, `below` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub from: i64,
    pub below: i64,
}

// === impl Bounds ===

impl Bounds {
    pub const ALL: Self = Self { from: i64::MIN, below: i64::MAX };

    /// ` AND ..`: that the key of `row` is in them.
    pub fn of(self, row: &str) -> Sql {
        let mut sql = Sql::new(&format!(" AND {row}.key >= "));
        sql.bind(self.from).push(&format!(" AND {row}.key < ")).bind(self.below);
        sql
    }

    /// Whole days, but for the ends; the newest first.
    pub fn stretches(self, now: Timestamp) -> Vec<Self> {
        let mut stretches = Vec::new();
        let (mut below, mut days) = (self.below, 1);
        // What is ahead of today is next to nothing.
        let mut day = Day::of(now.min(key::at(below.saturating_sub(1))));
        while stretches.len() < DOUBLED && self.from < below {
            let from = key::start(day.0).max(self.from);
            stretches.push(Self { from, below });
            days *= 2;
            (below, day) = (from, day.before(days));
        }
        if self.from < below {
            stretches.push(Self { from: self.from, below });
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const NOW: Timestamp = Timestamp(1_790_000_000_123);

    fn lengths(bounds: Bounds) -> Vec<i64> {
        let stretches = bounds.stretches(NOW);
        assert_eq!(stretches.first().map(|first| first.below), Some(bounds.below));
        assert_eq!(stretches.last().map(|last| last.from), Some(bounds.from));
        assert!(stretches.windows(2).all(|pair| pair[0].from == pair[1].below), "{stretches:?}");
        stretches.iter().map(|one| (key::at(one.below).0 - key::at(one.from).0) / DAY).collect()
    }

    #[test]
    fn stretches_double_and_leave_nothing_out() {
        let all = lengths(Bounds::ALL);
        assert_eq!((all.len(), &all[1..DOUBLED]), (DOUBLED + 1, &[2, 4, 8, 16, 32][..]));
        let midnight = key::start(Day::of(NOW).0);
        let week = Bounds { from: midnight - ((7 * DAY) << 21) + 5, below: midnight + 5 };
        assert_eq!(lengths(week), [0, 2, 4, 1]);
        let past = Bounds { from: i64::MIN, below: midnight - ((100 * DAY) << 21) };
        assert_eq!(lengths(past)[..DOUBLED], [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn an_empty_range_has_no_stretch() {
        assert_eq!(Bounds { from: 7, below: 7 }.stretches(NOW), []);
    }
}
