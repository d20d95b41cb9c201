//! `/sign-out`: ends a session, or all of somebody.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::SET_COOKIE;

use super::sign_in::{self, fields, go, stale};
use crate::store::access::Event;
use crate::store::session::Ended;
use crate::web::WebState;
use crate::web::access::cookie::Cookie;
use crate::web::access::log::AccessLog;
use crate::web::access::visitor::{PeerAddress, SIGN_OUT, Visitor};
use crate::web::error::PageError;

pub const PATH: &str = "/sign-out";

pub async fn submit(
    State(state): State<Arc<WebState>>,
    visitor: Visitor,
    peer: PeerAddress,
    body: Body,
) -> Result<Response, PageError> {
    let form = fields(body).await?;
    let shown = form.text("csrf").unwrap_or_default();
    let session = visitor.who.as_ref().and_then(|who| Some((who, who.session.as_ref()?)));
    let Some((who, held)) = session.filter(|(_, held)| held.secret.has_derived(SIGN_OUT, shown)) else {
        return Err(stale());
    };
    let (ended, what) = match form.text("everywhere") {
        Some(_) => (Ended::Of(&held.subject, who.means), "signed out everywhere"),
        None => (Ended::One(held.secret.key()), "signed out"),
    };
    let noted = AccessLog::entry(Event::SignOut, Some((&who.name, who.means)), peer, what);
    // Also where the history cannot be told: nobody is to be let in for whom it vouched before.
    state.access.remembered.forget(ended);
    state.store.end_sessions(ended, &noted).await?;
    // Of a request that read the session before it ended, too.
    state.access.remembered.forget(ended);
    let mut response = go(sign_in::PATH);
    response.headers_mut().append(SET_COOKIE, Cookie::Session.unset(state.access.settings.is_by_tls));
    Ok(response)
}
