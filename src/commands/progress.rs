//! How far a command is, on a terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

/// A line on standard error that is written over, where that is a terminal.
pub struct Line {
    is_shown: bool,
}

// === impl Line ===

impl Line {
    pub fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal() }
    }

    pub fn show(&self, text: &impl Display) {
        if self.is_shown {
            // A terminal that is gone is nobody's loss.
            write!(std::io::stderr(), "\r{text}\x1b[K").ok();
        }
    }

    /// Leaves the terminal as it was.
    pub fn end(&self) {
        self.show(&"");
    }
}
