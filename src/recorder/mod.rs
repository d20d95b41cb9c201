//! Floor 3: every decision to the disk before its answer, and from there to the store.
//!
//! # Invariants
//!
//! 1. A decision whose [`Recorder::record`] returned `Ok` is in a segment, written and (under `durability: fsync`)
//!    synced, after a record of its review in the same segment. A segment needs no other segment and no row.
//! 2. A decision whose `record` returned an error is counted in exactly one gap and is in no segment. The one exception
//!    is [`NotRecorded::Unsure`]: it was being written when its wait ended. It is in a segment if that write comes back
//!    well and counted in a gap if not, never both: who decides is settled by one atomic step between the waiter, who
//!    abandons the entry, and the writer, who claims it before it writes.
//! 3. `record` returns within `max_wait`, whatever the disk does; while a write is known to hang or the journal to fail,
//!    at once.
//! 4. A file of which a write or an fsync failed is cut back to what counts and never written again. The group is
//!    written once more, from memory, to a new segment; if that fails too, the journal counts as failed until a new
//!    segment can be begun, which is tried every second. (Where even the cut fails and then the machine, a decision may be
//!    found in a segment and in a gap: the gap's count is an upper bound then.)
//! 5. Segments are the one truth. There is no stored position: after a crash everything that is there is read again, and
//!    the store takes every id once. A segment is deleted, whole, when all of it is in the store. (An id that retention has
//!    deleted is taken again: [`keeper`] leaves at most a drained minute to be read by one who was away that long.)
//! 6. A gap is marked on the disk while it is open, and keeps its mark until its record counts as written. A mark without
//!    an end that is found at the start is a gap up to then, of unknown count.
//! 7. Segments take at most `max_size`, and the group that was being written when they came to it. Decisions end below
//!    that by a reserve for what must still be written: ends of gaps, late verdicts, counts. Counts and beats of presence
//!    that find no room wait in memory, where they add up.
//! 8. The directory belongs to one process, which holds the lock on `lock`.
//!
//! # On the disk
//!
//! ```text
//! journal/                           0700, files 0600
//!   lock                             locked while in use; holds the pid
//!   gaps                             16 slots of 1 KiB: zeros, or one framed gap as JSON
//!   segment-<16 hex>.journal         numbered upwards
//!   damaged-<16 hex>-<offset>-<hash> what could not be read, of that segment at that offset
//!
//! segment = header record*
//! header  = "RHRSLJNL", format u32 LE, CRC32C of the 12 bytes before u32 LE
//! record  = length u32 LE (1 to 2^24 - 1), CRC32C of length and payload u32 LE, payload
//! payload = the JSON of a `review::decision::Record`
//! ```
//!
//! JSON holds no zero byte and every length does, so after damage the next record is found by looking for one. At the end
//! of the last segment, what is no whole record is what a crash left of a write: it is cut off. Anywhere else it is damage:
//! it is kept aside, counted with its offset, and a gap. Segments are not allocated ahead:
//! the end of the file is the end of its records, which is how a torn write is told from damage.
//!
//! # Who does what
//!
//! `record` serialises and waits; one [`writer`] thread writes; one [`keeper`] thread marks gaps, which must not wait for
//! a writer that hangs, and has counts and the [`presence`] of the process journalled; one [`drain`] task reads behind the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::review::clock::Timestamp;
use crate::review::decision::{Decision, Record, ReviewRecord};

mod damage;
pub mod drain;
mod entry;
mod error;
mod files;
mod frame;
mod gaps;
mod health;
pub mod inspect;
mod keeper;
mod lock;
pub mod metrics;
mod presence;
mod queue;
mod recovery;
pub mod replica;
mod segment;
pub mod settings;
mod shared;
mod shelf;
mod slots;
mod status;
pub mod tickets;
mod unjudged;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{Holder, JournalError, NotRecorded};
pub use status::JournalStatus;

use entry::{Entry, Kind, Pending, Waited};
use files::{Disk, Files};
use keeper::Keeper;
use metrics::Metrics;
use queue::Refused;
use settings::JournalSettings;
use shared::{Pace, Shared, hold};
use writer::Writer;

/// The handle on the journal. The last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Recorder {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

// === impl Recorder ===

impl Recorder {
    /// Recovers what earlier runs left and starts to write. Blocks for the time of reading the journal.
    ///
    /// # Errors
    /// The directory cannot be made, locked, read or written. Whether to go on without is the caller's choice.
    pub fn open(settings: &JournalSettings) -> Result<Self, JournalError> {
        Self::open_on(settings, Pace::default(), Disk)
    }

    /// A recorder whose journal could not be opened: answers go on, a gap is open, and opening is tried every second.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn failed_from_start(settings: &JournalSettings, cause: &JournalError) -> Result<Self, JournalError> {
        Self::failed_on(settings, Pace::default(), Disk, cause)
    }

    fn open_on<D: Files>(settings: &JournalSettings, pace: Pace, files: D) -> Result<Self, JournalError> {
        let (shared, threads) = Shared::new(settings, pace);
        let mut writer = Writer::new(Arc::clone(&shared), files);
        writer.open()?;
        Self::start(shared, writer, threads)
    }

    fn failed_on<D: Files>(
        settings: &JournalSettings,
        pace: Pace,
        files: D,
        cause: &JournalError,
    ) -> Result<Self, JournalError> {
        let (shared, threads) = Shared::new(settings, pace);
        let mut writer = Writer::new(Arc::clone(&shared), files);
        writer.fail_from_start(cause);
        Self::start(shared, writer, threads)
    }

    fn start<D: Files>(
        shared: Arc<Shared>,
        writer: Writer<D>,
        threads: watch::Sender<()>,
    ) -> Result<Self, JournalError> {
        // The handle first: if a thread does not start, its drop ends the other.
        let recorder = Self { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
        let keeper = Keeper::new(Arc::clone(&shared));
        let spawned = std::thread::Builder::new().name("journal-keeper".to_owned()).spawn(move || {
            keeper.run();
            drop(threads);
        });
        spawned.map_err(JournalError::io("start a thread for", &shared.settings.dir))?;
        let spawned = std::thread::Builder::new().name("journal-writer".to_owned()).spawn(move || writer.run());
        spawned.map_err(JournalError::io("start a thread for", &shared.settings.dir))?;
        Ok(recorder)
    }

    /// Returns when the decision, and its review before it, are in the journal, and within `max_wait` in any case.
    ///
    /// # Errors
    /// It is not recorded: it is counted in the open gap.
    pub async fn record(&self, review: Arc<ReviewRecord>, decision: Decision) -> Result<(), NotRecorded> {
        let shared = &self.handle.shared;
        let at = decision.at;
        if let Some(why) = shared.health.refusal() {
            return Err(shared.missed(at, &decision.cluster, why));
        }
        let Some((frame, review_frame)) = shared.frames(&review, &decision) else {
            return Err(shared.missed(at, &decision.cluster, NotRecorded::TooLarge));
        };
        let (pending, ticket) = Pending::new(at, decision.cluster, review, review_frame);
        let cluster = pending.cluster.clone();
        if let Err(refused) = shared.queue.push(Entry { frame, kind: Kind::Decision(pending) }) {
            return Err(shared.missed(at, &cluster, refused.why));
        }
        let max_wait = shared.settings.max_wait;
        match ticket.wait(max_wait).await {
            Waited::Answered(result) => result,
            Waited::Abandoned => Err(shared.missed(at, &cluster, NotRecorded::Late(max_wait))),
            Waited::BeingWritten => {
                // Counted by the writer if it comes to that; a crash before must not hide it.
                let why = NotRecorded::Unsure(max_wait);
                shared.gaps.begin(at, why.reason());
                Err(why)
            }
        }
    }

    /// Has an amendment, an object sample or a gap written. Never waits: what the journal cannot take is dropped, and
    /// counted in the open gap where it leaves a decision incomplete.
    pub fn append(&self, record: Record) {
        let shared = &self.handle.shared;
        let kind = match &record {
            Record::Amendment(amendment) => Kind::Kept(amendment.at),
            Record::Decision(decision) => Kind::Kept(decision.at),
            Record::Review(_) | Record::Object(_) => Kind::Sample,
            Record::Gap(_) => Kind::Gap(Arc::default()),
            Record::Unjudged { .. } | Record::Presence { .. } => Kind::Own,
        };
        let pushed = match frame::encode(&record) {
            Ok(frame) => shared.queue.push(Entry { frame, kind }),
            Err(frame::TooLarge) => {
                Err(Box::new(Refused { entry: Entry { frame: Vec::new(), kind }, why: NotRecorded::TooLarge }))
            }
        };
        if let Err(refused) = pushed {
            shared.metrics.dropped.inc();
            if let Kind::Kept(at) = refused.entry.kind {
                shared.count_missed(at, None, &refused.why);
            }
        }
    }

    /// A review of `cluster` was answered, or refused, without being judged.
    pub fn unjudged(&self, cluster: &str) {
        let shared = &self.handle.shared;
        shared.metrics.unjudged.inc();
        shared.unjudged.count(cluster, Timestamp::now());
    }

    /// From now on this process serves `clusters`, and those that send it reviews, as `replica`. Journalled every
    /// 15 s, so that the history knows when nobody did.
    pub fn present(&self, replica: Uuid, clusters: impl IntoIterator<Item = String>) {
        let clusters = clusters.into_iter().collect();
        self.handle.shared.presence.begin(replica, clusters, Timestamp::now(), std::time::Instant::now());
    }

    /// It serves these too, since [`present`](Self::present).
    pub fn serves(&self, clusters: &[String]) {
        clusters.iter().for_each(|cluster| self.handle.shared.presence.serves(cluster));
    }

    /// Those that it serves since [`present`](Self::present): named there, or by their reviews.
    pub fn clusters(&self) -> Vec<String> {
        self.handle.shared.presence.clusters()
    }

    /// From now on it serves nobody any more, whatever it still writes.
    pub fn left(&self) {
        self.handle.shared.presence.leave(Timestamp::now(), std::time::Instant::now());
    }

    pub fn status(&self) -> JournalStatus {
        self.handle.shared.status()
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        Metrics::register(&self.handle.shared, registry);
    }

    /// Writes what is in memory, then lets a running drain go on until everything is in the store or `within` has
    /// passed. Gives the number of records that stay in the journal, for the next start to drain.
    pub async fn close(&self, within: Duration) -> u64 {
        let shared = &self.handle.shared;
        let until = Instant::now() + within;
        shared.close();
        let mut threads = shared.threads.clone();
        // An error is what is waited for: the sender is gone. A writer that hangs is left behind.
        let _ = tokio::time::timeout_at(until, threads.changed()).await;
        loop {
            let drained = shared.shelf.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if shared.drains.load(Ordering::Acquire) == 0 || shared.has_ended() && shared.shelf.is_empty() {
                break;
            }
            if tokio::time::timeout_at(until, drained).await.is_err() {
                break;
            }
        }
        if shared.has_ended() {
            drop(hold(&shared.lock).take());
        }
        shared.shelf.backlog().records + shared.queue.len() as u64
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}
