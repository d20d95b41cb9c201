//! The gap that is open now, if one is, and those that have ended and are not yet in the store.
//!
//! One gap holds all that is missed until the journal can be written again and nothing was missed for a moment. Its
//! marks on the disk and its record are the [`keeper`](super::keeper)'s work, so that nobody here waits for a disk.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Gap;

use super::shared::hold;
use super::slots::{GapFile, Mark};

/// Ended gaps that are shown before the store has them: far more than a page tells, some 300 KB. All are in the journal.
const MAX_ENDED: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Gaps {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// In the journal, and not yet in the store.
    ended: BTreeMap<DecisionId, Gap>,
    /// From the opened journal to the keeper.
    file: Option<(GapFile, Vec<Mark>)>,
    closing: bool,
    writer_ended: bool,
    /// Something the keeper has not looked at.
    news: bool,
}

#[derive(Debug)]
struct Open {
    gap: Gap,
    clusters: Clusters,
    last: Instant,
    /// The journal had no room for one of its decisions.
    is_full: bool,
}

#[derive(Debug)]
enum Clusters {
    /// Nothing was missed yet.
    Nobody,
    One,
    Several,
}

/// What a look at the gaps found.
#[derive(Debug)]
pub(super) struct News {
    pub file: Option<(GapFile, Vec<Mark>)>,
    pub closing: bool,
    pub writer_ended: bool,
}

// === impl Gaps ===

impl Gaps {
    /// A decision of this time could not be recorded.
    pub(super) fn miss(&self, at: Timestamp, cluster: Option<&str>, reason: &str) {
        self.extend(at, reason, |open| open.count(cluster));
    }

    /// Likewise, because the journal is full. Whether it is the first of the open gap for that.
    pub(super) fn miss_of_full(&self, at: Timestamp, cluster: Option<&str>, reason: &str) -> bool {
        self.extend(at, reason, |open| {
            open.count(cluster);
            !std::mem::replace(&mut open.is_full, true)
        })
    }

    /// Whether the journal was full for a decision of the open gap: it is, until that has ended.
    pub(super) fn is_full(&self) -> bool {
        hold(&self.state).open.as_ref().is_some_and(|open| open.is_full)
    }

    /// Decisions may be missing from now on: none is yet. Without one it ends without a record, but after a crash the
    /// mark of it stands.
    pub(super) fn begin(&self, at: Timestamp, reason: &str) {
        self.extend(at, reason, |_| {});
    }

    pub(super) fn current(&self) -> Option<Gap> {
        hold(&self.state).open.as_ref().map(|open| open.gap.clone())
    }

    /// Ends the open gap if nothing was added to it for `quiet`.
    pub(super) fn end(&self, quiet: Duration) -> Option<Gap> {
        let mut state = hold(&self.state);
        let open = state.open.take_if(|open| open.last.elapsed() >= quiet)?;
        let gap = Gap { to: Some(Timestamp::now().max(open.gap.from)), ..open.gap };
        if gap.count != Some(0) {
            state.keep(gap.clone());
        }
        Some(gap)
    }

    /// The journal holds the record of an ended gap, or is to hold it.
    pub(super) fn found(&self, gap: Gap) {
        hold(&self.state).keep(gap);
    }

    /// The store has it.
    pub(super) fn stored(&self, gap: DecisionId) {
        hold(&self.state).ended.remove(&gap);
    }

    /// Earliest first.
    pub(super) fn ended(&self) -> Vec<Gap> {
        hold(&self.state).ended.values().cloned().collect()
    }

    pub(super) fn opened(&self, file: GapFile, marks: Vec<Mark>) {
        hold(&self.state).file = Some((file, marks));
        self.tell();
    }

    pub(super) fn close(&self) {
        hold(&self.state).closing = true;
        self.tell();
    }

    pub(super) fn writer_ended(&self) {
        hold(&self.state).writer_ended = true;
        self.tell();
    }

    /// For the keeper: waits for news, at most for `longest`.
    pub(super) fn watch(&self, longest: Duration) -> News {
        let state = hold(&self.state);
        let waited = self.changed.wait_timeout_while(state, longest, |state| !state.news);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.news = false;
        News { file: state.file.take(), closing: state.closing, writer_ended: state.writer_ended }
    }

    fn extend<T>(&self, at: Timestamp, reason: &str, add: impl FnOnce(&mut Open) -> T) -> T {
        let mut state = hold(&self.state);
        let is_new = state.open.is_none();
        let open = state.open.get_or_insert_with(|| Open::new(at, reason));
        open.gap.from = open.gap.from.min(at);
        open.last = Instant::now();
        let added = add(open);
        drop(state);
        if is_new {
            self.tell();
        }
        added
    }

    fn tell(&self) {
        hold(&self.state).news = true;
        self.changed.notify_one();
    }
}

// === impl State ===

impl State {
    fn keep(&mut self, gap: Gap) {
        if self.ended.len() < MAX_ENDED {
            self.ended.insert(gap.id, gap);
        }
    }
}

// === impl Open ===

impl Open {
    fn new(at: Timestamp, reason: &str) -> Self {
        let id = DecisionId::at(at);
        let gap = Gap { id, cluster: None, from: at, to: None, count: Some(0), reason: reason.to_owned() };
        Self { gap, clusters: Clusters::Nobody, last: Instant::now(), is_full: false }
    }

    fn count(&mut self, cluster: Option<&str>) {
        self.gap.count = self.gap.count.map(|count| count + 1);
        match (&self.clusters, cluster) {
            (Clusters::Nobody, Some(cluster)) => {
                self.gap.cluster = Some(cluster.to_owned());
                self.clusters = Clusters::One;
            }
            (Clusters::One, Some(cluster)) if self.gap.cluster.as_deref() == Some(cluster) => {}
            _ => {
                self.gap.cluster = None;
                self.clusters = Clusters::Several;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_names_the_cluster_only_while_it_is_one() {
        let gaps = Gaps::default();
        gaps.begin(Timestamp(50), "why");
        assert_eq!(gaps.current().unwrap().cluster, None);
        gaps.miss(Timestamp(40), Some("a"), "late");
        gaps.miss(Timestamp(60), Some("a"), "late");
        let gap = gaps.current().unwrap();
        assert_eq!((gap.cluster.as_deref(), gap.from, gap.count), (Some("a"), Timestamp(40), Some(2)));
        assert_eq!(gap.reason, "why");
        gaps.miss(Timestamp(70), Some("b"), "late");
        gaps.miss(Timestamp(70), Some("a"), "late");
        let gap = gaps.end(Duration::ZERO).unwrap();
        assert_eq!((gap.cluster.as_deref(), gap.count), (None, Some(4)));
        assert!(gap.to.is_some() && gaps.current().is_none());
    }

    #[test]
    fn a_gap_lasts_until_it_is_quiet() {
        let gaps = Gaps::default();
        gaps.miss(Timestamp(40), Some("a"), "late");
        assert_eq!(gaps.end(Duration::from_secs(60)), None);
        assert!(gaps.end(Duration::ZERO).is_some());
    }
}
