//! The client of a remote webhook against a real one over real sockets.

mod answers;
mod connections;
#[path = "../harness/backend.rs"]
mod scripted;
mod setup;
