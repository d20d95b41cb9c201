//! An image as a review names it.

use serde::{Deserialize, Serialize};

use super::reference::{ImageReference, ReferenceError};

/// Which list of a pod's spec an image stood in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Container,
    Init,
    Ephemeral,
    Volume,
    /// An ImageReview does not say; it is in the scope of every rule.
    Unknown,
}

/// One image of a review, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub role: Role,
    /// The container's (or volume's) name; an ImageReview gives none.
    pub container: Option<String>,
    /// As written.
    pub text: String,
    pub reference: Result<ImageReference, ReferenceError>,
    /// False on an UPDATE whose `oldObject` has the same role, container name and text.
    pub new: bool,
}

// === impl Role ===

impl Role {
    pub const ALL: [Self; 5] = [Self::Container, Self::Init, Self::Ephemeral, Self::Volume, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Init => "init",
            Self::Ephemeral => "ephemeral",
            Self::Volume => "volume",
            Self::Unknown => "unknown",
        }
    }
}
