//! One image rule.

use crate::review::Review;
use crate::review::decision::Mode;
use crate::review::image::Image;

use super::index::Key;
use super::matcher::{Matcher, is_telling};
use super::rollout::{Place, Rollout};
use super::rules::{Mistake, RuleViolation};
use super::scope::Scope;
use super::settings::{CheckSettings, MatchSettings, Requirement, RuleSettings};
use super::template::{self, Template};

#[derive(Debug)]
pub struct Rule {
    id: String,
    mode: Option<Mode>,
    rollout: Rollout,
    check: Check,
    message: Template,
    unreadable: Option<String>,
    help: Option<String>,
    scope: Scope,
    placeholders: Vec<String>,
}

#[derive(Debug)]
enum Check {
    Deny(Matcher),
    Allow(Matcher),
    Require(Vec<Requirement>),
}

/// Longer ones are no names.
const MAX_ID: usize = 128;

// === impl Rule ===

impl Rule {
    /// `None` when it has a mistake.
    pub fn compile(settings: &RuleSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let before = mistakes.len();
        if !is_id(&settings.id) {
            mistakes.push(Mistake::new(
                format!("{path}.id"),
                format!("`{}` is not an id", settings.id),
                "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`",
            ));
        }
        let check = Check::compile(&settings.check, path, mistakes);
        let text = settings.message.clone().unwrap_or_else(|| default_message(&settings.check));
        let message = Template::parse(&text).map_err(|error| {
            mistakes.push(Mistake::new(format!("{path}.message"), error.problem, error.fix));
        });
        let scope = Scope::compile(&settings.scope, path, mistakes);
        let rollout = Rollout::compile(&settings.rollout, &format!("{path}.rollout"), mistakes);
        if mistakes.len() > before {
            return None;
        }
        Some(Self {
            id: settings.id.clone(),
            mode: settings.mode,
            rollout,
            check,
            message: message.ok()?,
            unreadable: settings.unreadable.clone(),
            help: settings.help.clone(),
            scope,
            placeholders: settings.placeholders.clone(),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it has a mode or a rollout of its own, which wins over its policy's.
    pub fn is_staged(&self) -> bool {
        self.mode.is_some() || !self.rollout.is_empty()
    }

    pub fn has_rollout(&self) -> bool {
        !self.rollout.is_empty()
    }

    /// Its own mode where no stage matches.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Its own mode there.
    pub fn mode_in(&self, place: Place<'_>) -> Option<Mode> {
        self.rollout.mode(&self.id, place).or(self.mode)
    }

    /// The heaviest mode that its own may be anywhere; of one that has none, `otherwise`.
    pub fn heaviest(&self, otherwise: Mode) -> Mode {
        self.rollout.heaviest_of(Some(&self.id), self.mode.unwrap_or(otherwise))
    }

    pub fn names_clusters(&self) -> bool {
        self.scope.names_clusters()
    }

    /// What all that it can find begins with.
    pub fn key(&self) -> Key {
        if let Check::Deny(matcher) = &self.check
            && let Some((part, texts)) = matcher.beginnings()
        {
            return Key::Image(part, texts);
        }
        match self.namespaces() {
            texts if is_telling(&texts) => Key::Namespaces(texts),
            _ => Key::Everywhere,
        }
    }

    /// What the namespaces begin with in which it holds; none: every namespace.
    pub fn namespaces(&self) -> Vec<Vec<u8>> {
        self.scope.namespaces()
    }

    /// Whether it holds for this review at all.
    pub fn holds_for(&self, cluster: &str, review: &Review) -> bool {
        self.scope.holds_for(cluster, review)
    }

    /// Whether this image of a review that it holds for is judged.
    pub fn judges(&self, image: &Image, review: &Review) -> bool {
        let is_placeholder = || is_template(review) && self.placeholders.contains(&image.text);
        self.scope.has_role(image.role) && !is_placeholder()
    }

    pub fn violated_by(&self, image: &Image) -> bool {
        match (&self.check, &image.reference) {
            (Check::Deny(matcher), _) => matcher.matches(image),
            // Of an image that cannot be read nothing is known that would speak for it.
            (Check::Allow(_) | Check::Require(_), Err(_)) => true,
            (Check::Allow(matcher), Ok(_)) => !matcher.matches(image),
            (Check::Require(requirements), Ok(reference)) => {
                !requirements.iter().all(|requirement| match requirement {
                    Requirement::Digest => reference.digest.is_some(),
                    Requirement::Tag => reference.tag.is_some(),
                })
            }
        }
    }

    /// What it says of an image that violates it.
    pub fn violation(&self, image: &Image, namespace: Option<&str>) -> RuleViolation {
        let message = match (&self.check, &image.reference) {
            (Check::Allow(_) | Check::Require(_), Err(error)) => self.unreadable.clone().unwrap_or_else(|| {
                format!("{} cannot be read as the name of an image: {error}", template::cut(&image.text))
            }),
            _ => self.message.fill(image, namespace),
        };
        RuleViolation {
            rule: self.id.clone(),
            most: Mode::Enforce,
            image: Some(template::cut(&image.text).into_owned()),
            container: image.container.clone(),
            message,
            help: self.help.clone(),
        }
    }
}

pub(super) fn is_id(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A pod template is not what runs: a placeholder in it is replaced before a pod is made.
fn is_template(review: &Review) -> bool {
    review.record.kind.as_deref().is_some_and(|kind| kind != "Pod")
}

fn default_message(check: &CheckSettings) -> String {
    match check {
        CheckSettings::Deny(given) if only_tag(given) => "{image} uses the tag {tag}",
        CheckSettings::Deny(_) => "{image} is denied",
        CheckSettings::Allow(given) if only_registry(given) => "{image} is not from an allowed registry",
        CheckSettings::Allow(_) => "{image} is not an allowed image",
        CheckSettings::Require(required) => match required[..] {
            [Requirement::Digest] => "{image} has no digest",
            [Requirement::Tag] => "{image} has no tag",
            _ => "{image} does not spell out tag and digest",
        },
    }
    .to_owned()
}

fn only_tag(given: &MatchSettings) -> bool {
    *given == MatchSettings { tag: given.tag.clone(), ..MatchSettings::default() }
}

fn only_registry(given: &MatchSettings) -> bool {
    *given == MatchSettings { registry: given.registry.clone(), ..MatchSettings::default() }
}

// === impl Check ===

impl Check {
    fn compile(settings: &CheckSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Self {
        match settings {
            CheckSettings::Deny(given) => Self::Deny(Matcher::compile(given, &format!("{path}.deny"), mistakes)),
            CheckSettings::Allow(given) => Self::Allow(Matcher::of_allow(given, &format!("{path}.allow"), mistakes)),
            CheckSettings::Require(required) => {
                if required.is_empty() {
                    let problem = "nothing is required, so nothing violates it";
                    mistakes.push(Mistake::new(format!("{path}.require"), problem, "[digest] or [tag]"));
                }
                Self::Require(required.clone())
            }
        }
    }
}
