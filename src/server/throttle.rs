//! A log line at most once a second, which says how many it stands for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A port scan would otherwise fill the log.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Throttle(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    said: Option<Instant>,
    silent: u64,
}

// === impl Throttle ===

impl Throttle {
    /// `Some(n)`: say it now, for this and the `n` times that were not said before it.
    pub fn pass(&self) -> Option<u64> {
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if held.said.is_some_and(|said| said.elapsed() < EVERY) {
            held.silent += 1;
            return None;
        }
        held.said = Some(Instant::now());
        Some(std::mem::take(&mut held.silent))
    }
}
