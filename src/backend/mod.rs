//! Floor 3: the remote webhook that judges.
//!
//! [`Backend`] asks one webhook within a budget; [`answer`] reads what it said; [`breaker`] leaves one alone that fails.

pub mod answer;
pub mod breaker;
pub mod budget;
mod client;
mod identity;
pub mod metrics;

pub use client::{Backend, Question, Reloaded};
pub use identity::BackendSetupError;
