//! How far an export is, on a terminal.

use std::time::{Duration, Instant};

use crate::commands::progress::Line;
use crate::review::clock::Timestamp;
use crate::web::count;

/// How many decisions are written.
pub struct Progress {
    decisions: u64,
    line: Line,
    said: Instant,
}

/// As often as an eye follows.
const EVERY: Duration = Duration::from_millis(200);

// === impl Progress ===

impl Progress {
    pub fn new() -> Self {
        Self { decisions: 0, line: Line::new(), said: Instant::now() }
    }

    /// So many more are written; those of `at` are next.
    pub fn came(&mut self, decisions: usize, at: Option<Timestamp>) {
        self.decisions += decisions as u64;
        if let Some(at) = at.filter(|_| self.said.elapsed() >= EVERY) {
            self.said = Instant::now();
            self.line.show(&format!("{}, back to {at}", self.written()));
        }
    }

    pub fn end(&self) {
        self.line.end();
    }

    pub fn written(&self) -> String {
        count(self.decisions, "decision")
    }
}
