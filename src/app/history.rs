//! The journal and the store: opened now, or, where there is a history already, as soon as it can be.
//!
//! A first start that cannot keep a history fails, so that nobody relies on one that is not there. Later ones answer
//! all the same (`journal.on_failure: answer`), say so, and try again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config::Config;
use crate::recorder::settings::OnFailure;
use crate::recorder::{Recorder, drain};
use crate::store::settings::{HistorySettings, StoreSettings};
use crate::store::{Store, StoreError};
use crate::web::settings::ReportSettings;
use crate::web::{self, Live, WebState};

use super::StartError;
use super::condition::Condition;
