//! Floor 5: listeners, TLS, bounds, health.

pub mod settings;
