//! Floor 5: listeners, TLS, bounds, health.
//!
//! [`listener`] accepts, [`connection`] serves one connection within its time-outs, [`webhook`] takes a request to the
//! way of a review, [`callers`] knows who sent it, [`health`] says how it is.

pub mod activity;
pub mod body;
pub mod callers;
pub mod certificates;
pub mod connection;
pub mod health;
pub mod listener;
pub mod metrics;
pub mod settings;
pub mod throttle;
pub mod tls;
pub mod webhook;
