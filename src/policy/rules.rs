//! Image rules.

use crate::review::decision::Mode;

/// A mistake in a policy's text; the configuration turns `field` into file, line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Relative to the policy: `rules[2].allow.image_matches[0]`.
    pub field: String,
    pub problem: String,
    /// What would be right.
    pub fix: String,
}

/// What a local policy found, before modes act on it. Shared by every repeat of its view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// False: there was nothing to judge (verdict `none`).
    pub judged: bool,
    pub violations: Vec<RuleViolation>,
    pub standing: Vec<RuleViolation>,
    /// Past the cap of 100.
    pub omitted: u32,
    /// It could not judge (over 1,000 images).
    pub error: Option<String>,
}

/// A violation whose mode has not been settled: the rule's own, or else the policy's.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleViolation {
    pub rule: String,
    pub mode: Option<Mode>,
    pub image: Option<String>,
    pub container: Option<String>,
    pub message: String,
    pub help: Option<String>,
}
