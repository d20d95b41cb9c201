//! Image rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::review::Review;
use crate::review::decision::Mode;
use crate::review::image::Image;
use crate::review::view::digest_hex;

use super::index::Index;
use super::memo::Memo;
use super::rule::Rule;
use super::settings::RuleSettings;

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
    /// In the order of the images, then of the rules.
    pub violations: Vec<RuleViolation>,
    pub standing: Vec<RuleViolation>,
    /// Past the cap of 100; those kept are the weightiest, new before standing, and the first of every rule.
    pub omitted: u32,
    /// It could not judge: over 1,000 images, or a policy that failed.
    pub error: Option<String>,
    /// It was stopped at its limit.
    pub overran: bool,
    /// Lines that the policy printed, for whoever writes it.
    pub prints: Vec<String>,
}

/// A violation whose mode has not been settled: that is the rule's where the review is of.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleViolation {
    pub rule: String,
    /// The heaviest mode that it may have, whatever the rule's is.
    pub most: Mode,
    pub image: Option<String>,
    pub container: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

/// A policy of image rules, compiled. A pure function of a review's image view (and the cluster, where a rule's scope
/// names clusters).
#[derive(Debug)]
pub struct RulesPolicy {
    version: String,
    rules: Vec<Rule>,
    /// The hash of each.
    texts: Vec<String>,
    /// The place of each by its id: what comes of a violation is asked for each, of thousands of rules.
    by_id: HashMap<String, usize>,
    index: Index,
    /// A rule's scope names clusters, so that one view may have different findings.
    names_clusters: bool,
    memo: Memo,
}

/// An image that violates a rule.
#[derive(Debug, Clone, Copy)]
struct Fault<'a> {
    rule: &'a Rule,
    image: &'a Image,
}

/// Violations of one policy that are kept for one review.
pub(super) const MAX_VIOLATIONS: usize = 100;
/// The API server accepts some hundred containers at most.
const MAX_IMAGES: usize = 1_000;
/// Raised whenever the same rules may give another finding: it is part of a policy's version.
const ENGINE: u32 = 1;

/// 12 hexadecimal digits of the hash of a policy's text and of the engine's version.
///
/// The settings' debug form names every field and value in order, and changes with the code that reads them. Modes act
/// after a policy has judged, so its version is the same in every mode.
pub fn version_of(settings: &[RuleSettings]) -> String {
    let judging: Vec<_> =
        settings.iter().map(|rule| RuleSettings { mode: None, rollout: Vec::new(), ..rule.clone() }).collect();
    digest_hex(format!("{ENGINE} {judging:?}").as_bytes(), 12)
}

/// Likewise of what one rule's verdicts follow from: what it says of an image is no part of that.
pub fn text_of(rule: &RuleSettings) -> String {
    let judging =
        RuleSettings { mode: None, rollout: Vec::new(), message: None, unreadable: None, help: None, ..rule.clone() };
    digest_hex(format!("{ENGINE} {judging:?}").as_bytes(), 12)
}

// === impl RulesPolicy ===

impl RulesPolicy {
    /// # Errors
    /// Every mistake in `settings`.
    pub fn compile(settings: &[RuleSettings]) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let rules: Vec<Rule> = settings
            .iter()
            .enumerate()
            .filter_map(|(at, settings)| Rule::compile(settings, &format!("rules[{at}]"), &mut mistakes))
            .collect();
        let mut ids = HashSet::new();
        for (at, rule) in settings.iter().enumerate() {
            if !ids.insert(&rule.id) {
                mistakes.push(Mistake::new(
                    format!("rules[{at}].id"),
                    format!("`{}` is the id of another rule of this policy", rule.id),
                    "an id of its own",
                ));
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let names_clusters = rules.iter().any(Rule::names_clusters);
        let by_id = rules.iter().enumerate().map(|(at, rule)| (rule.id().to_owned(), at)).collect();
        let (version, index) = (version_of(settings), Index::of(&rules));
        let texts = settings.iter().map(text_of).collect();
        Ok(Self { version, rules, texts, by_id, index, names_clusters, memo: Memo::default() })
    }

    /// 12 hexadecimal digits of the hash of its text and of the engine's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// In order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).map(|&at| &self.rules[at])
    }

    /// The hash of a rule's own text, as [`text_of`] has it.
    pub fn text_of(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(|&at| self.texts[at].as_str())
    }

    /// What it finds in `review`, evaluated once for each view.
    pub fn judge(&self, cluster: &str, review: &Review) -> Arc<Finding> {
        let cluster_key = self.names_clusters.then_some(cluster);
        self.memo.recall(cluster_key, review.view.hash(), || self.evaluate(cluster, review))
    }

    /// Whether there is something in `review` for one of the rules that need not be looked at for any of its images.
    fn judges_any(&self, cluster: &str, review: &Review) -> bool {
        let rules = self.index.not_looked_at(review).map(|at| &self.rules[at as usize]);
        rules
            .filter(|rule| rule.holds_for(cluster, review))
            .any(|rule| review.images.iter().any(|image| rule.judges(image, review)))
    }

    fn evaluate(&self, cluster: &str, review: &Review) -> Finding {
        if review.images.len() > MAX_IMAGES {
            let error = format!("it has {} images, more than {MAX_IMAGES}", review.images.len());
            return Finding { error: Some(error), ..Finding::default() };
        }
        let holds = |at: &u32| self.rules[*at as usize].holds_for(cluster, review);
        let mut of_review = self.index.of_review(review);
        of_review.retain(holds);
        let mut finding = Finding::default();
        let (mut faults, mut to_look_at) = (Vec::new(), Vec::new());
        for image in &review.images {
            to_look_at.clear();
            self.index.of_image(image, &mut to_look_at);
            to_look_at.retain(holds);
            to_look_at.extend(&of_review);
            to_look_at.sort_unstable();
            to_look_at.dedup();
            let rules = to_look_at.iter().map(|at| &self.rules[*at as usize]);
            for rule in rules.filter(|rule| rule.judges(image, review)) {
                finding.judged = true;
                if rule.violated_by(image) {
                    faults.push(Fault { rule, image });
                }
            }
        }
        finding.judged = finding.judged || self.judges_any(cluster, review);
        let all = faults.len();
        let kept = weightiest(faults);
        finding.omitted = u32::try_from(all - kept.len()).unwrap_or(u32::MAX);
        for Fault { rule, image } in kept {
            let violation = rule.violation(image, review.record.namespace.as_deref());
            if image.new { finding.violations.push(violation) } else { finding.standing.push(violation) }
        }
        finding
    }
}

/// At most [`MAX_VIOLATIONS`] of `faults`, in their order, and the first new one of every rule in any case. Which rules
/// reject depends on where a review is of, which a finding does not: so none of them is ever left out, or a pod of a
/// hundred lesser faults could carry any other past us. Of repeats those come first that are most likely to reject.
fn weightiest(faults: Vec<Fault<'_>>) -> Vec<Fault<'_>> {
    if faults.len() <= MAX_VIOLATIONS {
        return faults;
    }
    let mut seen = HashSet::new();
    let mut ranked: Vec<_> = faults
        .iter()
        .enumerate()
        .map(|(at, fault)| {
            let is_repeat = !seen.insert((fault.rule.id(), fault.image.new));
            (!fault.image.new, is_repeat, lightness(fault.rule), at)
        })
        .collect();
    ranked.sort_unstable();
    let firsts = ranked.iter().take_while(|(is_standing, is_repeat, ..)| !is_standing && !is_repeat).count();
    let mut kept: Vec<usize> = ranked.into_iter().take(MAX_VIOLATIONS.max(firsts)).map(|(.., at)| at).collect();
    kept.sort_unstable();
    kept.into_iter().map(|at| faults[at]).collect()
}

/// The order of modes, the heaviest first. A rule without one of its own has its policy's, which a finding must not
/// depend on: so it comes behind those that may reject in any case, and before those that never do.
fn lightness(rule: &Rule) -> u8 {
    // Whatever its policy's mode is, its own are no heavier than this.
    let at_least = rule.heaviest(Mode::Audit);
    match (at_least, rule.mode()) {
        (Mode::Enforce, _) => 0,
        (_, None) => 1,
        (Mode::Warn, Some(_)) => 2,
        (Mode::Audit, Some(_)) => 3,
    }
}

// === impl Mistake ===

impl Mistake {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), fix: fix.into() }
    }
}

#[cfg(test)]
mod tests;
