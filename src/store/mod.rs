//! Floor 2: the history in a database.

pub mod read;
pub mod settings;
