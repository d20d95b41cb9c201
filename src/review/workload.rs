//! What a team calls one deployable.

use serde::{Deserialize, Serialize};

/// The kind and name of what made a pod; its namespace and cluster stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `CronJob`, `Pod`, ...; on an ImageReview, which names none, `Pods`.
    pub kind: String,
    /// On an ImageReview the sorted set of repositories: `running docker.io/library/nginx, ...`.
    pub name: String,
}
