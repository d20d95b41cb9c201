//! The configuration: a tree of the parts' own types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::policy::settings::{AnswerStyle, PolicySettings};
use crate::recorder::settings::JournalSettings;
use crate::server::settings::{Overload, WebhookListenerSettings};
use crate::store::settings::{HistorySettings, StoreSettings};
use crate::web::settings::ReportSettings;

/// What `serve` runs on: complete, absolute or relative to the working directory, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// For reviews whose path names none. A DNS label.
    pub cluster: String,
    pub data_dir: PathBuf,
    pub webhook: WebhookListenerSettings,
    pub report: ReportSettings,
    /// `/livez`, `/readyz` and `/metrics` on a listener of their own instead of the report's.
    pub admin: Option<SocketAddr>,
    pub store: StoreSettings,
    pub journal: JournalSettings,
    pub history: HistorySettings,
    pub overload: Overload,
    pub warn_wait: Duration,
    pub shutdown: ShutdownSettings,
    pub policies: Vec<PolicySettings>,
    /// No field of the file: only the drop-in for kube-image-bouncer speaks otherwise.
    pub answer_style: AnswerStyle,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ShutdownSettings {
    /// How long the listener still accepts after SIGTERM while `/readyz` says 503.
    pub delay: Duration,
    /// How long requests in flight and the drain have after that.
    pub grace: Duration,
}
