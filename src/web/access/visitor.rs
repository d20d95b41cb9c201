//! Who a request is from, and what they may see.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::StatusCode;
use http::request::Parts;

use super::directory::{Directory, Standing};
use super::secret::Secret;
use super::settings::Role;
use crate::review::clock::Timestamp;
use crate::store::access::Means;
use crate::store::reach::Rights;
use crate::web::error::WebError;

/// Made by the guard in front of every page, so that none is shown without one.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// `None`: nobody is asked who they are.
    pub who: Option<Who>,
    pub role: Role,
    pub rights: Rights,
    directory: Arc<Directory>,
}

#[derive(Debug, Clone)]
pub struct Who {
    pub name: String,
    pub means: Means,
    /// Where they have one.
    pub session: Option<Held>,
}

/// The session of a browser.
#[derive(Debug, Clone)]
pub struct Held {
    /// What its cookie holds.
    pub secret: Secret,
    /// Of one person alone.
    pub subject: String,
    pub seen_at: Timestamp,
}

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub Option<SocketAddr>);

/// Of the form that ends a session.
pub const SIGN_OUT: &str = "sign-out";

// === impl Visitor ===

impl Visitor {
    /// Where nobody is asked.
    pub fn anybody(directory: Arc<Directory>) -> Self {
        Self { who: None, role: Role::Admin, rights: Rights::Everything, directory }
    }

    pub fn known(who: Who, standing: Standing, directory: Arc<Directory>) -> Self {
        Self { who: Some(who), role: standing.role, rights: standing.rights, directory }
    }

    /// # Errors
    /// Nothing of what an address names is theirs, whether there is such a thing or not: whom to ask.
    pub fn admit(&self, cluster: Option<&str>, namespace: Option<&str>) -> Result<(), WebError> {
        if self.rights.reaches(cluster, namespace) {
            return Ok(());
        }
        let what = match (cluster, namespace) {
            (Some(cluster), Some(namespace)) => format!("the namespace {namespace} of {cluster}"),
            (None, Some(namespace)) => format!("the namespace {namespace}"),
            (Some(cluster), None) => format!("the cluster {cluster}"),
            (None, None) => "this page".to_owned(),
        };
        Err(WebError::NotYours { what, contact: self.directory.contact(cluster, namespace) })
    }

    /// # Errors
    /// `what` is of all namespaces, and they may not see all.
    pub fn admit_to_all(&self, what: &str) -> Result<(), WebError> {
        match self.rights {
            Rights::Everything => Ok(()),
            Rights::Only(_) => Err(WebError::NotYours { what: what.to_owned(), contact: self.contact() }),
        }
    }

    /// # Errors
    /// They may not see who did what with the report.
    pub fn admit_to_access(&self) -> Result<(), WebError> {
        match self.role.sees_access() {
            true => Ok(()),
            false => Err(WebError::NotYours { what: "the access log".to_owned(), contact: self.contact() }),
        }
    }

    /// What is not found, or is not theirs: nobody learns which.
    pub fn missing(&self, what: String, for_all: WebError) -> WebError {
        match self.rights {
            Rights::Everything => for_all,
            Rights::Only(_) => WebError::NotFoundOrNotYours { what, contact: self.contact() },
        }
    }

    /// Whom to ask in general.
    fn contact(&self) -> Option<String> {
        self.directory.contact(None, None)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let missing = (StatusCode::INTERNAL_SERVER_ERROR, "nobody asked who this is for\n");
        parts.extensions.get::<Self>().cloned().ok_or(missing)
    }
}

// === impl Who ===

impl Who {
    /// For the form that signs them out.
    pub fn csrf(&self) -> Option<String> {
        self.session.as_ref().map(|held| held.secret.derived(SIGN_OUT))
    }
}

// === impl PeerAddress ===

impl PeerAddress {
    pub fn of(parts: &Parts) -> Self {
        Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address))
    }

    pub fn ip(self) -> Option<std::net::IpAddr> {
        self.0.map(|address| address.ip().to_canonical())
    }

    /// For the access log.
    pub fn text(self) -> String {
        self.ip().map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PeerAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}
