//! What is in force where, and what of the installation was reviewed since some time.

use std::collections::HashSet;

use super::gaps;
use super::modes::{Effective, MODES, Modes};
use super::query::{BadParameter, Parameters};
use super::reviewed::{self, Kinds, OfCluster};
use super::{Live, WebState};
use crate::policy::readiness::evidence::{Evidence, Place};
use crate::review::clock::{DAY, Timestamp};
use crate::review::decision::{Gap, Mode};
use crate::store::StoreError;
use crate::store::places::KnownRule;
use crate::store::read::{Range, Scope};

/// Of the namespaces of a scope.
#[derive(Debug)]
pub struct InForce {
    pub since: Timestamp,
    pub until: Timestamp,
    /// In the order of cluster and name.
    places: Vec<Place>,
    violated: Vec<KnownRule>,
    pub clusters: Vec<OfCluster>,
    pub kinds: Kinds,
    pub gaps: Vec<Gap>,
}

/// The one rule whose namespaces are listed, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub policy: String,
    pub rule: String,
    pub mode: Option<Mode>,
    pub held_back: Option<bool>,
}

/// A rule's mode in a namespace.
pub type InPlace<'a> = (&'a Place, Effective);

// === impl InForce ===

impl InForce {
    /// Without a span, since a day ago. Who is known is so by the readiness window, or by the span where that is longer.
    pub async fn of(state: &WebState, live: &Live, scope: &Scope, now: Timestamp) -> Result<Self, StoreError> {
        let until = scope.until.unwrap_or(now);
        let since = scope.since.unwrap_or(Timestamp(until.0.saturating_sub(DAY)));
        let window = i64::try_from(state.readiness.window.as_millis()).unwrap_or(i64::MAX);
        let known = Scope { since: Some(since.min(Timestamp(now.0.saturating_sub(window)))), ..scope.clone() };
        let range = Range { since: Some(since), until: Some(until) };
        let cluster = scope.cluster.as_deref();
        let (evidence, violated, gaps) = tokio::try_join!(
            state.store.evidence(&known, &[]),
            state.store.known_rules(),
            gaps::in_range(&state.store, live, range, cluster, &scope.reach)
        )?;
        let (clusters, kinds) =
            (reviewed::clusters(&evidence, &gaps, (since, until)), reviewed::kinds(&evidence, since));
        Ok(Self { since, until, places: in_order(evidence), violated, clusters, kinds, gaps })
    }

    pub fn places(&self) -> Vec<&Place> {
        self.places.iter().collect()
    }

    pub fn modes<'a>(&self, live: &'a Live, now: Timestamp) -> Modes<'a> {
        Modes::of(live, &self.violated, now)
    }

    /// # Errors
    /// No such rule is loaded.
    pub fn of_rule(&self, modes: &Modes<'_>, chosen: &Chosen) -> Result<Vec<InPlace<'_>>, BadParameter> {
        let Chosen { policy, rule, mode, held_back } = chosen;
        let Some(mut found) = modes.rule(policy, rule, &self.places()) else {
            return Err(BadParameter::new("rule", format!("no rule {policy}/{rule} is loaded")));
        };
        found.retain(|(_, one)| {
            mode.is_none_or(|mode| mode == one.mode) && held_back.is_none_or(|held| held != one.caps.is_empty())
        });
        Ok(found)
    }
}

/// Namespaces of which a workload is known: the history keeps the names of those that are gone.
fn in_order(evidence: Evidence) -> Vec<Place> {
    let known: HashSet<usize> = evidence.known.iter().map(|one| one.place).collect();
    let places = evidence.places.into_iter().enumerate().filter(|(at, _)| known.contains(at));
    let mut places: Vec<Place> = places.map(|(_, place)| place).collect();
    places.sort_by(|one, other| (&one.cluster, &one.namespace).cmp(&(&other.cluster, &other.namespace)));
    places
}

// === impl Chosen ===

impl Chosen {
    /// `rule` as `policy/rule`, `mode`, `held_back`. `None`: none is chosen.
    pub fn of(parameters: &Parameters) -> Result<Option<Self>, BadParameter> {
        let mode = parameters.choice("mode", &MODES.map(|mode| (mode.as_str(), mode)))?;
        let held_back = parameters.choice("held_back", &[("true", true), ("false", false)])?;
        let Some(text) = parameters.text("rule") else { return Ok(None) };
        let found = text.split_once('/').ok_or_else(|| {
            BadParameter::new("rule", format!("{text:?} is no rule: write it as the list shows it, images/no-latest"))
        });
        let (policy, rule) = found?;
        Ok(Some(Self { policy: policy.to_owned(), rule: rule.to_owned(), mode, held_back }))
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.policy, self.rule)
    }
}
