//! How far the history is complete, and which replica it is that keeps it from being complete up to now.

use crate::review::clock::Timestamp;
use crate::store::read::Standing;

/// A replica says how it is every 15 s (ms): one that misses three of these may be gone.
const SILENCE: i64 = 60_000;

/// Records reach the store within a second or so. Later than this (ms) is worth a notice.
const LATE: i64 = 15_000;

/// Of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// Everything decided before, by whatever replica, is in the store. `None`: the journal of one of them cannot be read.
    pub until: Option<Timestamp>,
    /// Furthest behind first.
    pub behind: Vec<Behind>,
}

/// A replica of which decisions may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub standing: Standing,
    pub lag: Lag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It is there, and what it records waits in its journal.
    Late,
    /// It is there, and cannot read its journal.
    Unread,
    /// It has not been heard of, and had not stopped with an empty journal.
    Silent,
}

// === impl Completeness ===

impl Completeness {
    /// Of the replica itself, as it is now, and of `others`, as they were when they were asked.
    pub fn of(own: &Standing, others: Vec<Standing>, asked_at: Timestamp) -> Self {
        let until = others.iter().map(|other| other.stored_until).fold(own.stored_until, Option::min);
        let all = std::iter::once(own.clone()).chain(others);
        let mut behind: Vec<Behind> = all.filter_map(|standing| Behind::of(standing, asked_at)).collect();
        behind.sort_by_key(|behind| (behind.standing.stored_until, behind.standing.replica));
        Self { until, behind }
    }
}

// === impl Behind ===

impl Behind {
    /// `None`: all that it decided is stored, or as good as.
    pub fn of(standing: Standing, asked_at: Timestamp) -> Option<Self> {
        let passed = |from: Timestamp, to: Timestamp| to.0.saturating_sub(from.0);
        let is_silent = passed(standing.heard_at, asked_at) > SILENCE;
        let lag = match standing.stored_until {
            _ if is_silent => Lag::Silent,
            None => Lag::Unread,
            Some(until) if passed(until, standing.heard_at) > LATE => Lag::Late,
            Some(_) => return None,
        };
        Some(Self { standing, lag })
    }

    /// For people, with times as `time` writes them.
    pub fn sentence(&self, time: impl Fn(Timestamp) -> String) -> String {
        let Standing { replica, clusters, heard_at, stored_until } = &self.standing;
        let clusters = match clusters.as_slice() {
            [] => String::new(),
            some => format!(" (of {})", some.join(", ")),
        };
        let until = stored_until.map(&time);
        match (self.lag, until) {
            // Not "safe": a disk may be full beside, which only a gap tells.
            (Lag::Late, Some(until)) => format!(
                "Replica {replica}{clusters} has stored its decisions up to {until}: those that it recorded since then wait \
                 in its journal, so that they are missing from these figures and lists."
            ),
            (Lag::Late | Lag::Unread, _) => format!(
                "Replica {replica}{clusters} cannot read its journal: up to when its decisions are stored is not known, and \
                 what waits there is missing from these figures and lists."
            ),
            (Lag::Silent, until) => format!(
                "Replica {replica}{clusters} was last heard of at {}: {} may be missing. Start it again on its data \
                 directory, or empty that with `rehearsal journal drain`.",
                time(*heard_at),
                until.map_or_else(
                    || "it could not read its journal then, and decisions of any time".to_owned(),
                    |until| format!("its decisions since {until}")
                )
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn standing(replica: u128, heard_at: i64, stored_until: i64) -> Standing {
        let clusters = vec!["lab".to_owned(), "prod".to_owned()];
        let (heard_at, stored_until) = (Timestamp(NOW + heard_at), Some(Timestamp(NOW + stored_until)));
        Standing { replica: Uuid::from_u128(replica), clusters, heard_at, stored_until }
    }

    fn found(own: Standing, others: Vec<Standing>) -> (i64, Vec<(u128, Lag)>) {
        let Completeness { until, behind } = Completeness::of(&own, others, Timestamp(NOW));
        let behind = behind.iter().map(|behind| (behind.standing.replica.as_u128(), behind.lag)).collect();
        (until.expect("known").0 - NOW, behind)
    }

    #[test]
    fn it_reaches_as_far_as_the_replica_that_is_furthest_behind() {
        assert_eq!(found(standing(1, 0, 0), vec![]), (0, vec![]));
        // Between two of its heartbeats nobody is behind.
        assert_eq!(found(standing(1, 0, 0), vec![standing(2, -14_000, -14_050)]), (-14_050, vec![]));
        assert_eq!(found(standing(1, 0, -15_001), vec![]), (-15_001, vec![(1, Lag::Late)]));
        let others = vec![standing(2, -61_000, -61_000), standing(3, -5_000, -70_000), standing(4, -60_000, -60_000)];
        assert_eq!(
            found(standing(1, 0, -20_000), others),
            (-70_000, vec![(3, Lag::Late), (2, Lag::Silent), (1, Lag::Late)])
        );
        // A clock that is ahead of ours: it was heard of.
        assert_eq!(found(standing(1, 0, 0), vec![standing(2, 90_000, 90_000)]), (0, vec![]));
    }

    #[test]
    fn a_replica_that_is_behind_is_named_with_its_clusters_and_times() {
        let behind = |lag| Behind { standing: standing(7, -100, -200), lag };
        let time = |at: Timestamp| format!("T{}", at.0 - NOW);
        let silent = behind(Lag::Silent).sentence(time);
        assert!(
            silent.contains("07 (of lab, prod) was last heard of at T-100: its decisions since T-200 may"),
            "{silent}"
        );
        let late = behind(Lag::Late).sentence(time);
        assert!(late.contains("07 (of lab, prod) has stored its decisions up to T-200"), "{late}");
        assert!(!late.contains("safe"), "a gap may be open beside: {late}");
    }

    #[test]
    fn a_journal_that_cannot_be_read_leaves_it_unknown_how_far_it_reaches() {
        let unread = |heard_at| Standing { stored_until: None, ..standing(2, heard_at, 0) };
        for (heard_at, lag, said) in [
            (-1_000, Lag::Unread, "02 (of lab, prod) cannot read its journal"),
            (-61_000, Lag::Silent, "could not read its journal then, and decisions of any time may be missing"),
        ] {
            let others = vec![standing(3, -5_000, -70_000), unread(heard_at)];
            let completeness = Completeness::of(&standing(1, 0, 0), others, Timestamp(NOW));
            assert_eq!((completeness.until, completeness.behind[0].lag), (None, lag));
            let sentence = completeness.behind[0].sentence(|at| at.to_string());
            assert!(sentence.contains(said), "{sentence}");
        }
    }
}
