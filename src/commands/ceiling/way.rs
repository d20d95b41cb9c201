//! The way to those who are to be under a ceiling: the folder of the process that runs here, else the history.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{sleep, timeout};

use crate::app::ceilings::folder::Folder;
use crate::config::Config;
use crate::policy::ceiling::{Ceiling, Lift};
use crate::recorder::inspect;
use crate::review::clock::{DecisionId, Timestamp};
use crate::store::ceiling::SharedCeilings;
use crate::store::settings::StoreSettings;

#[derive(Debug)]
pub enum Way {
    Folder {
        folder: Folder,
        data_dir: PathBuf,
        /// Without one, it is seen by the next that starts.
        is_seen: bool,
        store: StoreSettings,
    },
    History(SharedCeilings),
}

/// What is in force, as far as this way leads.
#[derive(Debug)]
pub struct Seen {
    pub ceilings: Vec<Ceiling>,
    /// Why the history, which may have others, could not be asked.
    pub unasked: Option<String>,
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Look,
    Change,
}

/// How long the process here, and the history, may take before nothing is said of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the history.
const LOOK: Duration = Duration::from_millis(100);

// === impl Way ===

impl Way {
    /// # Errors
    /// Neither is there.
    pub async fn find(config: &Config, purpose: Purpose) -> anyhow::Result<Self> {
        let Config { data_dir, store, .. } = config;
        let is_seen = inspect::holder(data_dir)?.is_some();
        if !is_seen && matches!(store, StoreSettings::Postgres(_)) {
            let opened = match purpose {
                Purpose::Look => SharedCeilings::open_for_reading(store).await,
                Purpose::Change => SharedCeilings::open(store).await,
            };
            let opened = opened.with_context(|| {
                format!("no process runs on {}, and the history is not there to ask or to tell", data_dir.display())
            });
            return Ok(Self::History(opened?));
        }
        if !data_dir.is_dir() {
            anyhow::bail!(
                "there is no data directory at {}: name the configuration that `rehearsal serve` runs on with --config, or \
                 the directory with REHEARSAL_DATA_DIR",
                data_dir.display()
            );
        }
        let (folder, store) = (Folder::of(data_dir), store.clone());
        Ok(Self::Folder { folder, data_dir: data_dir.clone(), is_seen, store })
    }

    /// # Errors
    /// They cannot be read.
    pub async fn in_force(&self) -> anyhow::Result<Seen> {
        let now = Timestamp::now();
        let mut unasked = None;
        let mut ceilings = match self {
            Self::Folder { folder, store, .. } => {
                let found = folder.read()?;
                for broken in found.broken {
                    eprintln!("warning: a ceiling cannot be read, and holds nothing back: {broken}; delete the file");
                }
                let mut ceilings = found.ceilings;
                match of_others(store, now).await {
                    // What is said here is newer.
                    Ok(others) => {
                        let own: Vec<DecisionId> = ceilings.iter().map(|one| one.id).collect();
                        ceilings.extend(others.into_iter().filter(|other| !own.contains(&other.id)));
                    }
                    Err(error) => unasked = Some(error),
                }
                ceilings
            }
            Self::History(shared) => shared.current(now).await?,
        };
        ceilings.retain(|ceiling| ceiling.is_in_force(now));
        Ok(Seen { ceilings, unasked })
    }

    /// Says for whom it is in force.
    ///
    /// # Errors
    /// It is not.
    pub async fn order(&self, ceiling: &Ceiling) -> anyhow::Result<String> {
        match self {
            Self::Folder { folder, .. } => folder.write(ceiling)?,
            Self::History(shared) => shared.keep(ceiling).await?,
        }
        Ok(self.done(ceiling).await)
    }

    /// As [`Self::order`]. `lifted` is the ceiling with its `lift`.
    ///
    /// # Errors
    /// It is still in force.
    pub async fn lift(&self, lifted: &Ceiling, lift: &Lift) -> anyhow::Result<String> {
        match self {
            Self::Folder { folder, .. } => {
                // Of one that the process here has not heard of yet, the lift alone would say nothing to it.
                if folder.read()?.ceilings.iter().all(|one| one.id != lifted.id) {
                    folder.write(&Ceiling { lifted: None, ..lifted.clone() })?;
                }
                folder.lift(lifted.id, lift)?;
            }
            Self::History(shared) => shared.keep(lifted).await?,
        }
        Ok(self.done(lifted).await)
    }

    async fn done(&self, ceiling: &Ceiling) -> String {
        match self {
            Self::History(_) => "told to the history: every process over it knows within five seconds".to_owned(),
            Self::Folder { data_dir, is_seen: false, .. } => {
                format!("no process runs on {}: one that starts there knows", data_dir.display())
            }
            Self::Folder { store, .. } => match timeout(PATIENCE, is_told(store, ceiling)).await {
                Ok(()) => {
                    "told to the process that runs here, and by it to the history: every process over that knows \
                           within five seconds"
                        .to_owned()
                }
                Err(_) => {
                    "told to the process that runs here, which sees it within a second; the history has not heard of \
                           it in 5 s: processes elsewhere will when it is back"
                        .to_owned()
                }
            },
        }
    }

    pub async fn close(self) {
        if let Self::History(shared) = self {
            shared.close().await;
        }
    }
}

/// Those that the history has of other processes, or why it could not be asked. A file's are all of the process here.
async fn of_others(store: &StoreSettings, now: Timestamp) -> Result<Vec<Ceiling>, String> {
    if !matches!(store, StoreSettings::Postgres(_)) {
        return Ok(Vec::new());
    }
    let asked = timeout(PATIENCE, async {
        let shared = SharedCeilings::open_for_reading(store).await?;
        let current = shared.current(now).await;
        shared.close().await;
        current
    });
    match asked.await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
    }
}

/// Waits until the history has all of it: the process here has told it then.
async fn is_told(store: &StoreSettings, ceiling: &Ceiling) {
    loop {
        if let Ok(shared) = SharedCeilings::open_for_reading(store).await {
            while let Ok(current) = shared.current(ceiling.from).await {
                if current.iter().any(|one| one.id == ceiling.id && one.lifted.is_some() == ceiling.lifted.is_some()) {
                    return shared.close().await;
                }
                sleep(LOOK).await;
            }
            shared.close().await;
        }
        sleep(LOOK).await;
    }
}
