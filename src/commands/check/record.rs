//! Stores what runs.

use tokio::runtime::{self, Runtime};

use crate::config::Config;
use crate::policy::Revision;
use crate::review::clock::Timestamp;
use crate::store::inventory::{Inventories, Inventory};

use super::super::existing;
use super::input::Cut;
use super::remembered::Tickets;
use super::running::{Gathered, Ground};
use super::told;

/// The history that the configuration names, open.
#[derive(Debug)]
pub struct Ledger {
    runtime: Runtime,
    inventories: Inventories,
    tickets: Tickets,
}

// === impl Ledger ===

impl Ledger {
    /// # Errors
    /// The history is not there, or cannot be read.
    pub fn open(config: &Config, revision: &Revision, cluster: &str) -> anyhow::Result<Self> {
        existing(&config.store)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (inventories, known) = runtime.block_on(async {
            let inventories = Inventories::open(&config.store).await?;
            let known = if revision.break_glass.is_empty() { Vec::new() } else { inventories.tickets().await? };
            Ok::<_, anyhow::Error>((inventories, known))
        })?;
        let tickets = Tickets::of(cluster, known, Timestamp::now());
        Ok(Self { runtime, inventories, tickets })
    }

    /// Of the cluster, as the history knew them when it was opened.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// What is to be told of it.
    ///
    /// # Errors
    /// The history does not take it.
    pub fn record(&self, ground: Ground<'_>, gathered: Gathered, cut: Cut) -> anyhow::Result<String> {
        self.runtime.block_on(store(&self.inventories, gathered, ground, cut))
    }

    pub fn close(self) {
        self.runtime.block_on(self.inventories.close());
    }
}

async fn store(inventories: &Inventories, gathered: Gathered, ground: Ground<'_>, cut: Cut) -> anyhow::Result<String> {
    let reviews = inventories.last_reviews(ground.cluster, &gathered.names()).await?;
    let inventory: Inventory = gathered.inventory(ground, cut, reviews);
    let known = inventories.reviewed_clusters().await?;
    let id = inventories.add(&inventory).await?;
    Ok(told::inventory(id, &inventory, &known))
}
