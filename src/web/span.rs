//! The span that a page of figures is over: how it is asked for, and how it is said.

use super::address::Address;
use super::frame::Visit;
use super::query::{BadParameter, Now, Parameters};
use crate::review::clock::{DAY, Timestamp};
use crate::store::reach::Reach;
use crate::store::read::Scope;

/// A choice of the range: what `since` says, its name, and how a sentence over it begins.
const RANGES: [(&str, &str, &str); 4] = [
    ("1h", "1 hour", "In the last hour"),
    ("24h", "24 hours", "In the last 24 hours"),
    ("7d", "7 days", "In the last 7 days"),
    ("30d", "30 days", "In the last 30 days"),
];
const DEFAULT_RANGE: &str = "24h";

#[derive(Debug)]
pub struct RangeChoice {
    pub label: &'static str,
    /// An address, or the place on the page where one's own range is written.
    pub href: String,
    pub current: bool,
}

/// The id of the field in which one's own range begins.
const OWN: &str = "#since";

#[derive(Debug)]
pub struct Span {
    pub text: String,
    /// The figures are over more than was asked for.
    pub widened: bool,
}

/// Without a span, the last [`DEFAULT_RANGE`].
pub fn scope_of(visit: &Visit) -> Result<Scope, BadParameter> {
    scope_at(&visit.parameters, visit.now(), &visit.reach)
}

/// The same for whoever visits no page.
pub fn scope_at(parameters: &Parameters, now: Now<'_>, reach: &Reach) -> Result<Scope, BadParameter> {
    let mut scope = parameters.without(&["dry_run"]).scope(now, reach)?;
    if scope.since.is_none() {
        let until = scope.until.unwrap_or(now.at);
        scope.since = Some(Timestamp(until.0.saturating_sub(DAY)));
    }
    // A span up to now has an end, so that the lists behind its figures hold what they counted.
    scope.until.get_or_insert(now.at);
    Ok(scope)
}

/// Of a page of figures.
pub fn ranges(visit: &Visit, here: &Address) -> Vec<RangeChoice> {
    choices(visit, here, DEFAULT_RANGE)
}

/// Of a list, which goes back to the beginning unless it is told not to.
pub fn ranges_of_list(visit: &Visit, here: &Address) -> Vec<RangeChoice> {
    let all = RangeChoice {
        label: "All",
        href: here.clone().without("since").without("until").to_string(),
        current: ["since", "until"].iter().all(|name| visit.parameters.text(name).is_none()),
    };
    std::iter::once(all).chain(choices(visit, here, "")).collect()
}

fn choices(visit: &Visit, here: &Address, default: &str) -> Vec<RangeChoice> {
    let has_end = visit.parameters.text("until").is_some();
    let since = visit.parameters.text("since").unwrap_or(default);
    let choice = |(value, label, _)| RangeChoice {
        label,
        href: here.clone().with("since", value).without("until").to_string(),
        current: !has_end && since == value,
    };
    let mut choices: Vec<RangeChoice> = RANGES.into_iter().map(choice).collect();
    let is_own = (has_end || !since.is_empty()) && choices.iter().all(|choice| !choice.current);
    choices.push(RangeChoice { label: "Own", href: OWN.to_owned(), current: is_own });
    choices
}

/// How the sentence begins.
pub fn lead(visit: &Visit, scope: &Scope) -> String {
    lead_of(&visit.parameters, scope)
}

pub fn lead_of(parameters: &Parameters, scope: &Scope) -> String {
    let since = parameters.text("since").unwrap_or(DEFAULT_RANGE);
    let named = RANGES.iter().find(|(value, ..)| *value == since && parameters.text("until").is_none());
    let place = match (&scope.namespace, &scope.cluster) {
        (Some(namespace), Some(cluster)) => format!(", in the namespace {namespace} of {cluster},"),
        (Some(namespace), None) => format!(", in the namespace {namespace},"),
        (None, Some(cluster)) => format!(", in the cluster {cluster},"),
        (None, None) => String::new(),
    };
    let time = named.map_or("In the chosen time", |(.., lead)| lead);
    format!("{time}{place}")
}

// === impl Span ===

impl Span {
    pub fn of(visit: &Visit, scope: &Scope, (since, until): (Timestamp, Timestamp)) -> Self {
        let zone = &visit.zone;
        let end = match until >= visit.now {
            true => "now".to_owned(),
            false => zone.minute(until),
        };
        let widened = is_widened(scope, (since, until), visit.now);
        Self { text: format!("{} to {end}, {}", zone.minute(since), zone.abbreviation(visit.now)), widened }
    }
}

/// Whether what was counted is more than what was asked for.
pub fn is_widened(scope: &Scope, (since, until): (Timestamp, Timestamp), now: Timestamp) -> bool {
    scope.since.is_some_and(|asked| since < asked) || scope.until.is_some_and(|asked| until > asked && asked < now)
}
