//! The meaning of what is written about readiness.

use std::time::Duration;

use crate::policy::readiness::ReadinessSettings;

use super::form::Form as _;
use super::meaning::Ground;
use super::mistake::Wrong;
use super::written::Readiness;

/// `kept`: how long what the evidence is read from is kept. A default is no longer than what is written allows: nobody is
/// told of a mistake in what they did not write.
pub fn of(written: Readiness, kept: Duration, ground: &mut Ground<'_>) -> ReadinessSettings {
    let is_written = |field: &str| ground.tree.at(field).is_some();
    let (has_window, has_quiet) = (is_written("readiness.window"), is_written("readiness.quiet"));
    let window = ground.not_zero("readiness.window", written.window);
    let window = if has_window { window } else { window.min(kept) };
    let quiet = ground.not_zero("readiness.quiet", written.quiet);
    let quiet = if has_quiet { quiet } else { quiet.min(window) };
    if window > kept {
        let problem = format!("{} is longer than what is counted is kept", window.write());
        let fix = format!("write at most {}, or a longer retention.rollups", kept.write());
        ground.wrong_once("readiness.window", Wrong::new(problem, fix));
    }
    if quiet > window {
        let problem =
            format!("quiet is {} and window is {}: what is older is not looked at", quiet.write(), window.write());
        ground.wrong_once("readiness.quiet", Wrong::new(problem, "write quiet as long as window, or shorter"));
    }
    ReadinessSettings { window, quiet }
}
