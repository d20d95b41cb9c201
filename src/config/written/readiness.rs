//! When a rule is called ready, as a person writes it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::form::Written;
use crate::policy::readiness::ReadinessSettings;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Readiness {
    /// A workload counts as seen when a rule as it is now judged a review of it within this. Absent: no longer
    /// than `retention.rollups`.
    pub window: Written<Duration>,
    /// A rule is ready where nothing violated it for this long. Absent: no longer than `window`.
    pub quiet: Written<Duration>,
}

// === impl Readiness ===

impl Default for Readiness {
    fn default() -> Self {
        let ReadinessSettings { window, quiet } = ReadinessSettings::DEFAULT;
        Self { window: Written(window), quiet: Written(quiet) }
    }
}
