//! Stands in front of every page: finds out who a request is from, and notes whom it refuses.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::Access;
use super::settings::Auth;
use super::visitor::{PeerAddress, Who};
use crate::store::Store;
use crate::web::address::Address;
use crate::web::api;
use crate::web::error::{self, Refused, WebError};
use crate::web::pages::{health, sign_in};

/// What the guard asks.
#[derive(Debug, Clone)]
pub struct Gate {
    pub access: Arc<Access>,
    /// `None`: it is not open.
    pub store: Option<Store>,
}

pub async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let asked = Asked::of(&parts);
    if is_open(&asked.path) {
        let response = next.run(Request::from_parts(parts, body)).await;
        return gate.noted(&asked, None, response).await;
    }
    let (access, store) = (&gate.access, gate.store.as_ref());
    let visitor = match is_for_need(&asked.path) {
        true => access.visitor_in_need(&parts, store).await,
        false => access.visitor(&parts, store).await,
    };
    let (who, response) = match visitor {
        Ok(visitor) => {
            let who = visitor.who.clone();
            parts.extensions.insert(visitor);
            (who, next.run(Request::from_parts(parts, body)).await)
        }
        Err(WebError::NotSignedIn) => return gate.to_sign_in(&asked),
        Err(error) => (None, error::answer(&asked.path, error)),
    };
    gate.noted(&asked, who, response).await
}

/// What is no page of anybody.
fn is_open(path: &str) -> bool {
    path.starts_with("/assets/") || path == sign_in::PATH || path.starts_with(&format!("{}/", sign_in::PATH))
}

/// What is read while the history is away.
fn is_for_need(path: &str) -> bool {
    [health::PATH, health::RUNBOOK, api::health::PATH].contains(&path)
}

/// What of a request is told afterwards.
struct Asked {
    method: Method,
    path: String,
    /// With its query.
    address: String,
    peer: PeerAddress,
}

// === impl Asked ===

impl Asked {
    fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            address: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            peer: PeerAddress::of(parts),
        }
    }

    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

// === impl Gate ===

impl Gate {
    /// The answer, with whom it refuses in the access log.
    async fn noted(&self, asked: &Asked, who: Option<Who>, response: Response) -> Response {
        if let Some(Refused { reason, who: named, what }) = response.extensions().get::<Refused>() {
            let who = who.as_ref().or(named.as_ref()).map(|who| (who.name.as_str(), who.means));
            let what = format!("{} {}: {what}", asked.method, asked.path);
            self.access.log.refused(self.store.as_ref(), *reason, who, asked.peer, &what).await;
        }
        response
    }

    /// A person is sent to where they sign in, and from there back; a program is told.
    fn to_sign_in(&self, asked: &Asked) -> Response {
        let is_page = !asked.path.starts_with("/api/") && asked.path != "/metrics";
        let can_sign_in = matches!(self.access.settings.auth, Auth::Users | Auth::Oidc(_));
        let mut response = error::answer(&asked.path, WebError::NotSignedIn);
        if is_page && can_sign_in {
            // What was sent is not sent again.
            let to = if asked.is_read() { asked.address.as_str() } else { "/" };
            let address = Address::of(sign_in::PATH).with("to", to).to_string();
            *response.status_mut() = StatusCode::SEE_OTHER;
            let location = HeaderValue::try_from(address).expect("an address is ASCII");
            response.headers_mut().insert(LOCATION, location);
        } else {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
