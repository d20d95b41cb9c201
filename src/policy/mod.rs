//! Floor 1: what judges. Pure and synchronous: a policy is a function of a review's image view and its own text.

pub mod glob;
pub mod memo;
pub mod revision;
pub mod rules;
pub mod settings;

pub use revision::Revision;
