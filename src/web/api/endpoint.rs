//! An address of the API: who answers there, what it takes and what it gives. The router and the document
//! ([`super::document`]) are made of the same list, so that neither knows one that the other does not.

use std::sync::Arc;

use axum::routing::MethodRouter;
use axum::{Extension, Router};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::web::WebState;

#[derive(Debug)]
pub struct Endpoint {
    pub path: &'static str,
    /// One sentence.
    pub says: &'static str,
    /// Names of what its query takes, and no others.
    pub parameters: Vec<&'static str>,
    pub gives: Gives,
    /// `None`: it is routed apart, since it answers without a history too.
    route: Option<MethodRouter<Arc<WebState>>>,
}

/// The parameters of the address that was asked.
#[derive(Debug, Clone)]
pub struct Taken(pub Arc<[&'static str]>);

/// What an answer is.
#[derive(Debug)]
pub enum Gives {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Of these media types.
    Files(&'static [&'static str]),
}

// === impl Endpoint ===

impl Endpoint {
    /// Whose answer is a `T`.
    pub fn json<T: JsonSchema>(
        path: &'static str,
        says: &'static str,
        parameters: &[&'static str],
        route: MethodRouter<Arc<WebState>>,
    ) -> Self {
        Self { route: Some(route), ..Self::apart::<T>(path, says, parameters) }
    }

    /// The same, routed apart.
    pub fn apart<T: JsonSchema>(path: &'static str, says: &'static str, parameters: &[&'static str]) -> Self {
        let gives = Gives::Json(|schemas| schemas.subschema_for::<T>());
        Self { path, says, parameters: parameters.to_vec(), gives, route: None }
    }

    pub fn files(
        path: &'static str,
        says: &'static str,
        parameters: &[&'static str],
        media_types: &'static [&'static str],
        route: MethodRouter<Arc<WebState>>,
    ) -> Self {
        Self { path, says, parameters: parameters.to_vec(), gives: Gives::Files(media_types), route: Some(route) }
    }

    /// By which a generated client calls it: `decisions`, `decisions_id`.
    pub fn name(&self) -> String {
        let parts = self.path.trim_start_matches("/api/v1/").split('/');
        parts.map(|part| part.trim_matches(['{', '}'])).collect::<Vec<_>>().join("_").replace(['-', '.'], "_")
    }

    /// The names in its path.
    pub fn places(&self) -> impl Iterator<Item = &'static str> {
        let between = |part: &'static str| part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        self.path.split('/').filter_map(between)
    }

    pub fn onto(self, router: Router<Arc<WebState>>) -> Router<Arc<WebState>> {
        match self.route {
            Some(route) => router.route(self.path, route.layer(Extension(Taken(self.parameters.into())))),
            None => router,
        }
    }
}
