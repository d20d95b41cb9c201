//! Each rule of a report: in which mode it is, where it is ready, and which workloads of the period it judged.

use std::collections::{BTreeMap, HashMap};

use crate::policy::readiness::Asked;
use crate::policy::readiness::census::InNamespace;
use crate::policy::readiness::evidence::{Evidence, Known, Place};
use crate::policy::readiness::state::{Counts, Gate, ago};
use crate::policy::readiness::tally::{Tally, Totals};
use crate::review::decision::Mode;
use crate::store::coverage::{Coverage, Covered};
use crate::store::read::Range;
use crate::store::{Store, StoreError};
use crate::web::address::Address;
use crate::web::filters::{count, group};
use crate::web::frame::Notice;
use crate::web::modes::Modes;
use crate::web::pages::rules::{Cell, note, of_evidence, of_gates, of_workloads, span};
use crate::web::place;
use crate::web::readiness::{Overall, path, sentence};
use crate::web::sentence::{listed, workload};

use super::Asking;

/// Workloads that a rule did not judge, and that are named.
pub const MISSED: usize = 10;
/// Workloads of a namespace that are named.
const NAMED: usize = 3;
/// Namespaces that are named of each rule, and of all of them about: paper ends.
const PLACES: usize = 12;
const ALL_PLACES: usize = 240;
const FEWEST: usize = 2;

/// What a covered workload is.
pub const COVERAGE: &str = "A workload is of the period where its first review came before the period's end and its last one after its \
     beginning. A rule judged it where a version of its policy that had the rule did, whatever its text was then, in that \
     time, or both before and after it.";

/// What is read of all rules.
#[derive(Debug)]
pub struct Judged {
    pub overall: Overall,
    /// In the same order.
    pub coverage: Coverage,
    /// In the same order, the mode in each namespace of the census now.
    pub modes: Vec<Vec<Mode>>,
}

#[derive(Debug)]
pub struct RulePart {
    pub name: String,
    pub href: Address,
    pub note: &'static str,
    pub sentence: String,
    pub modes: String,
    pub cells: Vec<Cell>,
    pub last_violation: String,
    /// Judged, of how many known in the period.
    pub judged: String,
    pub coverage: String,
    /// Where it is not ready, or nobody knows.
    pub places: Vec<PlaceLine>,
    pub more: u64,
}

#[derive(Debug)]
pub struct PlaceLine {
    pub namespace: String,
    pub cluster: String,
    pub class: &'static str,
    pub words: String,
    pub mode: Mode,
    pub rejected: u64,
    pub unseen: u64,
    pub known: u64,
    /// Workloads that would be rejected, else those that are unseen.
    pub names: String,
}

// === impl Judged ===

impl Judged {
    pub async fn read(store: &Store, asking: &Asking) -> Result<Self, StoreError> {
        let overall = asking.question.overall(store).await?;
        let asked: Vec<Asked> = overall.rules.iter().map(|(asked, _)| asked.clone()).collect();
        let now = Range { since: Some(asking.now()), until: None };
        let (coverage, ceilings) = tokio::try_join!(
            store.coverage(&asking.scope, &asked, MISSED),
            store.ceilings_within(now, asking.reach()),
        )?;
        let modes = Modes::of_asked(&asking.question.revision, &asked, ceilings, asking.now());
        let places = &overall.evidence.places;
        let of = |(asked, tally): &(Asked, Tally)| {
            let places: Vec<&Place> = tally.namespaces().map(|one| &places[one.place]).collect();
            let found = modes.rule(&asked.policy, &asked.rule, &places).unwrap_or_default();
            found.into_iter().map(|(_, effective)| effective.mode).collect()
        };
        let modes = overall.rules.iter().map(of).collect();
        Ok(Self { overall, coverage, modes })
    }

    /// That of some of the time nobody knows what judged.
    pub fn begun(&self, asking: &Asking) -> Option<Notice> {
        let since = asking.scope.since.map_or(asking.question.since(), |since| since.min(asking.question.since()));
        of_evidence(since, self.overall.evidence.since, &asking.zone)
    }

    /// As of when, and by what.
    pub fn readiness(&self, asking: &Asking) -> String {
        let now = asking.zone.minute(asking.now());
        format!("Readiness is as of {now}, whatever the period. {}", span(&asking.question, &asking.zone))
    }

    pub fn parts(&self, asking: &Asking) -> Vec<RulePart> {
        let rules = &self.overall.rules;
        let named = (ALL_PLACES / rules.len().max(1)).clamp(FEWEST, PLACES);
        let parts = rules.iter().zip(&self.coverage.rules).zip(&self.modes);
        parts.map(|((rule, covered), modes)| self.part((rule, covered, modes), named, asking)).collect()
    }

    /// `cluster/namespace: Deployment/web` of those that a rule did not judge.
    pub fn missed<'a>(&'a self, covered: &'a Covered) -> impl Iterator<Item = (&'a Place, String)> {
        covered.missed.iter().map(|&at| {
            let known = &self.coverage.known[at];
            (&self.coverage.places[known.place], workload(&known.workload))
        })
    }

    fn part(
        &self,
        ((asked, tally), covered, modes): (&(Asked, Tally), &Covered, &[Mode]),
        named: usize,
        asking: &Asking,
    ) -> RulePart {
        let href = asking.to(path(&asked.policy, &asked.rule));
        let evidence = &self.overall.evidence;
        let namespaces = tally.namespaces().zip(modes.iter().copied());
        let mut behind: Vec<(&InNamespace, Mode)> =
            namespaces.filter(|(one, _)| one.state.gate() != Gate::Ready).collect();
        behind.sort_by(|(one, _), (other, _)| evidence.heaviest_first(one, other));
        let shown = &behind[..behind.len().min(named)];
        let names = names(shown, tally, evidence);
        let Totals { gates, counts, violated } = tally.totals;
        RulePart {
            name: asked.name(),
            note: note(asked),
            sentence: sentence(asked, &tally.totals),
            modes: told(&counted(modes), asked, asking),
            cells: [of_gates(gates, &href), of_workloads(counts, &href)].concat(),
            last_violation: violated.map_or_else(|| "never".to_owned(), |at| ago(at, asking.now())),
            judged: format!("{} of {}", group(covered.judged), group(covered.known)),
            coverage: self.covered(covered),
            places: shown.iter().map(|one| PlaceLine::of(*one, evidence, &names, asking)).collect(),
            more: (behind.len() - shown.len()) as u64,
            href,
        }
    }

    fn covered(&self, covered: &Covered) -> String {
        let Covered { known, judged, missed } = covered;
        match (*known, known - judged) {
            (0, _) => "No workload was reviewed in the period.".to_owned(),
            (1, 0) => "It judged the one workload of the period.".to_owned(),
            (known, 0) => format!("It judged each of the {} of the period.", count(known, "workload")),
            (known, left) if known == left => {
                format!("It judged none of the {} of the period.", count(known, "workload"))
            }
            (known, left) => {
                let told = |(place, name): (&Place, String)| match place.namespace.as_str() {
                    "" => format!("{name} (of the whole cluster {})", place.cluster),
                    namespace => format!("{name} (in {namespace} of {})", place.cluster),
                };
                let mut names: Vec<String> = self.missed(covered).map(told).collect();
                let more = left - missed.len() as u64;
                names.extend((more > 0).then(|| format!("{} more", group(more))));
                format!(
                    "It judged {} of the {} of the period, and not {}.",
                    group(*judged),
                    count(known, "workload"),
                    listed(&names)
                )
            }
        }
    }
}

/// Of some namespaces, by place: the workloads that keep each from being ready, by name.
fn names(of: &[(&InNamespace, Mode)], tally: &Tally, evidence: &Evidence) -> HashMap<usize, Vec<String>> {
    let rejecting: HashMap<usize, bool> = of.iter().map(|(one, _)| (one.place, one.counts.rejected > 0)).collect();
    let is_in = |at: &usize, rejects| rejecting.get(&evidence.known[*at].place) == Some(&rejects);
    let rejected = tally.rejected.iter().copied().filter(|at| is_in(at, true));
    let unseen = (0..evidence.known.len()).filter(|at| is_in(at, false) && !tally.has_seen(*at));
    let mut names: HashMap<usize, Vec<String>> = HashMap::new();
    for Known { place, workload: one, .. } in rejected.chain(unseen).map(|at| &evidence.known[at]) {
        names.entry(*place).or_default().push(workload(one));
    }
    names.values_mut().for_each(|names| names.sort_unstable());
    names
}

/// In how many namespaces a rule is in which mode.
pub fn counted(modes: &[Mode]) -> BTreeMap<Mode, u64> {
    let mut counted = BTreeMap::new();
    for mode in modes {
        *counted.entry(*mode).or_default() += 1;
    }
    counted
}

/// `audit in 3 namespaces, enforce in 1 namespace`; where none is known what its policy says.
fn told(modes: &BTreeMap<Mode, u64>, asked: &Asked, asking: &Asking) -> String {
    if modes.is_empty() {
        let policy = asking.question.revision.policies.iter().find(|policy| policy.name == asked.policy);
        return policy.map_or_else(String::new, |policy| policy.mode.to_string());
    }
    let told = |(mode, number): (&Mode, &u64)| format!("{mode} in {}", count(*number, "namespace"));
    modes.iter().map(told).collect::<Vec<_>>().join(", ")
}

// === impl PlaceLine ===

impl PlaceLine {
    fn of(
        (one, mode): (&InNamespace, Mode),
        evidence: &Evidence,
        names: &HashMap<usize, Vec<String>>,
        asking: &Asking,
    ) -> Self {
        let Place { cluster, namespace, .. } = &evidence.places[one.place];
        let counts: Counts = one.counts;
        let all = names.get(&one.place).map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<String> = all.iter().take(NAMED).cloned().collect();
        names.extend((all.len() > NAMED).then(|| format!("{} more", group((all.len() - NAMED) as u64))));
        Self {
            namespace: place::name(namespace).to_owned(),
            cluster: cluster.clone(),
            class: if one.state.gate() == Gate::Not { "would" } else { "" },
            words: one.state.words(asking.now()),
            mode,
            rejected: counts.rejected,
            unseen: counts.unseen(),
            known: counts.known,
            names: if names.is_empty() { String::new() } else { listed(&names) },
        }
    }
}
