//! How far local enforcement goes in the system namespaces: a cluster is never locked out of its own repair.

use crate::review::decision::Mode;

use super::glob::{Glob, Subject};
use super::rollout::Place;
use super::settings::SystemSettings;

/// No mode is heavier there. The default is no ceiling at all.
#[derive(Debug, Clone)]
pub struct SystemCeiling {
    namespaces: Vec<Glob>,
    most: Mode,
}

// === impl SystemCeiling ===

impl SystemCeiling {
    pub fn of(settings: &SystemSettings) -> Self {
        let globs = settings.namespaces.iter().map(|pattern| Glob::new(pattern, Subject::Name));
        Self { namespaces: globs.collect(), most: settings.max_mode }
    }

    /// The heaviest mode there.
    pub fn over(&self, place: Place<'_>) -> Mode {
        let is_under = self.namespaces.iter().any(|glob| glob.matches(place.namespace));
        if is_under { self.most } else { Mode::Enforce }
    }

    /// Whether a mode is heavier than it may be somewhere.
    pub fn lowers(&self, mode: Mode) -> bool {
        !self.namespaces.is_empty() && self.most < mode
    }
}

impl Default for SystemCeiling {
    fn default() -> Self {
        Self { namespaces: Vec::new(), most: Mode::Enforce }
    }
}
