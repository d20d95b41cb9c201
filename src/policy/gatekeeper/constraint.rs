//! One constraint: whom a template is asked about, with which parameters, and what comes of it.

use regorus::Value;
use serde_json::Value as Json;

use crate::review::decision::Mode;

use super::super::rules::Mistake;
use super::super::settings::Manifest;
use super::matching::Match;
use super::review::Reviewed;

#[derive(Debug)]
pub struct Constraint {
    pub kind: String,
    /// `Kind.name`.
    pub rule: String,
    pub parameters: Value,
    /// What its enforcementAction makes of a violation at most.
    pub most: Mode,
    matcher: Match,
}

/// The enforcement point that an admission review is.
const WEBHOOK: [&str; 2] = ["*", "validation.gatekeeper.sh"];

// === impl Constraint ===

impl Constraint {
    /// `knows_namespaces`: their labels are given with what is reviewed.
    ///
    /// # Errors
    /// The first field that cannot be held to.
    pub fn parse(manifest: &Manifest, knows_namespaces: bool) -> Result<Self, Mistake> {
        let named = |pointer: &str, what: &str| {
            let text = manifest.text(pointer).filter(|text| !text.is_empty());
            text.ok_or_else(|| manifest.mistake(format!("the constraint has no {what}"), format!("`{what}: ..`")))
        };
        let (kind, name) = (named("/kind", "kind")?, named("/metadata/name", "metadata.name")?);
        let rule = format!("{kind}.{name}");
        let spec = &manifest.json["spec"];
        let wrong = |(field, problem, fix): (&str, String, String)| {
            manifest.mistake(format!("{rule}: spec.{field}: {problem}"), fix)
        };
        let matcher = Match::parse(&spec["match"], knows_namespaces).map_err(wrong)?;
        let most = most(spec).map_err(wrong)?;
        let parameters = match &spec["parameters"] {
            Json::Null => Value::new_object(),
            given => Value::from(given.clone()),
        };
        Ok(Self { kind: kind.to_owned(), parameters, most, matcher, rule })
    }

    pub fn matches(&self, reviewed: &Reviewed) -> bool {
        self.matcher.holds_for(reviewed)
    }
}

type Wrong = (&'static str, String, String);

/// The heaviest of its actions at admission. One for other points alone is audited here.
fn most(spec: &Json) -> Result<Mode, Wrong> {
    let text = |value: &Json| value.as_str().unwrap_or("deny").to_owned();
    let field = "enforcementAction";
    match text(&spec[field]).as_str() {
        "scoped" => {
            let scoped = spec["scopedEnforcementActions"].as_array().map_or(&[][..], Vec::as_slice);
            let here = scoped.iter().filter(|scoped| {
                let points = scoped["enforcementPoints"].as_array().into_iter().flatten();
                points.filter_map(|point| point["name"].as_str()).any(|name| WEBHOOK.contains(&name))
            });
            let modes = here.map(|scoped| mode(&text(&scoped["action"]), "scopedEnforcementActions"));
            Ok(modes.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(Mode::Audit))
        }
        action => mode(action, field),
    }
}

fn mode(action: &str, field: &'static str) -> Result<Mode, Wrong> {
    match action {
        "dryrun" => Ok(Mode::Audit),
        "warn" => Ok(Mode::Warn),
        "deny" => Ok(Mode::Enforce),
        other => Err((field, format!("`{other}` is no action"), "deny, warn, dryrun or scoped".to_owned())),
    }
}
