//! Every error of a page or of the API becomes an answer here, once.

use std::any::Any;

use askama::Template;
use axum::extract::OriginalUri;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::access::log::Reason;
use super::access::visitor::{Visitor, Who};
use super::filters;
use super::frame::Frame;
use super::query::BadParameter;
use crate::store::StoreError;

/// What keeps a page or an API answer from being made.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    #[error("there is no decision with the id {0}")]
    NoSuchDecision(String),
    #[error("there is no revision with the id {0}")]
    NoSuchRevision(String),
    #[error("nothing ever came of {0}")]
    NoSuchNamespace(String),
    #[error("no exemption with the id {0:?} was loaded or let anything through")]
    NoSuchExemption(String),
    #[error("no review and no inventory names the image {0:?}")]
    NoSuchImage(String),
    #[error("there is no inventory {0}")]
    NoSuchInventory(String),
    #[error("there are as many {what} as can be at one time, {most}")]
    Busy { what: &'static str, most: usize },
    #[error("there is no rule {0}")]
    NoSuchRule(String),
    /// Of an address that names what is somebody else's.
    #[error("{what} is not yours to see: {}", ask(.contact))]
    NotYours { what: String, contact: Option<String> },
    #[error("there is no {what}, or it is not yours to see: {}", ask(.contact))]
    NotFoundOrNotYours { what: String, contact: Option<String> },
    #[error("nobody is signed in")]
    NotSignedIn,
    #[error("{0}")]
    NotByProxy(String),
    #[error("{0}")]
    Barred(Box<Barred>),
    #[error("the history, which knows who is signed in, is not open")]
    NotOpen,
    #[error("there is nothing at this address")]
    NoSuchPage,
    #[error("the history could not be read: {0}")]
    Store(#[from] StoreError),
    #[error("the history is not open: {why}")]
    Closed { why: String, is_recording: bool },
    #[error("the page could not be written")]
    Template(#[from] askama::Error),
    #[error("the report met a fault of its own")]
    Panic,
}

/// Why somebody gets no further.
#[derive(Debug)]
pub struct Barred {
    pub status: StatusCode,
    pub reason: Reason,
    pub why: String,
    pub who: Option<Who>,
}

/// Goes with an answer, for the access log.
#[derive(Debug, Clone)]
pub struct Refused {
    pub reason: Reason,
    pub who: Option<Who>,
    pub what: String,
}

/// The same, as a person sees it.
#[derive(Debug)]
pub struct PageError(WebError);

/// The same, as a program sees it: `{"error": {"parameter": ..., "message": ...}}`.
#[derive(Debug)]
pub struct ApiError(WebError);

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    heading: &'static str,
    message: String,
    advice: &'static str,
}

pub async fn no_such_page(OriginalUri(uri): OriginalUri) -> Response {
    answer(uri.path(), WebError::NoSuchPage)
}

/// `why` the history is not open; whether decisions reach the journal meanwhile.
pub fn closed(OriginalUri(uri): OriginalUri, why: String, is_recording: bool) -> Response {
    answer(uri.path(), WebError::Closed { why, is_recording })
}

/// The panic itself is in the log, with its place.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError(WebError::Panic).into_response()
}

/// As whoever asks for the path reads it.
pub fn answer(path: &str, error: WebError) -> Response {
    if path.starts_with("/api/") || path == "/metrics" {
        ApiError(error).into_response()
    } else {
        PageError(error).into_response()
    }
}

fn ask(contact: &Option<String>) -> String {
    format!("ask {}", contact.as_deref().unwrap_or("whoever runs Rehearsal"))
}

// === impl Barred ===

impl Barred {
    pub fn new(status: StatusCode, reason: Reason, why: impl Into<String>) -> Self {
        Self { status, reason, why: why.into(), who: None }
    }
}

impl std::fmt::Display for Barred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<Barred> for WebError {
    fn from(barred: Barred) -> Self {
        Self::Barred(Box::new(barred))
    }
}

// === impl WebError ===

impl WebError {
    /// As whoever asks may know of it.
    pub fn no_such_exemption(visitor: &Visitor, id: String) -> Self {
        let id: String = id.chars().take(200).collect();
        visitor.missing(format!("exemption {id}"), Self::NoSuchExemption(id))
    }

    /// What the access log says of it.
    fn refused(&self) -> Option<Refused> {
        match self {
            Self::NotYours { what, .. } | Self::NotFoundOrNotYours { what, .. } => {
                Some(Refused { reason: Reason::Rights, who: None, what: what.clone() })
            }
            Self::Barred(barred) => {
                let Barred { reason, why, who, .. } = &**barred;
                Some(Refused { reason: *reason, who: who.clone(), what: why.clone() })
            }
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchDecision(_)
            | Self::NoSuchRevision(_)
            | Self::NoSuchNamespace(_)
            | Self::NoSuchImage(_)
            | Self::NoSuchExemption(_)
            | Self::NoSuchInventory(_)
            | Self::NoSuchRule(_)
            | Self::NotFoundOrNotYours { .. }
            | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::NotYours { .. } => StatusCode::FORBIDDEN,
            Self::NotSignedIn | Self::NotByProxy(_) => StatusCode::UNAUTHORIZED,
            Self::Barred(barred) => barred.status,
            Self::Busy { .. } | Self::Store(_) | Self::Closed { .. } | Self::NotOpen => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template(_) | Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn heading(&self) -> &'static str {
        match self {
            Self::Parameter(_) => "This address asks for something that cannot be read",
            Self::NoSuchDecision(_) => "No such decision",
            Self::NoSuchRevision(_) => "No such revision",
            Self::NoSuchNamespace(_) => "No such namespace",
            Self::NoSuchImage(_) => "No such image",
            Self::NoSuchExemption(_) => "No such exemption",
            Self::NoSuchInventory(_) => "No such inventory",
            Self::NoSuchRule(_) => "No such rule",
            Self::NoSuchPage => "No such page",
            Self::Busy { .. } => "Too many at once",
            Self::NotYours { .. } => "Not yours to see",
            Self::NotFoundOrNotYours { .. } => "Not found, or not yours",
            Self::NotSignedIn | Self::NotByProxy(_) => "Not signed in",
            Self::Barred(barred) if barred.status == StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
            Self::Barred(_) => "You do not get any further here",
            Self::Store(_) | Self::Closed { .. } | Self::NotOpen => "The history cannot be read just now",
            Self::Template(_) | Self::Panic => "Something went wrong here",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Parameter(_) => "Go back and change it, or begin again from the list of decisions.",
            Self::NoSuchDecision(_) => {
                "It may have been dropped by the history's retention, belong to another installation, or still be on its way \
                 from the journal: in that case reload this page in a moment."
            }
            Self::NoSuchRevision(_) => {
                "A decision names the one that judged it, and /api/v1/revisions has all that are known."
            }
            Self::NoSuchNamespace(_) => {
                "No review named it, and no inventory does. /namespaces has those that there are, with a cluster each."
            }
            Self::NoSuchExemption(_) => {
                "Exemptions lists those that there are: one that takes in something else, or has another ticket, has another id."
            }
            Self::NoSuchImage(_) => {
                "It is looked for exactly as it was written. /images has all that were, and /decisions finds one by a part of its name."
            }
            Self::NoSuchInventory(_) => {
                "`rehearsal check --record` makes one. The newest of each cluster are kept; /inventory has those that are."
            }
            Self::NoSuchRule(_) => {
                "/rules has those of the policies that are loaded. What the rules of a Rego policy are called is known once one \
                 was violated."
            }
            Self::NotYours { .. } | Self::NotFoundOrNotYours { .. } => {
                "What your teams look after is under the links above. Every refusal is noted."
            }
            Self::NotSignedIn => "Sign in, or send a token of the report as `Authorization: Bearer`.",
            Self::NotByProxy(_) => {
                "Go through the proxy in front of this report; who runs Rehearsal knows its address. `report.proxy` says where \
                 it connects from."
            }
            Self::Barred(_) => "Every refusal is noted.",
            Self::NoSuchPage => {
                "There are the pages that the links above lead to, and the API, which /api/v1/openapi.json describes."
            }
            Self::Busy { .. } => "Try again in a moment: it ends for one of them, and there is room.",
            Self::Closed { is_recording: false, .. } => {
                "Decisions made now are in no journal and will not be in the history: a gap counts them, and journal.on_failure \
                 says whether they are answered. /health says what is wrong and how to get Rehearsal out of the way, /runbook \
                 has every step; reload this page when that is mended."
            }
            Self::NotOpen => {
                "A token of the report, sent as `Authorization: Bearer`, is taken all the same: /health says then what is wrong \
                 and how to get Rehearsal out of the way, and /runbook has every step. Reviews are judged and answered meanwhile."
            }
            Self::Store(_) => {
                "Reviews are still judged, and decisions that are recorded wait in the journal. /health says what is wrong and \
                 how to get Rehearsal out of the way, /runbook has every step; reload this page when that is mended."
            }
            Self::Closed { is_recording: true, .. } => {
                "Reviews are still judged and answered, and their decisions wait in the journal. /health says what is wrong and \
                 how to get Rehearsal out of the way, /runbook has every step; reload this page when that is mended."
            }
            Self::Template(_) | Self::Panic => "The log of this process says what happened. Please report it.",
        }
    }

    pub fn log(&self) {
        match self {
            Self::Store(error) => tracing::error!(%error, "the report could not read the history"),
            Self::Template(error) => tracing::error!(%error, "a page could not be written"),
            // Whoever tries to open the history logs why it cannot.
            Self::Closed { .. } => {}
            Self::Parameter(_)
            | Self::NoSuchDecision(_)
            | Self::NoSuchRevision(_)
            | Self::NoSuchNamespace(_)
            | Self::NoSuchImage(_)
            | Self::NoSuchExemption(_)
            | Self::NoSuchInventory(_)
            | Self::NoSuchRule(_)
            | Self::NoSuchPage
            | Self::Busy { .. }
            | Self::NotYours { .. }
            | Self::NotFoundOrNotYours { .. }
            | Self::NotSignedIn
            | Self::NotByProxy(_)
            | Self::Barred(_)
            | Self::NotOpen
            | Self::Panic => {}
        }
    }
}

fn noted(mut response: Response, error: &WebError) -> Response {
    if let Some(refused) = error.refused() {
        response.extensions_mut().insert(refused);
    }
    response
}

// === impl PageError ===

impl<E: Into<WebError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        error.log();
        let page = ErrorPage {
            frame: Frame::bare(error.heading()),
            status: error.status().as_u16(),
            heading: error.heading(),
            message: error.to_string(),
            advice: error.advice(),
        };
        let response = match page.render() {
            Ok(html) => (error.status(), Html(html)).into_response(),
            Err(_) => (error.status(), error.to_string()).into_response(),
        };
        noted(response, &error)
    }
}

// === impl ApiError ===

impl<E: Into<WebError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        error.log();
        let (parameter, message) = match &error {
            WebError::Parameter(bad) => (Some(&bad.parameter), bad.message.clone()),
            other => (None, other.to_string()),
        };
        let body = json!({"error": {"parameter": parameter, "message": message}});
        let response = (error.status(), [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        noted(response, &error)
    }
}
