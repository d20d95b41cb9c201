//! Every error of a page or of the API becomes an answer here, once.

use std::any::Any;

use askama::Template;
use axum::extract::OriginalUri;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

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
    #[error("no review and no inventory names the image {0:?}")]
    NoSuchImage(String),
    #[error("there is no inventory {0}")]
    NoSuchInventory(String),
    #[error("there are as many {what} as can be at one time, {most}")]
    Busy { what: &'static str, most: usize },
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

fn answer(path: &str, error: WebError) -> Response {
    if path.starts_with("/api/") { ApiError(error).into_response() } else { PageError(error).into_response() }
}

// === impl WebError ===

impl WebError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchDecision(_)
            | Self::NoSuchRevision(_)
            | Self::NoSuchNamespace(_)
            | Self::NoSuchImage(_)
            | Self::NoSuchInventory(_)
            | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::Busy { .. } | Self::Store(_) | Self::Closed { .. } => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::NoSuchInventory(_) => "No such inventory",
            Self::NoSuchPage => "No such page",
            Self::Busy { .. } => "Too many at once",
            Self::Store(_) | Self::Closed { .. } => "The history cannot be read just now",
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
            Self::NoSuchImage(_) => {
                "It is looked for exactly as it was written. /images has all that were, and /decisions finds one by a part of its name."
            }
            Self::NoSuchInventory(_) => {
                "`rehearsal check --record` makes one. The newest of each cluster are kept; /inventory has those that are."
            }
            Self::NoSuchPage => {
                "There are the overview, the namespaces, the images, the list of decisions, the inventory, and the API under /api/v1."
            }
            Self::Busy { .. } => "Try again in a moment: it ends for one of them, and there is room.",
            Self::Closed { is_recording: false, .. } => {
                "Decisions made now are in no journal and will not be in the history: a gap counts them, and journal.on_failure \
                 says whether they are answered. The log of this process says what is wrong; reload this page when that is \
                 mended."
            }
            Self::Store(_) => {
                "Reviews are still judged, and decisions that are recorded wait in the journal. The log of this process says \
                 what is wrong with the database; reload this page when that is mended."
            }
            Self::Closed { is_recording: true, .. } => {
                "Reviews are still judged and answered, and their decisions wait in the journal. The log of this process says \
                 what is wrong with the database; reload this page when that is mended."
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
            | Self::NoSuchInventory(_)
            | Self::NoSuchPage
            | Self::Busy { .. }
            | Self::Panic => {}
        }
    }
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
        match page.render() {
            Ok(html) => (error.status(), Html(html)).into_response(),
            Err(_) => (error.status(), error.to_string()).into_response(),
        }
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
        (error.status(), [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}
