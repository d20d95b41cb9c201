//! A review that finds no room: answered without being judged, or refused.

use crate::review::peek::Peek;

use super::answer::{self, Addressee};
use super::{Reply, Service};

/// Whether overload may be answered `allowed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// `allowed: true`, counted as unjudged, when nothing loaded can enforce.
    #[default]
    Answer,
    /// Always 503.
    Refuse,
}

/// How much of a body is kept to answer it unjudged: `request.uid` stands within its first few hundred bytes.
pub const BEGINNING: usize = 4 * 1024;

impl Service {
    /// Whether a review that finds no room is answered, rather than refused.
    pub fn sheds(&self, overload: Overload) -> bool {
        overload == Overload::Answer && !self.can_enforce()
    }

    /// The answer to a review of which only the beginning was kept.
    pub fn shed(&self, cluster: &str, beginning: &[u8]) -> Reply {
        let Some(Peek { protocol, api_version, uid }) = crate::review::peek::peek(beginning) else {
            return self.overloaded(cluster);
        };
        self.unjudged(cluster);
        answer::unjudged(Addressee { protocol, api_version, uid: uid.as_deref() })
    }
}
