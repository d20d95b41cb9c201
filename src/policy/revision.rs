//! One loaded state of all policies.

use crate::review::decision::Mode;
use crate::review::view::digest_hex;

use super::evaluated::Evaluated;
use super::gatekeeper::GatekeeperPolicy;
use super::opa;
use super::rego::RegoPolicy;
use super::rego::input::Form;
use super::rule::is_id;
use super::rules::{Mistake, RulesPolicy};
use super::settings::{OnError, PolicySettings, SourceSettings, WebhookSettings};

/// Immutable; a request holds one to its end. Named by the hash of its content.
#[derive(Debug)]
pub struct Revision {
    /// 12 hexadecimal digits.
    pub id: String,
    pub policies: Vec<Policy>,
}

#[derive(Debug)]
pub struct Policy {
    pub name: String,
    pub mode: Mode,
    pub on_error: OnError,
    pub source: Source,
}

#[derive(Debug)]
pub enum Source {
    Rules(RulesPolicy),
    Rego(Box<RegoPolicy>),
    Gatekeeper(Box<GatekeeperPolicy>),
    Webhook(WebhookSettings),
}

// === impl Revision ===

impl Revision {
    /// # Errors
    /// Every mistake of every policy, with the policy's place in `settings`.
    pub fn load(settings: &[PolicySettings]) -> Result<Self, Vec<(usize, Mistake)>> {
        let mut mistakes = Vec::new();
        let mut policies = Vec::with_capacity(settings.len());
        for (at, policy) in settings.iter().enumerate() {
            mistakes.extend(name_mistake(policy, &settings[..at]).map(|mistake| (at, mistake)));
            match Policy::load(policy) {
                Ok(policy) => policies.push(policy),
                Err(more) => mistakes.extend(more.into_iter().map(|mistake| (at, mistake))),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        // As with a policy's version, the debug form names every field and value in order.
        let id = digest_hex(format!("{settings:?}").as_bytes(), 12);
        Ok(Self { id, policies })
    }

    /// Whether anything in it can reject.
    pub fn can_enforce(&self) -> bool {
        self.policies.iter().any(Policy::can_enforce)
    }
}

/// With the name of the section before each field.
fn within(section: &'static str) -> impl Fn(Vec<Mistake>) -> Vec<Mistake> {
    move |mistakes| {
        let within = |mistake: Mistake| Mistake { field: format!("{section}.{}", mistake.field), ..mistake };
        mistakes.into_iter().map(within).collect()
    }
}

fn name_mistake(policy: &PolicySettings, earlier: &[PolicySettings]) -> Option<Mistake> {
    let name = &policy.name;
    if !is_id(name) {
        let fix = "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`";
        return Some(Mistake::new("name", format!("`{name}` is not a name of a policy"), fix));
    }
    let is_taken = earlier.iter().any(|policy| policy.name == *name);
    is_taken.then(|| Mistake::new("name", format!("`{name}` is the name of another policy"), "a name of its own"))
}

// === impl Policy ===

impl Policy {
    fn load(settings: &PolicySettings) -> Result<Self, Vec<Mistake>> {
        let source = match &settings.source {
            SourceSettings::Rules(rules) => Source::Rules(RulesPolicy::compile(rules)?),
            SourceSettings::Rego(rego) => Source::Rego(Box::new(RegoPolicy::compile(rego).map_err(within("rego"))?)),
            SourceSettings::Gatekeeper(gatekeeper) => {
                let policy = GatekeeperPolicy::compile(gatekeeper).map_err(within("gatekeeper"))?;
                Source::Gatekeeper(Box::new(policy))
            }
            SourceSettings::Webhook(webhook) => {
                opa::check(webhook)?;
                Source::Webhook(webhook.clone())
            }
        };
        Ok(Self { name: settings.name.clone(), mode: settings.mode, on_error: settings.on_error, source })
    }

    /// Whether it, or one of its rules, can reject.
    pub fn can_enforce(&self) -> bool {
        match &self.source {
            Source::Rules(rules) => {
                let mut modes = rules.rules().map(|(_, mode)| mode.unwrap_or(self.mode));
                modes.any(|mode| mode == Mode::Enforce)
            }
            Source::Gatekeeper(gatekeeper) => {
                self.mode == Mode::Enforce && gatekeeper.rules().any(|rule| rule.most == Mode::Enforce)
            }
            Source::Rego(_) | Source::Webhook(_) => self.mode == Mode::Enforce,
        }
    }

    /// One that is evaluated on threads of their own.
    pub fn evaluated(&self) -> Option<&dyn Evaluated> {
        match &self.source {
            Source::Rego(rego) => Some(&**rego),
            Source::Gatekeeper(gatekeeper) => Some(&**gatekeeper),
            Source::Rules(_) | Source::Webhook(_) => None,
        }
    }

    /// Whether its words may hold more of an object than its images.
    pub fn sees_objects(&self) -> bool {
        match &self.source {
            Source::Rules(_) => false,
            Source::Rego(rego) => rego.form() != Form::ImageReview,
            Source::Gatekeeper(_) | Source::Webhook(_) => true,
        }
    }
}
