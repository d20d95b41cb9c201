//! Everything that there is to say of an image as it was written.

use super::error::WebError;
use crate::store::Store;
use crate::store::read::{Askers, Runners, Scope, Slice};

/// Workloads that run it, that are named.
const RUNNERS: u16 = 50;

#[derive(Debug)]
pub struct ImageFound {
    pub askers: Askers,
    pub runners: Runners,
    /// Of which the tag was seen to stand for: as written beside it, and of what runs.
    pub digests: Vec<String>,
    /// Any cluster has one.
    pub has_inventory: bool,
    /// Where nothing else names it: a decision that was one leads here.
    pub only_dry_runs: Option<u64>,
}

// === impl ImageFound ===

impl ImageFound {
    pub async fn of(store: &Store, text: &str, scope: &Scope, slice: Slice) -> Result<Self, WebError> {
        let (askers, runners, digests, clusters) = tokio::try_join!(
            store.askers(text, scope, slice),
            store.runners(text, scope, RUNNERS),
            store.digests(text, scope),
            store.inventoried_clusters(&scope.reach),
        )?;
        let only_dry_runs = if askers.all == 0 && runners.rows.is_empty() && slice.skip == 0 {
            let dry_runs = store.dry_runs_of(text, scope).await?;
            let none = || WebError::NoSuchImage(text.chars().take(200).collect());
            Some(Some(dry_runs).filter(|dry_runs| *dry_runs > 0).ok_or_else(none)?)
        } else {
            None
        };
        Ok(Self { askers, runners, digests, has_inventory: !clusters.is_empty(), only_dry_runs })
    }
}
