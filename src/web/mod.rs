//! Floor 4: pages and API over the history.
//!
//! A page is one file in [`pages`] with a template of the same name; its address holds its whole state. It reads the
//! [`Store`] and nothing else, but for [`Live`]: what only the running process knows.

use std::fmt;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::ALLOW;
use http::{Method, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::filters::count;

use self::access::visitor::Visitor;
use self::access::{Access, Gate, guard};
use self::changes::Change;
use self::completeness::Completeness;
use self::error::WebError;
use self::health::known::HealthState;
use self::host::{HostError, Hosts};
use self::settings::ReportSettings;
use self::streams::Streams;
use self::vitals::Vitals;
use crate::policy::Revision;
use crate::policy::ceiling::Ceiling;
use crate::policy::readiness::ReadinessSettings;
use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, Mode};
use crate::store::reach::Reach;
use crate::store::read::Standing;
use crate::store::{Store, StoreError, StoredRevision};

pub mod access;
mod address;
mod agreement;
pub mod api;
mod assets;
mod bar;
mod changes;
mod chart;
mod comparison;
pub mod completeness;
mod ended;
mod error;
mod exemptions;
pub mod export;
mod filters;
pub mod fleet;
mod found;
mod frame;
mod gaps;
mod headers;
pub mod health;
mod host;
mod image;
mod in_force;
pub mod inventory;
mod lapses;
mod let_through;
mod loads;
mod matrix;
mod modes;
mod nav;
mod pages;
mod paging;
mod place;
pub mod printed;
mod query;
pub mod readiness;
mod reference;
mod reviewed;
mod row;
mod sentence;
pub mod settings;
mod span;
pub mod streams;
mod tables;
mod trend;
pub mod vitals;
mod zone;

/// What the running process knows at the time of a call.
pub type Known<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What pages are made from.
#[derive(Clone)]
pub struct WebState {
    pub store: Store,
    pub settings: ReportSettings,
    pub streams: Streams,
    pub readiness: ReadinessSettings,
    pub access: Arc<Access>,
    /// Called once for each page.
    pub live: Known<Live>,
    /// What the process measures of itself.
    pub vitals: Known<Vitals>,
}

/// What the running process knows and the history does not, or not yet.
#[derive(Debug, Clone)]
pub struct Live {
    /// Of this replica.
    pub own: Standing,
    /// As far as the others were heard of in the last heartbeats; [`WebState::live`] asks them anew.
    pub completeness: Completeness,
    /// Gaps that last, or that the store does not hold yet.
    pub gaps: Vec<Gap>,
    /// What does not work as configured, one sentence each, as `/readyz` says it.
    pub degraded: Vec<String>,
    /// `None`: what is configured is in force.
    pub mistaken: Option<Mistaken>,
    /// In force now.
    pub ceilings: Vec<Ceiling>,
    /// In the order in which they are asked.
    pub policies: Vec<LoadedPolicy>,
    /// In their order.
    pub candidates: Vec<LoadedCandidate>,
    /// The name of the loaded revision.
    pub revision: String,
    pub loaded: Arc<Revision>,
    /// The command line that sends a first review, ready to paste.
    pub first_review: String,
}

/// Why what is configured is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistaken {
    pub since: Timestamp,
    /// It has been so since the process started: on what loaded last before.
    pub at_start: bool,
    /// A sentence each: where, what is wrong, and what to do.
    pub mistakes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedPolicy {
    pub name: String,
    pub mode: Mode,
    /// Whether it has a rollout.
    pub in_stages: bool,
    /// Where it is held back, and to what.
    pub capped: Option<String>,
    /// A webhook has none of its own.
    pub rules: Vec<LoadedRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedCandidate {
    pub name: String,
    /// The policy of its name, which it is compared with; `None`: with all of them together.
    pub beside: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRule {
    pub id: String,
    pub mode: Mode,
    /// Whether it has a rollout of its own.
    pub in_stages: bool,
}

/// Pages and `/api/v1`; and `others`, which are for whoever may see everything.
pub fn router(state: WebState, others: Router) -> Router {
    let hosts = Arc::new(Hosts::of(&state.settings));
    let gate = Gate { access: Arc::clone(&state.access), store: Some(state.store.clone()) };
    let health = of_health(HealthState {
        store: Some(state.store.clone()),
        settings: state.settings.clone(),
        live: Arc::clone(&state.live),
        vitals: Arc::clone(&state.vitals),
    });
    let routes = Router::new()
        .route("/", get(pages::overview::show))
        .route("/agreement", get(pages::agreement::show))
        .route("/candidates", get(pages::candidates::show))
        .route("/clusters", get(pages::clusters::show))
        .route("/decisions", get(pages::decisions::list))
        .route("/decisions/tail", get(pages::tail::follow))
        .route("/decisions/{id}", get(pages::decision::show))
        .route("/exemptions", get(pages::exemptions::list))
        .route("/exemptions/{id}", get(pages::exemption::show))
        .route("/images", get(pages::images::list))
        .route("/images/reference", get(pages::image::show))
        .route("/inventory", get(pages::inventory::show))
        .route("/namespaces", get(pages::namespaces::list))
        .route("/namespaces/{cluster}", get(pages::namespace::of_cluster))
        .route("/namespaces/{cluster}/{namespace}", get(pages::namespace::show))
        .route("/policies", get(pages::policies::show))
        .route("/report", get(pages::report::show))
        .route("/revisions/{id}", get(pages::revision::show))
        .route("/rules", get(pages::rules::show))
        .route("/rules/{policy}/{rule}", get(pages::rule::show))
        .route("/access", get(pages::access::list))
        .route(pages::sign_in::PATH, get(pages::sign_in::show).post(pages::sign_in::submit))
        .route(pages::callback::PATH, get(pages::callback::show))
        .route(pages::sign_out::PATH, post(pages::sign_out::submit))
        .route(&assets::STYLE_PATH, get(assets::style))
        .route(&assets::SCRIPT_PATH, get(assets::script))
        .route(&assets::ICON_PATH, get(assets::icon))
        .fallback(error::no_such_page);
    let routes = api::endpoints().into_iter().fold(routes, |routes, endpoint| endpoint.onto(routes));
    let routes = routes.with_state(Arc::new(state)).merge(health);
    guarded(routes, others, gate, hosts)
}

/// Stands in for [`router`] while the history is not open: every page says why but the one that needs none.
pub fn closed(health: HealthState, access: &Arc<Access>, others: Router) -> Router {
    let gate = Gate { access: Arc::clone(access), store: None };
    let (hosts, live) = (Arc::new(Hosts::of(&health.settings)), Arc::clone(&health.live));
    let routes = Router::new()
        .route(&assets::STYLE_PATH, get(assets::style))
        .route(&assets::SCRIPT_PATH, get(assets::script))
        .route(&assets::ICON_PATH, get(assets::icon))
        .fallback(move |uri, visitor: Option<Extension<Visitor>>| async move {
            let live = live();
            // While decisions are not recorded, their gap is open.
            let is_recording = live.gaps.iter().all(|gap| gap.to.is_some());
            let sees_why = visitor.is_some_and(|Extension(visitor)| visitor.admit_to_all("why").is_ok());
            let why = if sees_why { live.degraded.join("; ") } else { "the log of this process says why".to_owned() };
            error::closed(uri, why, is_recording)
        })
        .merge(of_health(health));
    guarded(routes, others, gate, hosts)
}

/// What is there although the history is not.
fn of_health(state: HealthState) -> Router {
    Router::new()
        .route(pages::health::PATH, get(pages::health::show))
        .route(pages::health::RUNBOOK, get(pages::health::runbook))
        .route(api::health::PATH, get(api::health::show))
        .with_state(Arc::new(state))
}

fn guarded(routes: Router, others: Router, gate: Gate, hosts: Arc<Hosts>) -> Router {
    let others = others.layer(from_fn(only_for_all)).layer(from_fn_with_state(gate.clone(), guard));
    routes
        .layer(from_fn_with_state(gate, guard))
        // The last one is the outermost: every answer has the headers, whoever gave it.
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(only_reads))
        .layer(from_fn_with_state(hosts, only_our_names))
        .layer(map_response(headers::secure))
        // Programs reach them by whatever name.
        .merge(others)
}

async fn only_our_names(
    axum::extract::State(hosts): axum::extract::State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match hosts.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error @ HostError::Absent) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        Err(error @ HostError::Foreign(_)) => (StatusCode::MISDIRECTED_REQUEST, error.to_string()).into_response(),
    }
}

/// Its figures are of all namespaces.
async fn only_for_all(visitor: Visitor, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match visitor.admit_to_all(&path) {
        Ok(()) => next.run(request).await,
        Err(error) => error::answer(&path, error),
    }
}

/// Nothing here changes anything, but for who is signed in.
async fn only_reads(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => next.run(request).await,
        Method::POST if [pages::sign_in::PATH, pages::sign_out::PATH].contains(&request.uri().path()) => {
            next.run(request).await
        }
        _ => {
            let text = "The report is only read: GET or HEAD. Reviews go to the webhook's address.\n";
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], text).into_response()
        }
    }
}

// === impl WebState ===

impl WebState {
    /// To be called before figures and lists are read: they have then all that it says to be complete.
    async fn live(&self, reach: &Reach) -> Result<Live, StoreError> {
        let live = (self.live)();
        let others = self.store.others(live.own.replica).await?;
        let completeness = Completeness::of(&live.own, others, Timestamp::now());
        Ok(Live { completeness, ..live }.narrowed(reach))
    }

    /// The one in force is known before its text is stored. It is of all namespaces: what is exempted where, for whom.
    async fn revision(&self, id: String, visitor: &Visitor) -> Result<StoredRevision, WebError> {
        visitor.admit_to_all("the text of a revision")?;
        match self.store.revision(&id).await? {
            Some(stored) => Ok(stored),
            None if id == (self.live)().revision => Ok(StoredRevision { id, loaded_at: None, text: None }),
            None => Err(WebError::NoSuchRevision(id)),
        }
    }

    /// What is another since the revision `from`, or else since what was in force before. `None`: nothing is known of that.
    async fn compared(
        &self,
        stored: &StoredRevision,
        from: Option<&str>,
        visitor: &Visitor,
    ) -> Result<Option<(String, Vec<Change>)>, WebError> {
        let before = match from {
            Some(id) => Some(id.to_owned()),
            None => self.store.revision_before(&stored.id).await?,
        };
        let Some(before) = before else { return Ok(None) };
        let before = self.revision(before, visitor).await?;
        let texts = before.text.as_deref().zip(stored.text.as_deref());
        let changes = texts.and_then(|(before, after)| changes::between(before, after));
        Ok(changes.map(|changes| (before.id, changes)))
    }
}

// === impl Live ===

impl Live {
    /// What of it is for whoever may see a part of the history: nothing that is of others, and no text that somebody wrote
    /// for those who run Rehearsal.
    fn narrowed(mut self, reach: &Reach) -> Self {
        if reach.is_everything() {
            return self;
        }
        self.gaps = reach.narrow_gaps(self.gaps);
        self.ceilings.retain(|ceiling| reach.is_under(ceiling.namespace.as_deref()));
        for behind in &mut self.completeness.behind {
            behind.standing.clusters.retain(|cluster| reach.touches(cluster));
        }
        for policy in &mut self.policies {
            policy.capped = None;
        }
        self.mistaken = None;
        if !self.degraded.is_empty() {
            self.degraded = vec!["Something does not work as configured; whoever runs Rehearsal sees what.".to_owned()];
        }
        self
    }
}

impl fmt::Debug for WebState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebState").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
