//! `rehearsal journal drain`.

use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::app::revisions::Revisions;
use crate::config::Config;
use crate::logging::LogArgs;
use crate::recorder::drain::{self, Sink};
use crate::recorder::inspect::Place;
use crate::recorder::settings::JournalSettings;
use crate::recorder::{JournalStatus, Recorder, replica};
use crate::review::decision::Record;
use crate::store::{Store, StoreError};
use crate::web::count;

use super::super::config::print;
use super::super::progress::Line;
use super::super::{existing, load, start_logging};
use super::{DAMAGED, DrainArgs};

/// A history that has taken nothing for this long is given up: the journal keeps what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(100);

/// For the last records, marks of gaps above all, and the last deletions.
const CLOSING: Duration = Duration::from_secs(30);

/// The way into the history, which remembers since when it fails.
#[derive(Debug, Clone)]
struct Into {
    store: Store,
    failing: Arc<Mutex<Option<Failing>>>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    error: String,
}

/// Why it ends before the journal is empty.
#[derive(Debug)]
enum Stopped {
    Refused(String),
    BySignal,
    /// All records are in the history, and what comes after them is not.
    Late,
}

pub fn run(args: &DrainArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let loaded = match load(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    start_logging(log, loaded.config.log);
    let place = Place::find(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(move_all(&place, &loaded.config));
    // A thread that hangs on a disk must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn move_all(place: &Place, config: &Config) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    existing(&config.store)?;
    let settings = JournalSettings { dir: place.journal.clone(), ..config.journal.clone() };
    let recorder = Recorder::open(&settings)?;
    // It holds the lock from here on.
    let replica = replica::of_or_new(&place.data_dir)?;
    let store = Store::open(&config.store, &config.history, replica).await?;
    let sink = Into { store: store.clone(), failing: Arc::default() };
    let total = recorder.status().backlog_records;
    let line = Line::new();
    let draining = tokio::spawn(drain::run(recorder.clone(), sink.clone(), std::future::pending()));
    let stopped =
        watch(&recorder, &sink, |left| line.show(&format!("{} of {total} records", total.saturating_sub(left))))
            .await?;
    let remaining = recorder.close(if stopped.is_none() { CLOSING } else { TICK }).await;
    draining.abort();
    line.end();
    if remaining == 0 {
        let texts = Revisions::open(&place.data_dir);
        texts.store(&store).await.context("the journal is empty, but texts of revisions remain; run it again")?;
        store.emptied().await.context("the journal is empty, but the history was not told so; run it again")?;
        store.close().await;
        return summary(place, replica, total, &recorder.status(), begun.elapsed());
    }
    let why = stopped.or_else(|| sink.failed_for(Duration::ZERO).map(Stopped::Refused)).unwrap_or(Stopped::Late);
    anyhow::bail!(
        "{remaining} of {} remain in {}: {why}; run it again to go on from there",
        count(total, "record"),
        place.journal.display()
    );
}

/// Until the journal is empty, or there is a reason to stop before.
async fn watch(recorder: &Recorder, sink: &Into, show: impl Fn(u64)) -> anyhow::Result<Option<Stopped>> {
    let listen = |kind| -> anyhow::Result<Signal> { signal(kind).context("signals") };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    loop {
        let left = recorder.status().backlog_records;
        show(left);
        if left == 0 {
            return Ok(None);
        }
        if let Some(error) = sink.failed_for(PATIENCE) {
            return Ok(Some(Stopped::Refused(error)));
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = terminate.recv() => return Ok(Some(Stopped::BySignal)),
            _ = interrupt.recv() => return Ok(Some(Stopped::BySignal)),
        }
    }
}

fn summary(
    place: &Place,
    replica: Uuid,
    total: u64,
    status: &JournalStatus,
    took: Duration,
) -> anyhow::Result<ExitCode> {
    print(&format!(
        "{}: {} of replica {replica} moved to the history in {:.1} s\n",
        place.journal.display(),
        count(total, "record"),
        took.as_secs_f64()
    ))?;
    if status.torn > 0 {
        print("the last write was torn by a crash and is cut off: no answer had waited for it\n")?;
    }
    if status.damaged == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "{} of it could not be read: kept beside it as damaged-*, and the history has a gap there\n",
        count(status.damaged, "part")
    ))?;
    Ok(ExitCode::from(DAMAGED))
}

// === impl Into ===

impl Into {
    /// The error, if for `long` nothing else came.
    fn failed_for(&self, long: Duration) -> Option<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().filter(|failing| failing.since.elapsed() >= long).map(|failing| failing.error.clone())
    }
}

impl Sink for Into {
    type Error = StoreError;

    async fn apply(&self, records: &[Record]) -> Result<(), StoreError> {
        let applied = self.store.apply(records).await;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &applied {
            Ok(_) => *failing = None,
            Err(error) => {
                let since = failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
                *failing = Some(Failing { since, error: error.to_string() });
            }
        }
        applied.map(drop)
    }
}

// === impl Stopped ===

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => f.write_str(error),
            Self::BySignal => f.write_str("it was stopped before its end"),
            Self::Late => write!(f, "the history did not take the last of them within {} s", CLOSING.as_secs()),
        }
    }
}
