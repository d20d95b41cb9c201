//! Buckets of time: how wide they are, and which of them make up a range.
//!
//! All edges are UTC. Quarter hours nest in hours, hours in days, so that a range is read from days in its middle and
//! finer buckets at its ends.

use crate::review::clock::Timestamp;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A bucket's width, finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Width {
    Quarter,
    Hour,
    Day,
}

/// A day in UTC, by the time of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(pub Timestamp);

/// Whole buckets of one width, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub width: Width,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// The length of a chart's bars, in minutes: a multiple of a width's, and each a multiple of that width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step(i64);

// === impl Day ===

impl Day {
    pub fn of(at: Timestamp) -> Self {
        Self(Width::Day.floor(at))
    }

    pub fn next(self) -> Self {
        Self(Timestamp(self.0.0 + DAY))
    }

    /// So many days ago.
    pub fn before(self, days: i64) -> Self {
        Self(Timestamp(self.0.0.saturating_sub(days.saturating_mul(DAY))))
    }
}

// === impl Width ===

impl Width {
    pub const ALL: [Self; 3] = [Self::Quarter, Self::Hour, Self::Day];

    pub fn minutes(self) -> i64 {
        match self {
            Self::Quarter => 15,
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }

    /// The start of the bucket that `at` is in.
    pub fn floor(self, at: Timestamp) -> Timestamp {
        Step(self.minutes()).floor(at)
    }

    /// `at`, or the start of the next bucket.
    pub fn ceil(self, at: Timestamp) -> Timestamp {
        let floor = self.floor(at);
        if floor == at { at } else { Timestamp(floor.0.saturating_add(self.minutes() * MINUTE)) }
    }

    /// The finest width that is surely kept of something that old: quarter hours are kept for 8 days, hours for 90.
    /// Half a day (or a day) less, so that what deletes them is never raced.
    pub fn kept(at: Timestamp, now: Timestamp) -> Self {
        match now.0.saturating_sub(at.0) {
            age if age <= 7 * DAY + DAY / 2 => Self::Quarter,
            age if age <= 89 * DAY => Self::Hour,
            _ => Self::Day,
        }
    }

    fn finer(self) -> Option<Self> {
        match self {
            Self::Quarter => None,
            Self::Hour => Some(Self::Quarter),
            Self::Day => Some(Self::Hour),
        }
    }
}

// === impl Step ===

impl Step {
    const WEEK: i64 = 7 * 1_440;
    const MINUTES: [i64; 10] = [15, 30, 60, 120, 180, 360, 720, 1_440, 2 * 1_440, Self::WEEK];

    /// The shortest with at most `most` bars over the range.
    pub fn of(from: Timestamp, to: Timestamp, now: Timestamp, most: usize) -> Self {
        let finest = Width::kept(from, now).minutes();
        let weeks = std::iter::successors(Some(2 * Self::WEEK), |minutes| minutes.checked_mul(2));
        let fits = |&step: &Self| {
            let bars = (to.0 - step.floor(from).0).div_euclid(step.0 * MINUTE) + 1;
            usize::try_from(bars).is_ok_and(|bars| bars <= most.max(2))
        };
        let mut steps = Self::MINUTES.into_iter().chain(weeks).filter(|&minutes| minutes >= finest).map(Self);
        steps.find(fits).expect("some doubling covers any range with two bars")
    }

    /// The coarsest buckets that such bars can be made of.
    pub fn width(self) -> Width {
        Width::ALL.into_iter().rev().find(|width| width.minutes() <= self.0).expect("no step is below a quarter hour")
    }

    pub fn floor(self, at: Timestamp) -> Timestamp {
        // Weeks begin on Monday; 1970 began on a Thursday.
        let origin = if self.0 % Self::WEEK == 0 { 4 * DAY } else { 0 };
        let length = self.0 * MINUTE;
        Timestamp((at.0 - origin).div_euclid(length) * length + origin)
    }

    pub fn next(self, at: Timestamp) -> Timestamp {
        Timestamp(self.floor(at).0 + self.0 * MINUTE)
    }
}

/// The range widened to the edges of buckets that are still kept.
pub(super) fn widen(since: Timestamp, until: Timestamp, now: Timestamp) -> (Timestamp, Timestamp) {
    (Width::kept(since, now).floor(since), Width::kept(until, now).ceil(until))
}

/// The fewest buckets, none wider than `coarsest`, that make up a range whose edges are bucket edges.
pub(super) fn pieces(from: Timestamp, to: Timestamp, coarsest: Width) -> Vec<Piece> {
    let (first, last) = (coarsest.ceil(from), coarsest.floor(to));
    match coarsest.finer() {
        _ if from >= to => Vec::new(),
        None => vec![Piece { width: coarsest, from, to }],
        Some(finer) if first >= last => pieces(from, to, finer),
        Some(finer) => {
            let mut all = pieces(from, first, finer);
            all.push(Piece { width: coarsest, from: first, to: last });
            all.extend(pieces(last, to, finer));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * MINUTE;
    /// A Monday's midnight, UTC.
    const MONDAY: i64 = 1_790_553_600_000;

    #[test]
    fn a_range_is_days_inside_and_finer_buckets_at_its_ends() {
        let found = pieces(Timestamp(MONDAY - HOUR - 15 * MINUTE), Timestamp(MONDAY + 3 * DAY + HOUR), Width::Day);
        let expected = [
            (Width::Quarter, MONDAY - HOUR - 15 * MINUTE, MONDAY - HOUR),
            (Width::Hour, MONDAY - HOUR, MONDAY),
            (Width::Day, MONDAY, MONDAY + 3 * DAY),
            (Width::Hour, MONDAY + 3 * DAY, MONDAY + 3 * DAY + HOUR),
        ];
        assert_eq!(
            found,
            expected.map(|(width, from, to)| Piece { width, from: Timestamp(from), to: Timestamp(to) }).to_vec()
        );
        assert!(pieces(Timestamp(MONDAY), Timestamp(MONDAY), Width::Day).is_empty());
    }

    #[test]
    fn old_ranges_widen_to_the_buckets_that_are_kept() {
        let now = Timestamp(MONDAY + 5 * MINUTE);
        let ago = |millis: i64| Timestamp(now.0 - millis);
        assert_eq!(widen(ago(HOUR), now, now), (Timestamp(MONDAY - HOUR), Timestamp(MONDAY + 15 * MINUTE)));
        assert_eq!(widen(ago(30 * DAY - 10 * MINUTE), now, now).0, Timestamp(MONDAY - 30 * DAY));
        assert_eq!(
            widen(ago(200 * DAY), ago(199 * DAY), now),
            (Timestamp(MONDAY - 200 * DAY), Timestamp(MONDAY - 198 * DAY))
        );
    }

    #[test]
    fn bars_are_as_fine_as_their_number_allows() {
        let step = |length: i64, most| Step::of(Timestamp(MONDAY), Timestamp(MONDAY + length), Timestamp(MONDAY), most);
        assert_eq!(step(HOUR, 60), Step(15));
        assert_eq!(step(DAY, 60), Step(30));
        assert_eq!(step(7 * DAY, 60), Step(180));
        assert_eq!(step(365 * DAY, 60), Step(Step::WEEK));
        assert_eq!(step(365 * DAY, 1), Step(Step::WEEK * 64));
        assert_eq!(Step(Step::WEEK).floor(Timestamp(MONDAY + 3 * DAY)), Timestamp(MONDAY));
        assert_eq!(Step(Step::WEEK).width(), Width::Day);
        assert_eq!(Step(30).width(), Width::Quarter);
    }
}
