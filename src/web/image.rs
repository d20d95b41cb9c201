//! Everything that there is to say of an image as it was written.

use std::collections::BTreeSet;

use super::error::WebError;
use super::reference::{self, Written};
use crate::store::Store;
use crate::store::read::{Askers, Referred, Runners, Scope, Slice};

/// Workloads that run it, that are named.
const RUNNERS: u16 = 50;
/// References of its repository among which the tag is looked for.
const SIBLINGS: Slice = Slice { skip: 0, limit: 500 };

#[derive(Debug)]
pub struct ImageFound {
    pub askers: Askers,
    pub runners: Runners,
    /// Of which the tag was seen to stand for: as written beside it, and of what runs.
    pub digests: Vec<String>,
    /// Any cluster has one.
    pub has_inventory: bool,
}

// === impl ImageFound ===

impl ImageFound {
    pub async fn of(store: &Store, text: &str, scope: &Scope, slice: Slice) -> Result<Self, WebError> {
        let siblings = async {
            match reference::repository(text) {
                Some(name) => store.references(&Referred::Of(name), scope, SIBLINGS).await.map(|found| found.rows),
                None => Ok(Vec::new()),
            }
        };
        let (askers, runners, siblings, clusters) = tokio::try_join!(
            store.askers(text, scope, slice),
            store.runners(text, scope, RUNNERS),
            siblings,
            store.inventoried_clusters(&scope.reach),
        )?;
        if askers.all == 0 && runners.rows.is_empty() && slice.skip == 0 {
            return Err(WebError::NoSuchImage(text.chars().take(200).collect()));
        }
        let tag = Written::of(text).tag().map(str::to_owned);
        let mut digests: BTreeSet<String> = runners.digests.iter().cloned().collect();
        for sibling in siblings {
            let written = Written::of(&sibling.text);
            if tag.is_some() && written.tag() == tag.as_deref() {
                digests.extend(written.digest().map(str::to_owned));
            }
        }
        Ok(Self { askers, runners, digests: digests.into_iter().collect(), has_inventory: !clusters.is_empty() })
    }
}
