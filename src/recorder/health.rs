//! Whether the journal can be written, as answers need to know it: without a lock in the good case.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::NotRecorded;
use super::shared::hold;

#[derive(Debug)]
pub(super) struct Health {
    max_wait: Duration,
    begun: Instant,
    /// Microseconds after `begun` at which the writer last turned to the disk; 0 while it does not write.
    writing_since: AtomicU64,
    has_failed: AtomicBool,
    failure: Mutex<Option<String>>,
}

// === impl Health ===

impl Health {
    pub(super) fn new(max_wait: Duration) -> Self {
        Self {
            max_wait,
            begun: Instant::now(),
            writing_since: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Why a decision need not even be sent: one that waited for a disk known to hang would only be slower.
    pub(super) fn refusal(&self) -> Option<NotRecorded> {
        if self.has_failed() {
            return Some(NotRecorded::Failed(hold(&self.failure).clone().unwrap_or_default()));
        }
        self.hangs_since().map(|_| NotRecorded::Late(self.max_wait))
    }

    /// What is wrong with the disk, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        if let Some(failure) = hold(&self.failure).clone() {
            return Some(failure);
        }
        let hanging = self.hangs_since()?;
        Some(format!("the journal's disk has not answered for {} ms", hanging.as_millis()))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    pub(super) fn failed(&self, why: String) {
        *hold(&self.failure) = Some(why);
        self.has_failed.store(true, Ordering::Release);
    }

    pub(super) fn recovered(&self) {
        self.has_failed.store(false, Ordering::Release);
        *hold(&self.failure) = None;
    }

    pub(super) fn write_begins(&self) {
        self.writing_since.store(self.now().max(1), Ordering::Release);
    }

    pub(super) fn write_ends(&self) {
        self.writing_since.store(0, Ordering::Release);
    }

    fn hangs_since(&self) -> Option<Duration> {
        let since = self.writing_since.load(Ordering::Acquire);
        let hanging = Duration::from_micros(self.now().saturating_sub(since));
        (since != 0 && hanging > self.max_wait).then_some(hanging)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
