//! Floor 0: what the API server sends, and what we say of it. Pure and synchronous: no runtime, no socket, no database.
//!
//! A request body becomes a [`Review`] ([`decode`]); the part of it that a policy may see is its [`view`]; what was
//! found of it all is a [`decision::Decision`].

pub mod clock;
pub mod decision;
pub mod decode;
pub mod image;
pub mod redact;
pub mod peek;
pub mod reference;
pub mod strict;
pub mod view;
pub mod workload;

pub use decode::Review;
