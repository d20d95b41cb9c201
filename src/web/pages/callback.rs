//! `/sign-in/callback`: where a provider sends people back to.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::sign_in::{destination, signed_in};
use crate::store::access::Means;
use crate::web::WebState;
use crate::web::access::cookie::Cookie;
use crate::web::access::log::Reason;
use crate::web::access::oidc::Provider;
use crate::web::access::visitor::{PeerAddress, Who};
use crate::web::access::without_role;
use crate::web::error::{Barred, PageError, WebError};
use crate::web::query::Parameters;

pub const PATH: &str = "/sign-in/callback";

/// Characters of what a provider gives as its reason.
const SAID: usize = 200;

pub async fn show(
    State(state): State<Arc<WebState>>,
    peer: PeerAddress,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(query.as_deref())?;
    let access = &state.access;
    let provider = access.provider.as_ref().ok_or(WebError::NoSuchPage)?;
    let begun = Cookie::Provider.read(&headers, access.settings.is_by_tls);
    let found = begun.and_then(|secret| {
        let to = Provider::destination(&secret, parameters.text("state").unwrap_or_default())?;
        Some((secret, to))
    });
    let Some((secret, to)) = found else {
        let why = "this sign-in was not begun by this browser, or it was finished already: begin it again";
        return Err(Barred::new(StatusCode::FORBIDDEN, Reason::Form, why).into());
    };
    let Some(code) = parameters.text("code") else {
        let said = parameters.text("error_description").or(parameters.text("error")).unwrap_or("nothing");
        let said: String = said.chars().take(SAID).collect();
        let why = format!("the provider did not vouch for anybody, it says: {said}");
        return Err(Barred::new(StatusCode::FORBIDDEN, Reason::Provider, why).into());
    };
    // Of each browser: many people may come from one address.
    let tries = secret.derived("attempts");
    if access.attempts.begin(&tries, peer.ip()).is_err() {
        let why = "there were too many failed attempts: try again in a few minutes";
        return Err(Barred::new(StatusCode::TOO_MANY_REQUESTS, Reason::Limited, why).into());
    }
    let vouched = provider.finish(&secret, code).await.map_err(|error| {
        tracing::warn!(%error, "the provider of report.oidc does not vouch for somebody");
        Barred::new(
            StatusCode::FORBIDDEN,
            Reason::Provider,
            format!("the provider does not vouch for anybody: {error}"),
        )
    })?;
    access.attempts.succeeded(&tries, peer.ip());
    let directory = access.directory();
    if directory.standing(None, &vouched.groups).is_none() {
        return Err(without_role(&Who { name: vouched.name, means: Means::Oidc, session: None }, &directory).into());
    }
    let secret = access.begin_session(&state.store, &headers, peer, (&vouched, Means::Oidc), None).await?;
    Ok(signed_in(&secret, &destination(Some(&to)), Cookie::Provider, access.settings.is_by_tls))
}
