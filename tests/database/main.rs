//! The real binary over a real PostgreSQL server that fails in every way: nothing that was answered is lost or doubled.
#[path = "../harness/mod.rs"]
mod harness;

mod memory;
mod outages;
mod setup;
mod tls;
