//! Floor 0: what the API server sends, and what we say of it. Pure and synchronous: no runtime, no socket, no database.
//!
//! A request body becomes a [`Review`] ([`decode`]); the part of it that a policy may see is its [`view`]; what was
//! found of it all is a [`decision::Decision`].

use std::borrow::Cow;

pub mod agreement;
pub mod clock;
pub mod comparison;
pub mod decision;
pub mod decode;
mod exempted;
pub mod held_back;
pub mod image;
pub mod json;
pub mod peek;
mod pod;
pub mod redact;
pub mod reference;
pub mod said;
pub mod strict;
pub mod ticket;
pub mod view;
pub mod workload;

pub use decode::Review;

/// Characters of a foreign text that a message quotes: a line can hold them, and they tell one text from another.
const EXCERPT: usize = 60;

/// A foreign text as far as a message quotes it.
fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(EXCERPT) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}
