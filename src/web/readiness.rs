//! How ready rules are, as pages, the API and the command `ready` tell it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::filters::{count, group};
use super::query::Parameters;
use super::{Live, WebState};
use crate::policy::Revision;
use crate::policy::readiness::advice::{self, Need, Relief};
use crate::policy::readiness::bound;
use crate::policy::readiness::census::{Census, Fate, Faults, Ground, InNamespace, Word};
use crate::policy::readiness::evidence::{Evidence, Fault, Known, Place};
use crate::policy::readiness::state::Gate;
use crate::policy::readiness::tally::{Tallies, Tally, Totals};
use crate::policy::readiness::{Asked, ReadinessSettings};
use crate::policy::revision::Policy;
use crate::review::clock::Timestamp;
use crate::store::reach::Reach;
use crate::store::read::Scope;
use crate::store::{Store, StoreError};

/// What censuses are taken of, and when.
#[derive(Debug, Clone)]
pub struct Question {
    pub revision: Arc<Revision>,
    pub settings: ReadinessSettings,
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    pub now: Timestamp,
    /// Of what there is beyond it nothing is told.
    pub reach: Reach,
}

/// A census of every rule.
#[derive(Debug)]
pub struct Overall {
    pub evidence: Evidence,
    pub rules: Vec<(Asked, Tally)>,
}

/// One rule, with all that is told of it.
#[derive(Debug)]
pub struct OfRule {
    pub asked: Asked,
    pub evidence: Evidence,
    pub census: Census,
    /// Of every decision that a workload's last review is, where that violates the rule.
    faults: Faults,
    /// The known workloads of each place.
    of_places: HashMap<usize, Vec<usize>>,
}

/// Which workloads a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Known,
    Seen,
    Unseen,
    Rejected,
    Exempted,
}

/// What is known of what would be promoted, as a statement about workloads that nobody has seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    pub namespaces: u64,
    pub seen: u64,
    pub rejected: u64,
    /// From 0 to 1.
    pub at_most: f64,
}

// === impl Question ===

impl Question {
    /// By `cluster` and `namespace`, of what is loaded.
    pub fn of(state: &WebState, live: &Live, parameters: &Parameters, now: Timestamp, reach: &Reach) -> Self {
        Self {
            revision: Arc::clone(&live.loaded),
            settings: state.readiness,
            cluster: parameters.text("cluster").map(str::to_owned),
            namespace: parameters.text("namespace").map(str::to_owned),
            now,
            reach: reach.clone(),
        }
    }

    pub(super) fn ground<'a>(&'a self, policy: &'a Policy) -> Ground<'a> {
        Ground { policy, exemptions: &self.revision.exemptions, settings: &self.settings, now: self.now }
    }

    pub fn since(&self) -> Timestamp {
        let window = i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.now.0.saturating_sub(window))
    }

    pub(super) fn scope(&self) -> Scope {
        let (cluster, namespace) = (self.cluster.clone(), self.namespace.clone());
        Scope { since: Some(self.since()), cluster, namespace, ..Scope::of(self.reach.clone()) }
    }

    pub async fn overall(&self, store: &Store) -> Result<Overall, StoreError> {
        let violated = store.known_rules().await?;
        let of = |policy| Asked::all(policy, &violated).into_iter().map(move |asked| (policy, asked));
        let (policies, asked): (Vec<&Policy>, Vec<Asked>) = self.revision.policies.iter().flat_map(of).unzip();
        let evidence = store.evidence(&self.scope(), &asked).await?;
        let mut tallies = Tallies::of(&evidence);
        let wanted = policies.iter().zip(&asked).enumerate();
        let wanted = wanted.map(|(at, (policy, asked))| tallies.wanted(self.ground(policy), asked, at));
        let faults = of_each_rule(store, &asked, wanted.collect()).await?;
        let mut taken = Vec::with_capacity(asked.len());
        for (at, ((policy, asked), faults)) in policies.into_iter().zip(&asked).zip(&faults).enumerate() {
            taken.push(tallies.take(self.ground(policy), asked, at, faults));
        }
        let rules = asked.into_iter().zip(taken).collect();
        Ok(Overall { evidence, rules })
    }

    /// `None`: no such rule is loaded, or was ever violated where only that says what rules are called.
    pub async fn rule(&self, store: &Store, policy: &str, rule: &str) -> Result<Option<OfRule>, StoreError> {
        let Some(policy) = self.revision.policies.iter().find(|own| own.name == policy) else { return Ok(None) };
        let all = Asked::all(policy, &store.known_rules().await?);
        let Some(asked) = all.into_iter().find(|asked| asked.rule == rule) else { return Ok(None) };
        let evidence = store.evidence(&self.scope(), std::slice::from_ref(&asked)).await?;
        let ground = self.ground(policy);
        let wanted = Census::wanted(ground, &asked, &evidence, 0);
        let mut faults = of_rule(store.faults(&asked.policy, &wanted).await?, &asked);
        let census = Census::take(ground, &asked, &evidence, 0, &faults);
        let mut of_places: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, known) in evidence.known.iter().enumerate() {
            of_places.entry(known.place).or_default().push(at);
        }
        let mut found = OfRule { asked, evidence, census, faults: Faults::new(), of_places };
        let told: Vec<usize> = found.shown(Shown::Rejected, None);
        let unread: Vec<i64> = found.reviews(&told).into_iter().filter(|key| !faults.contains_key(key)).collect();
        faults.extend(of_rule(store.faults(&found.asked.policy, &unread).await?, &found.asked));
        found.faults = faults;
        Ok(Some(found))
    }
}

/// Of each rule what the decisions at these keys say. Rules of one policy mostly want the same ones: these are read once.
pub(super) async fn of_each_rule(
    store: &Store,
    asked: &[Asked],
    wanted: Vec<Vec<i64>>,
) -> Result<Vec<Faults>, StoreError> {
    let mut keys: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for (asked, wanted) in asked.iter().zip(&wanted) {
        keys.entry(&asked.policy).or_default().extend(wanted);
    }
    let mut said: HashMap<&str, Faults> = HashMap::new();
    for (policy, keys) in keys {
        said.insert(policy, store.faults(policy, &keys.into_iter().collect::<Vec<_>>()).await?);
    }
    let of = |(asked, wanted): (&Asked, Vec<i64>)| {
        let of_key = |key: i64| Some((key, said.get(asked.policy.as_str())?.get(&key)?.clone()));
        of_rule(wanted.into_iter().filter_map(of_key).collect(), asked)
    };
    Ok(asked.iter().zip(wanted).map(of).collect())
}

/// Without what is said of others.
fn of_rule(mut faults: Faults, asked: &Asked) -> Faults {
    faults.values_mut().for_each(|faults| faults.retain(|fault| asked.is_of(&fault.rule)));
    faults
}

// === impl OfRule ===

impl OfRule {
    pub fn place(&self, namespace: &InNamespace) -> &Place {
        &self.evidence.places[namespace.place]
    }

    /// Why a workload would be rejected, or is exempted; empty where its decision is deleted.
    pub fn faults(&self, known: usize) -> Vec<&Fault> {
        match self.census.standings[known].word {
            Some(Word::Review(moment)) => self.faults.get(&moment.key).into_iter().flatten().collect(),
            Some(Word::Inventory(_)) => {
                let running = self.evidence.known[known].running.as_deref();
                let said = running.into_iter().flat_map(|running| &running.said);
                let said = said.filter(|said| said.policy == self.asked.policy);
                said.flat_map(|said| &said.violations).filter(|fault| self.asked.is_of(&fault.rule)).collect()
            }
            None => Vec::new(),
        }
    }

    /// The keys of the reviews that have the last word on these.
    pub fn reviews(&self, known: &[usize]) -> Vec<i64> {
        let review = |at: &usize| match self.census.standings[*at].word? {
            Word::Review(moment) => Some(moment.key),
            Word::Inventory(_) => None,
        };
        known.iter().filter_map(review).collect()
    }

    /// By place in the evidence, in the order of cluster, namespace and workload; of `place` alone where one is given.
    pub fn shown(&self, shown: Shown, place: Option<usize>) -> Vec<usize> {
        let is_shown = |at: usize| {
            let standing = &self.census.standings[at];
            match shown {
                Shown::Known => true,
                Shown::Seen => standing.seen,
                Shown::Unseen => !standing.seen,
                Shown::Rejected => standing.fate == Fate::Rejected,
                Shown::Exempted => standing.fate == Fate::Exempted,
            }
        };
        let mut found: Vec<usize> = match place {
            Some(place) => self.of_places.get(&place).into_iter().flatten().copied().collect(),
            None => (0..self.evidence.known.len()).collect(),
        };
        found.retain(|&at| is_shown(at));
        found.sort_by_cached_key(|&at| {
            let Known { place, workload, .. } = &self.evidence.known[at];
            let Place { cluster, namespace, .. } = &self.evidence.places[*place];
            (cluster.clone(), namespace.clone(), workload.clone())
        });
        found
    }

    pub fn rollout(&self) -> Option<String> {
        let ready: Vec<&Place> = self.promoted().map(|one| self.place(one)).collect();
        advice::rollout(&self.asked, &ready)
    }

    /// Those that a rollout can name.
    fn promoted(&self) -> impl Iterator<Item = &InNamespace> {
        self.census.promoted().filter(|one| advice::can_be_named(self.place(one)))
    }

    /// `None`: nothing would be promoted.
    pub fn bound(&self) -> Option<Bound> {
        let (mut namespaces, mut seen, mut rejected) = (0, 0, 0);
        for one in self.promoted() {
            namespaces += 1;
            seen += one.counts.seen;
            rejected += one.counts.rejected;
        }
        let at_most = bound::at_most(rejected, seen);
        (namespaces > 0).then_some(Bound { namespaces, seen, rejected, at_most })
    }

    /// The fewest exemptions that clear what would be rejected. Of a webhook that nothing loosens there are none.
    pub fn relief(&self) -> Relief {
        if !self.asked.may_be_loosened {
            return Relief::default();
        }
        let need = |at: usize| {
            let Known { place, workload, .. } = &self.evidence.known[at];
            Need { place: &self.evidence.places[*place], workload, faults: self.faults(at) }
        };
        advice::relief(&self.census.rejected().map(need).collect::<Vec<_>>())
    }

    /// `images/pinned is ready in 3 of 7 namespaces; not ready in 2; not known in 2.`
    pub fn sentence(&self) -> String {
        sentence(&self.asked, &self.census.totals)
    }
}

/// Of a rule and what its census comes to.
pub fn sentence(asked: &Asked, Totals { gates, .. }: &Totals) -> String {
    let name = asked.name();
    let all = gates.all();
    let mut text = match (all, gates.gate()) {
        (_, None) => return format!("Nothing is known of {name} yet: no workload was reviewed."),
        (1, Some(gate)) => {
            let is = match gate {
                Gate::Ready => "is ready",
                Gate::Not => "is not ready",
                Gate::Unknown => "is not known to be ready",
            };
            return format!("{name} {is} in the one namespace that is known.");
        }
        (all, _) if gates.ready == all => format!("{name} is ready in all {} namespaces", group(all)),
        (all, _) => format!("{name} is ready in {} of {}", group(gates.ready), count(all, "namespace")),
    };
    for (number, what) in [(gates.not, "not ready in"), (gates.unknown, "not known in")] {
        match number {
            0 => {}
            number => text.push_str(&format!("; {what} {}", group(number))),
        }
    }
    text + "."
}

/// The path of a rule's page. What ids are made of stays as it is.
pub fn path(policy: &str, rule: &str) -> String {
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');
    format!("/rules/{}/{}", utf8_percent_encode(policy, PATH), utf8_percent_encode(rule, PATH))
}

// === impl Shown ===

impl Shown {
    pub const ALL: [(&'static str, Self); 5] = [
        ("known", Self::Known),
        ("seen", Self::Seen),
        ("unseen", Self::Unseen),
        ("rejected", Self::Rejected),
        ("exempted", Self::Exempted),
    ];
}

// === impl Gate ===

pub const GATES: [(&str, Gate); 3] = [("ready", Gate::Ready), ("not", Gate::Not), ("unknown", Gate::Unknown)];

// === impl Bound ===

impl Bound {
    pub fn sentence(&self) -> String {
        let Self { namespaces, seen, rejected, at_most } = *self;
        let none = match rejected {
            0 => "none".to_owned(),
            some => group(some),
        };
        format!(
            "Of the {} that were seen in {}, {none} would be rejected: with 95\u{a0}% confidence, of workloads like these that \
             nobody has seen yet, at most {} would be.",
            count(seen, "workload"),
            if namespaces == 1 {
                "this namespace".to_owned()
            } else {
                format!("these {} namespaces", group(namespaces))
            },
            percent(at_most),
        )
    }
}

/// Three figures, rounded up: a bound that is rounded down is none.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        percent if percent >= 10.0 => 1,
        percent if percent >= 1.0 => 2,
        _ => 3,
    };
    let scale = 10_f64.powi(digits);
    // What a double makes of a whole number is not rounded up to the next.
    let up = (percent * scale - 1e-9).ceil() / scale;
    format!("{up:.*}\u{a0}%", usize::try_from(digits).unwrap_or(0))
}

/// Why these figures are of workloads.
pub const WHY_WORKLOADS: &str = "Counted are workloads, not requests: a controller sends a pod that was rejected again and again, and on the path of \
     the ImagePolicyWebhook plugin the API server's cache hides repeats, so that requests say little of how many deploys \
     would break.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::readiness::state::{Counts, State};
    use crate::review::decision::Mode;

    /// The bound counted objects of the cluster in, which no stage can name.
    #[test]
    fn the_bound_is_of_the_namespaces_that_the_rollout_names() {
        let of_rule = |names: &[&str]| {
            let place =
                |name: &&str| Place { cluster: "prod".to_owned(), namespace: (*name).to_owned(), recorded: None };
            let ready = |place: usize| InNamespace {
                place,
                counts: Counts { known: 10, seen: 10, ..Counts::default() },
                state: State::Ready { recorded: false },
                violated: None,
                quiet_since: None,
                mode: Mode::Audit,
                most: Mode::Enforce,
            };
            OfRule {
                asked: Asked {
                    policy: "images".to_owned(),
                    rule: "pinned".to_owned(),
                    version: "v".to_owned(),
                    text: None,
                    may_be_loosened: true,
                    is_staged: false,
                },
                evidence: Evidence { places: names.iter().map(place).collect(), ..Evidence::default() },
                census: Census {
                    standings: Vec::new(),
                    namespaces: (0..names.len()).map(ready).collect(),
                    totals: Totals::default(),
                },
                faults: Faults::new(),
                of_places: HashMap::new(),
            }
        };
        let alone = of_rule(&["shop"]);
        assert_eq!(of_rule(&["", "shop"]).bound(), alone.bound());
        assert_eq!(alone.bound().map(|bound| (bound.namespaces, bound.seen)), Some((1, 10)));
        assert!(alone.rollout().is_some_and(|yaml| yaml.contains("namespaces: [shop]")));
        let unnamed = of_rule(&[""]);
        assert_eq!((unnamed.bound(), unnamed.rollout()), (None, None));
    }

    #[test]
    fn a_bound_is_rounded_up() {
        for (share, said) in
            [(0.5, "50.0 %"), (0.25887, "25.9 %"), (0.029_513, "2.96 %"), (0.0003, "0.030 %"), (1.0, "100.0 %")]
        {
            assert_eq!(percent(share).replace('\u{a0}', " "), said, "{share}");
        }
    }
}
