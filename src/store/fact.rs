//! The numbers of a batch's names, and what its decisions say to the figures.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map};
use std::sync::Arc;

use super::agreement::{self, Agreed};
use super::batch::{Batch, Entry};
use super::cell::Cell;
use super::database::Transaction;
use super::error::StoreError;
use super::evidence::Judged;
use super::name::{Dimensions, Ids, Name, Place};
use super::outcome::{self, RuleName, Said, Way};
use super::review::{NamedImage, Reviews, StoredReview};
use super::rollup::{Alike, Blame, Fact};
use super::row::Numbers;
use super::sql::Value;
use crate::review::comparison::Comparison;
use crate::review::decision::{Answer, Decision, ReviewHash};

#[derive(Debug)]
pub(super) struct Names {
    clusters: Ids,
    namespaces: Ids,
    workloads: Ids,
    policies: Ids,
    rules: Ids,
    users: Ids,
    revisions: Ids,
    callers: Ids,
    candidates: Ids,
    versions: Ids,
    agreements: Ids,
    exemptions: Ids,
    places: Places,
}

/// Where the decisions of a review stand that a cluster sent: most of a batch repeat a few of these.
#[derive(Debug, Default)]
struct Places {
    known: HashMap<(i64, ReviewHash), Place>,
    /// Those of them that are to be remembered.
    found: Vec<(i64, ReviewHash)>,
}

/// What decisions of a batch say to the figures, each once.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    names: &'a Names,
    reviews: &'a Reviews,
    known: HashMap<Saying<'a>, Arc<Alike>>,
}

/// What decisions have in common that say the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Saying<'a> {
    cluster: &'a str,
    review: ReviewHash,
    outcome: [u8; 32],
    candidates: Option<[u8; 32]>,
    answer: Answer,
    would_reject: bool,
    dry_run: bool,
}

// === impl Names ===

impl Names {
    pub async fn resolve<'a, 'b: 'a>(
        tx: &mut Transaction,
        dimensions: &Dimensions,
        batch: &Batch<'_>,
        entries: impl Iterator<Item = &'a Entry<'b>>,
        reviews: &Reviews,
    ) -> Result<Self, StoreError> {
        let entries: Vec<&Entry<'_>> = entries.collect();
        let decisions: Vec<&Decision> = entries.iter().map(|entry| &*entry.decision).collect();
        let clusters = decisions
            .iter()
            .map(|decision| decision.cluster.as_str())
            .chain(batch.objects.iter().map(|object| object.cluster.as_str()))
            .chain(batch.gaps.values().filter_map(|gap| gap.cluster.as_deref()))
            .chain(batch.unjudged.values().map(|unjudged| unjudged.cluster))
            .chain(batch.presence.keys().map(|(_, cluster, _)| *cluster));
        let clusters = dimensions.clusters.resolve(tx, names_of(clusters)).await?;

        let mut places = Places::default();
        let unknown = places.recall(dimensions, &clusters, &decisions, reviews)?;
        let of_all = unknown.iter().map(|((cluster, _), review)| namespace_name(*cluster, &review.namespace));
        let namespaces = dimensions.namespaces.resolve(tx, of_all.collect::<BTreeSet<_>>()).await?;
        let mut workloads = BTreeSet::new();
        for ((cluster, _), review) in &unknown {
            let namespace = namespaces.id(&namespace_name(*cluster, &review.namespace))?;
            workloads.insert(workload_name(namespace, review));
        }
        let workloads = dimensions.workloads.resolve(tx, workloads).await?;
        for (sent, review) in unknown {
            let (cluster, _) = sent;
            let namespace = namespaces.id(&namespace_name(cluster, &review.namespace))?;
            let workload = workloads.id(&workload_name(namespace, review))?;
            places.known.insert(sent, Place { cluster, namespace, workload });
            places.found.push(sent);
        }

        let mut outcomes = HashSet::new();
        let different: Vec<&Decision> =
            entries.iter().filter(|entry| outcomes.insert(entry.outcome.hash)).map(|entry| &*entry.decision).collect();
        let verdicts = different.iter().flat_map(|decision| &decision.verdicts);
        let policies =
            dimensions.policies.resolve(tx, names_of(verdicts.map(|verdict| verdict.policy.as_str()))).await?;
        let mut rules = BTreeSet::new();
        for (policy, rule) in different.iter().flat_map(|decision| outcome::rules((*decision).into()).into_keys()) {
            rules.insert(rule_name(policies.id_of(policy)?, rule));
        }
        let rules = dimensions.rules.resolve(tx, rules).await?;
        let mut versions = BTreeSet::new();
        for (policy, version) in different.iter().flat_map(|decision| outcome::judges(&decision.verdicts)) {
            versions.insert(version_name(policies.id_of(policy)?, version));
        }
        let versions = dimensions.versions.resolve(tx, versions).await?;
        let mut agreements = BTreeSet::new();
        for pair in different.iter().flat_map(|decision| agreement::names(&decision.verdicts)) {
            agreements.insert(agreement_name(&policies, pair)?);
        }
        let agreements = dimensions.agreements.resolve(tx, agreements).await?;
        let ways = different.iter().flat_map(|decision| outcome::ways(&decision.verdicts));
        let exemptions = dimensions.exemptions.resolve(tx, ways.map(Way::name).collect::<BTreeSet<_>>()).await?;
        let users = decisions.iter().filter_map(|decision| decision.user.as_deref());
        let users = dimensions.users.resolve(tx, names_of(users)).await?;
        let revisions = decisions.iter().map(|decision| decision.revision.as_str());
        let revisions = dimensions.revisions.resolve(tx, names_of(revisions)).await?;
        let callers = decisions.iter().filter_map(|decision| decision.caller.as_deref());
        let callers = dimensions.callers.resolve(tx, names_of(callers)).await?;
        let candidates = decisions.iter().flat_map(|decision| &decision.candidates);
        let candidates = names_of(candidates.map(|verdict| verdict.policy.as_str()));
        let candidates = dimensions.candidates.resolve(tx, candidates).await?;
        Ok(Self {
            clusters,
            namespaces,
            workloads,
            policies,
            rules,
            users,
            revisions,
            callers,
            candidates,
            versions,
            agreements,
            exemptions,
            places,
        })
    }

    /// To be called once the transaction is committed.
    pub fn remember(self, dimensions: &Dimensions) {
        dimensions.clusters.remember(self.clusters);
        dimensions.namespaces.remember(self.namespaces);
        dimensions.workloads.remember(self.workloads);
        dimensions.policies.remember(self.policies);
        dimensions.rules.remember(self.rules);
        dimensions.users.remember(self.users);
        dimensions.revisions.remember(self.revisions);
        dimensions.callers.remember(self.callers);
        dimensions.candidates.remember(self.candidates);
        dimensions.versions.remember(self.versions);
        dimensions.agreements.remember(self.agreements);
        dimensions.exemptions.remember(self.exemptions);
        for sent in self.places.found {
            dimensions.places.insert(sent, self.places.known[&sent]);
        }
    }

    pub fn cluster(&self, name: &str) -> Result<i64, StoreError> {
        self.clusters.id_of(name)
    }

    pub fn rule(&self, (policy, rule): RuleName<'_>) -> Result<i64, StoreError> {
        self.rules.id(&rule_name(self.policies.id_of(policy)?, rule))
    }

    pub fn agreement(&self, pair: (Option<&str>, &str)) -> Result<i64, StoreError> {
        self.agreements.id(&agreement_name(&self.policies, pair)?)
    }

    fn version(&self, policy: &str, version: &str) -> Result<i64, StoreError> {
        self.versions.id(&version_name(self.policies.id_of(policy)?, version))
    }

    fn place(&self, decision: &Decision) -> Result<Place, StoreError> {
        let found = self.places.known.get(&(self.clusters.id_of(&decision.cluster)?, decision.review));
        found.copied().ok_or_else(|| StoreError::broken(format!("the place of decision {} has no number", decision.id)))
    }

    /// Of a decision's row; the batch is left at 0.
    pub fn numbers(
        &self,
        decision: &Decision,
        reviews: &Reviews,
        (outcome, candidates): (i64, Option<i64>),
    ) -> Result<Numbers, StoreError> {
        let review = review_of(decision, reviews)?;
        let Place { cluster, namespace, workload } = self.place(decision)?;
        Ok(Numbers {
            batch: 0,
            cluster,
            namespace,
            workload,
            user: decision.user.as_deref().map(|user| self.users.id_of(user)).transpose()?,
            caller: decision.caller.as_deref().map(|caller| self.callers.id_of(caller)).transpose()?,
            revision: self.revisions.id_of(&decision.revision)?,
            review: review.id,
            outcome,
            candidates,
        })
    }

    fn alike(&self, decision: &Decision, reviews: &Reviews) -> Result<Alike, StoreError> {
        let review = review_of(decision, reviews)?;
        let Place { cluster, namespace, workload } = self.place(decision)?;
        let rules = outcome::rules(decision.into()).into_iter();
        Ok(Alike {
            cluster,
            namespace,
            workload,
            dry_run: decision.dry_run,
            answer: decision.answer,
            would_reject: decision.would_reject,
            rules: rules.map(|(rule, standing)| Ok((self.rule(rule)?, standing))).collect::<Result<_, StoreError>>()?,
            repositories: blames(decision.into(), &review.images),
            images: review.images.iter().filter_map(|image| image.counted).collect(),
            exemptions: outcome::let_through(decision.into())
                .into_iter()
                .map(|way| self.exemptions.id(&way.name()))
                .collect::<Result<_, _>>()?,
            cells: Comparison::of(decision)
                .map(|one| Ok(Cell::of_comparison(self.candidates.id_of(one.candidate)?, &one)))
                .collect::<Result<_, StoreError>>()?,
            agreed: Agreed::all(
                &decision.verdicts,
                |local, webhook| self.agreement((local, webhook)),
                |rule| self.rule(rule),
            )?,
            judged: outcome::judgements(&decision.verdicts)
                .map(|one| {
                    Judged::of(
                        &one,
                        |policy, name| self.version(policy, name),
                        |policy, rule| self.rule((policy, rule)),
                    )
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

// === impl Places ===

impl Places {
    /// Takes those that are remembered. Answers the others, and their reviews.
    fn recall<'a>(
        &mut self,
        dimensions: &Dimensions,
        clusters: &Ids,
        decisions: &[&Decision],
        reviews: &'a Reviews,
    ) -> Result<HashMap<(i64, ReviewHash), &'a StoredReview>, StoreError> {
        let mut unknown = HashMap::new();
        for decision in decisions {
            let sent = (clusters.id_of(&decision.cluster)?, decision.review);
            if self.known.contains_key(&sent) || unknown.contains_key(&sent) {
                continue;
            }
            match dimensions.places.get(&sent) {
                Some(place) => {
                    self.known.insert(sent, place);
                }
                None => {
                    unknown.insert(sent, review_of(decision, reviews)?);
                }
            }
        }
        Ok(unknown)
    }
}

// === impl Facts ===

impl<'a> Facts<'a> {
    pub fn new(names: &'a Names, reviews: &'a Reviews) -> Self {
        Self { names, reviews, known: HashMap::new() }
    }

    pub fn of_all(&mut self, entries: &'a [Entry<'_>]) -> Result<Vec<Fact>, StoreError> {
        let candidates = |entry: &Entry<'_>| entry.candidates.as_ref().map(|outcome| outcome.hash);
        let of = |entry: &'a Entry<'_>| self.of(entry.key, &entry.decision, entry.outcome.hash, candidates(entry));
        entries.iter().map(of).collect()
    }

    /// Of a decision at this key with this outcome, and that of its candidates.
    fn of(
        &mut self,
        key: i64,
        decision: &'a Decision,
        outcome: [u8; 32],
        candidates: Option<[u8; 32]>,
    ) -> Result<Fact, StoreError> {
        let Decision { ref cluster, review, answer, would_reject, dry_run, .. } = *decision;
        let saying = Saying { cluster, review, outcome, candidates, answer, would_reject, dry_run };
        let alike = match self.known.entry(saying) {
            hash_map::Entry::Occupied(known) => Arc::clone(known.get()),
            hash_map::Entry::Vacant(place) => {
                Arc::clone(place.insert(Arc::new(self.names.alike(decision, self.reviews)?)))
            }
        };
        Ok(Fact { key, alike })
    }
}

/// Each repository of a review's images, and what an image of it is to blame for.
pub(super) fn blames(said: Said<'_>, images: &[NamedImage]) -> Vec<(i64, Blame)> {
    let (denied, would_reject) = outcome::blamed(said);
    if denied.is_empty() && would_reject.is_empty() {
        let repositories: BTreeSet<i64> = images.iter().filter_map(|image| image.repository).collect();
        return repositories.into_iter().map(|repository| (repository, Blame::default())).collect();
    }
    let mut blames: BTreeMap<i64, Blame> = BTreeMap::new();
    for NamedImage { text, repository, .. } in images {
        let Some(repository) = repository else { continue };
        let blame = blames.entry(*repository).or_default();
        blame.denied |= denied.contains(text.as_str());
        blame.would_reject |= would_reject.contains(text.as_str());
    }
    blames.into_iter().collect()
}

fn review_of<'a>(decision: &Decision, reviews: &'a Reviews) -> Result<&'a StoredReview, StoreError> {
    let review = reviews.get(&decision.review);
    Ok(review.ok_or_else(|| StoreError::broken(format!("the review of decision {} is not stored", decision.id)))?)
}

fn names_of<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<Name> {
    let mut different: BTreeSet<&str> = BTreeSet::new();
    // Most are one of few, and often the one before.
    let mut last = None;
    for name in names.filter(|name| last.replace(*name) != Some(*name)) {
        different.insert(name);
    }
    different.into_iter().map(|name| vec![Value::from(name)]).collect()
}

fn namespace_name(cluster: i64, name: &str) -> Name {
    vec![cluster.into(), name.into()]
}

fn workload_name(namespace: i64, review: &StoredReview) -> Name {
    vec![namespace.into(), review.workload.kind.as_str().into(), review.workload.name.as_str().into()]
}

fn rule_name(policy: i64, rule: &str) -> Name {
    vec![policy.into(), rule.into()]
}

fn version_name(policy: i64, version: &str) -> Name {
    vec![policy.into(), version.into()]
}

/// All local policies together are 0.
fn agreement_name(policies: &Ids, (local, webhook): (Option<&str>, &str)) -> Result<Name, StoreError> {
    let local = local.map_or(Ok(0), |local| policies.id_of(local))?;
    Ok(vec![local.into(), policies.id_of(webhook)?.into()])
}
