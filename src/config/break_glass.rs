//! The meaning of what is written about break-glass.

use crate::policy::break_glass::never_matches;
use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::{BreakGlassSettings, PolicySettings};

use super::form::{Text, Written};
use super::meaning::Ground;
use super::mistake::Wrong;
use super::policies::texts;
use super::staging::globs;
use super::written::{self, OneOrMore};

/// The field that it stands in.
const FIELD: &str = "break_glass";

pub fn of(
    written: Option<OneOrMore<written::BreakGlass>>,
    policies: &[PolicySettings],
    ground: &mut Ground<'_>,
) -> Vec<BreakGlassSettings> {
    match written {
        None => Vec::new(),
        Some(OneOrMore::One(one)) => vec![entry(one, FIELD, policies, ground)],
        Some(OneOrMore::More(list)) => {
            let list = list.into_iter().enumerate();
            list.map(|(at, one)| entry(one, &format!("{FIELD}[{at}]"), policies, ground)).collect()
        }
    }
}

fn entry(
    written: written::BreakGlass,
    path: &str,
    policies: &[PolicySettings],
    ground: &mut Ground<'_>,
) -> BreakGlassSettings {
    let field = |name: &str| format!("{path}.{name}");
    let mut list = |written: Option<OneOrMore<Written<Text>>>, name: &str| {
        let patterns = texts(written);
        globs(&patterns, &field(name), Subject::Name, ground);
        patterns
    };
    // One that is missing is a mistake already.
    let text = |written: Option<Written<Text>>| written.map(|text| text.0.0).unwrap_or_default();
    let settings = BreakGlassSettings {
        annotation: text(written.annotation),
        value: text(written.value),
        policies: list(written.policies, "policies"),
        rules: list(written.rules, "rules"),
        clusters: list(written.clusters, "clusters"),
        namespaces: list(written.namespaces, "namespaces"),
        users: list(written.users, "users"),
        groups: list(written.groups, "groups"),
        lasts: written.lasts.map_or(BreakGlassSettings::LASTS, |lasts| ground.not_zero(&field("for"), lasts)),
    };
    if let Some((problem, fix)) =
        never_matches(&settings.annotation).filter(|_| !ground.mistakes.touch(&field("annotation")))
    {
        ground.wrong(&field("annotation"), Wrong::new(problem, format!("right would be {fix}")));
    }
    for name in &settings.policies {
        let glob = Glob::new(name, Subject::Name);
        if !policies.iter().any(|policy| glob.matches(&policy.name)) {
            ground.warnings.push(format!("{}: no policy is called {name}", field("policies")));
        }
    }
    settings
}
