//! What an address asks for, typed: filters, spans, places in a list.

use std::str::FromStr;

use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;

use super::address::Address;
use super::export::Format;
use super::printed::file::Form;
use super::sentence;
use super::zone::Zone;
use crate::review::agreement::Accord;
use crate::review::clock::Timestamp;
use crate::review::comparison::Stance;
use crate::review::decision::Answer;
use crate::review::workload::Workload;
use crate::store::access::{Accesses, Event};
use crate::store::inventory::Outlook;
use crate::store::inventory::read::Shown;
use crate::store::reach::Reach;
use crate::store::read::{
    AgreedFilter, Blame, ComparedFilter, Cursor, DryRuns, Filter, Hits, LetThrough, Pair, Referred, Scope, Uses,
};

pub mod cursor;
pub mod described;
pub mod followed;
pub mod moment;

/// More than the longest name that a cluster sends, less than what a database takes as a pattern.
const MAX_VALUE: usize = 16 * 1024;

/// What selects decisions, in the order in which a page offers it.
pub const FILTERS: [&str; 26] = [
    "since",
    "until",
    "cluster",
    "namespace",
    "cluster_wide",
    "workload",
    "user",
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
    "webhook",
    "local",
    "local_verdict",
    "webhook_verdict",
    "agreement",
    "exemption",
    "ticket",
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

    /// The same with these; an empty one is an absent one.
    pub fn with(&self, given: &[(&str, &str)]) -> Self {
        let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
        let mut with = self.without(&names);
        with.pairs.extend(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        with
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
            namespace: self.namespace()?,
            workload: self.workload()?,
            user: text("user"),
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
            agreed: self.agreed()?,
            let_through: self.let_through()?,
        })
    }

    /// Empty: of what is in none, by `cluster_wide`.
    fn namespace(&self) -> Result<Option<String>, BadParameter> {
        match (self.text("namespace"), self.choice("cluster_wide", &YES)?) {
            (Some(_), Some(_)) => Err(BadParameter::new(
                "cluster_wide",
                "what is of a whole cluster is in no namespace: give one of the two",
            )),
            (_, Some(_)) => Ok(Some(String::new())),
            (namespace, None) => Ok(namespace.map(str::to_owned)),
        }
    }

    fn workload(&self) -> Result<Option<Workload>, BadParameter> {
        let Some(text) = self.text("workload") else { return Ok(None) };
        let found = sentence::workload_of(text).ok_or_else(|| {
            let problem =
                format!("{text:?} is no workload: write it as lists show it, Deployment/checkout or pods running NAME");
            BadParameter::new("workload", problem)
        });
        found.map(Some)
    }

    fn compared(&self) -> Result<Option<ComparedFilter>, BadParameter> {
        let stance = |name| self.choice(name, &stances());
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

    fn agreed(&self) -> Result<Option<AgreedFilter>, BadParameter> {
        let stance = |name| self.choice(name, &stances());
        let (local_said, webhook_said) = (stance("local_verdict")?, stance("webhook_verdict")?);
        let accord = self.choice("agreement", &Accord::ALL.map(|accord| (accord.as_str(), accord)))?;
        let (local, webhook) = (self.text("local").map(str::to_owned), self.text("webhook").map(str::to_owned));
        let is_asked = local.is_some() || local_said.is_some() || webhook_said.is_some() || accord.is_some();
        match webhook {
            Some(webhook) => Ok(Some(AgreedFilter { pair: Pair { webhook, local }, local_said, webhook_said, accord })),
            None if !is_asked => Ok(None),
            None => {
                let problem =
                    "local, local_verdict, webhook_verdict and agreement are beside a webhook, which this names";
                Err(BadParameter::new("webhook", problem))
            }
        }
    }

    /// What is compared: `webhook`, `local`. `None`: no webhook is named.
    pub fn pair(&self) -> Option<Pair> {
        let webhook = self.text("webhook")?.to_owned();
        Some(Pair { webhook, local: self.text("local").map(str::to_owned) })
    }

    fn let_through(&self) -> Result<Option<LetThrough>, BadParameter> {
        match (self.text("exemption"), self.text("ticket")) {
            (Some(_), Some(_)) => {
                Err(BadParameter::new("ticket", "an exemption costs no ticket: give one of exemption and ticket"))
            }
            (Some(id), None) => Ok(Some(LetThrough::Exemption(id.to_owned()))),
            (None, Some(ticket)) => Ok(Some(LetThrough::Ticket(ticket.to_owned()))),
            (None, None) => Ok(None),
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

    /// Which references: `repository`, `unreadable`. `None`: repositories.
    pub fn referred(&self) -> Result<Option<Referred>, BadParameter> {
        match (self.text("repository"), self.choice("unreadable", &YES)?) {
            (Some(_), Some(_)) => {
                Err(BadParameter::new("unreadable", "what cannot be read is of no repository: give one of the two"))
            }
            (Some(name), None) => Ok(Some(Referred::Of(name.to_owned()))),
            (None, Some(_)) => Ok(Some(Referred::Unreadable)),
            (None, None) => Ok(None),
        }
    }

    /// The one image that a page is of.
    pub fn image(&self) -> Result<String, BadParameter> {
        let text = self.text("image").map(str::to_owned);
        text.ok_or_else(|| BadParameter::new("image", "it is missing: the image as it was written"))
    }

    /// How an export is written.
    pub fn format(&self) -> Result<Format, BadParameter> {
        Ok(self.choice("format", &FORMATS)?.unwrap_or(Format::Ndjson))
    }

    /// How the printable report is written.
    pub fn form(&self) -> Result<Form, BadParameter> {
        Ok(self.choice("format", &FORMS)?.unwrap_or(Form::Html))
    }

    /// In which times are shown: `tz`, or else the report's own.
    pub fn zone(&self, own: &TimeZone) -> Result<Zone, BadParameter> {
        let Some(name) = self.text("tz") else { return Ok(Zone::new(own.clone())) };
        Zone::by_name(name).ok_or_else(|| {
            let problem = "is not a time zone that is known here: write one like Europe/Berlin or UTC";
            BadParameter::new("tz", format!("{name:?} {problem}"))
        })
    }

    /// Of what a table of hits is, and whether of what is new: `of`, `new`.
    pub fn hits(&self) -> Result<(Hits, bool), BadParameter> {
        let of = self.choice("of", &HITS)?;
        let of = of.ok_or_else(|| BadParameter::new("of", "it is missing: rules, namespaces or images"))?;
        Ok((of, self.choice("new", &YES)?.unwrap_or_default()))
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

    /// After which row a list goes on: `after`.
    pub fn cursor(&self, hint: &'static str) -> Result<Option<Cursor>, BadParameter> {
        let decoded =
            self.text("after").map(|text| cursor::decode(text).ok_or_else(|| BadParameter::new("after", hint)));
        decoded.transpose()
    }

    /// How many rows a list has already shown.
    pub fn place(&self, name: &str) -> Result<u64, BadParameter> {
        let number = self.number(name, "a place in this list: begin again at its start")?.unwrap_or(0);
        u64::try_from(number)
            .map_err(|_| BadParameter::new(name, "it is not a place in this list: begin again at its start"))
    }

    /// Before which time a list goes on: `before`, in ms.
    pub fn before(&self) -> Result<Option<Timestamp>, BadParameter> {
        Ok(self.number("before", "a place in this list: begin again at its start")?.map(Timestamp))
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

    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, BadParameter> {
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
const YES: [(&str, bool); 1] = [("true", true)];
const FORMATS: [(&str, Format); 2] = [("ndjson", Format::Ndjson), ("csv", Format::Csv)];
const FORMS: [(&str, Form); 2] = [("html", Form::Html), ("md", Form::Markdown)];
const HITS: [(&str, Hits); 3] =
    [("rules", Hits::Rules), ("namespaces", Hits::Namespaces), ("images", Hits::Repositories)];
const BLAME: [(&str, Blame); 1] = [("true", Blame::Only)];
const DRY_RUNS: [(&str, DryRuns); 2] = [("include", DryRuns::Include), ("only", DryRuns::Only)];

/// By their words.
fn stances() -> [(&'static str, Stance); Stance::ALL.len()] {
    Stance::ALL.map(|stance| (stance.as_str(), stance))
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
