//! The numbers of a batch's names, and what its decisions say to the figures.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use super::batch::{Batch, Entry};
use super::database::Transaction;
use super::error::StoreError;
use super::name::{Dimensions, Ids, Name};
use super::outcome::{self, RuleName, Said};
use super::review::{Reviews, StoredReview};
use super::rollup::{Blame, Fact};
use super::row::Numbers;
use super::sql::Value;
use crate::review::decision::{Decision, ReviewHash};

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
    places: Places,
}

/// Where the decisions of a review stand, for each cluster that sent it: most of a batch repeat a few of these.
type Places = HashMap<ReviewHash, Vec<(String, Place)>>;

/// Numbers of names.
#[derive(Debug, Clone, Copy)]
struct Place {
    cluster: i64,
    namespace: i64,
    workload: i64,
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
        let decisions: Vec<&Decision> = entries.map(|entry| &*entry.decision).collect();
        let clusters = decisions
            .iter()
            .map(|decision| decision.cluster.as_str())
            .chain(batch.objects.iter().map(|object| object.cluster.as_str()))
            .chain(batch.gaps.values().filter_map(|gap| gap.cluster.as_deref()))
            .chain(batch.unjudged.values().map(|unjudged| unjudged.cluster))
            .chain(batch.presence.keys().map(|(_, cluster, _)| *cluster));
        let clusters = dimensions.clusters.resolve(tx, names_of(clusters)).await?;

        let mut sent: HashMap<(&str, ReviewHash), (i64, &StoredReview)> = HashMap::new();
        for decision in &decisions {
            if let hash_map::Entry::Vacant(place) = sent.entry((&decision.cluster, decision.review)) {
                let cluster = clusters.id(&[decision.cluster.as_str().into()])?;
                place.insert((cluster, review_of(decision, reviews)?));
            }
        }
        let of_all = sent.values().map(|&(cluster, review)| namespace_name(cluster, &review.namespace));
        let namespaces = dimensions.namespaces.resolve(tx, of_all.collect::<BTreeSet<_>>()).await?;
        let mut workloads = BTreeSet::new();
        for &(cluster, review) in sent.values() {
            let namespace = namespaces.id(&namespace_name(cluster, &review.namespace))?;
            workloads.insert(workload_name(namespace, review));
        }
        let workloads = dimensions.workloads.resolve(tx, workloads).await?;
        let mut places = Places::new();
        for ((name, hash), (cluster, review)) in sent {
            let namespace = namespaces.id(&namespace_name(cluster, &review.namespace))?;
            let workload = workloads.id(&workload_name(namespace, review))?;
            places.entry(hash).or_default().push((name.to_owned(), Place { cluster, namespace, workload }));
        }

        let verdicts = decisions.iter().flat_map(|decision| &decision.verdicts);
        let policies =
            dimensions.policies.resolve(tx, names_of(verdicts.map(|verdict| verdict.policy.as_str()))).await?;
        let mut rules = BTreeSet::new();
        for (policy, rule) in decisions.iter().flat_map(|decision| outcome::rules((*decision).into()).into_keys()) {
            rules.insert(rule_name(policies.id(&[policy.into()])?, rule));
        }
        let rules = dimensions.rules.resolve(tx, rules).await?;
        let users = decisions.iter().filter_map(|decision| decision.user.as_deref());
        let users = dimensions.users.resolve(tx, names_of(users)).await?;
        let revisions = decisions.iter().map(|decision| decision.revision.as_str());
        let revisions = dimensions.revisions.resolve(tx, names_of(revisions)).await?;
        let callers = decisions.iter().filter_map(|decision| decision.caller.as_deref());
        let callers = dimensions.callers.resolve(tx, names_of(callers)).await?;
        Ok(Self { clusters, namespaces, workloads, policies, rules, users, revisions, callers, places })
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
    }

    pub fn cluster(&self, name: &str) -> Result<i64, StoreError> {
        self.clusters.id(&[name.into()])
    }

    pub fn rule(&self, (policy, rule): RuleName<'_>) -> Result<i64, StoreError> {
        self.rules.id(&rule_name(self.policies.id(&[policy.into()])?, rule))
    }

    fn place(&self, decision: &Decision) -> Result<Place, StoreError> {
        let mut places = self.places.get(&decision.review).into_iter().flatten();
        let found = places.find(|(cluster, _)| *cluster == decision.cluster);
        found
            .map(|(_, place)| *place)
            .ok_or_else(|| StoreError::broken(format!("the place of decision {} has no number", decision.id)))
    }

    /// Of a decision's row; the batch is left at 0.
    pub fn numbers(&self, decision: &Decision, reviews: &Reviews, outcome: i64) -> Result<Numbers, StoreError> {
        let review = review_of(decision, reviews)?;
        let Place { cluster, namespace, workload } = self.place(decision)?;
        Ok(Numbers {
            batch: 0,
            cluster,
            namespace,
            workload,
            user: decision.user.as_deref().map(|user| self.users.id(&[user.into()])).transpose()?,
            caller: decision.caller.as_deref().map(|caller| self.callers.id(&[caller.into()])).transpose()?,
            revision: self.revisions.id(&[decision.revision.as_str().into()])?,
            review: review.id,
            outcome,
        })
    }

    pub fn fact(&self, decision: &Decision, reviews: &Reviews) -> Result<Fact, StoreError> {
        let review = review_of(decision, reviews)?;
        let Place { cluster, namespace, workload } = self.place(decision)?;
        let rules = outcome::rules(decision.into()).into_iter();
        Ok(Fact {
            at: decision.at,
            cluster,
            namespace,
            workload,
            dry_run: decision.dry_run,
            answer: decision.answer,
            would_reject: decision.would_reject,
            rules: rules.map(|(rule, standing)| Ok((self.rule(rule)?, standing))).collect::<Result<_, StoreError>>()?,
            repositories: blames(decision.into(), &review.images),
        })
    }
}

/// Each repository of a review's images (text and repository), and what an image of it is to blame for.
pub(super) fn blames(said: Said<'_>, images: &[(String, Option<i64>)]) -> Vec<(i64, Blame)> {
    let (denied, would_reject) = outcome::blamed(said);
    let mut blames: BTreeMap<i64, Blame> = BTreeMap::new();
    for (text, repository) in images {
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
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().map(|name| vec![Value::from(name)]).collect()
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
