//! A namespace of a cluster, or what of the cluster is in none: its page, and the lists behind its figures.

use super::access::visitor::Visitor;
use super::address::Address;
use super::error::WebError;
use super::frame::Visit;
use crate::store::inventory::Outlook;
use crate::store::inventory::read::{Page, Shown, Stored};
use crate::store::reach::Reach;
use crate::store::read::{AgainstPage, Hits, Ranking, Scope, Slice, Summary, Which};
use crate::store::{Store, StoreError};

/// Workloads that would be refused that a page names.
const NAMED: u16 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub cluster: String,
    /// Empty: none.
    pub namespace: String,
}

/// Everything that there is to say of a place.
#[derive(Debug)]
pub struct PlaceFound {
    pub summary: Summary,
    pub rules: Ranking,
    pub against: AgainstPage,
    /// `None`: there is no inventory of the cluster.
    pub running: Option<Running>,
}

/// What runs there, by the newest inventory of the cluster.
#[derive(Debug)]
pub struct Running {
    pub stored: Stored,
    /// Workloads by outlook, in the order of [`Outlook::ALL`].
    pub outlooks: [u64; 6],
    /// Some of those that a drain would break.
    pub refused: Page,
}

/// What a page calls a namespace: what is in none has no name.
pub fn name(namespace: &str) -> &str {
    if namespace.is_empty() { "objects of the whole cluster" } else { namespace }
}

// === impl Place ===

impl Place {
    pub fn of(cluster: &str, namespace: &str) -> Self {
        Self { cluster: cluster.to_owned(), namespace: namespace.to_owned() }
    }

    pub fn path(&self, below: &str) -> Address {
        match self.namespace.as_str() {
            "" => Address::below(below, &[&self.cluster]),
            namespace => Address::below(below, &[&self.cluster, namespace]),
        }
    }

    /// Its page, for the time of the visit.
    pub fn page(&self, visit: &Visit) -> Address {
        visit.to(self.path("/namespaces").path()).without("cluster").without("namespace")
    }

    /// A list of its decisions.
    pub fn list(&self, list: &Address) -> Address {
        let list = list.clone().with("cluster", &self.cluster).without("namespace").without("cluster_wide");
        match self.namespace.as_str() {
            "" => list.with("cluster_wide", "true"),
            namespace => list.with("namespace", namespace),
        }
    }

    pub fn scope(&self, scope: Scope) -> Scope {
        Scope { cluster: Some(self.cluster.clone()), namespace: Some(self.namespace.clone()), ..scope }
    }

    /// # Errors
    /// It is not theirs, whether there is such a place or not.
    pub fn admit(&self, visitor: &Visitor) -> Result<(), WebError> {
        visitor.admit(Some(&self.cluster), Some(&self.namespace))
    }

    /// As a list of several clusters names it.
    pub fn named(&self) -> String {
        format!("{} / {}", self.cluster, name(&self.namespace))
    }

    /// As a sentence names it.
    pub fn told(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("what is of the whole cluster {}", self.cluster),
            namespace => format!("the namespace {namespace} of {}", self.cluster),
        }
    }
}

// === impl PlaceFound ===

impl PlaceFound {
    /// `scope` is of the place.
    pub async fn of(
        store: &Store,
        place: &Place,
        scope: &Scope,
        slice: Slice,
        visitor: &Visitor,
    ) -> Result<Self, WebError> {
        let top = Slice { skip: 0, limit: 1 };
        let (summary, rules, against, running) = tokio::try_join!(
            store.summary(scope),
            store.hits(Hits::Rules, scope, Which::Hit, top),
            store.against(scope, slice),
            Running::of(store, place, &scope.reach),
        )?;
        let runs = running.as_ref().is_some_and(|running| running.outlooks.iter().any(|number| *number > 0));
        let against = match against {
            Some(against) => against,
            None if runs => AgainstPage { since: summary.since, until: summary.until, rows: Vec::new(), all: 0 },
            None => return Err(visitor.missing(place.told(), WebError::NoSuchNamespace(place.told()))),
        };
        Ok(Self { summary, rules, against, running })
    }
}

// === impl Running ===

impl Running {
    async fn of(store: &Store, place: &Place, reach: &Reach) -> Result<Option<Self>, StoreError> {
        if !reach.covers(&place.cluster, &place.namespace) {
            return Ok(None);
        }
        let Some(stored) = store.newest_inventory(&place.cluster, reach).await? else { return Ok(None) };
        let namespace = Some(place.namespace.clone());
        let shown = Shown { outlook: Some(Outlook::Refused), unreviewed: None, namespace };
        let (outlooks, refused) = tokio::try_join!(
            store.outlooks(stored.id, &place.namespace),
            store.inventory(&stored, &shown, reach, NAMED, None)
        )?;
        Ok(Some(Self { stored, outlooks, refused }))
    }

    pub fn number(&self, outlook: Outlook) -> u64 {
        let at = Outlook::ALL.iter().position(|one| *one == outlook);
        at.map_or(0, |at| self.outlooks[at])
    }

    pub fn workloads(&self) -> u64 {
        self.outlooks.iter().sum()
    }
}
