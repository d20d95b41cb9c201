//! Break-glass tickets between this replica and the history: every two seconds what others know comes from there, and what is
//! new here goes there.
//!
//! No review waits for it. While the history is away each replica goes by what it knows, and by what it hears afterwards the
//! earliest use of each ticket is the one that counts. Where no break-glass is configured the history is not asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::admission::Service;
use crate::recorder::tickets::Tickets;
use crate::review::clock::Timestamp;
use crate::store::{Store, StoreError};

use super::condition::Condition;
use super::history::History;

pub struct TicketExchange {
    tickets: Tickets,
    service: Service,
    history: Arc<History>,
    condition: Arc<Condition>,
    /// The number up to which the history was read.
    known: Option<i64>,
}

/// Two of them, and a read, are within the five seconds in which replicas hear of each other.
const EVERY: Duration = Duration::from_secs(2);

/// How long the start waits for the history to tell what it knows.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that one write to the disk takes.
const DISK: Duration = Duration::from_secs(10);

/// The longest that the history takes to answer; a transaction that is given up is rolled back.
const ANSWER: Duration = Duration::from_secs(30);

/// Tickets of one transaction.
const BATCH: usize = 100;

/// What [`Condition`] is told about.
const ABOUT: &str = "break_glass";

// === impl TicketExchange ===

impl TicketExchange {
    pub fn new(tickets: Tickets, service: &Service, history: &Arc<History>, condition: &Arc<Condition>) -> Self {
        let (service, history, condition) = (service.clone(), Arc::clone(history), Arc::clone(condition));
        Self { tickets, service, history, condition, known: None }
    }

    /// Before the first review, where the history answers in time.
    pub async fn begin(mut self) -> Self {
        if timeout(PATIENCE, self.exchange()).await.is_err() {
            debug!("what the history knows of break-glass tickets comes later");
        }
        self
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled_owned(self.exchange_forever()).await;
    }

    async fn exchange_forever(&mut self) {
        let mut day = Timestamp::now().last_day();
        loop {
            tokio::select! {
                () = self.tickets.changed() => {}
                () = sleep(EVERY) => {}
            }
            self.exchange().await;
            let now = Timestamp::now();
            if now.last_day() != day {
                day = now.last_day();
                self.tickets.forget_past(now);
            }
        }
    }

    async fn exchange(&mut self) {
        // A late verdict's use, which no answer waited for; then what others know.
        self.tickets.save(DISK).await;
        if let Some(store) = self.history.writable() {
            // The drain says what is wrong with it.
            match timeout(ANSWER, self.exchange_with(&store)).await {
                Ok(Ok(())) => self.tickets.save(DISK).await,
                Ok(Err(error)) => debug!("break-glass tickets are exchanged with the history later: {error}"),
                Err(_) => debug!("break-glass tickets are exchanged later: the history does not answer"),
            }
        }
        match self.tickets.trouble() {
            Some(trouble) => self.condition.fault(ABOUT, trouble),
            None => self.condition.clear(ABOUT),
        }
    }

    async fn exchange_with(&mut self, store: &Store) -> Result<(), StoreError> {
        let is_configured = !self.service.loaded().revision.break_glass.is_empty();
        if is_configured {
            let (news, known) = store.tickets(self.known).await?;
            self.tickets.take(&news);
            self.known = Some(known);
        }
        loop {
            let unstored = self.tickets.unstored(BATCH);
            if unstored.is_empty() {
                return Ok(());
            }
            let kept = store.keep_tickets(&unstored).await?;
            self.tickets.take(&kept);
            if kept.len() < unstored.len() {
                // Another replica writes the same: the next read tells.
                return Ok(());
            }
        }
    }
}

impl std::fmt::Debug for TicketExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketExchange").field("known", &self.known).finish_non_exhaustive()
    }
}
