//! What reviews are judged by, made from settings: whole, or not at all.

use std::sync::Arc;

use crate::admission::service::Loaded;
use crate::backend::metrics::Metrics;
use crate::backend::{Backend, BackendSetupError};
use crate::policy::Revision;
use crate::policy::revision::{Policy, Source};
use crate::policy::rules::Mistake;
use crate::policy::settings::{PolicySettings, StagingSettings, WebhookSettings};

/// Why nothing is made of it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("policy {policy}, {}: {}; {}", .mistake.field, .mistake.problem, .mistake.fix)]
    Policy { policy: String, mistake: Mistake },
    #[error("policy {policy}, {error}")]
    Backend { policy: String, error: BackendSetupError },
}

/// Compiles `policies`. A webhook that is as it was in `held` keeps its client, with its connections. Blocks on files, and
/// takes a second for some thousands of rules.
///
/// # Errors
/// The first thing that is wrong; `config::check` says all.
pub fn build(
    policies: &[PolicySettings],
    staging: &StagingSettings,
    held: Option<&Loaded>,
    metrics: &Metrics,
) -> Result<Loaded, BuildError> {
    let revision = Revision::load(policies, staging).map_err(|mistakes| {
        let (at, mistake) = mistakes.into_iter().next().expect("a revision that does not load has a mistake");
        let policy = policies.iter().chain(&staging.candidates).nth(at).map(|policy| policy.name.clone());
        BuildError::Policy { policy: policy.unwrap_or_default(), mistake }
    })?;
    let backends = revision.policies.iter().map(|policy| backend(policy, held, metrics)).collect::<Result<_, _>>()?;
    Ok(Loaded::new(revision, backends))
}

fn backend(policy: &Policy, held: Option<&Loaded>, metrics: &Metrics) -> Result<Option<Arc<Backend>>, BuildError> {
    let Source::Webhook(settings) = &policy.source else { return Ok(None) };
    if let Some(backend) = held.and_then(|held| held_backend(held, &policy.name, settings)) {
        return Ok(Some(backend));
    }
    match Backend::new(&policy.name, settings, metrics) {
        Ok(backend) => Ok(Some(Arc::new(backend))),
        Err(error) => Err(BuildError::Backend { policy: policy.name.clone(), error }),
    }
}

fn held_backend(held: &Loaded, name: &str, settings: &WebhookSettings) -> Option<Arc<Backend>> {
    let is_it =
        |policy: &Policy| policy.name == name && matches!(&policy.source, Source::Webhook(own) if own == settings);
    let at = held.revision.policies.iter().position(is_it)?;
    held.backends[at].clone()
}
