//! What the health page asks of the history, which may be what is wrong: it waits a moment, and says why it got nothing.

use std::time::Duration;

use tokio::time::timeout;

use super::super::settings::ReportSettings;
use super::super::vitals::{SPAN, Vitals};
use super::super::{Known, Live};
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::reach::Reach;
use crate::store::read::{ByCluster, Scope};

/// What the page is made from.
#[derive(Clone)]
pub struct HealthState {
    /// `None`: it is not open.
    pub store: Option<Store>,
    pub settings: ReportSettings,
    pub live: Known<Live>,
    pub vitals: Known<Vitals>,
}

/// Whoever reads this page waits no longer for a database that hangs.
pub const PATIENCE: Duration = Duration::from_secs(2);

// === impl HealthState ===

impl HealthState {
    /// What came of each cluster in the last hour.
    ///
    /// # Errors
    /// Why it is not known, for a person.
    pub async fn answers(&self, now: Timestamp) -> Result<ByCluster, String> {
        let Some(store) = &self.store else { return Err("it is not open".to_owned()) };
        let since = Some(Timestamp(now.0.saturating_sub(SPAN)));
        let scope = Scope { since, until: Some(now), ..Scope::of(Reach::Everything) };
        match timeout(PATIENCE, store.by_cluster(&scope)).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

impl std::fmt::Debug for HealthState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HealthState").field("settings", &self.settings).finish_non_exhaustive()
    }
}
