//! Every 15 s this replica says in the history how it is, and hears how the others are.
//!
//! Nothing waits for it. What it says last, at an orderly stop, says whether anything is left in its journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::admission::Service;
use crate::recorder::Recorder;
use crate::review::clock::Timestamp;
use crate::review::said::Said;
use crate::store::{Drained, Heartbeat, Store, StoreError};

use super::condition::Condition;
use super::history::History;

/// Three may be missed before others take a replica for gone.
const BEAT: Duration = Duration::from_secs(15);

/// After one that the history did not take.
const RETRY: Duration = Duration::from_secs(3);

/// What [`Condition`] is told about.
const TWIN: &str = "replica id";

/// How long a start and a stop wait for the history to take one.
const PATIENCE: Duration = Duration::from_secs(2);

pub struct Heart {
    history: Arc<History>,
    recorder: Recorder,
    service: Service,
    condition: Arc<Condition>,
    started_at: Timestamp,
    /// Nothing is to be learned any more from what this replica said before it was started.
    has_recalled: bool,
    /// The history took the last one.
    has_beaten: bool,
    /// The history took one: from then on the row is this process's own.
    has_begun: bool,
    has_twin: bool,
}

/// A heart that beats until it is stopped.
#[derive(Debug)]
pub struct Beating {
    stop: CancellationToken,
    task: JoinHandle<Heart>,
}

// === impl Heart ===

impl Heart {
    /// Where the clusters are not `declared`, it is their reviews that name them, and a restart goes on serving those that
    /// were named before.
    pub fn new(
        history: &Arc<History>,
        recorder: &Recorder,
        service: &Service,
        condition: &Arc<Condition>,
        declared: bool,
    ) -> Self {
        Self {
            history: Arc::clone(history),
            recorder: recorder.clone(),
            service: service.clone(),
            condition: Arc::clone(condition),
            started_at: Timestamp::now(),
            has_recalled: declared,
            has_beaten: false,
            has_begun: false,
            has_twin: false,
        }
    }

    /// The first beat is there before any review, where the history takes it in time.
    pub async fn begin(mut self) -> Beating {
        self.beat_within(PATIENCE, None).await;
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.run(stop.clone()));
        Beating { stop, task }
    }

    async fn run(mut self, stop: CancellationToken) -> Self {
        while stop.run_until_cancelled(sleep(if self.has_beaten { BEAT } else { RETRY })).await.is_some() {
            self.beat(None).await;
        }
        self
    }

    async fn beat_within(&mut self, patience: Duration, remaining: Option<u64>) {
        if timeout(patience, self.beat(remaining)).await.is_err() {
            warn!("the history did not take a heartbeat within {} s", patience.as_secs());
        }
    }

    /// `remaining` records are in the journal of a replica that stops.
    async fn beat(&mut self, remaining: Option<u64>) {
        let had_beaten = std::mem::take(&mut self.has_beaten);
        // Whoever opens the history says why it is not open.
        let Some(store) = self.history.writable() else { return };
        match self.exchange(&store, remaining).await {
            Ok(()) => self.has_beaten = true,
            Err(error) if had_beaten => {
                warn!("the history takes no heartbeat, others will take this replica for gone: {error}");
            }
            Err(error) => debug!("the history takes no heartbeat: {error}"),
        }
    }

    /// Until its next review a cluster would seem to be left alone otherwise.
    async fn recall(&mut self, store: &Store) -> Result<(), StoreError> {
        if !self.has_recalled {
            self.recorder.serves(&store.served_last().await?);
            self.has_recalled = true;
        }
        Ok(())
    }

    async fn exchange(&mut self, store: &Store, remaining: Option<u64>) -> Result<(), StoreError> {
        // Before the row is written anew.
        self.recall(store).await?;
        let clusters = self.recorder.clusters();
        let heartbeat = Heartbeat {
            drained: match remaining {
                Some(0) => Drained::Wholly,
                _ => self.recorder.status().drained_until.map_or(Drained::Unknown, Drained::Until),
            },
            seen_at: Timestamp::now(),
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION"),
            revision: self.service.loaded().revision.id.clone(),
            clusters: clusters.clone(),
            said: self.said(),
        };
        let said = store.beat(&heartbeat).await;
        // What the others say is worth hearing even where this one is not heard.
        let asked_at = Timestamp::now();
        self.condition.heard(asked_at, store.others(self.history.replica()).await?);
        self.condition.heard_silence(store.silent_clusters(&clusters).await?);
        self.look_for_twin(said?);
        Ok(())
    }

    /// What this replica alone knows.
    fn said(&self) -> Said {
        Said { certificates: self.condition.certificates(), clusters: self.service.seen() }
    }

    /// `last` is when the process began that wrote this replica's row before.
    fn look_for_twin(&mut self, last: Option<Timestamp>) {
        let twin = last.filter(|last| self.has_begun && *last != self.started_at);
        let had_twin = std::mem::replace(&mut self.has_twin, twin.is_some());
        self.has_begun = true;
        match twin {
            None => self.condition.clear(TWIN),
            Some(started_at) => {
                let what = format!(
                    "another process (started at {started_at}) writes as this replica, {}: its data directory is a copy, \
                     and complete_until may be later than what is stored. Stop it, delete the file `replica` there, and \
                     start it again",
                    self.history.replica()
                );
                if !had_twin {
                    warn!("{what}");
                }
                self.condition.fault(TWIN, what);
            }
        }
    }
}

// === impl Beating ===

impl Beating {
    /// The last beat: the journal has ended, with `remaining` records in it.
    pub async fn end(self, remaining: u64) {
        self.stop.cancel();
        // One that is under way must not come after the last.
        match timeout(PATIENCE, self.task).await {
            Ok(Ok(mut heart)) => heart.beat_within(PATIENCE, Some(remaining)).await,
            _ => warn!("the history did not take the last heartbeat: others will take this replica for gone"),
        }
    }
}

impl std::fmt::Debug for Heart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heart").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}
