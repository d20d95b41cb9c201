//! A configuration that changes while it runs: what is right is in force, whole and without a restart; what is mistaken is
//! said everywhere, and what was in force before goes on.

#[path = "../harness/mod.rs"]
mod harness;

mod files;
mod mistakes;
mod policies;
mod revisions;
mod setup;
mod start;
mod traffic;
