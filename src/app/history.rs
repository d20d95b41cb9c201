//! The journal and the store: opened now, or, where there is a history already, as soon as it can be.
//!
//! A first start that cannot keep a history fails, so that nobody relies on one that is not there. Later ones answer
//! all the same (`journal.on_failure: answer`), say so, and try again. A store that can only be read is shown. One that
//! is of a newer version is neither written nor shown, whenever that is found: decisions wait in the journal.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::Config;
use crate::policy::readiness::ReadinessSettings;
use crate::recorder::drain::{self, Sink};
use crate::recorder::settings::OnFailure;
use crate::recorder::{JournalError, Recorder, replica};
use crate::review::decision::Record;
use crate::store::settings::{HistorySettings, SQLITE_FILE, StoreSettings};
use crate::store::{Store, StoreError};
use crate::web::access::Access;
use crate::web::health::known::HealthState;
use crate::web::settings::ReportSettings;
use crate::web::streams::Streams;
use crate::web::vitals::Vitals;
use crate::web::{self, Known, Live, WebState};

use super::StartError;
use super::condition::Condition;

/// How long a start waits for a store that may take longer: a server that does not answer, another replica that brings
/// the schema up to date. Opening it goes on beside the answers then.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a store that could not be opened is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// What [`Condition`] is told about.
const ABOUT: &str = "history";

#[derive(Debug)]
pub struct History {
    store: watch::Sender<Opened>,
    settings: (StoreSettings, HistorySettings),
    condition: Arc<Condition>,
    /// Of the data directory.
    replica: Uuid,
    /// What the start did not wait for.
    opening: Mutex<Option<Opening>>,
}

type Opening = JoinHandle<Result<Store, StoreError>>;

/// How far the store is open.
#[derive(Debug, Clone)]
enum Opened {
    /// Pages say why.
    Not,
    /// It cannot be written: pages show what it holds.
    ForReading(Store),
    Wholly(Store),
}

/// The journal's way into the store.
struct IntoStore {
    store: Store,
    history: Arc<History>,
}

/// Opens the journal, or goes on without one where there is a history already.
pub fn open_journal(config: &Config) -> Result<Recorder, StartError> {
    match Recorder::open(&config.journal) {
        Ok(recorder) => Ok(recorder),
        Err(error @ JournalError::Held { .. }) => Err(error.into()),
        Err(error) if starts_without(config) => {
            warn!("starting without a journal, decisions are not recorded: {error}");
            Ok(Recorder::failed_from_start(&config.journal, &error)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The id that the directory has kept since its first start. Where it cannot be had and there is a history already, one
/// for this process alone.
fn replica_of(config: &Config, condition: &Condition) -> Result<Uuid, StartError> {
    match replica::of_or_new(&config.data_dir) {
        Ok(id) => Ok(id),
        Err(error) if starts_without(config) => {
            warn!("starting as a replica of a new name, until the next start: {error}");
            condition.fault("replica", error.to_string());
            Ok(Uuid::now_v7())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_shared(config: &Config) -> bool {
    matches!(config.store, StoreSettings::Postgres(_))
}

/// Whether a start may go on although it cannot keep a history.
fn starts_without(config: &Config) -> bool {
    let has_history = match &config.store {
        StoreSettings::Sqlite(directory) => directory.join(SQLITE_FILE).exists(),
        // Others may keep it in use; whether this one ever did, its directory says.
        StoreSettings::Postgres(_) => matches!(replica::of(&config.data_dir), Ok(Some(_))),
    };
    config.journal.on_failure == OnFailure::Answer && has_history
}

/// In a task of its own: a migration that is cut off would have to begin again.
fn open(settings: &(StoreSettings, HistorySettings), replica: Uuid) -> Opening {
    let (store, history) = settings.clone();
    tokio::spawn(async move { Store::open(&store, &history, replica).await })
}

fn opened(joined: Result<Result<Store, StoreError>, JoinError>) -> Result<Store, StoreError> {
    joined.expect("opening a store does not panic")
}

// === impl History ===

impl History {
    pub async fn open(config: &Config, condition: Arc<Condition>) -> Result<Arc<Self>, StartError> {
        let starts_without = starts_without(config);
        let is_first = matches!(replica::of(&config.data_dir), Ok(None));
        let replica = replica_of(config, &condition)?;
        let settings = (config.store.clone(), config.history.clone());
        let mut opening = open(&settings, replica);
        let is_waited_for = !starts_without && !is_shared(config);
        let patience = if is_waited_for { Duration::MAX } else { PATIENCE };
        let goes_on = |why: &str| {
            warn!("starting without writing the history: {why}");
            condition.fault(ABOUT, why.to_owned());
        };
        let mut late = None;
        let store = match timeout(patience, &mut opening).await.map(opened) {
            Ok(Ok(store)) => Opened::Wholly(store),
            // A database that comes back is waited for, also by a replica whose directory is new with each start. One
            // that is of a newer version was made by whoever brings replicas up one after the other.
            Ok(Err(error)) if starts_without || error.is_newer() || (is_shared(config) && error.passes()) => {
                goes_on(&error.to_string());
                Store::open_for_reading(&settings.0, &settings.1).await.map_or(Opened::Not, Opened::ForReading)
            }
            Ok(Err(error)) => {
                // The next start must not take its id for a sign of a history.
                if is_first && let Err(error) = replica::take_back(&config.data_dir) {
                    warn!("the id of this replica could not be taken back: {error}");
                }
                return Err(error.into());
            }
            Err(_) => {
                let place = settings.0.place();
                goes_on(&format!(
                    "{place} is still being opened: it does not answer, or its schema is brought up to date"
                ));
                late = Some(opening);
                Opened::Not
            }
        };
        let (store, opening) = (watch::Sender::new(store), Mutex::new(late));
        Ok(Arc::new(Self { store, settings, condition, replica, opening }))
    }

    pub fn replica(&self) -> Uuid {
        self.replica
    }

    /// The store, where it is open and can be written.
    pub fn writable(&self) -> Option<Store> {
        match &*self.store.borrow() {
            Opened::Wholly(store) => Some(store.clone()),
            Opened::Not | Opened::ForReading(_) => None,
        }
    }

    /// Drains the journal into the store, which is opened first where it is not yet.
    pub fn drain(self: &Arc<Self>, recorder: &Recorder, tasks: &TaskTracker) {
        let (history, recorder) = (Arc::clone(self), recorder.clone());
        tasks.spawn(async move {
            let store = history.opened().await;
            let sink = IntoStore { store, history };
            drain::run(recorder, sink, std::future::pending()).await;
        });
    }

    /// Stops the drain, as far as it can within the time until `deadline`. How many records stay in the journal.
    pub async fn finish(&self, recorder: &Recorder, deadline: Instant) -> u64 {
        recorder.close(deadline.saturating_duration_since(Instant::now())).await
    }

    /// After everything that is written.
    pub async fn close(&self) {
        let store = self.store.borrow().clone();
        if let Opened::Wholly(store) | Opened::ForReading(store) = store {
            store.close().await;
        }
    }

    /// The pages; while the store is not open, one that says why.
    ///
    /// What they send for as long as somebody reads it ends when `stopping` is cancelled. `others` are for whoever may see
    /// everything.
    pub fn pages(
        self: &Arc<Self>,
        settings: ReportSettings,
        readiness: ReadinessSettings,
        access: &Arc<Access>,
        (live, vitals): (Known<Live>, Known<Vitals>),
        others: Router,
        stopping: CancellationToken,
    ) -> Router {
        let streams = Streams::new(stopping);
        let health = HealthState { store: None, settings, live, vitals };
        let closed = web::closed(health.clone(), access, others.clone());
        let access = Arc::clone(access);
        let open = move |store| {
            let HealthState { settings, live, vitals, .. } = health.clone();
            let (streams, access) = (streams.clone(), Arc::clone(&access));
            web::router(WebState { store, settings, readiness, streams, access, live, vitals }, others.clone())
        };
        let (history, wholly) = (Arc::clone(self), Arc::new(OnceLock::new()));
        Router::new().fallback_service(tower::service_fn(move |request: Request| {
            let router: Router = match history.store.borrow().clone() {
                Opened::Not => closed.clone(),
                Opened::ForReading(store) => open(store),
                Opened::Wholly(store) => wholly.get_or_init(|| open(store)).clone(),
            };
            async move {
                Ok::<Response<Body>, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        }))
    }

    /// The store, once it can be written.
    pub async fn written(&self) -> Store {
        let mut opened = self.store.subscribe();
        loop {
            if let Opened::Wholly(store) = opened.borrow_and_update().clone() {
                return store;
            }
            // The sender lives as long as we do.
            if opened.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn opened(&self) -> Store {
        let mut late = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        loop {
            if let Opened::Wholly(store) = self.store.borrow().clone() {
                return store;
            }
            let opening = match late.take() {
                Some(opening) => opening,
                None => {
                    tokio::time::sleep(RETRY).await;
                    open(&self.settings, self.replica)
                }
            };
            let found = match opened(opening.await) {
                Err(StoreError::OnlyRead(_)) => self.open_alone().await,
                found => found,
            };
            match found {
                Ok(store) => {
                    info!(replica = %self.replica, "the history is open");
                    self.condition.clear(ABOUT);
                    self.store.send_replace(Opened::Wholly(store));
                }
                Err(error) => self.condition.fault(ABOUT, error.to_string()),
            }
        }
    }

    /// Opens it with nothing of it open. SQLite keeps what a file's connections in a process share read-only for as long
    /// as there is one that was opened when it could not be written.
    async fn open_alone(&self) -> Result<Store, StoreError> {
        if let Opened::ForReading(reading) = self.store.send_replace(Opened::Not) {
            reading.close().await;
        }
        let found = opened(open(&self.settings, self.replica).await);
        if found.is_err()
            && let Ok(reading) = Store::open_for_reading(&self.settings.0, &self.settings.1).await
        {
            self.store.send_replace(Opened::ForReading(reading));
        }
        found
    }
}

// === impl IntoStore ===

impl Sink for IntoStore {
    type Error = StoreError;

    async fn apply(&self, records: &[Record]) -> Result<(), StoreError> {
        match self.store.apply(records).await {
            Ok(_) => {
                self.history.condition.clear(ABOUT);
                if self.history.writable().is_none() {
                    self.history.store.send_replace(Opened::Wholly(self.store.clone()));
                }
                Ok(())
            }
            Err(error) => {
                self.history.condition.fault(ABOUT, format!("decisions wait in the journal: {error}"));
                if error.is_newer() {
                    // What it would show may mean something else by now.
                    self.history.store.send_replace(Opened::Not);
                }
                Err(error)
            }
        }
    }

    fn hangs(&self, long: Duration) {
        let what = format!("decisions wait in the journal: the database has not answered for {} s", long.as_secs());
        self.history.condition.fault(ABOUT, what);
    }
}
