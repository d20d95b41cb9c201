//! Which mode a rule has where: a list of stages, of which the first that matches wins.
//!
//! A rule that is taken to `enforce` in a part of the namespaces takes the same part every time, and every rule begins
//! with the same ones: each namespace of a cluster has a number from 0 to 99, by a hash, and a stage of 25 percent holds
//! for those below 25. So one that is in at 10 percent stays in at 25, and what a request gets is never chance.

use sha2::{Digest, Sha256};

use crate::review::decision::Mode;

use super::glob::{Glob, Subject};
use super::matcher::globs;
use super::rules::Mistake;
use super::settings::StageSettings;

/// Where a review is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// As which it is judged.
    pub cluster: &'a str,
    /// Empty for an object that is in none.
    pub namespace: &'a str,
}

/// Stages in their order.
#[derive(Debug, Default)]
pub struct Rollout {
    stages: Vec<Stage>,
}

/// Each list that is empty is everything.
#[derive(Debug)]
struct Stage {
    rules: Vec<Glob>,
    namespaces: Vec<Glob>,
    clusters: Vec<Glob>,
    percent: u8,
    salt: String,
    mode: Mode,
}

/// Of how many numbers a namespace has one.
const NUMBERS: u64 = 100;

// === impl Rollout ===

impl Rollout {
    /// `path` is the field that the stages stand in.
    pub fn compile(settings: &[StageSettings], path: &str, mistakes: &mut Vec<Mistake>) -> Self {
        let stages = settings.iter().enumerate().map(|(at, stage)| {
            let path = format!("{path}[{at}]");
            let mut globs =
                |patterns: &[String], field: &str| globs(patterns, &format!("{path}.{field}"), Subject::Name, mistakes);
            Stage {
                rules: globs(&stage.rules, "rules"),
                namespaces: globs(&stage.namespaces, "namespaces"),
                clusters: globs(&stage.clusters, "clusters"),
                percent: stage.percent,
                salt: stage.salt.clone().unwrap_or_default(),
                mode: stage.mode,
            }
        });
        Self { stages: stages.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The mode of `rule` there; `None`: no stage matches.
    pub fn mode(&self, rule: &str, place: Place<'_>) -> Option<Mode> {
        let stage = self.stages.iter().find(|stage| stage.names(rule) && stage.holds_in(place))?;
        Some(stage.mode)
    }

    /// Whether a stage is of some rules alone.
    pub fn names_rules(&self) -> bool {
        self.stages.iter().any(|stage| !stage.rules.is_empty())
    }

    /// The mode of a rule there that no stage names; `None`: no stage matches.
    pub fn common_mode(&self, place: Place<'_>) -> Option<Mode> {
        let mut stages = self.stages.iter().filter(|stage| stage.rules.is_empty());
        Some(stages.find(|stage| stage.holds_in(place))?.mode)
    }

    /// The heaviest mode that some rule may have there; of one that no stage is of, `otherwise`.
    pub fn heaviest_in(&self, place: Place<'_>, otherwise: Mode) -> Mode {
        let stages = self.stages.iter().filter(|stage| stage.holds_in(place));
        heaviest(stages, |stage| stage.rules.is_empty(), otherwise)
    }

    /// The heaviest mode that `rule` may have anywhere; where no stage is of it, `otherwise`. `None`: of any rule.
    pub fn heaviest_of(&self, rule: Option<&str>, otherwise: Mode) -> Mode {
        let may_name = |stage: &Stage| rule.is_none_or(|rule| stage.names(rule));
        let stages = self.stages.iter().filter(|stage| stage.percent > 0 && may_name(stage));
        heaviest(stages, |stage| stage.is_everywhere() && (rule.is_some() || stage.rules.is_empty()), otherwise)
    }
}

/// Behind the `last`, one that takes in everything, no other stage has a turn.
fn heaviest<'a>(stages: impl Iterator<Item = &'a Stage>, is_last: impl Fn(&Stage) -> bool, otherwise: Mode) -> Mode {
    let mut heaviest = Mode::Audit;
    for stage in stages {
        heaviest = heaviest.max(stage.mode);
        if is_last(stage) {
            return heaviest;
        }
    }
    heaviest.max(otherwise)
}

// === impl Stage ===

impl Stage {
    fn names(&self, rule: &str) -> bool {
        self.rules.is_empty() || matches(&self.rules, rule)
    }

    fn holds_in(&self, place: Place<'_>) -> bool {
        (self.namespaces.is_empty() || matches(&self.namespaces, place.namespace))
            && (self.clusters.is_empty() || matches(&self.clusters, place.cluster))
            && (u64::from(self.percent) >= NUMBERS || number(place, &self.salt) < u64::from(self.percent))
    }

    fn is_everywhere(&self) -> bool {
        self.namespaces.is_empty() && self.clusters.is_empty() && u64::from(self.percent) >= NUMBERS
    }
}

fn matches(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

/// From 0 to 99, the same for the same namespace of a cluster on every replica and in every version: the first eight
/// bytes of SHA-256 as a big-endian number, mod 100. Neither name holds a NUL, so no two places are hashed alike.
fn number(place: Place<'_>, salt: &str) -> u64 {
    let hash = Sha256::new()
        .chain_update(place.cluster)
        .chain_update([0])
        .chain_update(place.namespace)
        .chain_update([0])
        .chain_update(salt)
        .finalize();
    let first: [u8; 8] = hash[..8].try_into().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(first) % NUMBERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(mode: Mode) -> StageSettings {
        StageSettings { rules: vec![], namespaces: vec![], clusters: vec![], percent: 100, salt: None, mode }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn rollout(stages: &[StageSettings]) -> Rollout {
        let mut mistakes = Vec::new();
        let rollout = Rollout::compile(stages, "rollout", &mut mistakes);
        assert_eq!(mistakes, []);
        rollout
    }

    fn place<'a>(cluster: &'a str, namespace: &'a str) -> Place<'a> {
        Place { cluster, namespace }
    }

    #[test]
    fn the_first_stage_that_matches_wins_and_none_is_none() {
        let rollout = rollout(&[
            StageSettings { rules: texts(&["no-*"]), namespaces: texts(&["pay-*", "shop"]), ..stage(Mode::Enforce) },
            StageSettings { clusters: texts(&["test"]), ..stage(Mode::Warn) },
            StageSettings { rules: texts(&["pinned"]), ..stage(Mode::Audit) },
        ]);
        for (rule, cluster, namespace, mode) in [
            ("no-latest", "prod", "shop", Some(Mode::Enforce)),
            ("no-latest", "test", "pay-1", Some(Mode::Enforce)),
            ("no-latest", "test", "blog", Some(Mode::Warn)),
            ("pinned", "test", "shop", Some(Mode::Warn)),
            ("pinned", "prod", "shop", Some(Mode::Audit)),
            ("no-latest", "prod", "blog", None),
            ("no-latest", "prod", "", None),
        ] {
            assert_eq!(rollout.mode(rule, place(cluster, namespace)), mode, "{rule} {cluster}/{namespace}");
        }
        assert_eq!(rollout.common_mode(place("test", "shop")), Some(Mode::Warn));
        assert_eq!(rollout.common_mode(place("prod", "shop")), None);
        assert_eq!(rollout.heaviest_in(place("prod", "shop"), Mode::Audit), Mode::Enforce);
        assert_eq!(rollout.heaviest_in(place("prod", "blog"), Mode::Audit), Mode::Audit);
    }

    #[test]
    fn what_comes_after_a_stage_for_everything_has_no_weight() {
        let rollout = rollout(&[stage(Mode::Warn), stage(Mode::Enforce)]);
        assert_eq!(rollout.heaviest_of(None, Mode::Enforce), Mode::Warn);
        assert_eq!(self::rollout(&[]).heaviest_of(None, Mode::Enforce), Mode::Enforce);
        let nobody = StageSettings { percent: 0, ..stage(Mode::Enforce) };
        assert_eq!(self::rollout(&[nobody]).heaviest_of(None, Mode::Audit), Mode::Audit);
        let named = [StageSettings { rules: texts(&["a"]), ..stage(Mode::Warn) }, stage(Mode::Enforce)];
        let named = self::rollout(&named);
        assert_eq!(named.heaviest_of(Some("a"), Mode::Audit), Mode::Warn);
        assert_eq!(named.heaviest_of(Some("b"), Mode::Audit), Mode::Enforce);
    }

    /// A number that changed from one version to the next would let out who was in.
    #[test]
    fn the_number_of_a_namespace_is_the_one_it_always_had() {
        let numbers = ["shop", "payments", "blog", ""].map(|namespace| number(place("prod-eu", namespace), ""));
        assert_eq!(numbers, [40, 61, 20, 22]);
        assert_ne!(number(place("prod-eu", "shop"), "x"), number(place("prod-eu", "shop"), ""));
        assert_ne!(number(place("prod", "eushop"), ""), number(place("prodeu", "shop"), ""));
    }

    #[test]
    fn who_is_in_stays_in_and_the_part_is_about_the_one_asked_for() {
        let names: Vec<String> = (0..2_000).map(|n| format!("team-{n}")).collect();
        let inside = |percent: u8| -> Vec<bool> {
            let rollout = rollout(&[StageSettings { percent, ..stage(Mode::Enforce) }]);
            names.iter().map(|name| rollout.mode("r", place("prod", name)).is_some()).collect()
        };
        let mut before = inside(0);
        assert!(!before.contains(&true));
        for percent in [1, 10, 25, 50, 99, 100] {
            let now = inside(percent);
            assert!(before.iter().zip(&now).all(|(before, now)| !before || *now), "{percent} lets one out");
            let count = now.iter().filter(|is_in| **is_in).count();
            let asked = usize::from(percent) * names.len() / 100;
            assert!(count.abs_diff(asked) < 100, "{percent}: {count}");
            before = now;
        }
        assert!(!before.contains(&false));
    }

    #[test]
    fn a_glob_that_matches_nothing_is_told_with_its_stage() {
        let mut mistakes = Vec::new();
        let wrong = StageSettings { namespaces: texts(&["a", ""]), ..stage(Mode::Audit) };
        Rollout::compile(&[stage(Mode::Audit), wrong], "rollout", &mut mistakes);
        assert_eq!(mistakes[0].field, "rollout[1].namespaces[1]");
    }
}
