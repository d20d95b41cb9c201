//! The real binary over a real PostgreSQL server that fails in every way: nothing that was answered is lost or doubled.
#[path = "../harness/mod.rs"]
mod harness;

#[path = "../access/setup.rs"]
#[expect(dead_code, reason = "the tests of who may look use more of it")]
mod access;
mod health;
mod memory;
mod outages;
mod setup;
mod tls;
