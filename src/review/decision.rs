//! The record of one review: who asked, what each policy said, what the API server got.
//!
//! These are the types that the journal holds as JSON and the store takes apart into rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock::{DecisionId, Timestamp};
use super::held_back::HeldBack;
use super::image::Role;
use super::workload::Workload;

pub use super::exempted::Exempted;

/// The cluster of reviews whose sender is not declared: outside every figure, unless it is asked for by this name.
pub const UNDECLARED: &str = "undeclared";

/// What a violation does: `audit` records it, `warn` also tells the client, `enforce` rejects.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Audit,
    Warn,
    Enforce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Protocol {
    ImageReview,
    AdmissionReview,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allow,
    Deny,
    Error,
    /// It had nothing to judge: evidence of nothing.
    None,
    /// One that is not waited for, a webhook or a candidate, has not said it yet; an [`Amendment`] follows.
    Pending,
}

/// What the API server got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Allowed,
    Denied,
    /// 429 or 5xx, so that its failurePolicy or defaultAllow decides.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Violation {
    pub rule: String,
    pub mode: Mode,
    /// The image to blame, as written, where one is.
    pub image: Option<String>,
    pub container: Option<String>,
    pub message: String,
    /// What the rule's author says to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why it is not acted on, whatever its mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempted: Option<Exempted>,
}

/// What one policy said of one review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVerdict {
    pub policy: String,
    /// The hash of a local policy's text and engine; a webhook has none.
    pub version: Option<String>,
    pub mode: Mode,
    /// Where a ceiling made this mode, or that of a violation, lighter than it would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    pub verdict: Verdict,
    /// Of images that the request brings.
    pub violations: Vec<Violation>,
    /// Of images that were there before: never acted on, kept since the next pod would meet them.
    pub standing: Vec<Violation>,
    /// Violations (standing ones included) past the cap of 100.
    #[serde(default)]
    pub omitted: u32,
    /// What it judged instead of the document that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Presented>,
    pub error: Option<String>,
    /// Monotonic. `None` while pending.
    pub duration_us: Option<u64>,
}

/// A document that a policy was shown in place of the one that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presented {
    /// The Pod of an ImageReview, without what that does not say.
    Pod,
    /// The ImageReview of an object's images.
    ImageReview,
}

/// One answered review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: DecisionId,
    pub at: Timestamp,
    pub cluster: String,
    /// The [`ReviewRecord`] that it is of.
    pub review: ReviewHash,
    pub name: Option<String>,
    pub user: Option<String>,
    pub uid: Option<String>,
    /// Who sent the review: the subject of a client certificate, or the name of a token. `None`: unproven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    pub dry_run: bool,
    pub answer: Answer,
    /// The HTTP status for `Failed`, the Status code for `Denied`, 200 for `Allowed`.
    pub code: u16,
    /// What the API server was told, where it was told something.
    pub message: Option<String>,
    /// Let through although a violation in audit or warn mode stood against it.
    pub would_reject: bool,
    pub verdicts: Vec<PolicyVerdict>,
    /// What candidates say: nothing else in the record is of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<PolicyVerdict>,
    /// A verdict rested on an object of which a part is kept only as a constant.
    pub redacted: bool,
    pub revision: String,
    /// From the complete body to the finished answer; the wait for the journal, which holds this, comes after. Monotonic.
    pub duration_us: u64,
    /// What else is to be known of it (a dropped patch, a client that left), one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A verdict that came after the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    pub decision: DecisionId,
    /// Of the decision, so that its partition and its roll-up buckets are found without a search.
    pub at: Timestamp,
    /// Of a candidate, which a policy may share its name with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub candidate: bool,
    pub verdict: PolicyVerdict,
}

/// SHA-256 of the canonical form of what a [`ReviewRecord`] holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReviewHash(pub [u8; 32]);

/// The part of a review that repeats: many decisions share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRecord {
    pub hash: ReviewHash,
    pub protocol: Protocol,
    /// `v1alpha1`, `v1beta1` or `v1`.
    pub api_version: String,
    pub operation: Operation,
    pub subresource: Option<String>,
    /// The API group of the object, empty for the core group; unknown on an ImageReview.
    pub group: Option<String>,
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub workload: Workload,
    pub images: Vec<ImageRecord>,
    /// Those whose key contains `.image-policy.k8s.io/`.
    pub annotations: BTreeMap<String, String>,
}

/// An image as the history keeps it. An image that cannot be read has an `error` and no parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub text: String,
    pub registry: Option<String>,
    pub repository: Option<String>,
    pub tag: Option<String>,
    pub digest: Option<String>,
    pub error: Option<String>,
    pub container: Option<String>,
    pub role: Role,
    pub new: bool,
}

/// Which objects are kept as examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// One for each image view, workload and day.
    #[default]
    Sample,
    All,
    None,
}

/// One redacted object of a review, kept as an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSample {
    pub decision: DecisionId,
    pub at: Timestamp,
    pub cluster: String,
    pub review: ReviewHash,
    /// The canonical object view, redacted: JSON.
    pub object: String,
}

/// A span in which decisions were not recorded or reviews not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// A UUIDv7, so that a gap sent twice is one.
    pub id: DecisionId,
    /// `None`: every cluster.
    pub cluster: Option<String>,
    pub from: Timestamp,
    /// `None` while it lasts.
    pub to: Option<Timestamp>,
    /// `None`: unknown.
    pub count: Option<u64>,
    pub reason: String,
}

/// Everything that goes through the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    Review(ReviewRecord),
    Decision(Box<Decision>),
    Amendment(Amendment),
    Object(ObjectSample),
    /// Also an update of one already sent: the later one of an id wins.
    Gap(Gap),
    /// Reviews of `cluster` in the quarter hour from `bucket` that were not judged, under overload: to be added.
    Unjudged {
        id: DecisionId,
        cluster: String,
        bucket: Timestamp,
        count: u64,
    },
    /// The process of the data directory `replica` has served `clusters` since `from`, and still did at `to`. Of one
    /// replica and `from`, the latest `to` wins, and a cluster that was named once stays.
    Presence {
        replica: Uuid,
        clusters: Vec<String>,
        /// The start of the process.
        from: Timestamp,
        to: Timestamp,
    },
}

// === impl Mode ===

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Violation ===

impl Violation {
    /// It is why a request is rejected.
    pub fn rejects(&self) -> bool {
        self.mode == Mode::Enforce && self.exempted.is_none()
    }

    /// An exemption lets it through, for the next pod as for this one: a ticket does for this one alone.
    pub fn is_exempted(&self) -> bool {
        self.exempted.as_ref().is_some_and(|by| by.broken_by().is_none())
    }

    /// It would be why, if its rule were in `enforce`.
    pub fn would_reject(&self) -> bool {
        self.mode != Mode::Enforce && self.exempted.is_none()
    }
}

// === impl PolicyVerdict ===

impl PolicyVerdict {
    /// It is of a webhook.
    pub fn is_remote(&self) -> bool {
        self.version.is_none()
    }

    /// Whether something is let through that its rules stand against.
    pub fn has_exempted(&self) -> bool {
        self.violations.iter().any(|violation| violation.exempted.is_some())
    }

    /// It denies, and all that it denies is let through: nothing acts.
    pub fn is_exempted(&self) -> bool {
        let is_let_through = || self.violations.iter().all(|violation| violation.exempted.is_some());
        self.verdict == Verdict::Deny && !self.violations.is_empty() && is_let_through()
    }

    /// Those that a break-glass ticket let through.
    pub fn let_through(&self) -> impl Iterator<Item = &Violation> {
        let is_broken = |one: &&Violation| one.exempted.as_ref().is_some_and(|by| by.broken_by().is_some());
        self.violations.iter().filter(is_broken)
    }
}

// === impl Protocol ===

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageReview => "ImageReview",
            Self::AdmissionReview => "AdmissionReview",
        }
    }
}

// === impl Operation ===

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::None => "none",
            Self::Pending => "pending",
        }
    }
}

// === impl Presented ===

impl Presented {
    /// For a person.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Pod => "It judged this ImageReview as a Pod, of which user, labels and names are not known.",
            Self::ImageReview => "It judged the images of this object as an ImageReview.",
        }
    }
}

// === impl Answer ===

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

// === impl ReviewHash ===

impl fmt::Display for ReviewHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).expect("digits are ASCII"))
    }
}

impl fmt::Debug for ReviewHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReviewHash({self})")
    }
}

impl Serialize for ReviewHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.to_hex()).expect("digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for ReviewHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a review hash is 64 hexadecimal digits"))
    }
}

impl ReviewHash {
    /// Every decision is written with one: a formatter takes ten times as long.
    fn to_hex(self) -> [u8; 64] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }

    fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut hash = [0_u8; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
        }
        Some(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_of_a_journal_from_before_there_were_callers_is_read() {
        let old = r#"{"record":"decision","id":"0191c1f0-0000-7000-8000-000000000000","at":1,"cluster":"prod","review":
            "0000000000000000000000000000000000000000000000000000000000000000","name":null,"user":null,"uid":null,
            "dry_run":false,"answer":"allowed","code":200,"message":null,"would_reject":false,"verdicts":[],
            "redacted":false,"revision":"r","duration_us":1,"notes":[]}"#;
        let Ok(Record::Decision(mut decision)) = serde_json::from_str(old) else { panic!("a decision") };
        assert_eq!(decision.caller, None);
        assert!(!serde_json::to_string(&decision).unwrap().contains("caller"));
        decision.caller = Some("CN=kube-apiserver".to_owned());
        let again: Decision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
        assert_eq!(again, *decision);
    }

    #[test]
    fn a_violation_of_a_journal_from_before_there_were_exemptions_is_read() {
        let old = r#"{"rule":"r","mode":"enforce","image":null,"container":null,"message":"m"}"#;
        let mut violation: Violation = serde_json::from_str(old).unwrap();
        assert!(violation.rejects() && !serde_json::to_string(&violation).unwrap().contains("exempted"));
        let (ticket, owner, reason) = (Some("SEC-1".to_owned()), None, Some("a mirror is on its way".to_owned()));
        violation.exempted = Some(Exempted::Exemption { ticket, owner, reason, until: Some(Timestamp(0)) });
        assert!(!violation.rejects() && !violation.would_reject());
        let again: Violation = serde_json::from_str(&serde_json::to_string(&violation).unwrap()).unwrap();
        assert_eq!(again, violation);
        let told = "exempted by SEC-1 until 1970-01-01T00:00:00.000Z, because: a mirror is on its way";
        assert_eq!(violation.exempted.unwrap().to_string(), told);
    }
}
