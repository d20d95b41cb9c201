//! What is another between two revisions, for a person: by policy and exemption, in words and line by line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::filters::count;
use crate::policy::settings::{
    BreakGlassSettings, ExemptionSettings, PolicySettings, RuleSettings, SourceSettings, StagingSettings,
};
use crate::policy::text;

/// What a revision holds.
type Held = (Vec<PolicySettings>, StagingSettings);

/// One thing that is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ChangeInWords")]
pub struct Change {
    /// `policy`, `candidate`, `exemption`, `break-glass`, `system namespaces` or `order`.
    pub kind: &'static str,
    /// Empty of what there is one of.
    pub name: String,
    pub how: How,
    /// In words, a part each.
    pub points: Vec<String>,
    /// Before and after; empty: it was not there.
    #[serde(skip)]
    texts: [String; 2],
}

/// The same, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Change")]
pub struct Whole {
    #[serde(flatten)]
    pub change: Change,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Added,
    Removed,
    Changed,
}

/// Of its text, as JSON in the words of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Line {
    pub sign: Sign,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    Same,
    Added,
    Removed,
    /// Lines stand here that are the same, or too many.
    Skipped,
}

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// Lines of one thing that are shown: what is longer is a new text, and is read as that.
const LINES: usize = 600;

/// For one text: past it the comparison is coarser, and as right.
const PATIENCE: Duration = Duration::from_millis(100);

/// Changes that one line names.
const NAMED: usize = 3;

/// By kind and name, in order; of those that share a name, by number.
type Parts<'a> = BTreeMap<(usize, String, usize), Part<'a>>;

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Policy(&'a PolicySettings),
    Exemption(&'a ExemptionSettings),
    BreakGlass(&'a BreakGlassSettings),
    Staging(&'a StagingSettings),
}

/// In the order in which they are told; a part's key begins with its place here.
const KINDS: [&str; 5] = ["policy", "candidate", "exemption", "break-glass", "system namespaces"];

/// Between the texts of two revisions, in words: many are compared for a list. `None`: one of them is not what this version reads.
pub fn between(before: &str, after: &str) -> Option<Vec<Change>> {
    let (before, after) = (text::read(before).ok()?, text::read(after).ok()?);
    let (old, new) = (parts(&before), parts(&after));
    let mut changes = Vec::new();
    for (key, part) in &old {
        match new.get(key) {
            None => changes.push(Change::of(key, *part, How::Removed, [part.text(), String::new()])),
            Some(other) => {
                let texts = [part.text(), other.text()];
                if texts[0] != texts[1] {
                    let change = Change::of(key, *other, How::Changed, texts);
                    changes.push(Change { points: part.points(*other), ..change });
                }
            }
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(key));
    changes.extend(added.map(|(key, part)| Change::of(key, *part, How::Added, [String::new(), part.text()])));
    changes.sort_by_key(|change| KINDS.iter().position(|kind| *kind == change.kind));
    if changes.is_empty() && before != after {
        changes.push(Change::of_order());
    }
    Some(changes)
}

/// "policy images: mode enforce instead of audit; exemption SEC-12 added; and 2 more".
pub fn in_one_line(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing that judges is another".to_owned();
    }
    let mut named: Vec<String> = changes.iter().take(NAMED).map(Change::line).collect();
    if changes.len() > NAMED {
        named.push(format!("and {} more", changes.len() - NAMED));
    }
    named.join("; ")
}

fn parts((policies, staging): &Held) -> Parts<'_> {
    let mut parts = Parts::new();
    let mut add = |kind: usize, name: String, part| {
        let number = parts.range((kind, name.clone(), 0)..=(kind, name.clone(), usize::MAX)).count();
        parts.insert((kind, name, number), part);
    };
    policies.iter().for_each(|one| add(0, one.name.clone(), Part::Policy(one)));
    staging.candidates.iter().for_each(|one| add(1, one.name.clone(), Part::Policy(one)));
    for one in &staging.exemptions {
        let ticket = one.ticket.as_ref().map(|ticket| format!("{ticket} ")).unwrap_or_default();
        add(2, format!("{ticket}{}", one.id()), Part::Exemption(one));
    }
    staging.break_glass.iter().for_each(|one| add(3, one.annotation.clone(), Part::BreakGlass(one)));
    add(4, String::new(), Part::Staging(staging));
    parts
}

// === impl Part ===

impl Part<'_> {
    fn text(self) -> String {
        let text = match self {
            Self::Policy(policy) => serde_json::to_string_pretty(policy),
            Self::Exemption(exemption) => serde_json::to_string_pretty(exemption),
            Self::BreakGlass(ticket) => serde_json::to_string_pretty(ticket),
            Self::Staging(staging) => serde_json::to_string_pretty(&staging.system),
        };
        text.expect("keys are strings, and every path of a configuration is text") + "\n"
    }

    /// What of it is another, where words say it.
    fn points(self, after: Self) -> Vec<String> {
        match (self, after) {
            (Self::Policy(before), Self::Policy(after)) => of_policies(before, after),
            (Self::Exemption(before), Self::Exemption(after)) if before.until != after.until => {
                let end = |one: &ExemptionSettings| one.until.map_or_else(|| "no end".to_owned(), |at| at.to_string());
                vec![format!("until {} instead of {}", end(after), end(before))]
            }
            _ => Vec::new(),
        }
    }
}

fn of_policies(before: &PolicySettings, after: &PolicySettings) -> Vec<String> {
    let mut points = Vec::new();
    if before.mode != after.mode {
        points.push(format!("mode {} instead of {}", after.mode, before.mode));
    }
    if before.rollout != after.rollout {
        points.push("another rollout".to_owned());
    }
    if before.on_error != after.on_error {
        points.push("another on_error".to_owned());
    }
    match (&before.source, &after.source) {
        (SourceSettings::Rules(before), SourceSettings::Rules(after)) => of_rules(before, after, &mut points),
        (before, after) if before != after => points.push("another text".to_owned()),
        _ => {}
    }
    points
}

fn of_rules(before: &[RuleSettings], after: &[RuleSettings], points: &mut Vec<String>) {
    let by_id = |rules: &'_ [RuleSettings]| -> BTreeMap<String, RuleSettings> {
        rules.iter().map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let (old, new) = (by_id(before), by_id(after));
    let named = |what: &str, ids: Vec<&String>| match ids.as_slice() {
        [] => None,
        [one] => Some(format!("rule {one} {what}")),
        many => Some(format!("{} {what}", count(many.len() as u64, "rule"))),
    };
    points.extend(named("added", new.keys().filter(|id| !old.contains_key(*id)).collect()));
    points.extend(named("removed", old.keys().filter(|id| !new.contains_key(*id)).collect()));
    let changed = old.iter().filter(|(id, rule)| new.get(*id).is_some_and(|other| other != *rule));
    points.extend(named("changed", changed.map(|(id, _)| id).collect()));
    if points.is_empty() && before != after {
        points.push("the order of its rules".to_owned());
    }
}

// === impl Change ===

impl Change {
    fn of(key: &(usize, String, usize), part: Part<'_>, how: How, texts: [String; 2]) -> Self {
        let name = match part {
            Part::Exemption(one) => one.ticket.clone().unwrap_or_else(|| one.id()),
            Part::Policy(_) | Part::BreakGlass(_) | Part::Staging(_) => key.1.clone(),
        };
        Self { kind: KINDS[key.0], name, how, points: Vec::new(), texts }
    }

    fn of_order() -> Self {
        let points = vec!["the order in which they are asked".to_owned()];
        Self { kind: "order", name: String::new(), how: How::Changed, points, texts: Default::default() }
    }

    /// `policy images`.
    pub fn subject(&self) -> String {
        if self.name.is_empty() { self.kind.to_owned() } else { format!("{} {}", self.kind, self.name) }
    }

    pub fn line(&self) -> String {
        let subject = self.subject();
        match (self.how, self.points.is_empty()) {
            (How::Changed, false) => format!("{subject}: {}", self.points.join(", ")),
            (how, _) => format!("{subject} {}", how.as_str()),
        }
    }
}

// === impl Whole ===

impl Whole {
    /// Takes up to [`PATIENCE`].
    pub fn of(change: Change) -> Self {
        let [before, after] = &change.texts;
        let lines = lines(before, after);
        Self { change, lines }
    }
}

fn lines(before: &str, after: &str) -> Vec<Line> {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let mut lines = Vec::new();
    let skipped = || Line { sign: Sign::Skipped, text: String::new() };
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(skipped());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if lines.len() == LINES {
                lines.push(skipped());
                return lines;
            }
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Insert => Sign::Added,
                ChangeTag::Delete => Sign::Removed,
            };
            lines.push(Line { sign, text: change.value().trim_end_matches('\n').to_owned() });
        }
    }
    lines
}

// === impl How ===

impl How {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

// === impl Sign ===

impl Sign {
    /// As a line begins.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Added => "+",
            Self::Removed => "-",
            Self::Skipped => "…",
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Same | Self::Skipped => "same",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::built_in;
    use crate::review::clock::Timestamp;
    use crate::review::decision::Mode;

    fn exempting(until: Option<i64>, ticket: &str) -> ExemptionSettings {
        let (until, ticket) = (until.map(Timestamp), Some(ticket.to_owned()));
        ExemptionSettings { namespaces: vec!["shop".to_owned()], until, ticket, ..ExemptionSettings::default() }
    }

    fn written(policies: &[PolicySettings], exemptions: Vec<ExemptionSettings>) -> String {
        text::whole(policies, &StagingSettings { exemptions, ..StagingSettings::default() })
    }

    fn with_rules(change: impl FnOnce(&mut Vec<RuleSettings>)) -> Vec<PolicySettings> {
        let mut policies = built_in();
        let SourceSettings::Rules(rules) = &mut policies[0].source else { panic!("rules") };
        change(rules);
        policies
    }

    #[test]
    fn what_is_another_is_told_in_one_line() {
        let own = RuleSettings { id: "own".to_owned(), ..rule() };
        let both = with_rules(|rules| rules.push(own.clone()));
        let enforced = [PolicySettings { mode: Mode::Enforce, ..built_in().remove(0) }];
        let turned = with_rules(|rules| rules.insert(0, own.clone()));
        for (before, after, told) in [
            (written(&built_in(), vec![]), written(&built_in(), vec![]), "nothing that judges is another"),
            (written(&built_in(), vec![]), written(&enforced, vec![]), "policy images: mode enforce instead of audit"),
            (written(&built_in(), vec![]), written(&both, vec![]), "policy images: rule own added"),
            (written(&both, vec![]), written(&built_in(), vec![]), "policy images: rule own removed"),
            (written(&both, vec![]), written(&turned, vec![]), "policy images: the order of its rules"),
            (written(&[], vec![]), written(&built_in(), vec![]), "policy images added"),
            (written(&[], vec![exempting(None, "SEC-1")]), written(&[], vec![]), "exemption SEC-1 removed"),
            (
                written(&[], vec![exempting(None, "SEC-1")]),
                written(&[], vec![exempting(Some(0), "SEC-1")]),
                "exemption SEC-1: until 1970-01-01T00:00:00.000Z instead of no end",
            ),
            (
                written(&[], vec![exempting(None, "a"), exempting(None, "b")]),
                written(&[], vec![exempting(None, "b"), exempting(None, "a")]),
                "order: the order in which they are asked",
            ),
        ] {
            assert_eq!(in_one_line(&between(&before, &after).expect("both are read")), told);
        }
        assert_eq!(between("{}", &written(&[], vec![])), None);
    }

    fn rule() -> RuleSettings {
        let SourceSettings::Rules(rules) = built_in().remove(0).source else { panic!("rules") };
        rules[0].clone()
    }

    fn the_one(before: &str, after: &str) -> Whole {
        let mut changes = between(before, after).expect("both are read");
        assert_eq!(changes.len(), 1, "{changes:?}");
        Whole::of(changes.remove(0))
    }

    #[test]
    fn the_lines_around_a_change_are_shown_and_no_others() {
        let enforced = [PolicySettings { mode: Mode::Enforce, ..built_in().remove(0) }];
        let change = the_one(&written(&built_in(), vec![]), &written(&enforced, vec![]));
        let lines: Vec<String> = change.lines.iter().map(|line| format!("{}{}", line.sign.mark(), line.text)).collect();
        assert_eq!(lines[1..4], ["   \"name\": \"images\",", "-  \"mode\": \"audit\",", "+  \"mode\": \"enforce\","]);
        assert_eq!(lines.len(), 7, "{lines:#?}");
    }

    #[test]
    fn what_is_very_long_is_cut() {
        let many = with_rules(|rules| {
            rules.extend((0..200).map(|number| RuleSettings { id: format!("r{number}"), ..rule() }));
        });
        let change = the_one(&written(&[], vec![]), &written(&many, vec![]));
        assert_eq!((change.lines.len(), change.lines[LINES].sign), (LINES + 1, Sign::Skipped));
    }
}
