//! One file a command.

pub mod bouncer;
pub mod certs;
