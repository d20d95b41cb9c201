//! Gatekeeper's ConstraintTemplates and constraints, judged by the engine of [`super::rego`].
//!
//! A template is a policy in Rego with `input.review`, the AdmissionRequest, and `input.parameters`, which each of its
//! constraints gives. A constraint is one rule, `Kind.name`.

pub mod constraint;
mod matching;
pub mod review;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value;
use serde_json::Value as Json;

use crate::review::view::digest_hex;

use self::constraint::Constraint;
use self::review::Reviewed;
use self::template::Template;
use super::evaluated::{Evaluated, Subject};
use super::memo::Memo;
use super::rego::evaluator::images;
use super::rego::input::{self, Form, View};
use super::rego::results::NamedImage;
use super::rego::{ENGINE, input::request};
use super::rules::{Finding, MAX_VIOLATIONS, Mistake};
use super::settings::{GatekeeperSettings, Manifest};

/// Templates with their constraints, compiled. A pure function of a view.
#[derive(Debug)]
pub struct GatekeeperPolicy {
    version: String,
    /// Those that may reject first, so that they are not what is left out past the cap.
    constraints: Vec<(Arc<Template>, Constraint)>,
    /// Also what an ImageReview tells of a pod.
    judge_partial: bool,
    memo: Memo,
}

/// The group of templates, and that of constraints.
const TEMPLATES: &str = "templates.gatekeeper.sh/";
const CONSTRAINTS: &str = "constraints.gatekeeper.sh/";

// === impl GatekeeperPolicy ===

impl GatekeeperPolicy {
    /// # Errors
    /// Every mistake in `settings`.
    pub fn compile(settings: &GatekeeperSettings) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let templates = templates(&settings.manifests, &mut mistakes);
        let mut constraints = constraints(&settings.manifests, &templates, &mut mistakes);
        if mistakes.is_empty() && constraints.is_empty() {
            let problem = "there is no constraint in these files, so nothing would ever be denied";
            mistakes.push(Mistake::new(
                "files",
                problem,
                "a file with an object of the group constraints.gatekeeper.sh",
            ));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        constraints.sort_by_key(|(_, constraint)| std::cmp::Reverse(constraint.most));
        let texts: Vec<_> = settings.manifests.iter().filter(|one| is_ours(one)).map(|one| &one.json).collect();
        let identity = format!("{ENGINE} {} {texts:?}", settings.judge_partial);
        let (version, judge_partial) = (digest_hex(identity.as_bytes(), 12), settings.judge_partial);
        Ok(Self { version, constraints, judge_partial, memo: Memo::default() })
    }

    /// The rules, `Kind.name`, with the heaviest mode that each may have.
    pub fn rules(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().map(|(_, constraint)| constraint)
    }
}

impl Evaluated for GatekeeperPolicy {
    fn version(&self) -> &str {
        &self.version
    }

    fn form(&self) -> Form {
        Form::AdmissionReview
    }

    fn memo(&self) -> &Memo {
        &self.memo
    }

    fn find(&self, subject: Subject<'_>, finding: &mut Finding) -> Result<(), String> {
        if subject.view == View::Image && !self.judge_partial {
            return Ok(());
        }
        let view = input::read(subject.encoded)?;
        let request = match subject.view {
            View::Object => request(&view),
            View::Image => match input::pod(&view) {
                Some(pod) => input::pod_request(&view, pod),
                None => return Ok(()),
            },
        };
        let reviewed = Reviewed::of(request, None);
        let images = images(&view);
        for (template, constraint) in self.constraints.iter().filter(|(_, one)| one.matches(&reviewed)) {
            finding.judged = true;
            judge(template, constraint, &reviewed, &images, finding)?;
        }
        Ok(())
    }
}

/// Adds what one constraint finds.
///
/// # Errors
/// Why it has no verdict, with its name.
pub fn judge(
    template: &Template,
    constraint: &Constraint,
    reviewed: &Reviewed,
    images: &[NamedImage],
    finding: &mut Finding,
) -> Result<(), String> {
    let input = BTreeMap::from([
        (Value::from("review"), reviewed.request.clone()),
        (Value::from("parameters"), constraint.parameters.clone()),
    ]);
    let mut own = Finding::default();
    let judged = template.evaluator.judge(input.into(), images, &mut own);
    finding.prints.append(&mut own.prints);
    finding.overran |= own.overran;
    judged.map_err(|error| format!("{}: {error}", constraint.rule))?;
    finding.omitted = finding.omitted.saturating_add(own.omitted);
    for mut violation in own.violations {
        // As of Rego, the first of each rule is kept in any case.
        let is_first = !finding.violations.iter().any(|kept| kept.rule == constraint.rule);
        if finding.violations.len() >= MAX_VIOLATIONS && !is_first {
            finding.omitted = finding.omitted.saturating_add(1);
            continue;
        }
        violation.rule.clone_from(&constraint.rule);
        violation.most = violation.most.min(constraint.most);
        finding.violations.push(violation);
    }
    Ok(())
}

/// By the kind of their constraints.
fn templates(manifests: &[Manifest], mistakes: &mut Vec<Mistake>) -> BTreeMap<String, Arc<Template>> {
    let mut templates = BTreeMap::new();
    for manifest in manifests.iter().filter(|manifest| manifest.is_of(TEMPLATES)) {
        match Template::compile(manifest, None) {
            Ok(template) => {
                let kind = template.kind.clone();
                if templates.insert(kind.clone(), Arc::new(template)).is_some() {
                    let problem = format!("another template has the kind {kind} too");
                    mistakes.push(manifest.mistake(problem, "one of the two"));
                }
            }
            Err(mut more) => mistakes.append(&mut more),
        }
    }
    templates
}

fn constraints(
    manifests: &[Manifest],
    templates: &BTreeMap<String, Arc<Template>>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(Arc<Template>, Constraint)> {
    let mut constraints: Vec<(Arc<Template>, Constraint)> = Vec::new();
    for manifest in manifests.iter().filter(|manifest| manifest.is_of(CONSTRAINTS)) {
        let constraint = match Constraint::parse(manifest, false) {
            Ok(constraint) => constraint,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        // That of a template with a mistake is told with that.
        let has_template =
            manifests.iter().any(|one| one.is_of(TEMPLATES) && template::kind(one) == Some(&constraint.kind));
        match templates.get(&constraint.kind) {
            _ if constraints.iter().any(|(_, other)| other.rule == constraint.rule) => {
                mistakes.push(manifest.mistake(format!("{} is there twice", constraint.rule), "one of the two"));
            }
            Some(template) => constraints.push((Arc::clone(template), constraint)),
            None if has_template => {}
            None => {
                let problem = format!(
                    "{} has no template: none of the files defines the kind {}",
                    constraint.rule, constraint.kind
                );
                mistakes.push(manifest.mistake(problem, "the ConstraintTemplate of that kind in one of the files"));
            }
        }
    }
    constraints
}

fn is_ours(manifest: &Manifest) -> bool {
    manifest.is_of(TEMPLATES) || manifest.is_of(CONSTRAINTS)
}

// === impl Manifest ===

impl Manifest {
    /// Whether its group is that one, with the slash behind it.
    pub fn is_of(&self, group: &str) -> bool {
        self.json["apiVersion"].as_str().is_some_and(|version| version.starts_with(group))
    }

    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer).and_then(Json::as_str)
    }

    pub(super) fn mistake(&self, problem: impl std::fmt::Display, fix: impl Into<String>) -> Mistake {
        Mistake::new("files", format!("{}:{}: {problem}", self.file, self.line), fix)
    }
}
