//! One evaluation serves every repeat.
//!
//! The memo lives and dies with the loaded revision, so a finding never outlives the rules that found it. It is bounded
//! in bytes, and one key is evaluated once at a time: others that ask for it wait for that one. An `error` is nobody
//! else's: it is not kept.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::rules::{Finding, RuleViolation};

/// Of one policy. A finding without violations weighs some 200 bytes: this holds the views of a large cluster's day.
const MAX_BYTES: u64 = 16 << 20;
/// What a key and the bookkeeping of an entry weigh, about.
const ENTRY_BYTES: u64 = 200;

#[derive(Debug)]
pub struct Memo {
    findings: Cache<Key, Arc<Finding>, Bytes>,
}

/// The cluster where it matters, and the hash of the view.
type Key = (Option<String>, [u8; 32]);

#[derive(Debug, Clone)]
struct Bytes;

// === impl Memo ===

impl Memo {
    /// What was found in this view before.
    pub fn get(&self, cluster: Option<&str>, view: &[u8; 32]) -> Option<Arc<Finding>> {
        self.findings.get(&(cluster.map(str::to_owned), *view))
    }

    /// What was found in this view, or what `evaluate` finds now.
    pub fn recall(&self, cluster: Option<&str>, view: &[u8; 32], evaluate: impl FnOnce() -> Finding) -> Arc<Finding> {
        let key = (cluster.map(str::to_owned), *view);
        let kept = self.findings.get_or_insert_with(&key, || {
            let finding = Arc::new(evaluate());
            if finding.error.is_some() { Err(finding) } else { Ok(finding) }
        });
        kept.unwrap_or_else(|not_kept| not_kept)
    }
}

impl Default for Memo {
    fn default() -> Self {
        let usual = usize::try_from(MAX_BYTES / ENTRY_BYTES).expect("some ten thousand");
        Self { findings: Cache::with_weighter(usual, MAX_BYTES, Bytes) }
    }
}

impl Weighter<Key, Arc<Finding>> for Bytes {
    fn weight(&self, _: &Key, finding: &Arc<Finding>) -> u64 {
        let violations = finding.violations.iter().chain(&finding.standing);
        let prints = finding.prints.iter().map(|line| line.len() as u64).sum::<u64>();
        ENTRY_BYTES + prints + violations.map(weight).sum::<u64>()
    }
}

fn weight(violation: &RuleViolation) -> u64 {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let texts = violation.rule.len()
        + violation.message.len()
        + optional(&violation.image)
        + optional(&violation.container)
        + optional(&violation.help);
    (size_of::<RuleViolation>() + texts) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_not_evaluated_and_another_cluster_or_view_is() {
        let memo = Memo::default();
        let judged = || Finding { judged: true, ..Finding::default() };
        memo.recall(None, &[1; 32], judged);
        assert!(memo.recall(None, &[1; 32], || panic!("it was found before")).judged);
        assert!(!memo.recall(None, &[2; 32], Finding::default).judged);
        assert!(!memo.recall(Some("east"), &[1; 32], Finding::default).judged);
    }

    #[test]
    fn an_error_is_not_kept() {
        let memo = Memo::default();
        memo.recall(None, &[1; 32], || Finding { error: Some("no".into()), ..Finding::default() });
        assert_eq!(memo.recall(None, &[1; 32], Finding::default).error, None);
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let memo = Memo::default();
        for n in 0..1_000_u32 {
            let mut view = [0; 32];
            view[..4].copy_from_slice(&n.to_le_bytes());
            memo.recall(None, &view, || Finding {
                violations: vec![RuleViolation {
                    rule: "r".into(),
                    most: crate::review::decision::Mode::Enforce,
                    image: None,
                    container: None,
                    message: "m".repeat(64 << 10),
                    help: None,
                }],
                ..Finding::default()
            });
        }
        assert!(memo.findings.weight() <= MAX_BYTES);
        assert!(memo.findings.len() < 300);
    }
}
