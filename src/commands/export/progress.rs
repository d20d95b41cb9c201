//! How far an export is, on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::review::clock::Timestamp;

/// A line on standard error that is written over, where that is a terminal.
pub struct Progress {
    decisions: u64,
    is_shown: bool,
    said: Instant,
}

/// As often as an eye follows.
const EVERY: Duration = Duration::from_millis(200);

// === impl Progress ===

impl Progress {
    pub fn new() -> Self {
        Self { decisions: 0, is_shown: std::io::stderr().is_terminal(), said: Instant::now() }
    }

    /// So many more are written; those of `at` are next.
    pub fn came(&mut self, decisions: usize, at: Option<Timestamp>) {
        self.decisions += decisions as u64;
        if let Some(at) = at.filter(|_| self.is_shown && self.said.elapsed() >= EVERY) {
            self.said = Instant::now();
            // A terminal that is gone is nobody's loss.
            write!(std::io::stderr(), "\r{}, back to {at}\x1b[K", self.written()).ok();
        }
    }

    pub fn end(&self) {
        if self.is_shown {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }

    pub fn written(&self) -> String {
        match self.decisions {
            1 => "1 decision".to_owned(),
            decisions => format!("{decisions} decisions"),
        }
    }
}
