//! What pages and the API say of an image as it was written.

use super::address::Address;
use super::frame::Visit;
use crate::review::reference::ImageReference;

/// What selects images.
pub const PARAMETERS: [&str; 6] = ["since", "until", "cluster", "namespace", "repository", "unreadable"];

/// What an image's text says of which image is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Always the same one.
    Pinned {
        tag: Option<String>,
        digest: String,
    },
    /// Whatever the tag stands for when it is pulled.
    Mutable {
        tag: String,
    },
    Unreadable {
        why: String,
    },
}

// === impl Written ===

impl Written {
    pub fn of(text: &str) -> Self {
        match ImageReference::parse(text) {
            Err(error) => Self::Unreadable { why: error.to_string() },
            Ok(reference) => match reference.digest.clone() {
                Some(digest) => Self::Pinned { tag: reference.tag, digest },
                None => Self::Mutable { tag: reference.effective_tag().unwrap_or("latest").to_owned() },
            },
        }
    }

    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Pinned { tag, .. } => tag.as_deref(),
            Self::Mutable { tag } => Some(tag),
            Self::Unreadable { .. } => None,
        }
    }

    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Pinned { digest, .. } => Some(digest),
            Self::Mutable { .. } | Self::Unreadable { .. } => None,
        }
    }

    pub fn is_mutable(&self) -> bool {
        matches!(self, Self::Mutable { .. })
    }

    pub fn why_unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable { why } => Some(why),
            Self::Pinned { .. } | Self::Mutable { .. } => None,
        }
    }
}

/// `registry/repository`.
pub fn repository(text: &str) -> Option<String> {
    ImageReference::parse(text).ok().map(|reference| reference.name())
}

/// The page of an image, whatever its text holds.
pub fn page(visit: &Visit, text: &str) -> Address {
    visit.to("/images/reference").with("image", text)
}
