//! The bar that says which time and place a page is of: the same on every page that has it, and kept between them.

use super::address::Address;
use super::filters::proposed;
use super::frame::Visit;
use super::span::{RangeChoice, ranges};
use crate::store::{Store, StoreError};

#[derive(Debug)]
pub struct Bar {
    /// The page.
    pub here: Address,
    pub ranges: Vec<RangeChoice>,
    /// `None`: the page's own address says of which place it is.
    pub places: Option<Proposals>,
}

/// Names that a form proposes.
#[derive(Debug)]
pub struct Proposals {
    pub clusters: Vec<String>,
    pub namespaces: Vec<String>,
}

/// What the bar itself asks for.
const ASKED: [&str; 4] = ["since", "until", "cluster", "namespace"];

// === impl Bar ===

impl Bar {
    pub async fn of(store: &Store, visit: &Visit, here: &Address) -> Result<Self, StoreError> {
        let places = Some(Proposals::of(store, visit).await?);
        Ok(Self { places, ..Self::of_time(visit, here) })
    }

    pub fn of_time(visit: &Visit, here: &Address) -> Self {
        Self { here: here.clone(), ranges: ranges(visit, here), places: None }
    }

    /// What else the page is asked for, which its form sends along.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let is_asked =
            |name: &str| ASKED.contains(&name) && (self.places.is_some() || matches!(name, "since" | "until"));
        self.here.query().filter(move |(name, _)| !is_asked(name))
    }

    pub fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

// === impl Proposals ===

impl Proposals {
    pub async fn of(store: &Store, visit: &Visit) -> Result<Self, StoreError> {
        let cluster = visit.parameters.text("cluster");
        let (clusters, namespaces) =
            tokio::try_join!(store.clusters(&visit.reach), store.namespaces(cluster, &visit.reach))?;
        Ok(Self { clusters: proposed(clusters), namespaces: proposed(namespaces) })
    }
}
