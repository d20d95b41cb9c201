//! Connections that are given back only by whoever is done with them in good order.
//!
//! A pool would take each one back and ask it whether it still lives; here whatever goes wrong, or is dropped halfway,
//! costs the connection, and with it all doubt about its state. A dead network keeps nobody waiting but its own caller.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::debug;

use super::super::error::{StoreError, said};
use super::super::settings::PostgresSettings;

/// A server that takes longer to let us in is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// A server that takes longer over one statement is not there. (Readers are cut short before, by the server and by us.)
const STATEMENT: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Connections {
    settings: PostgresSettings,
    session: fn(PgConnectOptions) -> PgConnectOptions,
    places: Arc<Semaphore>,
    resting: Mutex<Vec<PgConnection>>,
}

/// One of them. To drop it closes it.
#[derive(Debug)]
pub(in crate::store) struct Lent {
    pub connection: PgConnection,
    /// Whether it has rested: it may have been lost meanwhile.
    pub rested: bool,
    home: Arc<Connections>,
    _place: OwnedSemaphorePermit,
}

// === impl Connections ===

impl Connections {
    /// At most `most` at a time; each is opened with the settings that `session` adds.
    pub fn new(
        settings: &PostgresSettings,
        most: usize,
        session: fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Arc<Self> {
        let (places, resting) = (Arc::new(Semaphore::new(most)), Mutex::default());
        Arc::new(Self { settings: settings.clone(), session, places, resting })
    }

    /// Waits for one that is free.
    pub async fn lend(self: &Arc<Self>) -> Result<Lent, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| StoreError::Unavailable("the history is closed".into()))?;
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let rested = resting.is_some();
        let connection = match resting {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lent { connection, rested, home: Arc::clone(self), _place: place })
    }

    /// The password is read each time: it may be changed at any time.
    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let place = || self.settings.place();
        let options = self.settings.connect_options();
        let options = options.map_err(|error| StoreError::Refused { place: place(), cause: error.into() })?;
        let options = (self.session)(options).disable_statement_logging();
        match timeout(CONNECT, options.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) if is_absence(&error) => Err(StoreError::NoDatabase { place: place(), cause: said(error) }),
            Ok(Err(error)) if is_refusal(&error) => Err(StoreError::Refused { place: place(), cause: said(error) }),
            Ok(Err(error)) if is_mistrust(&error) => Err(StoreError::Untrusted { place: place(), cause: error.into() }),
            Ok(Err(error)) => Err(StoreError::Unavailable(format!("{}: {}", place(), said(error)).into())),
            Err(_) => {
                let what = format!("the database does not answer: {} did not let us in within 10 s", place());
                Err(StoreError::Unavailable(what.into()))
            }
        }
    }

    /// Lends none any more, and closes those that rest, all at the same time. It is the caller who does not wait for ever.
    pub async fn close(&self) {
        self.places.close();
        let resting = std::mem::take(&mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        for closed in join_all(resting.into_iter().map(PgConnection::close)).await {
            if let Err(error) = closed {
                debug!("a connection to the history was gone already: {error}");
            }
        }
    }
}

// === impl Lent ===

impl Lent {
    pub fn give_back(self) {
        self.home.resting.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
    }

    /// Instead of one that was lost while it rested.
    pub async fn renew(&mut self) -> Result<(), StoreError> {
        self.connection = self.home.connect().await?;
        self.rested = false;
        Ok(())
    }
}

/// The answer of the server, if it comes.
pub(super) async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(STATEMENT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unavailable("the server did not answer a statement within 120 s".into())),
    }
}

/// The server offers no TLS where it must, or is not the one that it is called.
fn is_mistrust(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()),
        _ => false,
    }
}

/// The server does not let this user in, or lets it make no tables.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    is_of(error, &["28", "42501"])
}

/// The server has no such database.
fn is_absence(error: &sqlx::Error) -> bool {
    is_of(error, &["3D"])
}

fn is_of(error: &sqlx::Error, classes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}
