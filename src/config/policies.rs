//! The policies of a configuration.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::policy::rules;
use crate::policy::settings::{
    CheckSettings, GatekeeperSettings, MatchSettings, PolicySettings, RegoSettings, RuleSettings, ScopeSettings,
    SourceSettings, WebhookSettings, built_in, default_placeholders,
};

use super::files::Purpose;
use super::form::{Text, Written};
use super::meaning::{Ground, count};
use super::mistake::{Mistakes, Wrong, list, shown};
use super::rollout;
use super::sources::{Sources, What};
use super::tree::Node;
use super::written::{self, Gatekeeper, Match, OneOrMore, Policy, Rego, Remote, Rule, WEBHOOK_TIMEOUT};

/// The policies, as far as they could be read: complete only where no mistakes came up.
#[derive(Debug, Default)]
pub struct ReadPolicies {
    pub settings: Vec<PolicySettings>,
    /// Where each of them stands in the file.
    written_as: Vec<WrittenAs>,
}

#[derive(Debug, Default)]
struct WrittenAs {
    policy: usize,
    /// For each rule that could be read, which one of the file it is.
    rules: Vec<usize>,
}

/// Checks of a policy's own text, which the policy's floor knows: [`crate::policy::Revision::load`], its mistakes.
pub type Compile<'a> = &'a dyn Fn(&[PolicySettings]) -> Vec<(usize, rules::Mistake)>;

/// The meaning of `policies`: of none given, the built-in.
pub fn of(policies: Option<Vec<Policy>>, ground: &mut Ground<'_>) -> ReadPolicies {
    let Some(policies) = policies else {
        let settings = if ground.mistakes.at("policies") { Vec::new() } else { built_in() };
        return ReadPolicies { settings, written_as: Vec::new() };
    };
    let mut read = ReadPolicies::default();
    let mut names = HashSet::new();
    for (at, written) in policies.into_iter().enumerate() {
        let path = format!("policies[{at}]");
        if let Some(name) = &written.name {
            unique(&mut names, &name.0.0, &format!("{path}.name"), "policies", ground);
        }
        if let Some((settings, rules)) = policy(written, &path, ground) {
            read.settings.push(settings);
            read.written_as.push(WrittenAs { policy: at, rules });
        }
    }
    read
}

/// What `compile` finds wrong, unless it is an echo of a mistake that is known already.
pub fn compile(read: &ReadPolicies, tree: &Node, compile: Compile<'_>, mistakes: &mut Mistakes) {
    let field = |(at, mistake): (usize, rules::Mistake)| (read.field(at, &mistake.field), mistake);
    // Of what was known before: a file may have many mistakes, and each is told.
    let news: Vec<_> =
        compile(&read.settings).into_iter().map(field).filter(|(field, _)| !mistakes.touch(field)).collect();
    for (field, mistake) in news {
        let wrong = Wrong::new(mistake.problem, format!("right would be {}", mistake.fix));
        mistakes.add(tree.place_of(&field), &field, wrong);
    }
}

fn gatekeeper_settings(gatekeeper: Gatekeeper, ground: &Ground<'_>) -> Option<GatekeeperSettings> {
    let files = gatekeeper.files?.iter().map(|path| ground.path(path)).collect();
    Some(GatekeeperSettings { files, manifests: Vec::new(), judge_partial: gatekeeper.judge_partial })
}

/// Reads what the files of policies hold, and adds those to `files`, to be watched.
pub fn read_files(read: &mut ReadPolicies, tree: &Node, mistakes: &mut Mistakes, files: &mut Vec<PathBuf>) {
    for (settings, written_as) in read.settings.iter_mut().zip(&read.written_as) {
        let (section, what, paths) = match &settings.source {
            SourceSettings::Rego(rego) => ("rego", What::Rego, &rego.files),
            SourceSettings::Gatekeeper(gatekeeper) => ("gatekeeper", What::Manifests, &gatekeeper.files),
            SourceSettings::Rules(_) | SourceSettings::Webhook(_) => continue,
        };
        let mut sources = Sources::new(what);
        for (at, path) in paths.iter().enumerate() {
            if let Err(wrong) = sources.add(path) {
                let field = written_as.field(&format!("{section}.files[{at}]"));
                mistakes.add(tree.place_of(&field), &field, wrong);
            }
        }
        files.append(&mut sources.looked_at);
        match &mut settings.source {
            SourceSettings::Rego(rego) => (rego.modules, rego.data) = (sources.modules, sources.data),
            SourceSettings::Gatekeeper(gatekeeper) => gatekeeper.manifests = sources.manifests,
            SourceSettings::Rules(_) | SourceSettings::Webhook(_) => {}
        }
    }
}

// === impl ReadPolicies ===

impl ReadPolicies {
    /// The path in the file of a `field` of the policy that was read at `at`.
    pub fn field(&self, at: usize, field: &str) -> String {
        self.written_as.get(at).map_or_else(|| format!("policies[{at}].{field}"), |written_as| written_as.field(field))
    }
}

// === impl WrittenAs ===

impl WrittenAs {
    /// The path in the file of a `field` that is relative to the policy as it was read.
    fn field(&self, field: &str) -> String {
        let rule = field.strip_prefix("rules[").and_then(|rest| rest.split_once(']'));
        let written = rule.and_then(|(at, rest)| Some((self.rules.get(at.parse::<usize>().ok()?)?, rest)));
        match written {
            Some((rule, rest)) => format!("policies[{}].rules[{rule}]{rest}", self.policy),
            None => format!("policies[{}].{field}", self.policy),
        }
    }
}

/// What a policy judges with; it has one.
const SOURCES: [&str; 4] = ["rules", "rego", "gatekeeper", "webhook"];

/// Stands for a name that is mistaken, so that what else is wrong in its policy or rule shows too.
const MISTAKEN: &str = "mistaken";

/// With which of its rules could be read.
fn policy(policy: Policy, path: &str, ground: &mut Ground<'_>) -> Option<(PolicySettings, Vec<usize>)> {
    let field = |name: &str| format!("{path}.{name}");
    let given = |name: &str| ground.tree.at(&field(name)).is_some();
    let sources: Vec<&str> = SOURCES.into_iter().filter(|name| given(name)).collect();
    if given("timeout") && !sources.is_empty() && !sources.contains(&"webhook") {
        let wrong = Wrong::new(
            format!("a timeout is for a webhook, and a policy of {} is judged in place", sources[0]),
            "remove it (only a policy with `webhook` waits for an answer)",
        );
        ground.wrong(&field("timeout"), wrong);
    }
    // All are read that are given, so that the mistakes of all show.
    let (rules, read) = policy.rules.map(|rules| self::rules(rules, path, ground)).unzip();
    let gatekeeper = policy.gatekeeper.and_then(|gatekeeper| gatekeeper_settings(gatekeeper, ground));
    let rego = policy.rego.and_then(|rego| rego_settings(rego, path, ground));
    let timeout = policy.timeout.unwrap_or(Written(WEBHOOK_TIMEOUT));
    let timeout = ground.not_zero(&field("timeout"), timeout);
    let webhook = policy.webhook.and_then(|remote| remote_settings(remote, timeout, path, ground));
    let rollout = rollout::of_policy(policy.rollout, rules.as_deref(), path, ground);
    let source = match sources[..] {
        ["rules"] => rules.map(SourceSettings::Rules),
        ["rego"] => rego.map(SourceSettings::Rego),
        ["gatekeeper"] => gatekeeper.map(SourceSettings::Gatekeeper),
        ["webhook"] => webhook.map(SourceSettings::Webhook),
        [] => {
            ground.wrong_once(
                path,
                Wrong::new("the policy has nothing to judge with", format!("give it one of {}", list(&SOURCES))),
            );
            None
        }
        [first, .., last] => {
            let problem = format!("stands beside {first}");
            ground.wrong(
                &field(last),
                Wrong::new(problem, "keep one of them, and make a policy of its own of the other"),
            );
            None
        }
        [_] => None,
    };
    let name = policy.name.map_or_else(|| MISTAKEN.to_owned(), |name| name.0.0);
    Some((
        PolicySettings { name, mode: policy.mode, rollout, on_error: policy.on_error, source: source? },
        read.unwrap_or_default(),
    ))
}

/// The rules that could be read, and which ones those are.
fn rules(rules: Vec<Rule>, path: &str, ground: &mut Ground<'_>) -> (Vec<RuleSettings>, Vec<usize>) {
    let mut ids = HashSet::new();
    let mut read = Vec::with_capacity(rules.len());
    for (at, written) in rules.into_iter().enumerate() {
        let path = format!("{path}.rules[{at}]");
        if let Some(id) = &written.id {
            unique(&mut ids, &id.0.0, &format!("{path}.id"), "rules of this policy", ground);
        }
        read.extend(rule(written, &path, ground).map(|rule| (rule, at)));
    }
    read.into_iter().unzip()
}

fn rule(rule: Rule, path: &str, ground: &mut Ground<'_>) -> Option<RuleSettings> {
    let deny = rule.deny.map(|written| pattern(written, &format!("{path}.deny"), ground).map(CheckSettings::Deny));
    let allow = rule.allow.map(|written| pattern(written, &format!("{path}.allow"), ground).map(CheckSettings::Allow));
    let require = rule.require.map(|written| Some(CheckSettings::Require(written.into_vec())));
    let given = |name: &&str| ground.tree.at(&format!("{path}.{name}")).is_some();
    let names: Vec<&str> = ["deny", "allow", "require"].into_iter().filter(given).collect();
    match names.as_slice() {
        [_] => {}
        [] => {
            let fix = "give one of deny (an image that matches violates), allow (one that does not match violates) and \
                       require (what must be spelled out)";
            ground.wrong_once(path, Wrong::new("the rule checks nothing", fix));
        }
        several => {
            let problem = format!("the rule has {}", several.join(" and "));
            ground.wrong(path, Wrong::new(problem, "keep one of them, and make a rule of its own of each other"));
        }
    }
    let rollout = rollout::of_rule(rule.rollout, path, ground);
    let check = deny.or(allow).or(require).flatten();
    Some(RuleSettings {
        id: rule.id.map_or_else(|| MISTAKEN.to_owned(), |id| id.0.0),
        mode: rule.mode,
        rollout,
        check: check?,
        unreadable: None,
        message: rule.message.map(|text| text.0.0),
        help: rule.help.map(|text| text.0.0),
        scope: ScopeSettings {
            namespaces: texts(rule.namespaces),
            except_namespaces: texts(rule.except_namespaces),
            clusters: texts(rule.clusters),
            kinds: texts(rule.kinds),
            operations: rule.operations.map(OneOrMore::into_vec).unwrap_or_default(),
            containers: rule.containers.map(OneOrMore::into_vec).unwrap_or_default(),
        },
        placeholders: rule.placeholders.map_or_else(default_placeholders, |given| texts(Some(given))),
    })
}

fn pattern(written: Match, path: &str, ground: &mut Ground<'_>) -> Option<MatchSettings> {
    let settings = MatchSettings {
        registry: texts(written.registry),
        repository: texts(written.repository),
        tag: texts(written.tag),
        image: texts(written.image),
        image_matches: texts(written.image_matches),
    };
    if settings != MatchSettings::default() {
        return Some(settings);
    }
    if !ground.mistakes.touch(path) {
        let fields = list(&["registry", "repository", "tag", "image", "image_matches"]);
        ground.wrong(path, Wrong::new("it says nothing of the image", format!("give at least one of {fields}")));
    }
    None
}

pub(super) fn texts(written: Option<OneOrMore<Written<Text>>>) -> Vec<String> {
    written.map(OneOrMore::into_vec).unwrap_or_default().into_iter().map(|text| text.0.0).collect()
}

/// What the files hold is read by [`read_files`].
fn rego_settings(rego: Rego, policy: &str, ground: &mut Ground<'_>) -> Option<RegoSettings> {
    let files = rego.files?.iter().map(|path| ground.path(path)).collect();
    let Written(Text(entrypoint)) = rego.entrypoint?;
    let entrypoint_field = format!("{policy}.rego.entrypoint");
    if !entrypoint.starts_with("data.") {
        let wrong = Wrong::new(format!("{} is no path of a rule", shown(&entrypoint)), "write data.PACKAGE.RULE");
        ground.wrong(&entrypoint_field, wrong);
        return None;
    }
    let (dialect, input) = (rego.dialect, rego.input);
    Some(RegoSettings { files, modules: Vec::new(), data: Vec::new(), entrypoint, dialect, input })
}

fn remote_settings(
    remote: Remote,
    timeout: std::time::Duration,
    policy: &str,
    ground: &mut Ground<'_>,
) -> Option<WebhookSettings> {
    let path = format!("{policy}.webhook");
    let field = |name: &str| format!("{path}.{name}");
    if let Some(Written(url)) = &remote.url {
        plain_http(url, &path, ground);
    }
    let ca = remote.ca.as_ref().map(|file| ground.file(&field("ca"), file, Purpose::Authorities));
    let client_identity = client_identity(&remote, &path, ground);
    let token_file = remote.token_file.as_ref().map(|file| ground.file(&field("token_file"), file, Purpose::Token));
    Some(WebhookSettings {
        url: remote.url?.0,
        speaks: remote.speaks,
        bridge: remote.bridge,
        timeout,
        ca,
        client_identity,
        token_file,
        max_in_flight: count(remote.max_in_flight),
        overridable: remote.overridable,
    })
}

fn plain_http(url: &http::Uri, path: &str, ground: &mut Ground<'_>) {
    if url.scheme_str() != Some("http") {
        return;
    }
    for name in ["ca", "client_certificate", "client_key"] {
        let field = format!("{path}.{name}");
        if ground.tree.at(&field).is_some() {
            ground.wrong(&field, Wrong::new("has no meaning for an http:// url", "write https://, or remove it"));
        }
    }
    let host = url.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_loopback {
        ground.warnings.push(format!("{path}.url: reviews go to {host} in plain text, and anyone between can answer"));
    }
}

fn client_identity(
    remote: &written::Remote,
    path: &str,
    ground: &mut Ground<'_>,
) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let [certificate, key] = ["client_certificate", "client_key"].map(|name| format!("{path}.{name}"));
    match (ground.tree.at(&certificate).is_some(), ground.tree.at(&key).is_some()) {
        (true, false) => ground.wrong(&certificate, Wrong::new("stands without client_key", "add `client_key: FILE`")),
        (false, true) => {
            ground.wrong(&key, Wrong::new("stands without client_certificate", "add `client_certificate: FILE`"));
        }
        (true, true) | (false, false) => {}
    }
    let (certificate_file, key_file) = (remote.client_certificate.as_ref()?, remote.client_key.as_ref()?);
    let path = ground.file(&certificate, certificate_file, Purpose::Certificate);
    let purpose = Purpose::KeyOf { field: certificate, path: path.clone() };
    Some((path, ground.file(&key, key_file, purpose)))
}

fn unique(names: &mut HashSet<String>, name: &str, field: &str, of: &str, ground: &mut Ground<'_>) {
    if !names.insert(name.to_owned()) {
        let problem = format!("another of the {of} is called {name}");
        ground.wrong(field, Wrong::new(problem, "give each a name of its own: the history tells them apart by it"));
    }
}
