//! Floor 5: listeners, TLS, bounds, health.

pub mod certificates;
pub mod settings;
pub mod tls;
