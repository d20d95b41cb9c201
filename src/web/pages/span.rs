//! The span that a page of figures is over: how it is asked for, and how it is said.

use crate::review::clock::{DAY, Timestamp};
use crate::store::read::Scope;
use crate::web::address::Address;
use crate::web::frame::Visit;
use crate::web::query::BadParameter;

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
    pub href: Address,
    pub current: bool,
}

#[derive(Debug)]
pub struct Span {
    pub text: String,
    /// The figures are over more than was asked for.
    pub widened: bool,
}

/// Without a span, the last [`DEFAULT_RANGE`].
pub fn scope_of(visit: &Visit) -> Result<Scope, BadParameter> {
    let mut scope = visit.parameters.without(&["dry_run"]).scope(visit.now(), &visit.reach)?;
    if scope.since.is_none() {
        let until = scope.until.unwrap_or(visit.now);
        scope.since = Some(Timestamp(until.0.saturating_sub(DAY)));
    }
    // A span up to now has an end, so that the lists behind its figures hold what they counted.
    scope.until.get_or_insert(visit.now);
    Ok(scope)
}

pub fn ranges(visit: &Visit, here: &Address) -> Vec<RangeChoice> {
    let own = visit.parameters.text("until").is_some();
    let since = visit.parameters.text("since").unwrap_or(DEFAULT_RANGE);
    let choice = |(value, label, _)| RangeChoice {
        label,
        href: here.clone().with("since", value).without("until"),
        current: !own && since == value,
    };
    RANGES.into_iter().map(choice).collect()
}

/// How the sentence begins.
pub fn lead(visit: &Visit, scope: &Scope) -> String {
    let since = visit.parameters.text("since").unwrap_or(DEFAULT_RANGE);
    let named = RANGES.iter().find(|(value, ..)| *value == since && visit.parameters.text("until").is_none());
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
        let widened = scope.since.is_some_and(|asked| since < asked)
            || scope.until.is_some_and(|asked| until > asked && asked < visit.now);
        Self { text: format!("{} to {end}, {}", zone.minute(since), zone.abbreviation(visit.now)), widened }
    }
}
