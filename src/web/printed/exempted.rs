//! Exemptions of the loaded revision that are in force, or ended in the period.

use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::ExemptionSettings;
use crate::review::clock::Timestamp;
use crate::web::filters::count;

use super::Asking;

#[derive(Debug)]
pub struct Exemptions {
    pub sentence: String,
    pub lines: Vec<Line>,
}

#[derive(Debug)]
pub struct Line {
    /// Policies and rules.
    pub of: String,
    /// Images, workloads and containers; of none everything.
    pub what: Vec<String>,
    pub namespaces: String,
    pub clusters: String,
    pub end: String,
    pub is_over: bool,
    pub ticket: String,
    pub owner: String,
    pub reason: String,
}

/// Those that let something through at any time since then, where a place is asked for as far as they can be of it. For
/// whoever may see everything: they name whom somebody exempts.
pub fn in_period(asking: &Asking) -> Option<Vec<&ExemptionSettings>> {
    let scope = &asking.scope;
    let is_of = |globs: &[String], name: &Option<String>| {
        let Some(name) = name else { return true };
        globs.is_empty() || globs.iter().any(|glob| Glob::new(glob, Subject::Name).matches(name))
    };
    let is_in = |one: &&ExemptionSettings| {
        one.until.is_none_or(|until| scope.since.is_none_or(|since| until > since))
            && is_of(&one.clusters, &scope.cluster)
            && is_of(&one.namespaces, &scope.namespace)
    };
    let written = asking.question.revision.exemptions.iter().map(|one| &one.settings);
    asking.reach().is_everything().then(|| written.filter(is_in).collect())
}

// === impl Exemptions ===

impl Exemptions {
    pub fn of(asking: &Asking) -> Self {
        let Some(found) = in_period(asking) else {
            let sentence =
                "Which exemptions are configured is for whoever may see the whole history. What one let through \
                            is counted as exempted above, and each decision names it."
                    .to_owned();
            return Self { sentence, lines: Vec::new() };
        };
        let lines: Vec<Line> = found.into_iter().map(|one| Line::of(one, asking)).collect();
        let over = lines.iter().filter(|line| line.is_over).count() as u64;
        let sentence = match (lines.len() as u64, over) {
            (0, _) => "No exemption is in force, and none of the loaded revision ended in this time.".to_owned(),
            (all, 0) => format!("{} in force.", is_or_are(all)),
            (all, over) if all == over => format!("None is in force; {} in this time.", ended(over)),
            (all, over) => format!("{} in force; {} in this time.", is_or_are(all - over), ended(over)),
        };
        Self { sentence, lines }
    }
}

fn is_or_are(number: u64) -> String {
    format!("{} {}", count(number, "exemption"), if number == 1 { "is" } else { "are" })
}

fn ended(number: u64) -> String {
    format!("{number} ended")
}

// === impl Line ===

impl Line {
    fn of(settings: &ExemptionSettings, asking: &Asking) -> Self {
        let ExemptionSettings { policies, rules, clusters, namespaces, workloads, images, containers, .. } = settings;
        let ExemptionSettings { until, ticket, owner, reason, .. } = settings;
        let or = |names: &[String], any: &str| match names {
            [] => any.to_owned(),
            names => names.join(", "),
        };
        let zone = &asking.zone;
        let is_over = until.is_some_and(|until: Timestamp| until <= asking.now());
        Self {
            of: match (policies.as_slice(), rules.as_slice()) {
                ([], []) => "every rule".to_owned(),
                (policies, []) => format!("every rule of {}", policies.join(", ")),
                ([], rules) => rules.join(", "),
                (policies, rules) => format!("{} of {}", rules.join(", "), policies.join(", ")),
            },
            what: [images, workloads, containers].into_iter().flatten().cloned().collect(),
            namespaces: or(namespaces, "every namespace"),
            clusters: or(clusters, "every cluster"),
            end: match until {
                None => "permanent".to_owned(),
                Some(until) if is_over => format!("ended {}", zone.minute(*until)),
                Some(until) => format!("until {}", zone.minute(*until)),
            },
            is_over,
            ticket: ticket.clone().unwrap_or_default(),
            owner: owner.clone().unwrap_or_default(),
            reason: reason.clone().unwrap_or_default(),
        }
    }
}
