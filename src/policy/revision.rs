//! One loaded state of all policies.

use crate::review::decision::Mode;
use crate::review::view::digest_hex;

use super::break_glass::BreakGlass;
use super::evaluated::Evaluated;
use super::exemptions::Exemptions;
use super::gatekeeper::GatekeeperPolicy;
use super::gatekeeper::constraint::Constraint;
use super::opa;
use super::rego::RegoPolicy;
use super::rego::input::Form;
use super::rollout::{Place, Rollout};
use super::rule::{Rule, is_id};
use super::rules::{Mistake, RulesPolicy};
use super::settings::{OnError, PolicySettings, SourceSettings, StagingSettings, SystemSettings, WebhookSettings};
use super::system::SystemCeiling;

/// Immutable; a request holds one to its end. Named by the hash of its content.
#[derive(Debug)]
pub struct Revision {
    /// 12 hexadecimal digits.
    pub id: String,
    pub policies: Vec<Policy>,
    /// Judged beside them, and never acted on. Their modes are what they would be in.
    pub candidates: Vec<Policy>,
    /// Of which the policies' ceilings are.
    pub system: SystemSettings,
    pub exemptions: Exemptions,
    pub break_glass: BreakGlass,
}

#[derive(Debug)]
pub struct Policy {
    pub name: String,
    /// Where no stage of its rollout matches.
    pub mode: Mode,
    pub rollout: Rollout,
    /// Over its modes; a webhook that is not overridable has none.
    pub ceiling: SystemCeiling,
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

/// What gives a rule its mode somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its own mode or rollout.
    Rule,
    /// A stage of its policy's rollout.
    Rollout,
    Policy,
}

// === impl Revision ===

impl Revision {
    /// Of its policies; candidates are none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.name.as_str())
    }

    /// # Errors
    /// Every mistake of every policy, with the policy's place in `settings`; candidates come after those.
    pub fn load(settings: &[PolicySettings], staging: &StagingSettings) -> Result<Self, Vec<(usize, Mistake)>> {
        let mut mistakes = Vec::new();
        let policies = all(settings, staging, 0, &mut mistakes);
        let candidates = all(&staging.candidates, staging, settings.len(), &mut mistakes);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        // As with a policy's version, the debug form names every field and value in order.
        let id = digest_hex(format!("{settings:?} {staging:?}").as_bytes(), 12);
        let exemptions = Exemptions::of(&staging.exemptions);
        let break_glass = BreakGlass::of(&staging.break_glass);
        Ok(Self { id, policies, candidates, system: staging.system.clone(), exemptions, break_glass })
    }

    /// Whether anything in it can reject.
    pub fn can_enforce(&self) -> bool {
        self.policies.iter().any(Policy::can_enforce)
    }
}

/// Those of `settings` that load; of the others the mistakes, `first` being the place of the first of them.
fn all(
    settings: &[PolicySettings],
    staging: &StagingSettings,
    first: usize,
    mistakes: &mut Vec<(usize, Mistake)>,
) -> Vec<Policy> {
    let mut policies = Vec::with_capacity(settings.len());
    for (at, policy) in settings.iter().enumerate() {
        let place = first + at;
        mistakes.extend(name_mistake(policy, &settings[..at]).map(|mistake| (place, mistake)));
        match Policy::load(policy, staging) {
            Ok(policy) => policies.push(policy),
            Err(more) => mistakes.extend(more.into_iter().map(|mistake| (place, mistake))),
        }
    }
    policies
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
    fn load(settings: &PolicySettings, staging: &StagingSettings) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let rollout = Rollout::compile(&settings.rollout, "rollout", &mut mistakes);
        match Source::load(&settings.source) {
            Ok(source) if mistakes.is_empty() => {
                let (name, mode, on_error) = (settings.name.clone(), settings.mode, settings.on_error);
                let may_be_loosened = settings.source.may_be_loosened();
                let ceiling =
                    if may_be_loosened { SystemCeiling::of(&staging.system) } else { SystemCeiling::default() };
                Ok(Self { name, mode, rollout, ceiling, on_error, source })
            }
            Ok(_) => Err(mistakes),
            Err(more) => Err(mistakes.into_iter().chain(more).collect()),
        }
    }

    /// Of its text; a webhook has none.
    pub fn version(&self) -> Option<&str> {
        match &self.source {
            Source::Rules(rules) => Some(rules.version()),
            Source::Rego(_) | Source::Gatekeeper(_) => self.evaluated().map(Evaluated::version),
            Source::Webhook(_) => None,
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

    /// The mode of one of its rules there.
    pub fn mode_of(&self, rule: &str, place: Place<'_>) -> Mode {
        self.asked_mode_of(rule, place).min(self.ceiling.over(place))
    }

    /// The same, as it would be if nothing held it back.
    pub fn asked_mode_of(&self, rule: &str, place: Place<'_>) -> Mode {
        self.origin_of(rule, place).0
    }

    /// The same, and what says so.
    pub fn origin_of(&self, rule: &str, place: Place<'_>) -> (Mode, Origin) {
        let mode = match self.staged(rule) {
            Some(rule) => rule.mode_in(place).map(|mode| (mode, Origin::Rule)),
            None => self.rollout.mode(rule, place).map(|mode| (mode, Origin::Rollout)),
        };
        mode.unwrap_or((self.mode, Origin::Policy))
    }

    /// The rule, where it has a mode or a rollout of its own: its policy's rollout says nothing of it then.
    pub fn staged(&self, rule: &str) -> Option<&Rule> {
        match &self.source {
            Source::Rules(rules) => rules.rule(rule).filter(|rule| rule.is_staged()),
            Source::Rego(_) | Source::Gatekeeper(_) | Source::Webhook(_) => None,
        }
    }

    /// Whether a rule's mode may be another than that of a rule which nothing names.
    pub fn stages_rules(&self, rule: &str) -> bool {
        self.staged(rule).is_some() || self.rollout.names_rules()
    }

    /// The heaviest mode that a rule can have, whatever a configuration says: a constraint of Gatekeeper names its own.
    pub fn most_of(&self, rule: &str) -> Mode {
        match &self.source {
            Source::Gatekeeper(gatekeeper) => {
                gatekeeper.rules().find(|own| own.rule == rule).map_or(Mode::Enforce, |own| own.most)
            }
            Source::Rules(_) | Source::Rego(_) | Source::Webhook(_) => Mode::Enforce,
        }
    }

    /// Its own mode there: that of a rule which nothing names. A webhook's one rule has its name.
    pub fn mode_in(&self, place: Place<'_>) -> Mode {
        match &self.source {
            Source::Webhook(_) => self.mode_of(&self.name, place),
            Source::Rules(_) | Source::Rego(_) | Source::Gatekeeper(_) => {
                self.rollout.common_mode(place).unwrap_or(self.mode).min(self.ceiling.over(place))
            }
        }
    }

    /// The heaviest mode that one of its rules has there. What the rules of a Rego policy are called is not known.
    pub fn heaviest_in(&self, place: Place<'_>) -> Mode {
        match &self.source {
            Source::Rules(rules) => {
                rules.rules().iter().map(|rule| self.mode_of(rule.id(), place)).max().unwrap_or(self.mode)
            }
            Source::Rego(_) => self.rollout.heaviest_in(place, self.mode).min(self.ceiling.over(place)),
            Source::Gatekeeper(gatekeeper) => {
                let modes = gatekeeper.rules().map(|rule| self.mode_of(&rule.rule, place).min(rule.most));
                modes.max().unwrap_or(self.mode)
            }
            Source::Webhook(_) => self.mode_in(place),
        }
    }

    /// Whether it, or one of its rules, can reject anywhere.
    pub fn can_enforce(&self) -> bool {
        self.heaviest() == Mode::Enforce
    }

    /// The heaviest mode that it or one of its rules has anywhere outside of the system namespaces.
    pub fn heaviest(&self) -> Mode {
        let heaviest = match &self.source {
            Source::Rules(rules) => rules.rules().iter().map(|rule| self.heaviest_of(rule)).max(),
            Source::Rego(_) => Some(self.rollout.heaviest_of(None, self.mode)),
            Source::Gatekeeper(gatekeeper) => {
                let heaviest = |rule: &Constraint| self.rollout.heaviest_of(Some(&rule.rule), self.mode).min(rule.most);
                gatekeeper.rules().map(heaviest).max()
            }
            Source::Webhook(_) => Some(self.rollout.heaviest_of(Some(&self.name), self.mode)),
        };
        heaviest.unwrap_or(self.mode)
    }

    /// Whether it would do more in the system namespaces if it were not held back there.
    pub fn is_capped(&self) -> bool {
        self.ceiling.lowers(self.heaviest())
    }

    fn heaviest_of(&self, rule: &Rule) -> Mode {
        match rule.is_staged() {
            true => rule.heaviest(self.mode),
            false => self.rollout.heaviest_of(Some(rule.id()), self.mode),
        }
    }

    /// Nothing of ours loosens a webhook that enforces unless it says so.
    pub fn may_be_loosened(&self) -> bool {
        match &self.source {
            Source::Rules(_) | Source::Rego(_) | Source::Gatekeeper(_) => true,
            Source::Webhook(webhook) => webhook.overridable,
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

// === impl Source ===

impl Source {
    fn load(settings: &SourceSettings) -> Result<Self, Vec<Mistake>> {
        Ok(match settings {
            SourceSettings::Rules(rules) => Self::Rules(RulesPolicy::compile(rules)?),
            SourceSettings::Rego(rego) => Self::Rego(Box::new(RegoPolicy::compile(rego).map_err(within("rego"))?)),
            SourceSettings::Gatekeeper(gatekeeper) => {
                let policy = GatekeeperPolicy::compile(gatekeeper).map_err(within("gatekeeper"))?;
                Self::Gatekeeper(Box::new(policy))
            }
            SourceSettings::Webhook(webhook) => {
                opa::check(webhook)?;
                Self::Webhook(webhook.clone())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::{StageSettings, built_in};

    fn stage(rules: &[&str], namespaces: &[&str], mode: Mode) -> StageSettings {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let (rules, namespaces) = (texts(rules), texts(namespaces));
        StageSettings { rules, namespaces, clusters: Vec::new(), percent: 100, salt: None, mode }
    }

    /// The built-in policy with a second rule, which has a mode and a rollout of its own.
    fn policy(mode: Mode, rollout: Vec<StageSettings>, own: Option<Mode>, own_rollout: Vec<StageSettings>) -> Policy {
        let mut settings = built_in().remove(0);
        let SourceSettings::Rules(rules) = &mut settings.source else { panic!("rules") };
        rules.push(rules[0].clone());
        rules[1].id = "own".to_owned();
        (rules[1].mode, rules[1].rollout) = (own, own_rollout);
        (settings.mode, settings.rollout) = (mode, rollout);
        Revision::load(&[settings], &StagingSettings::default()).expect("it loads").policies.remove(0)
    }

    fn shop() -> Place<'static> {
        Place { cluster: "prod", namespace: "shop" }
    }

    fn blog() -> Place<'static> {
        Place { cluster: "prod", namespace: "blog" }
    }

    #[test]
    fn what_a_rule_says_of_itself_wins_over_its_policy() {
        let rollout = vec![stage(&[], &["shop"], Mode::Enforce)];
        let both = policy(Mode::Audit, rollout.clone(), None, Vec::new());
        assert_eq!((both.mode_of("own", shop()), both.mode_of("own", blog())), (Mode::Enforce, Mode::Audit));
        let with_mode = policy(Mode::Audit, rollout.clone(), Some(Mode::Warn), Vec::new());
        assert_eq!((with_mode.mode_of("own", shop()), with_mode.mode_of("own", blog())), (Mode::Warn, Mode::Warn));
        let own_rollout = vec![stage(&[], &["blog"], Mode::Warn)];
        let with_rollout = policy(Mode::Audit, rollout, None, own_rollout);
        assert_eq!(
            (with_rollout.mode_of("own", shop()), with_rollout.mode_of("own", blog())),
            (Mode::Audit, Mode::Warn)
        );
        assert_eq!(with_rollout.mode_of("no-latest", shop()), Mode::Enforce);
    }

    #[test]
    fn whether_it_can_reject_is_known_for_everywhere_and_for_one_place() {
        let nowhere = policy(Mode::Warn, Vec::new(), Some(Mode::Audit), Vec::new());
        assert!(!nowhere.can_enforce());
        let staged = policy(Mode::Audit, vec![stage(&["no-latest"], &["shop"], Mode::Enforce)], None, Vec::new());
        assert!(staged.can_enforce());
        assert_eq!((staged.heaviest_in(shop()), staged.heaviest_in(blog())), (Mode::Enforce, Mode::Audit));
        assert_eq!(staged.mode_in(shop()), Mode::Audit, "the stage is of one rule");
        let all_say_otherwise = policy(Mode::Enforce, vec![stage(&[], &[], Mode::Warn)], Some(Mode::Audit), Vec::new());
        assert!(!all_say_otherwise.can_enforce());
    }

    #[test]
    fn in_the_system_namespaces_local_policies_are_capped_and_webhooks_are_not() {
        let system = Place { cluster: "prod", namespace: "kube-system" };
        let local = policy(Mode::Enforce, vec![stage(&["own"], &[], Mode::Enforce)], None, Vec::new());
        assert_eq!((local.mode_of("own", system), local.mode_of("no-latest", system)), (Mode::Warn, Mode::Warn));
        assert_eq!((local.mode_in(system), local.heaviest_in(system)), (Mode::Warn, Mode::Warn));
        assert_eq!((local.mode_in(shop()), local.heaviest()), (Mode::Enforce, Mode::Enforce));
        for (overridable, mode) in [(false, Mode::Enforce), (true, Mode::Warn)] {
            let webhook = WebhookSettings {
                url: "http://127.0.0.1/".parse().expect("a URL"),
                speaks: crate::policy::settings::Speaks::AdmissionReview,
                bridge: false,
                timeout: std::time::Duration::from_secs(5),
                ca: None,
                client_identity: None,
                token_file: None,
                max_in_flight: 64,
                overridable,
            };
            let source = SourceSettings::Webhook(webhook);
            let settings = PolicySettings { mode: Mode::Enforce, source, ..built_in().remove(0) };
            let revision = Revision::load(&[settings], &StagingSettings::default()).expect("it loads");
            assert_eq!(revision.policies[0].mode_in(system), mode, "overridable: {overridable}");
        }
    }

    #[test]
    fn a_mistake_in_a_rollout_is_told_beside_the_others() {
        let mut settings = built_in();
        settings[0].rollout = vec![stage(&[""], &[], Mode::Audit)];
        let SourceSettings::Rules(rules) = &mut settings[0].source else { panic!("rules") };
        rules[0].rollout = vec![stage(&[], &["a", ""], Mode::Audit)];
        let mistakes = Revision::load(&settings, &StagingSettings::default()).expect_err("two mistakes");
        let fields: Vec<_> = mistakes.iter().map(|(_, mistake)| mistake.field.as_str()).collect();
        assert_eq!(fields, ["rollout[0].rules[0]", "rules[0].rollout[0].namespaces[1]"]);
    }
}
