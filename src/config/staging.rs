//! The meaning of what is written about what acts after policies have judged.

use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::SystemSettings;
use crate::review::decision::Mode;

use super::form::{Text, Written};
use super::meaning::Ground;
use super::mistake::Wrong;

/// Set from the pod's own metadata.
const POD_NAMESPACE: &str = "POD_NAMESPACE";
/// Where Kubernetes mounts it with the token of a service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub fn system(namespaces: Vec<Written<Text>>, max_mode: Mode, ground: &mut Ground<'_>) -> SystemSettings {
    let mut namespaces: Vec<String> = namespaces.into_iter().map(|name| name.0.0).collect();
    globs(&namespaces, "system_namespaces", Subject::Name, ground);
    namespaces.extend(ground.own_namespace.take().filter(|own| !namespaces.contains(own)));
    SystemSettings { namespaces, max_mode }
}

/// The namespace that this process runs in, as the environment or its service account says.
pub fn own_namespace(env: &[(String, String)]) -> Option<String> {
    let given = env.iter().find(|(name, _)| name == POD_NAMESPACE).map(|(_, value)| value.clone());
    let name = given.or_else(|| std::fs::read_to_string(NAMESPACE_FILE).ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Those that can match nothing are mistakes.
pub fn globs(patterns: &[String], field: &str, subject: Subject, ground: &mut Ground<'_>) {
    for (at, pattern) in patterns.iter().enumerate() {
        if let Some((problem, fix)) = Glob::never_matches(pattern, subject) {
            ground.wrong(&format!("{field}[{at}]"), Wrong::new(problem, format!("right would be {fix}")));
        }
    }
}
