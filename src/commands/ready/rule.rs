//! `rehearsal ready --rule`: whether a rule is ready where it is to be enforced, as a gate of a pull request.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use http::Uri;
use serde_json::Value;

use super::super::ask::Means;
use super::super::config::{MISTAKEN, environment, print};
use super::super::{ask, compile, existing};
use crate::config::{self, Loaded};
use crate::policy::Revision;
use crate::policy::glob::{Glob, Subject};
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::reach::Reach;
use crate::web::api::rule::RuleShape;
use crate::web::count;
use crate::web::readiness::{Question, path};

/// What is asked.
#[derive(Debug)]
pub struct Gate<'a> {
    /// `POLICY/RULE`.
    pub rule: &'a RuleName,
    /// Globs; none: every namespace.
    pub namespaces: &'a [String],
    pub cluster: Option<&'a str>,
    /// Of a report; `None`: the history of the configuration is read.
    pub url: Option<&'a Uri>,
    pub means: Means<'a>,
    pub config: Option<&'a Path>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    policy: String,
    rule: String,
}

/// Ready, not ready, and not known: the heavier one of several counts.
const READY: u8 = 0;
const NOT: u8 = 1;
const UNKNOWN: u8 = 2;

/// # Errors
/// None that is not said: what cannot be known is not known.
pub fn run(gate: &Gate<'_>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(async {
        match gate.url {
            Some(url) => gate.ask(url).await,
            None => gate.read().await,
        }
    });
    match answered {
        Ok(Answered::Census(census)) => {
            let (text, code) = gate.told(&census);
            print(&text)?;
            Ok(ExitCode::from(code))
        }
        Ok(Answered::NoRule) => {
            eprintln!("not known: no rule {} is loaded, or none of its policy was violated yet", gate.rule);
            Ok(ExitCode::from(UNKNOWN))
        }
        Ok(Answered::Mistaken) => Ok(ExitCode::from(MISTAKEN)),
        Err(error) => {
            eprintln!("not known: {}", super::super::sentence(&error));
            Ok(ExitCode::from(UNKNOWN))
        }
    }
}

enum Answered {
    /// As the API gives it.
    Census(Value),
    NoRule,
    /// The configuration has mistakes, which were said.
    Mistaken,
}

// === impl Gate ===

impl Gate<'_> {
    async fn ask(&self, report: &Uri) -> anyhow::Result<Answered> {
        let report = report.to_string();
        let query = match self.cluster {
            None => String::new(),
            Some(cluster) => {
                let cluster = percent_encoding::utf8_percent_encode(cluster, percent_encoding::NON_ALPHANUMERIC);
                format!("?cluster={cluster}")
            }
        };
        let path = path(&self.rule.policy, &self.rule.rule);
        let url = format!("{}/api/v1{path}{query}", report.trim_end_matches('/'));
        let url: Uri = url.parse().with_context(|| format!("{report} is not the URL of a report"))?;
        Ok(ask::json(&url, self.means).await?.map_or(Answered::NoRule, Answered::Census))
    }

    async fn read(&self) -> anyhow::Result<Answered> {
        let Loaded { config, .. } = match config::judging(self.config, environment(), &compile) {
            Ok(loaded) => loaded,
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return Ok(Answered::Mistaken);
            }
        };
        existing(&config.store)?;
        let revision = Revision::load(&config.policies, &config.staging)
            .map_err(|_| anyhow::anyhow!("the policies do not load although they were checked"))?;
        let store = Store::open_for_reading(&config.store, &config.history).await?;
        let question = Question {
            reach: Reach::Everything,
            revision: Arc::new(revision),
            settings: config.readiness,
            cluster: self.cluster.map(str::to_owned),
            namespace: None,
            now: Timestamp::now(),
        };
        let found = question.rule(&store, &self.rule.policy, &self.rule.rule).await;
        store.close().await;
        let Some(found) = found? else { return Ok(Answered::NoRule) };
        Ok(Answered::Census(serde_json::to_value(RuleShape::of(&question, &found))?))
    }

    /// What is told, and the exit code.
    fn told(&self, answer: &Value) -> (String, u8) {
        let globs: Vec<Glob> = self.namespaces.iter().map(|text| Glob::new(text, Subject::Name)).collect();
        let text = |one: &'_ Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let is_asked = |one: &&Value| {
            let namespace = text(one, "namespace");
            globs.is_empty() || globs.iter().any(|glob| glob.matches(&namespace))
        };
        let census: Vec<&Value> = answer["census"].as_array().into_iter().flatten().filter(is_asked).collect();
        let mut told = String::new();
        let mut gates = [0_u64; 3];
        for one in &census {
            let gate = match one["gate"].as_str() {
                Some("ready") => READY,
                Some("not") => NOT,
                _ => UNKNOWN,
            };
            gates[usize::from(gate)] += 1;
            let namespace = match text(one, "namespace") {
                none if none.is_empty() => "(no namespace)".to_owned(),
                name => name,
            };
            line(&mut told, &format!("{}/{namespace}: {}", text(one, "cluster"), text(one, "words")));
            names(&mut told, one, "rejected_names", "would be rejected", one["rejected"].as_u64());
            let unseen =
                one["known"].as_u64().zip(one["seen"].as_u64()).map(|(known, seen)| known.saturating_sub(seen));
            names(&mut told, one, "unseen_names", "unseen", unseen);
        }
        let [ready, not, unknown] = gates;
        let code = match () {
            () if not > 0 => NOT,
            () if unknown > 0 || ready == 0 => UNKNOWN,
            () => READY,
        };
        let rule = self.rule;
        line(
            &mut told,
            &match code {
                READY => format!("ready: {rule} in {}", count(ready, "namespace")),
                NOT => format!("not ready: {rule} in {} of {}", not, count(ready + not + unknown, "namespace")),
                _ if census.is_empty() => format!("not known: {rule}, since no workload is known of such a namespace"),
                _ => format!("not known: {rule} in {} of {}", unknown, count(ready + unknown, "namespace")),
            },
        );
        (told, code)
    }
}

/// Those that are named, and how many more there are.
fn names(told: &mut String, one: &Value, field: &str, what: &str, all: Option<u64>) {
    let names: Vec<&str> = one[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return;
    }
    let more = all.unwrap_or(0).saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    line(told, &format!("  {what}: {}{more}", names.join(", ")));
}

/// Names may hold what a terminal acts on.
fn line(told: &mut String, text: &str) {
    let shown: String = text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    writeln!(told, "{shown}").expect("a String takes every text");
}

// === impl RuleName ===

impl std::str::FromStr for RuleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((policy, rule)) if !policy.is_empty() && !rule.is_empty() => {
                Ok(Self { policy: policy.to_owned(), rule: rule.to_owned() })
            }
            _ => Err("write POLICY/RULE, such as images/pinned; of a webhook the name twice".to_owned()),
        }
    }
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.policy, self.rule)
    }
}
