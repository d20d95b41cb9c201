//! Ceilings that this process is under: those that were ordered here, and those that the history says.
//!
//! # Invariants
//!
//! 1. One that was ordered on this machine is in force here within a second, whatever the history does: it is read from
//!    [`folder`], which is looked at apart from everything else.
//! 2. Every other process over the same history hears of it within five seconds of the history's being there, and so
//!    does this one of theirs. What it hears is written to the folder, too: a restart without the history is under it.
//! 3. A file goes when its ceiling has ended and the history has it: the history is the record.
//! 4. Reviews compare the end of each with the clock themselves. Nothing here has to run for one to end.

pub mod folder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::admission::Service;
use crate::policy::Revision;
use crate::policy::ceiling::{Ceiling, Ceilings as InForce, Lift};
use crate::recorder::metrics::gauge;
use crate::review::clock::{DecisionId, Timestamp};
use crate::store::{Store, StoreError};

use self::folder::{Folder, FolderError, Found};
use super::condition::Condition;
use super::history::History;

#[derive(Debug)]
pub struct Ceilings {
    folder: Folder,
    service: Service,
    condition: Arc<Condition>,
    known: Mutex<Known>,
    /// There is something that the history does not have.
    more: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// Those that hold, and those that the history does not have.
    ceilings: BTreeMap<DecisionId, Noted>,
    /// Those that hold, as it was last told.
    told: Vec<Ceiling>,
    /// Of these, those that name a policy that there is not.
    idle: Vec<DecisionId>,
    faults: Vec<String>,
}

#[derive(Debug, Clone)]
struct Noted {
    ceiling: Ceiling,
    stored: Stored,
}

/// What the history has of a ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stored {
    Nothing,
    Order,
    Lift,
}

/// A quarter of the second within which it is seen.
const LOOK: Duration = Duration::from_millis(250);

/// Of the five seconds within which others hear of it.
const SHARE: Duration = Duration::from_secs(2);

/// How long the history may take over it before it is asked anew; and how long a start waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_AT_START: Duration = Duration::from_secs(2);

/// What [`Condition`] is told about.
const ABOUT: &str = "ceilings";

// === impl Ceilings ===

impl Ceilings {
    /// Puts `service` under those that the last process was under. Blocks on the disk.
    pub fn open(data_dir: &Path, service: &Service, condition: &Arc<Condition>, registry: &mut Registry) -> Arc<Self> {
        registry.register_collector(Box::new(State(service.clone())));
        let (service, condition) = (service.clone(), Arc::clone(condition));
        let (folder, known, more) = (Folder::of(data_dir), Mutex::default(), Notify::new());
        let ceilings = Arc::new(Self { folder, service, condition, known, more });
        ceilings.look();
        ceilings
    }

    /// Hears of those of others before the first review, where the history is there in time.
    pub async fn begin(self: &Arc<Self>, history: &History) {
        if timeout(PATIENCE_AT_START, self.share(history)).await.is_err() {
            warn!("the history did not say within {} s which ceilings are in force", PATIENCE_AT_START.as_secs());
        }
    }

    pub async fn run(self: Arc<Self>, history: Arc<History>, stop: CancellationToken) {
        let both = join(self.look_forever(), self.share_forever(&history));
        let _ = stop.run_until_cancelled(both).await;
    }

    async fn look_forever(self: &Arc<Self>) {
        loop {
            sleep(LOOK).await;
            let ceilings = Arc::clone(self);
            spawn_blocking(move || ceilings.look()).await.expect("looking at a folder does not panic");
        }
    }

    async fn share_forever(self: &Arc<Self>, history: &History) {
        loop {
            if timeout(PATIENCE, self.share(history)).await.is_err() {
                debug!("the history did not take or give ceilings within {} s", PATIENCE.as_secs());
            }
            let _ = timeout(SHARE, self.more.notified()).await;
        }
    }

    /// Whoever opens the history says why it is not open.
    async fn share(self: &Arc<Self>, history: &History) {
        let Some(store) = history.writable() else { return };
        if let Err(error) = self.exchange(&store).await {
            debug!("ceilings are shared later: {error}");
        }
    }

    async fn exchange(self: &Arc<Self>, store: &Store) -> Result<(), StoreError> {
        let given = self.give(store).await;
        // What others ordered is worth hearing even where nothing can be written.
        let heard = store.current_ceilings(Timestamp::now()).await?;
        let ceilings = Arc::clone(self);
        spawn_blocking(move || ceilings.hear(heard)).await.expect("writing to a folder does not panic");
        given
    }

    async fn give(&self, store: &Store) -> Result<(), StoreError> {
        let missing: Vec<Ceiling> = self
            .hold()
            .ceilings
            .values()
            .filter(|noted| noted.is_missing())
            .map(|noted| noted.ceiling.clone())
            .collect();
        for ceiling in missing {
            store.keep_ceiling(&ceiling).await?;
            self.hold().learn(ceiling.clone(), Stored::of(&ceiling));
        }
        Ok(())
    }

    fn look(&self) {
        let found = self.folder.read();
        let mut known = self.hold();
        known.faults = faults(&found);
        if let Ok(Found { ceilings, orphans, .. }) = found {
            for ceiling in ceilings {
                if known.learn(ceiling, Stored::Nothing) {
                    self.more.notify_one();
                }
            }
            orphans.into_iter().for_each(|id| drop(self.folder.remove(id)));
        }
        self.apply(&mut known);
    }

    fn hear(&self, heard: Vec<Ceiling>) {
        let now = Timestamp::now();
        let mut known = self.hold();
        for ceiling in heard {
            let before = known.ceilings.get(&ceiling.id).map(|noted| noted.ceiling.lifted.is_some());
            let written = match (before, &ceiling.lifted) {
                (None, None) if ceiling.is_in_force(now) => self.folder.write(&ceiling),
                (Some(false), Some(lift)) => self.folder.lift(ceiling.id, lift),
                // It has ended before it was heard of.
                (None, _) => continue,
                (Some(_), _) => Ok(()),
            };
            if let Err(error) = written {
                warn!("a restart without the history will not know of the ceiling {}: {error}", ceiling.ticket);
            }
            let stored = Stored::of(&ceiling);
            known.learn(ceiling, stored);
        }
        self.apply(&mut known);
    }

    /// From now on reviews are under those that hold.
    fn apply(&self, known: &mut Known) {
        let now = Timestamp::now();
        let holding: Vec<Ceiling> =
            known.ceilings.values().map(|noted| &noted.ceiling).filter(|one| one.is_in_force(now)).cloned().collect();
        if holding != known.told {
            let under = (!holding.is_empty()).then(|| InForce::of(holding.iter().cloned()));
            self.service.put_under(under);
            known.tell(holding);
        }
        known.tell_idle(&self.service.loaded().revision);
        // One whose file stays is looked at again.
        known.ceilings.retain(|&id, Noted { ceiling, stored }| {
            ceiling.is_in_force(now) || *stored < Stored::of(ceiling) || self.folder.remove(id).is_err()
        });
        match known.faults.is_empty() {
            true => self.condition.clear(ABOUT),
            false => self.condition.faults(ABOUT, known.faults.clone()),
        }
    }

    fn hold(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that hold over a data directory, as far as its folder and `stored` of its history say.
pub fn over(data_dir: &Path, stored: Vec<Ceiling>) -> InForce {
    let found = Folder::of(data_dir).read().unwrap_or_else(|error| {
        warn!("ceilings that were ordered there are left out: {error}");
        Found::default()
    });
    let mut known = Known::default();
    for ceiling in found.ceilings.into_iter().chain(stored) {
        known.learn(ceiling, Stored::Nothing);
    }
    let now = Timestamp::now();
    let ceilings = known.ceilings.into_values().map(|noted| noted.ceiling);
    InForce::of(ceilings.filter(|ceiling| ceiling.is_in_force(now)))
}

/// A ceiling that cannot be read is one that a person relies on.
fn faults(found: &Result<Found, FolderError>) -> Vec<String> {
    match found {
        Ok(found) => {
            let fault = |broken: &String| {
                format!(
                    "a ceiling cannot be read, and holds nothing back: {broken}; delete the file, and order it again"
                )
            };
            found.broken.iter().map(fault).collect()
        }
        Err(error) => vec![format!("ceilings that are ordered here are not seen: {error}")],
    }
}

// === impl Known ===

impl Known {
    /// Nothing that was known of it before is taken back. Whether anything of it is new.
    fn learn(&mut self, ceiling: Ceiling, stored: Stored) -> bool {
        let Some(noted) = self.ceilings.get_mut(&ceiling.id) else {
            self.ceilings.insert(ceiling.id, Noted { ceiling, stored });
            return true;
        };
        noted.stored = noted.stored.max(stored);
        let is_new = noted.ceiling.lifted.is_none() && ceiling.lifted.is_some();
        if is_new {
            noted.ceiling.lifted = ceiling.lifted;
        }
        is_new
    }

    /// In the log, what begins and what has ended.
    fn tell(&mut self, holding: Vec<Ceiling>) {
        for begun in holding.iter().filter(|one| self.told.iter().all(|told| told.id != one.id)) {
            warn!(ticket = begun.ticket, by = begun.by, "in force: {begun}");
        }
        for ended in self.told.iter().filter(|told| holding.iter().all(|one| one.id != told.id)) {
            let lift = self.ceilings.get(&ended.id).and_then(|noted| noted.ceiling.lifted.as_ref());
            let how = lift.map_or_else(|| "has ended".to_owned(), |Lift { by, .. }| format!("was lifted by {by}"));
            warn!(ticket = ended.ticket, "the ceiling {} {how}: {} no longer holds", ended.ticket, ended.scope());
        }
        self.told = holding;
    }

    /// In the log, what holds nothing back any more since a reload took its policy away; and what does again.
    fn tell_idle(&mut self, revision: &Revision) {
        let mut idle = Vec::new();
        for ceiling in &self.told {
            let (is_told, ticket) = (self.idle.contains(&ceiling.id), &ceiling.ticket);
            match ceiling.idle(revision.names()) {
                Some(why) => {
                    if !is_told {
                        warn!(ticket, "the ceiling {ticket} is in force, but {why}");
                    }
                    idle.push(ceiling.id);
                }
                None if is_told => warn!(ticket, "the ceiling {ticket} holds again: its policy is there"),
                None => {}
            }
        }
        self.idle = idle;
    }
}

// === impl Noted ===

impl Noted {
    /// Whether the history has less of it than there is.
    fn is_missing(&self) -> bool {
        self.stored < Stored::of(&self.ceiling)
    }
}

// === impl Stored ===

impl Stored {
    /// All of it.
    fn of(ceiling: &Ceiling) -> Self {
        if ceiling.lifted.is_some() { Self::Lift } else { Self::Order }
    }
}

/// What is asked for when it is read.
#[derive(Debug)]
struct State(Service);

// === impl State ===

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (now, ceilings) = (Timestamp::now(), self.0.ceilings());
        let in_force: Vec<&Ceiling> = ceilings.iter().flat_map(|ceilings| ceilings.in_force(now)).collect();
        let last = in_force.iter().map(|ceiling| ceiling.until).max();
        gauge(
            &mut encoder,
            "rehearsal_ceilings",
            "Ceilings in force: what a person ordered that no mode goes over for a time",
            in_force.len() as f64,
        )?;
        gauge(
            &mut encoder,
            "rehearsal_ceilings_left_seconds",
            "Seconds until the last of the ceilings in force ends, 0 without one",
            last.map_or(0.0, |last| last.seconds() - now.seconds()),
        )
    }
}
