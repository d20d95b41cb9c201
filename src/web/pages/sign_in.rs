//! `/sign-in`: a form for a name and a password, or the way to whoever vouches for people.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::{LOCATION, REFRESH, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::sign_out;
use crate::store::access::Means;
use crate::web::WebState;
use crate::web::access::cookie::Cookie;
use crate::web::access::log::Reason;
use crate::web::access::secret::{Secret, hash};
use crate::web::access::settings::Auth;
use crate::web::access::visitor::{PeerAddress, Who};
use crate::web::access::vouched::Vouched;
use crate::web::access::{self, password};
use crate::web::error::{Barred, PageError, WebError};
use crate::web::filters;
use crate::web::frame::Frame;
use crate::web::query::{BadParameter, Parameters};

pub const PATH: &str = "/sign-in";

/// Bytes of a form.
const LONGEST: usize = 16 * 1024;
/// Bytes of an address that somebody is brought back to, by way of a provider.
const LONGEST_WAY: usize = 1_500;
/// Characters of a name.
const LONGEST_NAME: usize = 256;

/// What the token in the form is derived for.
const FORM: &str = "sign-in";

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignIn {
    frame: Frame,
    csrf: String,
    /// Where to go afterwards.
    to: String,
    name: String,
    problem: Option<&'static str>,
    /// Whoever vouches for people; `None`: a password does.
    provider: Option<String>,
}

/// The way to whoever vouches for people.
#[derive(Template)]
#[template(path = "pages/provider.html")]
struct OnTo {
    frame: Frame,
    provider: String,
    url: String,
}

/// One word for what nobody may tell apart.
const TOGETHER: &str = "This name and this password do not go together.";
const LATER: &str = "There were too many failed attempts: try again in a few minutes.";
const BUSY: &str = "Too many sign in at once: try again in a moment.";

pub async fn show(
    State(state): State<Arc<WebState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(query.as_deref())?;
    let to = destination(parameters.text("to"));
    match state.access.settings.auth {
        Auth::Users | Auth::Oidc(_) => Form::of(&state, &headers, to).page(StatusCode::OK, String::new(), None),
        Auth::None | Auth::Proxy(_) => Ok(go(&to)),
    }
}

pub async fn submit(
    State(state): State<Arc<WebState>>,
    peer: PeerAddress,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, PageError> {
    let form = fields(body).await?;
    let to = destination(form.text("to"));
    let form_secret = Cookie::Form.read(&headers, state.access.settings.is_by_tls);
    let shown = form.text("csrf").unwrap_or_default();
    if !form_secret.is_some_and(|secret| secret.has_derived(FORM, shown)) {
        return Err(stale());
    }
    match state.access.settings.auth {
        Auth::Users => by_password(&state, peer, &headers, &form, to).await,
        Auth::Oidc(_) => by_provider(&state, &to).await,
        Auth::None | Auth::Proxy(_) => Ok(go(&to)),
    }
}

/// The fields of a form that was sent.
pub async fn fields(body: Body) -> Result<Parameters, WebError> {
    let too_long = |_| BadParameter::new("form", format!("it is longer than {LONGEST} bytes, or was cut off"));
    let bytes = axum::body::to_bytes(body, LONGEST).await.map_err(too_long)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| BadParameter::new("form", "it is not UTF-8"))?;
    Ok(Parameters::parse(Some(text))?)
}

/// A form that we did not make, or of another browser: another site may have sent it.
pub fn stale() -> PageError {
    let why =
        "this form is not one that this report made for this browser: open the page again, and send it from there";
    Barred::new(StatusCode::FORBIDDEN, Reason::Form, why).into()
}

async fn by_password(
    state: &WebState,
    peer: PeerAddress,
    headers: &HeaderMap,
    form: &Parameters,
    to: String,
) -> Result<Response, PageError> {
    let access = &state.access;
    let name: String = form.text("name").unwrap_or_default().chars().take(LONGEST_NAME).collect();
    let password = form.text("password").unwrap_or_default().to_owned();
    let again = Form::of(state, headers, to.clone());
    if let Err(wait) = access.attempts.begin(&name, peer.ip()) {
        refused(state, Reason::Limited, &name, peer).await;
        let mut response = again.page(StatusCode::TOO_MANY_REQUESTS, name, Some(LATER))?;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return Ok(response);
    }
    let directory = access.directory();
    let held = match directory.hash(&name).filter(|_| password.len() <= password::LONGEST) {
        Some(hash) => access.passwords.holds(password, hash.to_owned()).await,
        None => Some(false),
    };
    let Some(holds) = held else {
        access.attempts.withdrawn(&name, peer.ip());
        return again.page(StatusCode::SERVICE_UNAVAILABLE, name, Some(BUSY));
    };
    let Some(user) = directory.user(&name).filter(|_| holds) else {
        refused(state, Reason::Password, &name, peer).await;
        return again.page(StatusCode::UNAUTHORIZED, name, Some(TOGETHER));
    };
    access.attempts.succeeded(&name, peer.ip());
    if directory.standing(user.role, &user.groups).is_none() {
        let who = Who { name, means: Means::Users, session: None };
        return Err(access::without_role(&who, &directory).into());
    }
    let proof = Some(hash(&user.hash));
    let whom = Vouched::by_name(user.name.clone(), Vec::new());
    let secret = access.begin_session(&state.store, headers, peer, (&whom, Means::Users), proof).await?;
    Ok(signed_in(&secret, &to, Cookie::Form, access.settings.is_by_tls))
}

async fn refused(state: &WebState, reason: Reason, name: &str, peer: PeerAddress) {
    let who = Some((name, Means::Users));
    state.access.log.refused(Some(&state.store), reason, who, peer, "sign-in").await;
}

/// A page that leads on by itself: a redirect would be part of the form, which may go nowhere but here.
async fn by_provider(state: &WebState, to: &str) -> Result<Response, PageError> {
    let access = &state.access;
    let provider = access.provider.as_ref().ok_or(WebError::NoSuchPage)?;
    let secret = Secret::random();
    let to = if to.len() <= LONGEST_WAY { to } else { "/" };
    let url = provider.begin(&secret, to).await.map_err(|error| {
        tracing::warn!(%error, "the provider of report.oidc cannot be asked");
        Barred::new(StatusCode::BAD_GATEWAY, Reason::Provider, format!("the provider cannot be asked: {error}"))
    })?;
    let refresh = HeaderValue::try_from(format!("0; url={url}")).map_err(|_| WebError::NoSuchPage)?;
    let page = OnTo { frame: Frame::without_ways("Sign in"), provider: provider.name().to_owned(), url };
    let cookie = Cookie::Provider.set(&secret, access.settings.is_by_tls);
    Ok(([(SET_COOKIE, cookie), (REFRESH, refresh)], Html(page.render()?)).into_response())
}

/// With the session's cookie; that of the way to it is done with.
pub fn signed_in(secret: &Secret, to: &str, way: Cookie, is_by_tls: bool) -> Response {
    let mut response = go(to);
    response.headers_mut().append(SET_COOKIE, Cookie::Session.set(secret, is_by_tls));
    response.headers_mut().append(SET_COOKIE, way.unset(is_by_tls));
    response
}

pub fn go(to: &str) -> Response {
    let location = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// An address of this report and of nobody else.
pub fn destination(asked: Option<&str>) -> String {
    let is_ours = |to: &&str| {
        to.starts_with('/')
            && !to.starts_with("//")
            && !to.starts_with(PATH)
            && !to.starts_with(sign_out::PATH)
            && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    asked.filter(is_ours).unwrap_or("/").to_owned()
}

/// The form as it is made for one browser.
struct Form<'a> {
    state: &'a WebState,
    secret: Secret,
    to: String,
}

// === impl Form ===

impl<'a> Form<'a> {
    /// Of a browser that has a form open already, the same: it may have several.
    fn of(state: &'a WebState, headers: &HeaderMap, to: String) -> Self {
        let secret = Cookie::Form.read(headers, state.access.settings.is_by_tls).unwrap_or_else(Secret::random);
        Self { state, secret, to }
    }

    fn page(self, status: StatusCode, name: String, problem: Option<&'static str>) -> Result<Response, PageError> {
        let page = SignIn {
            frame: Frame::without_ways("Sign in"),
            csrf: self.secret.derived(FORM),
            to: self.to,
            name,
            problem,
            provider: match &self.state.access.settings.auth {
                Auth::Oidc(provider) => Some(provider.issuer.clone()),
                Auth::None | Auth::Users | Auth::Proxy(_) => None,
            },
        };
        let cookie = Cookie::Form.set(&self.secret, self.state.access.settings.is_by_tls);
        Ok((status, [(SET_COOKIE, cookie)], Html(page.render()?)).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_of_this_report() {
        for to in ["/", "/decisions?cluster=a&image=%3Cscript%3E", "/decisions/01"] {
            assert_eq!(destination(Some(to)), to);
        }
        for to in [
            "",
            "decisions",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: x=y",
            "/a\u{e9}",
            "/sign-in?to=/sign-in",
        ] {
            assert_eq!(destination(Some(to)), "/", "{to:?}");
        }
    }
}
