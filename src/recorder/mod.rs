//! Floor 3: every decision to the disk before its answer, and from there to the store.

pub mod settings;
