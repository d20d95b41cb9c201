//! What reviews are judged and answered by, and who waits for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::HeaderValue;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::backend::Backend;
use crate::policy::Revision;
use crate::policy::ceiling::Ceilings;
use crate::policy::revision::Policy;
use crate::policy::settings::AnswerStyle;
use crate::recorder::Recorder;
use crate::recorder::settings::OnFailure;
use crate::recorder::tickets::Tickets;
use crate::review::clock::Timestamp;
use crate::review::said::SeenOfCluster;

use super::Reply;
use super::candidates::Candidates;
use super::course;
use super::evaluation::{Evaluation, Seat};
use super::failure::Failure;
use super::gate::Place;
use super::metrics::Metrics;
use super::sample::Samples;
use super::seen::Seen;
use super::sender::Sender;
use super::staying::Staying;
use super::suspension::Suspension;

/// A complete request for a verdict.
#[derive(Debug)]
pub struct Arrival {
    pub sender: Sender,
    pub body: Bytes,
    /// The API server's `?timeout=`.
    pub timeout: Option<String>,
    pub traceparent: Option<HeaderValue>,
    /// Given back when the review has its record.
    pub place: Place,
}

/// What a review is judged and answered by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// How reviews are answered, beside the policies.
#[derive(Debug)]
pub struct Settings {
    pub warn_wait: Duration,
    /// Of the report, without a slash at the end.
    pub public_url: Option<String>,
    pub style: AnswerStyle,
    pub on_failure: OnFailure,
    pub samples: Samples,
    /// Of break-glass.
    pub tickets: Tickets,
    /// The longest that an answer waits for the disk to take the first use of one.
    pub patience: Duration,
}

/// One loaded state: the policies, and the clients of those that are webhooks.
#[derive(Debug)]
pub struct Loaded {
    pub revision: Arc<Revision>,
    /// In policy order; `None` for a local policy.
    pub backends: Vec<Option<Arc<Backend>>>,
    /// In policy order.
    suspensions: Vec<Suspension>,
    /// In the order of the candidates.
    silent_suspensions: Vec<Suspension>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub loaded: ArcSwap<Loaded>,
    /// `None`: there is none, as a rule.
    pub ceilings: ArcSwapOption<Ceilings>,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    pub seen: Seen,
    pub evaluation: Evaluation,
    pub candidates: Candidates,
    pub settings: Settings,
    /// Every review that is under way.
    pub reviews: TaskTracker,
    /// Every webhook call that is under way, those that nobody waits for too, and what candidates have to say yet.
    pub calls: TaskTracker,
}

// === impl Loaded ===

impl Loaded {
    pub fn new(revision: Revision, backends: Vec<Option<Arc<Backend>>>) -> Self {
        let suspensions = |policies: &[Policy]| policies.iter().map(|_| Suspension::default()).collect();
        let (own, silent) = (suspensions(&revision.policies), suspensions(&revision.candidates));
        Self { revision: Arc::new(revision), backends, suspensions: own, silent_suspensions: silent }
    }

    pub fn policy(&self, seat: Seat) -> &Policy {
        match seat {
            Seat::Live(at) => &self.revision.policies[at],
            Seat::Candidate(at) => &self.revision.candidates[at],
        }
    }

    pub fn suspension(&self, seat: Seat) -> &Suspension {
        match seat {
            Seat::Live(at) => &self.suspensions[at],
            Seat::Candidate(at) => &self.silent_suspensions[at],
        }
    }
}

// === impl Service ===

impl Service {
    pub fn new(loaded: Loaded, recorder: Recorder, metrics: Arc<Metrics>, settings: Settings) -> Self {
        metrics.loaded(&loaded.revision.id, Timestamp::now());
        let (reviews, calls) = (TaskTracker::new(), TaskTracker::new());
        let (loaded, ceilings) = (ArcSwap::from_pointee(loaded), ArcSwapOption::empty());
        let evaluation = Evaluation::new(Arc::clone(&metrics));
        let candidates = Candidates::new(&metrics);
        let shared = Shared {
            loaded,
            ceilings,
            recorder,
            metrics,
            seen: Seen::default(),
            evaluation,
            candidates,
            settings,
            reviews,
            calls,
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn loaded(&self) -> Arc<Loaded> {
        self.shared.loaded.load_full()
    }

    /// Reviews from now on are judged by `loaded`; those under way end with what they began with.
    pub fn swap(&self, loaded: Loaded) {
        self.shared.metrics.loaded(&loaded.revision.id, Timestamp::now());
        self.shared.loaded.store(Arc::new(loaded));
    }

    /// Reviews from now on are under these, until each ends. `None`: under none.
    pub fn put_under(&self, ceilings: Option<Ceilings>) {
        self.shared.ceilings.store(ceilings.map(Arc::new));
    }

    /// Those that were in force when they were last looked at.
    pub fn ceilings(&self) -> Option<Arc<Ceilings>> {
        self.shared.ceilings.load_full()
    }

    /// Whether anything can reject anywhere now.
    pub fn can_enforce(&self) -> bool {
        let revision = &self.loaded().revision;
        match self.ceilings() {
            None => revision.can_enforce(),
            Some(ceilings) => ceilings.can_enforce(revision, Timestamp::now()),
        }
    }

    /// What was seen of each cluster since the process began.
    pub fn seen(&self) -> BTreeMap<String, SeenOfCluster> {
        self.shared.seen.told()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// A review that is answered `allowed` although nothing judged it.
    pub fn unjudged(&self, cluster: &str) {
        self.shared.recorder.unjudged(cluster);
        self.shared.metrics.unjudged(cluster);
    }

    /// The refusal of a review that finds no room: nothing judged it either.
    pub fn overloaded(&self, cluster: &str) -> Reply {
        self.shared.recorder.unjudged(cluster);
        self.refuse(&Failure::Overloaded)
    }

    /// Judges, records and answers. The review runs to its record whether or not the caller stays.
    pub async fn review(&self, arrival: Arrival) -> Reply {
        let shared = Arc::clone(&self.shared);
        Staying::new(|gone| self.shared.reviews.track_future(course::run(shared, arrival, gone))).await
    }

    /// The reply to a request that no policy answers, counted.
    pub fn refuse(&self, failure: &Failure) -> Reply {
        self.shared.metrics.refused(failure);
        failure.reply()
    }

    /// Resolves when no review is under way any more, and nothing that may still amend one within `last_calls`.
    pub async fn finished(&self, last_calls: Duration) {
        let Shared { reviews, calls, .. } = &*self.shared;
        reviews.close();
        reviews.wait().await;
        calls.close();
        if tokio::time::timeout(last_calls, calls.wait()).await.is_err() {
            warn!(
                calls = calls.len(),
                "stopping: some webhooks or candidates that nobody waits for have not answered, and stay pending"
            );
        }
    }
}
