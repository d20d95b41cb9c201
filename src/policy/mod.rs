//! Floor 1: what judges. Pure and synchronous: a policy is a function of a view of the review and its own text.

mod anchor;
pub mod break_glass;
pub mod ceiling;
pub mod evaluated;
pub mod exemptions;
pub mod gatekeeper;
pub mod glob;
mod index;
mod matcher;
mod memo;
pub mod opa;
pub mod readiness;
pub mod rego;
pub mod revision;
pub mod rollout;
pub mod rule;
pub mod rules;
mod scope;
pub mod settings;
pub mod system;
mod template;
pub mod text;

pub use revision::Revision;
