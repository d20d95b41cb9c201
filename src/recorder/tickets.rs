//! What is remembered of break-glass tickets: in memory, for every review that shows one, and in a file of the data
//! directory, which a start has also while there is no database.
//!
//! # Invariants
//!
//! 1. A ticket that is used up does not begin anew because it was forgotten: what is remembered stays until nobody has shown
//!    it for [`KEPT`](crate::review::ticket::KEPT). When there are as many as there may be, no further one is taken; none
//!    goes for it.
//! 2. A first use is in the file, synced, before its review is answered; where the disk does not take it in time the answer
//!    goes out, the use is in memory alone until it does, and that is said.
//! 3. Nothing here waits for the history. What of it the history does not have is known ([`Tickets::unstored`]).

mod file;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use self::file::TicketFile;
use crate::review::clock::Timestamp;
use crate::review::ticket::{Ticket, TicketKey};

/// A handle; its copies are one memory.
#[derive(Debug, Clone)]
pub struct Tickets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    /// `None`: of a process that keeps nothing.
    file: Mutex<Option<TicketFile>>,
    /// Why the file does not hold all of it.
    trouble: Mutex<Option<String>>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Known {
    tickets: HashMap<TicketKey, Held>,
    by_cluster: HashMap<String, usize>,
}

#[derive(Debug)]
struct Held {
    ticket: Ticket,
    is_saved: bool,
    is_stored: bool,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is the first use that is known of.
    FirstUse,
    Other,
    /// It was known, or there is no room for it.
    Nothing,
}

/// Some 25 MB: more workloads than break a glass in a year, fewer than would hurt.
const MOST: usize = 50_000;
/// Of one cluster, so that none takes the room of all others.
const MOST_OF_A_CLUSTER: usize = 10_000;

// === impl Tickets ===

impl Tickets {
    /// With what the last process left. For whoever holds the lock on the data directory.
    pub fn open(data_dir: &Path) -> Self {
        let (file, left, trouble) = TicketFile::open(data_dir);
        if let Some(trouble) = &trouble {
            warn!("{trouble}");
        }
        let mut known = Known::default();
        for ticket in left {
            known.hold(Held { ticket, is_saved: true, is_stored: false });
        }
        Self::of(known, Some(file), trouble)
    }

    /// For a process that keeps nothing.
    pub fn in_memory() -> Self {
        Self::of(Known::default(), None, None)
    }

    fn of(known: Known, file: Option<TicketFile>, trouble: Option<String>) -> Self {
        let (known, file, trouble) = (Mutex::new(known), Mutex::new(file), Mutex::new(trouble));
        Self(Arc::new(Shared { known, file, trouble, more: Notify::new() }))
    }

    pub fn get(&self, key: &TicketKey) -> Option<Ticket> {
        hold(&self.0.known).tickets.get(key).map(|held| held.ticket.clone())
    }

    /// Whether there is room for another one of this cluster.
    pub fn has_room(&self, cluster: &str) -> bool {
        hold(&self.0.known).has_room(cluster)
    }

    /// Remembers a change. Where there is no room for another ticket, nothing of it.
    pub fn note(&self, change: &Ticket) -> Noted {
        let mut known = hold(&self.0.known);
        let first = if change.first_use.is_some() { Noted::FirstUse } else { Noted::Other };
        let has_room = known.has_room(&change.key.cluster);
        let noted = match known.tickets.get_mut(&change.key) {
            Some(held) => {
                let was_used = held.ticket.first_use.is_some();
                match held.merge(change) {
                    true if was_used => Noted::Other,
                    true => first,
                    false => Noted::Nothing,
                }
            }
            None if has_room => {
                known.hold(Held { ticket: change.clone(), is_saved: false, is_stored: false });
                first
            }
            None => Noted::Nothing,
        };
        drop(known);
        if noted != Noted::Nothing {
            self.0.more.notify_one();
        }
        noted
    }

    /// Takes on what the history has, from other replicas too. What that does not have of ours it is to be given.
    pub fn take(&self, stored: &[Ticket]) {
        let mut known = hold(&self.0.known);
        for theirs in stored {
            match known.tickets.get_mut(&theirs.key) {
                Some(held) => {
                    held.merge(theirs);
                    held.is_stored = held.ticket == *theirs;
                }
                // What others took there is room for.
                None => known.hold(Held { ticket: theirs.clone(), is_saved: false, is_stored: true }),
            }
        }
    }

    /// Up to `most` of those that the history has not, or not as they are.
    pub fn unstored(&self, most: usize) -> Vec<Ticket> {
        let known = hold(&self.0.known);
        known.tickets.values().filter(|held| !held.is_stored).take(most).map(|held| held.ticket.clone()).collect()
    }

    /// Resolves when there is something to be stored or written.
    pub async fn changed(&self) {
        self.0.more.notified().await;
    }

    /// Drops what nobody has shown for so long.
    pub fn forget_past(&self, now: Timestamp) {
        hold(&self.0.known).forget_past(now);
    }

    /// Why not all of it is on the disk, or no further one is taken.
    pub fn trouble(&self) -> Option<String> {
        let full = hold(&self.0.known).full();
        hold(&self.0.trouble).clone().or(full)
    }

    /// Writes what is not on the disk yet; waits for it no longer than `patience`.
    pub async fn save(&self, patience: Duration) {
        let shared = Arc::clone(&self.0);
        if timeout(patience, spawn_blocking(move || shared.save())).await.is_err() {
            warn!("break-glass: the disk does not answer: what is new of tickets is in memory alone until it does");
        }
    }
}

// === impl Shared ===

impl Shared {
    fn save(&self) {
        // Whoever comes meanwhile finds that it is done.
        let mut file = hold(&self.file);
        let Some(file) = file.as_mut() else { return };
        let tickets = {
            let known = hold(&self.known);
            if known.tickets.values().all(|held| held.is_saved) {
                return;
            }
            known.tickets.values().map(|held| held.ticket.clone()).collect::<Vec<_>>()
        };
        let written = file.write(&tickets);
        let mut trouble = hold(&self.trouble);
        match written {
            Ok(()) => {
                hold(&self.known).saved(&tickets);
                *trouble = None;
            }
            Err(error) => {
                let what = format!(
                    "What is new of break-glass tickets is in memory alone, and a restart may let a ticket begin anew: {error}"
                );
                if trouble.as_ref() != Some(&what) {
                    warn!("{what}");
                }
                *trouble = Some(what);
            }
        }
    }
}

// === impl Known ===

impl Known {
    fn hold(&mut self, held: Held) {
        match self.tickets.entry(held.ticket.key.clone()) {
            Entry::Occupied(mut known) => {
                known.get_mut().merge(&held.ticket);
            }
            Entry::Vacant(place) => {
                *self.by_cluster.entry(held.ticket.key.cluster.clone()).or_default() += 1;
                place.insert(held);
            }
        }
    }

    fn has_room(&self, cluster: &str) -> bool {
        self.tickets.len() < MOST && self.by_cluster.get(cluster).is_none_or(|count| *count < MOST_OF_A_CLUSTER)
    }

    fn full(&self) -> Option<String> {
        let full = self.by_cluster.keys().filter(|cluster| !self.has_room(cluster)).min()?;
        let count = self.by_cluster.get(full)?;
        Some(format!(
            "No further break-glass ticket is taken of cluster {full}: {count} are remembered of it, {} of all clusters",
            self.tickets.len()
        ))
    }

    fn saved(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            if let Some(held) = self.tickets.get_mut(&ticket.key) {
                held.is_saved = held.ticket == *ticket;
            }
        }
    }

    fn forget_past(&mut self, now: Timestamp) {
        self.tickets.retain(|_, held| !held.ticket.is_past(now));
        self.by_cluster.clear();
        for key in self.tickets.keys() {
            *self.by_cluster.entry(key.cluster.clone()).or_default() += 1;
        }
    }
}

// === impl Held ===

impl Held {
    /// Whether it is another now.
    fn merge(&mut self, change: &Ticket) -> bool {
        let before = self.ticket.clone();
        self.ticket.merge(change);
        let is_another = self.ticket != before;
        if is_another {
            (self.is_saved, self.is_stored) = (false, false);
        }
        is_another
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
