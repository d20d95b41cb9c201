//! Answers that go on for as long as somebody reads them: how many there may be, and when they end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::WebError;

/// Who follows what is new: each asks the store once a second.
const FOLLOWERS: usize = 32;
/// Each holds one page of decisions, and reads as fast as it is read.
const EXPORTS: usize = 4;

/// A follower begins anew after this: a browser does so by itself.
const AGE: Duration = Duration::from_secs(1_800);

/// Room for streams.
#[derive(Debug, Clone)]
pub struct Streams {
    followers: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// The right to be one of them, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _room: OwnedSemaphorePermit,
    stopping: CancellationToken,
    until: Instant,
}

// === impl Streams ===

impl Streams {
    /// They end when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        let room = |number| Arc::new(Semaphore::new(number));
        Self { followers: room(FOLLOWERS), exports: room(EXPORTS), stopping }
    }

    pub fn follower(&self) -> Result<Permit, WebError> {
        self.permit(&self.followers, "who follow what is new", FOLLOWERS)
    }

    pub fn export(&self) -> Result<Permit, WebError> {
        self.permit(&self.exports, "exports", EXPORTS)
    }

    fn permit(&self, room: &Arc<Semaphore>, what: &'static str, most: usize) -> Result<Permit, WebError> {
        let room = Arc::clone(room).try_acquire_owned().map_err(|_| WebError::Busy { what, most })?;
        Ok(Permit { _room: room, stopping: self.stopping.clone(), until: Instant::now() + AGE })
    }
}

// === impl Permit ===

impl Permit {
    pub fn is_over(&self) -> bool {
        self.stopping.is_cancelled() || Instant::now() >= self.until
    }

    /// Waits so long, or until it is over.
    pub async fn pause(&self, long: Duration) {
        tokio::select! {
            () = tokio::time::sleep(long) => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Whether the process is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }
}
