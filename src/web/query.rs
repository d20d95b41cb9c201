//! What an address asks for, typed: filters, spans, places in a list.

use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::address::Address;
use super::export::Format;
use super::zone::Zone;
use crate::review::clock::Timestamp;
use crate::review::comparison::Stance;
use crate::review::decision::Answer;
use crate::store::access::{Accesses, Event};
use crate::store::inventory::Outlook;
use crate::store::inventory::read::Shown;
use crate::store::reach::Reach;
use crate::store::read::{Blame, ComparedFilter, DryRuns, Filter, Scope, Uses};

pub mod cursor;
pub mod moment;

/// More than the longest name that a cluster sends, less than what a database takes as a pattern.
const MAX_VALUE: usize = 16 * 1024;

/// What selects decisions, in the order in which a page offers it.
pub const FILTERS: [&str; 16] = [
    "since",
    "until",
    "cluster",
    "namespace",
    "policy",
    "rule",
    "image",
    "repository",
    "to_blame",
    "uid",
    "answer",
    "would_reject",
    "dry_run",
    "candidate",
    "candidate_live",
    "candidate_verdict",
];

/// A query string, decoded. A parameter with an empty value is an absent one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

/// Names the parameter that is wrong and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct BadParameter {
    pub parameter: String,
    pub message: String,
}

/// What relative and zoneless times are read against.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    pub at: Timestamp,
    pub zone: &'a Zone,
}

// === impl BadParameter ===

impl BadParameter {
    pub fn new(parameter: &str, message: impl Into<String>) -> Self {
        Self { parameter: parameter.to_owned(), message: message.into() }
    }
}

// === impl Parameters ===

impl Parameters {
    pub fn parse(query: Option<&str>) -> Result<Self, BadParameter> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| BadParameter::new(name, "its name is not UTF-8"))?;
            let value = decoded(value).ok_or_else(|| BadParameter::new(&name, "its value is not UTF-8"))?;
            if value.len() > MAX_VALUE {
                return Err(BadParameter::new(&name, format!("its value is longer than {MAX_VALUE} bytes")));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Given by other means than an address.
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// Refuses what is not in `known`, and what is there twice. The API does; pages leave such parameters alone.
    pub fn only(&self, known: &[&str]) -> Result<(), BadParameter> {
        for (at, (name, _)) in self.pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let there_are = match known {
                    [] => "this address takes none".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                return Err(BadParameter::new(name, format!("there is no such parameter; {there_are}")));
            }
            if self.pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(BadParameter::new(name, "it is given twice"));
            }
        }
        Ok(())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The same but for `names`.
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = |(name, _): &&(String, String)| !names.contains(&name.as_str());
        Self { pairs: self.pairs.iter().filter(kept).cloned().collect() }
    }

    /// The parameters `names` as they were given, on `path`.
    pub fn address(&self, path: &str, names: &[&'static str]) -> Address {
        names.iter().fold(Address::of(path), |address, name| address.with_some(name, self.text(name)))
    }

    /// Which decisions in reach, by [`FILTERS`].
    pub fn filter(&self, now: Now<'_>, reach: &Reach) -> Result<Filter, BadParameter> {
        let (since, until) = self.span(now)?;
        let text = |name| self.text(name).map(str::to_owned);
        Ok(Filter {
            reach: reach.clone(),
            since,
            until,
            cluster: text("cluster"),
            namespace: text("namespace"),
            policy: text("policy"),
            rule: text("rule"),
            image: text("image"),
            repository: text("repository"),
            blame: self.choice("to_blame", &BLAME)?.unwrap_or_default(),
            uid: text("uid"),
            answer: self.choice("answer", &ANSWERS)?,
            would_reject: self.choice("would_reject", &YES_NO)?,
            dry_run: self.choice("dry_run", &YES_NO)?,
            compared: self.compared()?,
        })
    }

    fn compared(&self) -> Result<Option<ComparedFilter>, BadParameter> {
        let stance = |name| self.choice(name, &Stance::ALL.map(|stance| (stance.as_str(), stance)));
        let (live, silent) = (stance("candidate_live")?, stance("candidate_verdict")?);
        match (self.text("candidate"), live.is_some() || silent.is_some()) {
            (Some(candidate), _) => Ok(Some(ComparedFilter { candidate: candidate.to_owned(), live, silent })),
            (None, false) => Ok(None),
            (None, true) => {
                let problem = "candidate_live and candidate_verdict are of a candidate, which this names";
                Err(BadParameter::new("candidate", problem.to_owned()))
            }
        }
    }

    /// What figures are over: `since`, `until`, `cluster`, `namespace`, `dry_run`.
    pub fn scope(&self, now: Now<'_>, reach: &Reach) -> Result<Scope, BadParameter> {
        let (since, until) = self.span(now)?;
        Ok(Scope {
            reach: reach.clone(),
            since,
            until,
            cluster: self.text("cluster").map(str::to_owned),
            namespace: self.text("namespace").map(str::to_owned),
            dry_run: self.choice("dry_run", &DRY_RUNS)?.unwrap_or_default(),
        })
    }

    /// Which uses of tickets: `since`, `until`, `cluster`, `namespace`.
    pub fn uses(&self, now: Now<'_>, reach: &Reach) -> Result<Uses, BadParameter> {
        let (since, until) = self.span(now)?;
        let text = |name| self.text(name).map(str::to_owned);
        Ok(Uses { reach: reach.clone(), since, until, cluster: text("cluster"), namespace: text("namespace") })
    }

    /// What people did with the report: `since`, `until`, `event`, `user`.
    pub fn accesses(&self, now: Now<'_>) -> Result<Accesses, BadParameter> {
        let (since, until) = self.span(now)?;
        let event = self.choice("event", &Event::ALL.map(|event| (event.as_str(), event)))?;
        Ok(Accesses { since, until, event, who: self.text("user").map(str::to_owned) })
    }

    /// Which workloads of an inventory: `outlook`, `unreviewed`, `namespace`.
    pub fn shown(&self) -> Result<Shown, BadParameter> {
        Ok(Shown {
            outlook: self.choice("outlook", &Outlook::ALL.map(|outlook| (outlook.as_str(), outlook)))?,
            unreviewed: self.choice("unreviewed", &YES_NO)?,
            namespace: self.text("namespace").map(str::to_owned),
        })
    }

    /// Of an export: `ndjson`, or `csv`.
    pub fn format(&self) -> Result<Format, BadParameter> {
        Ok(self.choice("format", &[("ndjson", Format::Ndjson), ("csv", Format::Csv)])?.unwrap_or(Format::Ndjson))
    }

    /// A number that a page or an answer gave.
    pub fn number(&self, name: &str, what: &str) -> Result<Option<i64>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| BadParameter::new(name, format!("{text:?} is not {what}")))
    }

    /// A whole number from `1` to `most`.
    pub fn limit(&self, default: u16, most: u16) -> Result<u16, BadParameter> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let limit = u16::from_str(text).ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| BadParameter::new("limit", format!("{text:?} is not a whole number from 1 to {most}")))
    }

    fn span(&self, now: Now<'_>) -> Result<(Option<Timestamp>, Option<Timestamp>), BadParameter> {
        let moment = |name| {
            let parsed = self.text(name).map(|text| moment::parse(text, now)).transpose();
            parsed.map_err(|error| BadParameter::new(name, error.to_string()))
        };
        let (since, until) = (moment("since")?, moment("until")?);
        match (since, until) {
            (Some(since), Some(until)) if since >= until => {
                Err(BadParameter::new("until", format!("{until} is not after since, {since}")))
            }
            span => Ok(span),
        }
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(BadParameter::new(name, format!("{text:?} is none of {}", words.join(", "))))
            }
        }
    }
}

pub const ANSWERS: [(&str, Answer); 3] =
    [("allowed", Answer::Allowed), ("denied", Answer::Denied), ("failed", Answer::Failed)];
const YES_NO: [(&str, bool); 2] = [("true", true), ("false", false)];
const BLAME: [(&str, Blame); 1] = [("true", Blame::Only)];
const DRY_RUNS: [(&str, DryRuns); 2] = [("include", DryRuns::Include), ("only", DryRuns::Only)];

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
