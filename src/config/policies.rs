//! The policies of a configuration.

use crate::policy::rules;
use crate::policy::settings::{
    CheckSettings, MatchSettings, PolicySettings, RuleSettings, ScopeSettings, SourceSettings, WebhookSettings, built_in,
};

use super::files::Purpose;
use super::form::{Text, Written};
use super::meaning::{Ground, count};
use super::mistake::{Mistakes, Wrong, list};
use super::tree::Node;
use super::written::{self, Match, OneOrMore, Policy, Remote, Rule, WEBHOOK_TIMEOUT};

/// The policies that could be read.
#[derive(Debug)]
pub struct ReadPolicies {
    pub settings: Vec<PolicySettings>,
    /// Which one of the file each of them is.
    pub written_as: Vec<usize>,
}

/// Checks of a policy's own text, which the policy's floor knows: [`crate::policy::Revision::load`], its mistakes.
pub type Compile<'a> = &'a dyn Fn(&[PolicySettings]) -> Vec<(usize, rules::Mistake)>;

/// The meaning of `policies`: of none given, the built-in.
pub fn of(policies: Option<Vec<Policy>>, ground: &mut Ground<'_>) -> ReadPolicies {
    let Some(policies) = policies else {
        let settings = if ground.tree.at("policies").is_some() { Vec::new() } else { built_in() };
        let written_as = (0..settings.len()).collect();
        return ReadPolicies { settings, written_as };
    };
    let mut read = ReadPolicies { settings: Vec::new(), written_as: Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for (at, written) in policies.into_iter().enumerate() {
        let path = format!("policies[{at}]");
        if let Some(name) = &written.name {
            unique(&mut names, &name.0.0, &format!("{path}.name"), "policies", ground);
        }
        if let Some(settings) = policy(written, &path, ground) {
            read.settings.push(settings);
            read.written_as.push(at);
        }
    }
    read
}

/// What `compile` finds wrong, unless it is an echo of a mistake that is known already.
pub fn compile(read: &ReadPolicies, tree: &Node, compile: Compile<'_>, mistakes: &mut Mistakes) {
    for (at, mistake) in compile(&read.settings) {
        let policy = read.written_as.get(at).copied().unwrap_or(at);
        let field = format!("policies[{policy}].{}", mistake.field);
        if !mistakes.touch(&field) {
            mistakes.add(tree.place_of(&field), &field, Wrong::new(mistake.problem, mistake.fix));
        }
    }
}

fn policy(policy: Policy, path: &str, ground: &mut Ground<'_>) -> Option<PolicySettings> {
    let given = |name: &str| ground.tree.at(&format!("{path}.{name}")).is_some();
    let source = match (given("rules"), given("webhook")) {
        (true, true) => {
            let wrong = Wrong::new("stands beside rules", "keep one of them, and make a policy of its own of the other");
            ground.wrong(&format!("{path}.webhook"), wrong);
            None
        }
        (false, false) => {
            ground.wrong(path, Wrong::new("the policy has nothing to judge with", "give it either rules or webhook"));
            None
        }
        (true, false) => {
            if given("timeout") {
                let wrong = Wrong::new(
                    "a timeout is for a webhook, and rules are judged in place",
                    "remove it (only a policy with `webhook` waits for an answer)",
                );
                ground.wrong(&format!("{path}.timeout"), wrong);
            }
            policy.rules.and_then(|rules| self::rules(rules, path, ground)).map(SourceSettings::Rules)
        }
        (false, true) => {
            let timeout = policy.timeout.unwrap_or(Written(WEBHOOK_TIMEOUT));
            let timeout = ground.not_zero(&format!("{path}.timeout"), timeout);
            let webhook = policy.webhook.and_then(|remote| remote_settings(remote, timeout, path, ground));
            webhook.map(SourceSettings::Webhook)
        }
    };
    Some(PolicySettings { name: policy.name?.0.0, mode: policy.mode, on_error: policy.on_error, source: source? })
}

/// Every rule, or `None` when one cannot be read: what is said of the others must keep their numbers.
fn rules(rules: Vec<Rule>, path: &str, ground: &mut Ground<'_>) -> Option<Vec<RuleSettings>> {
    let mut ids: Vec<String> = Vec::new();
    let mut read = Vec::with_capacity(rules.len());
    for (at, written) in rules.into_iter().enumerate() {
        let path = format!("{path}.rules[{at}]");
        if let Some(id) = &written.id {
            unique(&mut ids, &id.0.0, &format!("{path}.id"), "rules of this policy", ground);
        }
        read.push(rule(written, &path, ground));
    }
    read.into_iter().collect()
}

fn rule(rule: Rule, path: &str, ground: &mut Ground<'_>) -> Option<RuleSettings> {
    let given = |name: &&str| ground.tree.at(&format!("{path}.{name}")).is_some();
    let checks: Vec<&str> = ["deny", "allow", "require"].into_iter().filter(given).collect();
    match checks.as_slice() {
        [_] => {}
        [] => {
            let fix = "give one of deny (an image that matches violates), allow (one that does not match violates) and \
                       require (what must be spelled out)";
            ground.wrong(path, Wrong::new("the rule checks nothing", fix));
        }
        several => {
            let problem = format!("the rule has {}", several.join(" and "));
            ground.wrong(path, Wrong::new(problem, "keep one of them, and make a rule of its own of each other"));
        }
    }
    let check = match checks.as_slice() {
        ["deny"] => pattern(rule.deny?, &format!("{path}.deny"), ground).map(CheckSettings::Deny),
        ["allow"] => pattern(rule.allow?, &format!("{path}.allow"), ground).map(CheckSettings::Allow),
        ["require"] => rule.require.map(OneOrMore::into_vec).map(CheckSettings::Require),
        _ => None,
    };
    Some(RuleSettings {
        id: rule.id?.0.0,
        mode: rule.mode,
        check: check?,
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
        placeholders: texts(rule.placeholders),
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

fn texts(written: Option<OneOrMore<Written<Text>>>) -> Vec<String> {
    written.map(OneOrMore::into_vec).unwrap_or_default().into_iter().map(|text| text.0.0).collect()
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
        timeout,
        ca,
        client_identity,
        token_file,
        max_in_flight: count(remote.max_in_flight),
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

fn unique(names: &mut Vec<String>, name: &str, field: &str, of: &str, ground: &mut Ground<'_>) {
    if names.iter().any(|known| known == name) {
        let problem = format!("another of the {of} is called {name}");
        ground.wrong(field, Wrong::new(problem, "give each a name of its own: the history tells them apart by it"));
    } else {
        names.push(name.to_owned());
    }
}
