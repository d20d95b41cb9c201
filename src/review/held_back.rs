//! What held the modes of a verdict back, beside the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Mode;

/// A ceiling that was in force, as a decision keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldBack {
    /// No mode of the verdict is heavier.
    pub most: Mode,
    pub ticket: String,
    pub by: String,
    /// When it was to end.
    pub until: Timestamp,
}

impl fmt::Display for HeldBack {
    /// For a person, after "held back".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, ticket, by, until } = self;
        write!(f, "to {most} by the ceiling {ticket} of {by}, until {until}")
    }
}
