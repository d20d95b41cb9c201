//! A decision as the API gives it: every field always there, unknown `null`, lists `[]`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::review::clock::Timestamp;
use crate::review::comparison::{Comparison, Stance};
use crate::review::decision::{
    Answer, Decision, Exempted, Gap, ImageRecord, Mode, Operation, PolicyVerdict, Presented, Protocol, Verdict,
    Violation,
};
use crate::review::held_back::HeldBack;
use crate::review::image::Role;
use crate::store::read::{Figures, StoredDecision};
use crate::web::completeness::{Behind, Completeness};
use crate::web::sentence;

/// How much of a decision is given. A list has the fields that its contract names and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Listed,
    Whole,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Decision")]
pub struct DecisionShape<'a> {
    id: String,
    at: String,
    cluster: &'a str,
    protocol: Protocol,
    operation: Operation,
    namespace: Option<&'a str>,
    kind: Option<&'a str>,
    workload: String,
    name: Option<&'a str>,
    user: Option<&'a str>,
    uid: Option<&'a str>,
    dry_run: bool,
    images: Vec<ImageShape<'a>>,
    answer: Answer,
    would_reject: bool,
    verdicts: Vec<VerdictShape<'a>>,
    redacted: bool,
    revision: &'a str,
    duration_us: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Image")]
struct ImageShape<'a> {
    text: &'a str,
    registry: Option<&'a str>,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
    error: Option<&'a str>,
    container: Option<&'a str>,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PolicyVerdict")]
struct VerdictShape<'a> {
    policy: &'a str,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back: Option<HeldBackShape<'a>>,
    verdict: Verdict,
    violations: Vec<ViolationShape<'a>>,
    standing: Vec<ViolationShape<'a>>,
    error: Option<&'a str>,
    duration_us: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    more: Option<MoreOfVerdict<'a>>,
}

/// Figures over a span of whole buckets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FiguresOfSpan")]
pub struct FiguresShape {
    since: String,
    until: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What a candidate says, and what it is compared with.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Candidate")]
pub struct CandidateShape<'a> {
    #[serde(flatten)]
    verdict: VerdictShape<'a>,
    /// The policy of its name; `null`: all of them together.
    beside: Option<&'a str>,
    live: Stance,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeldBack")]
struct HeldBackShape<'a> {
    most: Mode,
    ticket: &'a str,
    by: &'a str,
    until: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MoreOfVerdict<'a> {
    version: Option<&'a str>,
    omitted: u32,
    /// `pod` or `image-review`: what it judged in place of the document that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    presented: Option<Presented>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Violation")]
struct ViolationShape<'a> {
    rule: &'a str,
    mode: Mode,
    image: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exempted: Option<ExemptedShape<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    more: Option<MoreOfViolation<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Exempted")]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum ExemptedShape<'a> {
    Exemption {
        /// `None`: recorded before exemptions had names.
        id: Option<&'a str>,
        ticket: Option<&'a str>,
        owner: Option<&'a str>,
        reason: Option<&'a str>,
        until: Option<String>,
    },
    BreakGlass {
        ticket: &'a str,
        person: &'a str,
        since: String,
        until: String,
        without: Answer,
    },
}

#[derive(Debug, Serialize, JsonSchema)]
struct MoreOfViolation<'a> {
    container: Option<&'a str>,
    help: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Gap")]
pub struct GapShape<'a> {
    /// `null`: every one.
    cluster: Option<&'a str>,
    from: String,
    to: Option<String>,
    count: Option<u64>,
    reason: &'a str,
}

/// How far the history is complete, beside what was read of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Completeness")]
pub struct CompletenessShape<'a> {
    complete_until: Option<String>,
    behind: Vec<BehindShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Behind")]
struct BehindShape<'a> {
    replica: String,
    clusters: &'a [String],
    heard_at: String,
    stored_until: Option<String>,
}

/// RFC 3339, UTC, milliseconds.
pub fn time(at: Timestamp) -> String {
    at.to_string()
}

// === impl FiguresShape ===

impl FiguresShape {
    pub fn of(since: Timestamp, until: Timestamp, figures: &Figures) -> Self {
        Self { since: time(since), until: time(until), figures: figures.clone() }
    }
}

// === impl Depth ===

impl Depth {
    fn whole<T>(self, more: impl FnOnce() -> T) -> Option<T> {
        (self == Self::Whole).then(more)
    }
}

// === impl DecisionShape ===

impl<'a> DecisionShape<'a> {
    pub fn of(stored: &'a StoredDecision, depth: Depth) -> Self {
        let StoredDecision { decision, review } = stored;
        Self {
            id: decision.id.to_string(),
            at: time(decision.at),
            cluster: &decision.cluster,
            protocol: review.protocol,
            operation: review.operation,
            namespace: review.namespace.as_deref(),
            kind: review.kind.as_deref(),
            workload: sentence::workload(&review.workload),
            name: decision.name.as_deref(),
            user: decision.user.as_deref(),
            uid: decision.uid.as_deref(),
            dry_run: decision.dry_run,
            images: review.images.iter().map(|image| ImageShape::of(image, depth)).collect(),
            answer: decision.answer,
            would_reject: decision.would_reject,
            verdicts: decision.verdicts.iter().map(|verdict| VerdictShape::of(verdict, depth)).collect(),
            redacted: decision.redacted,
            revision: &decision.revision,
            duration_us: decision.duration_us,
        }
    }
}

impl<'a> ImageShape<'a> {
    fn of(image: &'a ImageRecord, depth: Depth) -> Self {
        Self {
            text: &image.text,
            registry: image.registry.as_deref(),
            repository: image.repository.as_deref(),
            tag: image.tag.as_deref(),
            digest: image.digest.as_deref(),
            error: image.error.as_deref(),
            container: image.container.as_deref(),
            role: image.role,
            new: depth.whole(|| image.new),
        }
    }
}

impl<'a> VerdictShape<'a> {
    fn of(verdict: &'a PolicyVerdict, depth: Depth) -> Self {
        let shapes = |violations: &'a [Violation]| {
            violations.iter().map(|violation| ViolationShape::of(violation, depth)).collect()
        };
        Self {
            policy: &verdict.policy,
            mode: verdict.mode,
            held_back: verdict.held_back.as_ref().map(HeldBackShape::of),
            verdict: verdict.verdict,
            violations: shapes(&verdict.violations),
            standing: shapes(&verdict.standing),
            error: verdict.error.as_deref(),
            duration_us: verdict.duration_us,
            more: depth.whole(|| MoreOfVerdict {
                version: verdict.version.as_deref(),
                omitted: verdict.omitted,
                presented: verdict.presented,
            }),
        }
    }
}

impl<'a> CandidateShape<'a> {
    pub fn all(decision: &'a Decision) -> Vec<Self> {
        let shape = |(verdict, compared): (&'a PolicyVerdict, Comparison<'a>)| Self {
            verdict: VerdictShape::of(verdict, Depth::Whole),
            beside: compared.beside,
            live: compared.live,
        };
        decision.candidates.iter().zip(Comparison::of(decision)).map(shape).collect()
    }
}

impl<'a> ViolationShape<'a> {
    fn of(violation: &'a Violation, depth: Depth) -> Self {
        Self {
            rule: &violation.rule,
            mode: violation.mode,
            image: violation.image.as_deref(),
            message: &violation.message,
            exempted: violation.exempted.as_ref().map(ExemptedShape::of),
            more: depth.whole(|| MoreOfViolation {
                container: violation.container.as_deref(),
                help: violation.help.as_deref(),
            }),
        }
    }
}

impl<'a> HeldBackShape<'a> {
    fn of(HeldBack { most, ticket, by, until }: &'a HeldBack) -> Self {
        Self { most: *most, ticket, by, until: time(*until) }
    }
}

impl<'a> ExemptedShape<'a> {
    pub fn of(exempted: &'a Exempted) -> Self {
        match exempted {
            Exempted::Exemption { id, ticket, owner, reason, until } => Self::Exemption {
                id: id.as_deref(),
                ticket: ticket.as_deref(),
                owner: owner.as_deref(),
                reason: reason.as_deref(),
                until: until.map(time),
            },
            Exempted::BreakGlass { ticket, person, since, until, without } => {
                Self::BreakGlass { ticket, person, since: time(*since), until: time(*until), without: *without }
            }
        }
    }
}

impl<'a> From<&'a Completeness> for CompletenessShape<'a> {
    fn from(completeness: &'a Completeness) -> Self {
        let shape = |Behind { standing, .. }: &'a Behind| BehindShape {
            replica: standing.replica.to_string(),
            clusters: &standing.clusters,
            heard_at: time(standing.heard_at),
            stored_until: standing.stored_until.map(time),
        };
        Self { complete_until: completeness.until.map(time), behind: completeness.behind.iter().map(shape).collect() }
    }
}

impl<'a> From<&'a Gap> for GapShape<'a> {
    fn from(gap: &'a Gap) -> Self {
        Self {
            cluster: gap.cluster.as_deref(),
            from: time(gap.from),
            to: gap.to.map(time),
            count: gap.count,
            reason: &gap.reason,
        }
    }
}
