//! How large the made-up fleet is, and what judges it.

use fastrand::Rng;

use crate::policy::rules::version_of;
use crate::policy::settings::{PolicySettings, SourceSettings, built_in};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// In each cluster.
    pub namespaces: usize,
    pub policy: String,
    /// Of the policy: what is served with the same configuration counts as judged by it.
    pub version: String,
    /// Its rules that nothing breaks by its nature.
    others: Vec<String>,
}

/// Rules that images break by what they are.
const BY_NATURE: [&str; 3] = ["no-latest", "own-registry", "not-root"];

/// Where there are other rules, one workload of so many breaks one of them.
const BREAKS: usize = 5;

// === impl Scale ===

impl Scale {
    /// Judged by the first of `policies` that has rules; without one, as where no policy is configured.
    pub fn of(namespaces: usize, policies: &[PolicySettings]) -> Self {
        let built_in = built_in();
        let rules = policies.iter().chain(&built_in).find_map(|policy| match &policy.source {
            SourceSettings::Rules(rules) => Some((policy.name.clone(), rules)),
            SourceSettings::Rego(_) | SourceSettings::Gatekeeper(_) | SourceSettings::Webhook(_) => None,
        });
        let (policy, rules) = rules.map_or_else(Default::default, |(name, rules)| (name, rules.as_slice()));
        let ids = rules.iter().map(|rule| rule.id.as_str());
        let others = ids.filter(|id| !BY_NATURE.contains(id)).map(str::to_owned).collect();
        Self { namespaces, policy, version: version_of(rules), others }
    }

    /// What a workload breaks beside that.
    pub fn broken(&self, rng: &mut Rng) -> Option<&str> {
        let breaks = !self.others.is_empty() && rng.usize(0..BREAKS) == 0;
        breaks.then(|| rng.choice(&self.others).map(String::as_str)).flatten()
    }
}

impl Default for Scale {
    fn default() -> Self {
        Self::of(60, &[])
    }
}
