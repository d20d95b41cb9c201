//! Stores what runs.

use crate::config::Config;
use crate::policy::Revision;
use crate::review::clock::Timestamp;
use crate::store::inventory::{Inventories, Inventory};

use super::super::existing;
use super::input::Cut;
use super::running::{Gathered, Ground};
use super::told;

/// In the history that the configuration names. What is to be told of it.
///
/// # Errors
/// There is nothing to store, or the history does not take it.
pub fn record(
    config: &Config,
    revision: &Revision,
    cluster: &str,
    gathered: Gathered,
    cut: Cut,
) -> anyhow::Result<String> {
    if gathered.is_empty() {
        anyhow::bail!(
            "the input has neither pods nor namespaces: give it the output of `kubectl get ns,pods -A -o json`"
        );
    }
    existing(&config.store)?;
    let ground = Ground { cluster, at: Timestamp::now(), revision };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let inventories = Inventories::open(&config.store).await?;
        let stored = store(&inventories, gathered, ground, cut).await;
        inventories.close().await;
        stored
    })
}

async fn store(inventories: &Inventories, gathered: Gathered, ground: Ground<'_>, cut: Cut) -> anyhow::Result<String> {
    let reviews = inventories.last_reviews(ground.cluster, &gathered.names()).await?;
    let inventory: Inventory = gathered.inventory(ground, cut, reviews);
    let known = inventories.reviewed_clusters().await?;
    let id = inventories.add(&inventory).await?;
    Ok(told::inventory(id, &inventory, &known))
}
