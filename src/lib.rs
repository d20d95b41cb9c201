//! Rehearsal: an admission audit and dry-run proxy for Kubernetes image policy.
//!
//! Floors, lowest first; each imports only those below it: [`review`] (0), [`policy`] (1), [`store`] (2),
//! [`backend`] and [`recorder`] (3), [`admission`] and [`web`] (4), [`server`] (5), then [`config`], [`app`] and the
//! [`commands`].

pub mod admission;
pub mod app;
pub mod backend;
pub mod cli;
pub mod commands;
pub mod config;
pub mod logging;
pub mod policy;
pub mod recorder;
pub mod review;
pub mod server;
pub mod store;
pub mod watch;
pub mod web;
