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

/// Loads that one part reads: a replica that starts again and again says nothing new.
const READ: u16 = 300;

/// Digits of a replica's id that name it.
const NAME: usize = 8;

// === impl Runs ===

impl Runs {
    /// At most `limit`, of what was loaded before that time. One that goes on beside those of other clusters may go on in
    /// the next part.
    pub async fn of(store: &Store, before: Option<Timestamp>, limit: usize) -> Result<Self, StoreError> {
        let loads = store.loads(before, READ).await?;
        let is_all = loads.len() < usize::from(READ);
        let mut runs: Vec<Run> = Vec::new();
        for load in loads {
            match runs.iter_mut().rfind(|run| run.clusters == load.clusters) {
                Some(run) if run.revision == load.revision => run.add(&load),
                _ => runs.push(Run::of(&load)),
            }
        }
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
        let mut found = Self { runs, next };
        found.compare(store).await?;
        Ok(found)
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
