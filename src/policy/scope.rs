//! Where a rule holds.

use crate::review::Review;
use crate::review::decision::Operation;
use crate::review::image::Role;

use super::glob::{Glob, Subject};
use super::matcher::globs;
use super::rules::Mistake;
use super::settings::ScopeSettings;

/// Each part that is empty is everywhere.
#[derive(Debug)]
pub struct Scope {
    namespaces: Vec<Glob>,
    except_namespaces: Vec<Glob>,
    clusters: Vec<Glob>,
    kinds: Vec<Glob>,
    operations: Vec<Operation>,
    containers: Vec<Role>,
}

// === impl Scope ===

impl Scope {
    pub fn compile(settings: &ScopeSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Self {
        let mut globs =
            |patterns: &[String], field: &str| globs(patterns, &format!("{path}.{field}"), Subject::Name, mistakes);
        Self {
            namespaces: globs(&settings.namespaces, "namespaces"),
            except_namespaces: globs(&settings.except_namespaces, "except_namespaces"),
            clusters: globs(&settings.clusters, "clusters"),
            kinds: globs(&settings.kinds, "kinds"),
            operations: settings.operations.clone(),
            containers: settings.containers.clone(),
        }
    }

    pub fn names_clusters(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// What the namespaces begin with in which it holds; none: every namespace.
    pub fn namespaces(&self) -> Vec<Vec<u8>> {
        self.namespaces.iter().map(|glob| glob.beginning().into()).collect()
    }

    pub fn holds_for(&self, cluster: &str, review: &Review) -> bool {
        let any = |globs: &[Glob], text: &str| globs.iter().any(|glob| glob.matches(text));
        // An object without a namespace is in none that could be named.
        let namespace = review.record.namespace.as_deref().unwrap_or_default();
        // An ImageReview names no kind: it is of a pod.
        let kind = review.record.kind.as_deref().unwrap_or("Pod");
        (self.namespaces.is_empty() || any(&self.namespaces, namespace))
            && !any(&self.except_namespaces, namespace)
            && (self.clusters.is_empty() || any(&self.clusters, cluster))
            && (self.kinds.is_empty() || any(&self.kinds, kind))
            && (self.operations.is_empty() || self.operations.contains(&review.record.operation))
    }

    /// An image whose role nobody said is in every scope.
    pub fn has_role(&self, role: Role) -> bool {
        role == Role::Unknown || self.containers.is_empty() || self.containers.contains(&role)
    }
}
