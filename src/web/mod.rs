//! Floor 4: pages and API over the history.

pub mod settings;
