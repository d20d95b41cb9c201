//! The meaning of what is written about rollouts.

use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::{RuleSettings, StageSettings};

use super::meaning::Ground;
use super::mistake::{Wrong, shown, suggestion};
use super::policies::texts;
use super::written::Stage;

/// Of the policy at `path`, whose rules are known where it is one of rules.
pub fn of_policy(
    written: Option<Vec<Stage>>,
    rules: Option<&[RuleSettings]>,
    path: &str,
    ground: &mut Ground<'_>,
) -> Vec<StageSettings> {
    let rollout = stages(written);
    if let Some(rules) = rules {
        reached(&rollout, rules, path, ground);
    }
    rollout
}

/// Of the rule at `path`.
pub fn of_rule(written: Option<Vec<Stage>>, path: &str, ground: &mut Ground<'_>) -> Vec<StageSettings> {
    let rollout = stages(written);
    for (at, _) in rollout.iter().enumerate().filter(|(_, stage)| !stage.rules.is_empty()) {
        let fix = "remove it, or move the stage to the rollout of the policy";
        ground.wrong(&format!("{path}.rollout[{at}].rules"), Wrong::new("this rollout is of one rule alone", fix));
    }
    rollout
}

fn stages(written: Option<Vec<Stage>>) -> Vec<StageSettings> {
    let stage = |stage: Stage| {
        Some(StageSettings {
            rules: texts(stage.rules),
            namespaces: texts(stage.namespaces),
            clusters: texts(stage.clusters),
            percent: u8::try_from(stage.percent).expect("the reader lets no part over 100 pass"),
            salt: stage.salt.map(|salt| salt.0.0),
            mode: stage.mode?,
        })
    };
    // One without a mode is a mistake already.
    written.unwrap_or_default().into_iter().filter_map(stage).collect()
}

/// A stage of rules that are not there, or that say otherwise themselves, would be waited for in vain.
fn reached(rollout: &[StageSettings], rules: &[RuleSettings], policy: &str, ground: &mut Ground<'_>) {
    for (at, stage) in rollout.iter().enumerate() {
        let field = format!("{policy}.rollout[{at}].rules");
        let mut is_of_some = stage.rules.is_empty();
        for name in &stage.rules {
            let glob = Glob::new(name, Subject::Name);
            let mut named = rules.iter().filter(|rule| glob.matches(&rule.id)).peekable();
            if named.peek().is_none() {
                let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
                let wrong =
                    Wrong::new(format!("no rule of the policy is called {}", shown(name)), suggestion(name, &ids));
                ground.wrong_once(&field, wrong);
            }
            is_of_some |= named.any(|rule| rule.mode.is_none() && rule.rollout.is_empty());
        }
        if !is_of_some && !ground.mistakes.touch(&field) {
            ground.warnings.push(format!(
                "{field}: the stage is never reached: each of these rules has a mode or a rollout of its own, which wins"
            ));
        }
    }
}
