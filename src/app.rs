//! Wires the parts, runs them, and stops them in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admission::gate::Gate;
use crate::admission::service::{Loaded, Settings};
use crate::admission::{self, Service};
use crate::backend::{self, Backend};
use crate::config::{Config, ShutdownSettings};
use crate::policy::Revision;
use crate::policy::revision::Source;
use crate::recorder::Recorder;
use crate::server::body::Bounds;
use crate::server::health::{self, Health, Readiness};
use crate::server::listener::{ListenError, Listener, Terms};
use crate::server::tls::{ServerTls, TlsError};
use crate::server::webhook::Webhook;
use crate::server;
use crate::watch::Watch;
