//! Revisions over time: what was loaded when, by which replicas, and what was another.

use std::collections::BTreeMap;

use super::changes;
use crate::review::clock::Timestamp;
use crate::store::{Load, Store, StoreError};

/// One revision, until another was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub revision: String,
    /// The first of its loads, and the last.
    pub from: Timestamp,
    pub to: Timestamp,
    /// Which the replicas serve that loaded it: those of others load policies of their own. Empty: not known.
    pub clusters: Vec<String>,
    /// How many times it was loaded, by the names of the replicas; empty: not known.
    pub replicas: BTreeMap<String, u64>,
    /// The revision that was loaded there before. `None`: nothing is known of it.
    pub before: Option<String>,
    /// In one line. `None`: a text is not there, or there was none before.
    pub changes: Option<String>,
}

/// Some of them, the last first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    pub runs: Vec<Run>,
    /// Before which time the next part is.
    pub next: Option<Timestamp>,
}

/// Loads of one read: a replica that starts again and again says nothing new.
const READ: u16 = 300;

/// Digits of a replica's id that name it.
const NAME: usize = 8;

// === impl Runs ===

impl Runs {
    /// At most `limit`, of what was loaded before that time. One that goes on beside those of other clusters may go on in
    /// the next part.
    pub async fn of(store: &Store, before: Option<Timestamp>, limit: usize) -> Result<Self, StoreError> {
        let (mut runs, mut end): (Vec<Run>, _) = (Vec::new(), before);
        // Where a run begins, and what was before it, the end of another one tells.
        let is_all = loop {
            let loads = store.loads(end, READ).await?;
            end = loads.last().map(|load| load.at);
            let is_all = loads.len() < usize::from(READ);
            group(&mut runs, loads);
            if is_all || (1..runs.len()).any(|at| runs[..at].iter().any(|run| run.clusters == runs[at].clusters)) {
                break is_all;
            }
        };
        let mut found = Self::among(runs, is_all, limit);
        found.compare(store).await?;
        Ok(found)
    }

    /// `is_all`: there are no others before them.
    fn among(mut runs: Vec<Run>, is_all: bool, limit: usize) -> Self {
        for at in 0..runs.len() {
            let before = runs[at + 1..].iter().find(|run| run.clusters == runs[at].clusters);
            runs[at].before = before.map(|run| run.revision.clone());
        }
        // What stands before a run says what was another: of the last ones read that is not known, but at the very end.
        let known = runs.iter().rposition(|run| run.before.is_some()).filter(|_| !is_all);
        let kept = known.map_or(runs.len(), |last| last + 1).min(limit);
        let next = match runs.get(kept) {
            Some(run) => Some(Timestamp(run.to.0 + 1)),
            None => runs.iter().map(|run| run.from).min().filter(|_| !is_all),
        };
        runs.truncate(kept);
        Self { runs, next }
    }

    async fn compare(&mut self, store: &Store) -> Result<(), StoreError> {
        let names = self.runs.iter().flat_map(|run| [Some(&run.revision), run.before.as_ref()]).flatten();
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names.dedup();
        let texts: BTreeMap<String, String> =
            store.revision_texts(&names).await?.into_iter().filter_map(|one| Some((one.id, one.text?))).collect();
        for run in &mut self.runs {
            let texts = run.before.as_ref().and_then(|before| texts.get(before)).zip(texts.get(&run.revision));
            let found = texts.and_then(|(before, after)| changes::between(before, after));
            run.changes = found.map(|found| changes::in_one_line(&found));
        }
        Ok(())
    }
}

/// Adds loads, the last first, to the runs that stand after them.
fn group(runs: &mut Vec<Run>, loads: Vec<Load>) {
    for load in loads {
        match runs.iter_mut().rfind(|run| run.clusters == load.clusters) {
            Some(run) if run.revision == load.revision => run.add(&load),
            _ => runs.push(Run::of(&load)),
        }
    }
}

// === impl Run ===

impl Run {
    fn of(load: &Load) -> Self {
        let mut run = Self {
            revision: load.revision.clone(),
            from: load.at,
            to: load.at,
            clusters: load.clusters.clone(),
            replicas: BTreeMap::new(),
            before: None,
            changes: None,
        };
        run.add(load);
        run
    }

    fn add(&mut self, load: &Load) {
        self.from = self.from.min(load.at);
        if let Some(replica) = load.replica {
            let name = replica.simple().to_string();
            // The last digits are random; the first ones are a time that replicas may share.
            *self.replicas.entry(name[name.len() - NAME..].to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(at: i64, cluster: &str, revision: &str) -> Load {
        Load { at: Timestamp(at), revision: revision.to_owned(), replica: None, clusters: vec![cluster.to_owned()] }
    }

    #[test]
    fn what_was_another_is_of_replicas_of_the_same_clusters() {
        let last = [load(50, "east", "E2"), load(40, "west", "W1")];
        let first = [load(30, "east", "E2"), load(20, "west", "W1"), load(10, "east", "E1")];
        let mut runs = Vec::new();
        group(&mut runs, last.into());
        group(&mut runs, first.into());
        let told = |Runs { runs, next }: Runs| {
            let told = |run: Run| (run.revision, run.from.0, run.to.0, run.before);
            (runs.into_iter().map(told).collect::<Vec<_>>(), next)
        };
        let run = |name: &str, from, to, before: Option<&str>| (name.to_owned(), from, to, before.map(str::to_owned));
        let (second, west) = (run("E2", 30, 50, Some("E1")), run("W1", 20, 40, None));
        let all = vec![second.clone(), west, run("E1", 10, 10, None)];
        assert_eq!(told(Runs::among(runs.clone(), true, 9)), (all, None));
        // What is not told is in the next part, with all of it that was loaded by then.
        let part = (vec![second], Some(Timestamp(41)));
        assert_eq!(told(Runs::among(runs.clone(), true, 1)), part);
        assert_eq!(told(Runs::among(runs.clone(), false, 9)), part);
    }
}
