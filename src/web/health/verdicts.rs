//! What rejects or fails a review: local policies that enforce, webhooks, and what cannot judge.

use super::super::filters::count;
use super::super::vitals::{NOW, SPAN};
use super::arrival::{listed, were};
use super::latency::{is_webhook, of_webhook, told, worse};
use super::remedy::Remedy;
use super::{Ground, State, Way};
use crate::policy::revision::Policy;
use crate::policy::settings::OnError;
use crate::review::decision::Mode;

pub fn ways(ground: Ground<'_>) -> Vec<Way> {
    let mut ways = vec![enforce(ground), on_error(ground), evaluation(ground)];
    let webhooks: Vec<&Policy> = ground.policies().filter(|policy| is_webhook(policy)).collect();
    ways.extend(webhooks.iter().map(|policy| webhook(ground, policy)));
    if webhooks.is_empty() {
        let none = "No webhook is a policy here: Rehearsal waits for nobody.";
        ways.push(Way::of("webhook", "Webhooks behind Rehearsal", State::Fine).now(none).hour(none));
    }
    ways
}

/// Seconds from which on a webhook that is waited for is slow.
const SLOW: f64 = 1.0;

fn rejected(ground: Ground<'_>, policy: &Policy) -> (u64, u64) {
    ground.grew("rehearsal_violations_total", &[("policy", &policy.name), ("mode", Mode::Enforce.as_str())])
}

fn enforce(ground: Ground<'_>) -> Way {
    let locals: Vec<&Policy> = ground.policies().filter(|policy| !is_webhook(policy)).collect();
    let enforcing: Vec<&str> =
        locals.iter().filter(|policy| ground.rejects(policy)).map(|policy| policy.name.as_str()).collect();
    let (mut now, mut hour) = (0, Vec::new());
    for policy in &locals {
        let rejected = rejected(ground, policy);
        now += rejected.0;
        hour.push((policy.name.as_str(), rejected.1));
    }
    hour.retain(|(_, number)| *number > 0);
    let mut held = locals.iter().filter(|policy| policy.can_enforce()).filter_map(|policy| ground.held_by(policy));
    let can = match (enforcing.len(), held.next()) {
        (0, Some(ceiling)) => format!("No local policy can reject: the ceiling {} holds", ceiling.ticket),
        (0, None) => "No local policy can reject: all are in audit or warn".to_owned(),
        (1, _) => format!("{} can reject", enforcing[0]),
        (_, _) => format!("{} can reject", enforcing.join(", ")),
    };
    let way = Way::of("enforce", "Local policies that enforce", State::blocking_if(now > 0));
    let way = way
        .now(match now {
            0 => format!("{can}; nothing was rejected by one."),
            some => format!("{can}; {} in enforce rejected what came.", count(some, "violation")),
        })
        .hour(match hour.is_empty() {
            true => "No violation rejected anything.".to_owned(),
            false => format!("Violations that rejected: {}.", listed(&hour)),
        })
        .remedy(Remedy::ceiling(&ground.vitals.bounds));
    hour.iter().fold(way, |way, (policy, _)| way.remedy(Remedy::ceiling_of(policy, false, &ground.vitals.bounds)))
}

fn on_error(ground: Ground<'_>) -> Way {
    let failed = ground.grew("rehearsal_reviews_total", &[("answer", "failed")]);
    let word = |on_error| match on_error {
        OnError::Fail => "fail",
        OnError::Allow => "allow",
        OnError::Deny => "deny",
    };
    let enforcing: Vec<String> = ground
        .policies()
        .filter(|policy| ground.rejects(policy))
        .map(|policy| format!("{} {}", policy.name, word(policy.on_error)))
        .collect();
    let configured = match enforcing.is_empty() {
        true => "Nothing that can reject is loaded, so that an error rejects nothing".to_owned(),
        false => format!("on_error of what can reject: {}", enforcing.join(", ")),
    };
    Way::of("on-error", "Policies that cannot judge", State::blocking_if(failed.0 > 0))
        .now(match failed.0 {
            0 => format!("{configured}; no review failed."),
            some => format!("{configured}; {} answered with a failure.", were(some, "review")),
        })
        .hour(format!("{} answered with a failure, so that failurePolicy or defaultAllow decided.", were(failed.1, "review")))
        .remedy(Remedy::told(
            "on_error of the policy says what becomes of a review that it cannot judge: fail (the failure policy decides), \
             allow, or deny.",
        ))
        .remedy(Remedy::ceiling_over_webhooks(&ground.vitals.bounds))
        .remedy(Remedy::failure_policy())
}

fn evaluation(ground: Ground<'_>) -> Way {
    let overruns = ground.grew("rehearsal_policy_overruns_total", &[]);
    let suspensions = ground.grew("rehearsal_policy_suspensions_total", &[]);
    let policies = ground.vitals.grown_by(SPAN, "rehearsal_policy_overruns_total", "policy");
    let state = State::degraded_if(overruns.0 > 0 || suspensions.0 > 0);
    let way = Way::of("evaluation", "Evaluations at their limit", state)
        .now(match overruns.0 {
            0 => "No evaluation was stopped at its limit of 100 ms.".to_owned(),
            some => format!(
                "{} stopped at the limit of 100 ms; policies suspended for that: {}.",
                were(some, "evaluation"),
                suspensions.0
            ),
        })
        .hour(match policies.is_empty() {
            true => "No evaluation was stopped at its limit.".to_owned(),
            false => format!("Stopped: {}; suspensions: {}.", listed(&policies), suspensions.1),
        })
        .remedy(Remedy::told(
            "A policy that overruns has the verdict error, and is left alone for 10 s after three of them running. Make its text \
             cheaper, or hold it back.",
        ));
    policies.iter().fold(way, |way, (policy, _)| way.remedy(Remedy::ceiling_of(policy, false, &ground.vitals.bounds)))
}

fn webhook(ground: Ground<'_>, policy: &Policy) -> Way {
    let name = &policy.name;
    let labels = [("policy", name.as_str())];
    let is_waited_for = ground.rejects(policy);
    let errors = ground.grew("rehearsal_backend_errors_total", &labels);
    let denied = rejected(ground, policy);
    let (now, hour) = (of_webhook(ground, NOW, name), of_webhook(ground, SPAN, name));
    let breaker = ground.vitals.gauge("rehearsal_backend_breaker", &labels);
    let is_left_alone = breaker > 1.5;
    let is_failing = errors.0 > 0 || is_left_alone;
    let of_errors = match (is_failing, is_waited_for, policy.on_error) {
        (false, ..) => State::Fine,
        (true, true, OnError::Fail | OnError::Deny) => State::Blocking,
        (true, ..) => State::Degraded,
    };
    let of_time = State::degraded_if(is_waited_for && now.within(0.99).is_some_and(|seconds| seconds > SLOW));
    let state = worse(worse(of_errors, of_time), State::blocking_if(denied.0 > 0));
    let asked = if is_left_alone { "it is not asked, for it failed again and again" } else { "it is asked" };
    let waited = if is_waited_for { "waited for" } else { "not waited for" };
    let kinds: Vec<(&str, u64)> = kinds(ground, name);
    Way::of(format!("webhook-{name}"), format!("Webhook {name}"), state)
        .now(format!(
            "{} and {waited}: {asked}; of {} {} failed, {} denied{}.",
            policy.heaviest(),
            count(now.count, "call"),
            errors.0,
            denied.0,
            told(&now, 0.99).map(|told| format!(", 99\u{a0}% answered {told}")).unwrap_or_default()
        ))
        .hour(match kinds.is_empty() {
            true => format!("Of {} none failed; {} denied.", count(hour.count, "call"), denied.1),
            false => {
                format!("Of {} failed: {}; {} denied.", count(hour.count, "call"), listed(&kinds), denied.1)
            }
        })
        .remedy(Remedy::told(
            "Its own log and its own pods say why. While it fails, on_error decides; a webhook that is held back is not waited \
             for.",
        ))
        .remedy(Remedy::ceiling_of(name, true, &ground.vitals.bounds))
}

/// Errors of the last hour by kind.
fn kinds<'a>(ground: Ground<'a>, policy: &str) -> Vec<(&'a str, u64)> {
    let name = "rehearsal_backend_errors_total";
    let kinds = ground.vitals.grown_by(SPAN, name, "kind");
    let of_it = |kind: &str| ground.vitals.grew(SPAN, name, &[("policy", policy), ("kind", kind)]);
    kinds.into_iter().map(|(kind, _)| (kind, of_it(kind))).filter(|(_, number)| *number > 0).collect()
}
