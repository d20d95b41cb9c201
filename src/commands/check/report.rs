//! What was found, for people and for machines.

use std::fmt::Write as _;

use askama::Template;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::admission::warning::printable;
use crate::review::decision::Mode;
use crate::web::api::shape::ExemptedShape;
use crate::web::count;

use super::columns::aligned;
use super::judged::{Found, Judged};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    Json,
    /// Static Analysis Results Interchange Format 2.1.0: what code hosts show beside a change.
    Sarif,
    /// What build servers show as tests: one for each object.
    Junit,
}

/// `fail_on`: the lightest mode of what is a failure.
pub fn write(format: Format, judged: &[Judged], fail_on: Option<Mode>) -> String {
    match format {
        Format::Table => table(judged),
        Format::Json => pretty(&json!(judged.iter().map(object).collect::<Vec<_>>())),
        Format::Sarif => pretty(&sarif(judged)),
        Format::Junit => Junit { judged, fail_on }.render().expect("nothing in it can fail"),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON") + "\n"
}

// === for people ===

fn table(judged: &[Judged]) -> String {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for one in judged {
        let row = |mode: &str, rule: String, text: &str| {
            let object = match &one.namespace {
                Some(namespace) => format!("{} in {namespace}", one.name),
                None => one.name.clone(),
            };
            // What a manifest says is no word to a terminal.
            [one.place.to_string(), printable(&object), printable(&format!("{mode} {rule}")), printable(text)]
        };
        let found = |found: &Found| row(found.force(), found.rule(), &found.violation.message);
        rows.extend(one.violations.iter().map(found));
        rows.extend(one.errors.iter().map(|error| row("error", String::new(), error)));
        rows.extend(one.silent_errors.iter().map(|error| row("candidate", String::new(), error)));
    }
    let mut out = aligned(&rows);
    let found = |by_candidate| {
        let all = judged.iter().flat_map(|one| &one.violations);
        all.filter(|found| found.by_candidate == by_candidate).count() as u64
    };
    let (objects, violations) = (count(judged.len() as u64, "object"), count(found(false), "violation"));
    let silent = match found(true) {
        0 => String::new(),
        number => format!(", {} by candidates", count(number, "violation")),
    };
    writeln!(out, "{objects}, {violations}{silent}").expect("a String takes everything");
    out
}

// === for machines ===

fn object(one: &Judged) -> Value {
    let violation = |found: &Found| {
        let violation = &found.violation;
        json!({
            "policy": found.policy, "candidate": found.by_candidate, "rule": violation.rule, "mode": violation.mode, "image": violation.image,
            "container": violation.container, "exempted": violation.exempted.as_ref().map(ExemptedShape::of), "message": violation.message, "help": violation.help,
        })
    };
    json!({
        "file": one.place.file, "line": one.place.line, "object": one.name, "namespace": one.namespace,
        "violations": one.violations.iter().map(violation).collect::<Vec<_>>(), "errors": one.errors,
        "candidate_errors": one.silent_errors,
    })
}

fn sarif(judged: &[Judged]) -> Value {
    let found = || judged.iter().flat_map(|one| one.violations.iter().map(move |found| (one, found)));
    let mut rules: Vec<String> = found().map(|(_, found)| found.rule()).collect();
    rules.sort();
    rules.dedup();
    let location = |one: &Judged| {
        json!([{"physicalLocation": {
            "artifactLocation": {"uri": one.place.file}, "region": {"startLine": one.place.line}
        }}])
    };
    let result = |(one, found): (&Judged, &Found)| {
        let level = match found.violation.mode {
            _ if found.by_candidate => "none",
            Mode::Enforce => "error",
            Mode::Warn => "warning",
            Mode::Audit => "note",
        };
        let by = if found.by_candidate { "candidate, " } else { "" };
        let text = format!("{by}{}: {}", one.name, found.violation.message);
        let mut result = json!({
            "ruleId": found.rule(), "kind": if found.by_candidate { "informational" } else { "fail" }, "level": level,
            "message": {"text": text}, "locations": location(one)
        });
        if let Some(exempted) = &found.violation.exempted {
            result["suppressions"] = json!([{"kind": "external", "justification": exempted.word()}]);
        }
        result
    };
    let failed = |one: &Judged| -> Vec<Value> {
        let notification = |level: &str, error: &String| json!({"level": level, "message": {"text": error}, "locations": location(one)});
        let silent = one.silent_errors.iter().map(|error| notification("note", error));
        one.errors.iter().map(|error| notification("error", error)).chain(silent).collect()
    };
    let failures: Vec<Value> = judged.iter().flat_map(failed).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "rehearsal", "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| json!({"id": rule})).collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": judged.iter().all(|one| one.errors.is_empty()), "toolExecutionNotifications": failures}],
            "results": found().map(result).collect::<Vec<_>>(),
        }]
    })
}

#[derive(Template)]
#[template(path = "check/junit.xml")]
struct Junit<'a> {
    judged: &'a [Judged],
    fail_on: Option<Mode>,
}

// === impl Junit ===

impl Junit<'_> {
    fn failures(&self) -> usize {
        self.judged.iter().filter(|one| self.fails(one)).count()
    }

    fn fails(&self, one: &Judged) -> bool {
        one.violations.iter().any(|found| found.reaches(self.fail_on))
    }

    /// Each on a line of its own.
    fn text(&self, one: &Judged, failures: bool) -> String {
        let of_kind = one.violations.iter().filter(|found| found.reaches(self.fail_on) == failures);
        let line = |found: &Found| {
            let line = format!("{} {}: {}", found.force(), found.rule(), found.violation.message);
            printable(&line)
        };
        of_kind.map(line).collect::<Vec<_>>().join("\n")
    }

    /// XML has no control characters.
    fn name(&self, one: &Judged) -> String {
        printable(&one.name)
    }

    fn errors(&self) -> usize {
        self.judged.iter().filter(|one| !one.errors.is_empty()).count()
    }
}

// === impl Found ===

impl Found {
    /// `policy/rule`.
    pub fn rule(&self) -> String {
        format!("{}/{}", self.policy, self.violation.rule)
    }
}
