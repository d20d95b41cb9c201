//! Runs the tests of a suite.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use regex::Regex;
use serde_json::{Value, json};

use crate::policy::gatekeeper;
use crate::policy::gatekeeper::constraint::Constraint;
use crate::policy::gatekeeper::review::Reviewed;
use crate::policy::gatekeeper::template::Template;
use crate::policy::rules::{Finding, Mistake};
use crate::policy::settings::Manifest;

use super::filter::Filter;
use super::inventory::Inventory;
use super::outcome::{CaseResult, End, SuiteResult, TestResult};
use super::suite::{Assertion, Case, Suite, Test, Wanted, objects};

/// A test's two objects, read.
struct Pair {
    template: Manifest,
    constraint: Manifest,
}

pub fn run(suite: &Suite, filter: &Filter) -> SuiteResult {
    let begun = Instant::now();
    let tests = if suite.content.skip { &[][..] } else { &suite.content.tests[..] };
    let tests = tests.iter().map(|test| run_test(suite, test, filter)).collect();
    SuiteResult { path: suite.path.clone(), took: begun.elapsed(), tests }
}

fn run_test(suite: &Suite, test: &Test, filter: &Filter) -> TestResult {
    let begun = Instant::now();
    let name = test.name.clone();
    let cases = test.cases.iter().map(|case| case.name.as_str());
    if test.skip || !filter.takes_test(&test.name, cases) {
        return TestResult { name, end: End::Skipped, cases: Vec::new() };
    }
    if let Some(why) = test.left_out() {
        return TestResult { name, end: End::LeftOut(why), cases: Vec::new() };
    }
    // Without an inventory, to know of a mistake before any case.
    match Pair::read(suite, test).and_then(|pair| pair.compile(&Inventory::of(&[])).map(|_| pair)) {
        Ok(pair) => {
            let cases = test.cases.iter().map(|case| run_case(suite, test, case, &pair, filter)).collect();
            TestResult { name, end: End::Passed(begun.elapsed()), cases }
        }
        Err(error) => TestResult { name, end: End::Failed(begun.elapsed(), format!("{error:#}")), cases: Vec::new() },
    }
}

fn run_case(suite: &Suite, test: &Test, case: &Case, pair: &Pair, filter: &Filter) -> CaseResult {
    let begun = Instant::now();
    let end = if case.skip || !filter.takes_case(&test.name, &case.name) {
        End::Skipped
    } else {
        match check(suite, case, pair) {
            Ok(()) => End::Passed(begun.elapsed()),
            Err(error) => End::Failed(begun.elapsed(), format!("{error:#}")),
        }
    };
    CaseResult { name: case.name.clone(), end }
}

fn check(suite: &Suite, case: &Case, pair: &Pair) -> anyhow::Result<()> {
    ensure!(!case.object.is_empty(), "invalid case: it must define an object");
    ensure!(!case.assertions.is_empty(), "invalid case: assertions must be non-empty");
    let mut known = Vec::new();
    for file in &case.inventory {
        known.append(&mut objects(&suite.file(file))?);
    }
    let inventory = Inventory::of(&known);
    let (template, constraint) = pair.compile(&inventory)?;
    let reviewed = reviewed(&suite.file(&case.object), &inventory)?;
    let mut finding = Finding::default();
    if constraint.matches(&reviewed) {
        let judged = gatekeeper::judge(&template, &constraint, &reviewed, &[], &mut finding);
        judged.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    let messages: Vec<&str> = finding.violations.iter().map(|violation| violation.message.as_str()).collect();
    case.assertions.iter().try_for_each(|assertion| hold(assertion, &messages))
}

fn hold(assertion: &Assertion, messages: &[&str]) -> anyhow::Result<()> {
    let wanted = assertion.wanted().context("assertion.violations must be a nonnegative integer, \"yes\" or \"no\"")?;
    let regex = assertion.message.as_deref().map(Regex::new).transpose().context("assertion.message")?;
    let is_meant = |message: &&&str| regex.as_ref().is_none_or(|regex| regex.is_match(message));
    let found = messages.iter().filter(is_meant).count() as u64;
    let (holds, want) = match wanted {
        Wanted::Some => (found > 0, "at least 1".to_owned()),
        Wanted::None => (found == 0, "none".to_owned()),
        Wanted::Exactly(number) => (found == number, format!("exactly {number}")),
    };
    if holds {
        return Ok(());
    }
    let containing = assertion.message.as_ref().map(|message| format!(" containing {message:?}")).unwrap_or_default();
    let messages = messages.join(" ");
    bail!(
        "unexpected number of violations: got {found} violations{containing} but want {want}: got messages [{messages}]"
    );
}

/// The request that the object, or the AdmissionReview, of a file makes.
fn reviewed(path: &Path, inventory: &Inventory) -> anyhow::Result<Reviewed> {
    let objects = objects(path)?;
    let [Manifest { json: object, .. }] = &objects[..] else {
        bail!("{} defines {} objects, and a case has one", path.display(), objects.len());
    };
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let is_review = object["kind"] == "AdmissionReview" && version.starts_with("admission.k8s.io/");
    let request = if is_review { object["request"].clone() } else { request(object, version) };
    let is_there = |field: &str| request[field].is_object();
    ensure!(is_there("object") || is_there("oldObject"), "{} has no object to review", path.display());
    let labels = inventory.labels(request["namespace"].as_str().unwrap_or_default());
    Ok(Reviewed::of(regorus::Value::from(request), labels))
}

fn request(object: &Value, api_version: &str) -> Value {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let metadata = &object["metadata"];
    json!({
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "name": metadata["name"].as_str().unwrap_or_default(),
        "namespace": metadata["namespace"].as_str().unwrap_or_default(),
        "object": object,
    })
}

// === impl Pair ===

impl Pair {
    fn read(suite: &Suite, test: &Test) -> anyhow::Result<Self> {
        let one = |name: &str, what: &str| {
            ensure!(!name.is_empty(), "invalid suite: missing {what}");
            let mut found = objects(&suite.file(name))?;
            ensure!(found.len() == 1, "{name} defines {} objects, and a {what} is one", found.len());
            Ok(found.remove(0))
        };
        Ok(Self { template: one(&test.template, "template")?, constraint: one(&test.constraint, "constraint")? })
    }

    fn compile(&self, inventory: &Inventory) -> anyhow::Result<(Template, Constraint)> {
        let told = |mistake: &Mistake| format!("{}; right would be {}", mistake.problem, mistake.fix);
        let template = Template::compile(&self.template, Some(&inventory.json))
            .map_err(|mistakes| anyhow::anyhow!("{}", mistakes.iter().map(told).collect::<Vec<_>>().join("; ")))?;
        let constraint =
            Constraint::parse(&self.constraint, true).map_err(|mistake| anyhow::anyhow!("{}", told(&mistake)))?;
        ensure!(
            template.kind == constraint.kind,
            "{} is of the kind {}, its template of {}",
            constraint.rule,
            constraint.kind,
            template.kind
        );
        Ok((template, constraint))
    }
}
