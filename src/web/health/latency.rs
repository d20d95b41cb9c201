//! What answers took, ours beside those of the webhooks behind us.

use super::super::filters::group;
use super::super::vitals::{SPAN, Spread};
use super::{Ground, State};
use crate::policy::revision::{Policy, Source};
use crate::review::decision::Mode;

/// Of one that answers, over the last hour.
#[derive(Debug)]
pub struct Latency {
    pub of: Of,
    pub spread: Spread,
    /// `None`: it has none of its own.
    pub errors: Option<u64>,
    /// Violations that rejected.
    pub denied: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// What Rehearsal adds.
    Own,
    /// The disk's part of that.
    Journal,
    /// Of a policy, by its name, with the heaviest mode that it may act in.
    Webhook(String, Mode),
}

/// Seconds, as whole microseconds.
const MICROS: f64 = 1e6;

/// Ours first.
pub fn of(ground: Ground<'_>) -> Vec<Latency> {
    let spread = |name: &str| ground.vitals.spread(SPAN, name, &[]);
    // A review fails by a webhook's errors, too: ours are those that no webhook has a part in.
    let refused = |reason| ground.vitals.grew(SPAN, "rehearsal_refused_total", &[("reason", reason)]);
    let overruns = ground.vitals.grew(SPAN, "rehearsal_policy_overruns_total", &[]);
    let failed = refused("overloaded") + refused("panicked") + overruns;
    let missed = ground.vitals.grew(SPAN, "rehearsal_journal_missed_total", &[]);
    let locals = ground.policies().filter(|policy| !is_webhook(policy)).map(|policy| denied(ground, policy));
    let own = Latency {
        of: Of::Own,
        spread: spread("rehearsal_review_own_seconds_bucket"),
        errors: Some(failed),
        denied: Some(locals.sum()),
    };
    let journal = Latency {
        of: Of::Journal,
        spread: spread("rehearsal_journal_fsync_seconds_bucket"),
        errors: Some(missed),
        denied: None,
    };
    let webhooks = ground.policies().filter(|policy| is_webhook(policy)).map(|policy| Latency {
        of: Of::Webhook(policy.name.clone(), policy.heaviest()),
        spread: of_webhook(ground, SPAN, &policy.name),
        errors: Some(ground.vitals.grew(SPAN, "rehearsal_backend_errors_total", &[("policy", &policy.name)])),
        denied: Some(denied(ground, policy)),
    });
    [own, journal].into_iter().chain(webhooks).collect()
}

pub(super) fn of_webhook(ground: Ground<'_>, span: i64, policy: &str) -> Spread {
    ground.vitals.spread(span, "rehearsal_backend_duration_seconds_bucket", &[("policy", policy)])
}

pub(super) fn is_webhook(policy: &Policy) -> bool {
    matches!(policy.source, Source::Webhook(_))
}

fn denied(ground: Ground<'_>, policy: &Policy) -> u64 {
    ground.vitals.grew(SPAN, "rehearsal_violations_total", &[("policy", &policy.name), ("mode", "enforce")])
}

// === impl Latency ===

impl Latency {
    /// Whole microseconds within which this part had ended, at most. `None`: there were none, or it is beyond what is told
    /// apart.
    pub fn micros(&self, part: f64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
        self.spread.within(part).filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * MICROS).round() as u64)
    }

    pub fn half(&self) -> String {
        told(&self.spread, 0.5).unwrap_or_else(nothing)
    }

    pub fn nearly_all(&self) -> String {
        told(&self.spread, 0.99).unwrap_or_else(nothing)
    }

    pub fn name(&self) -> String {
        match &self.of {
            Of::Own => "Rehearsal itself".to_owned(),
            Of::Journal => "of it, the journal's disk".to_owned(),
            Of::Webhook(policy, _) => format!("webhook {policy}"),
        }
    }

    /// How it stands in the way.
    pub fn note(&self) -> &'static str {
        match &self.of {
            Of::Own => "from a complete body to the answer, without the wait for webhooks",
            Of::Journal => "groups of records, confirmed",
            Of::Webhook(_, Mode::Enforce) => "waited for",
            Of::Webhook(_, Mode::Warn) => "waited for, warn_wait at most",
            Of::Webhook(_, Mode::Audit) => "never waited for",
        }
    }
}

fn nothing() -> String {
    "nothing was asked".to_owned()
}

/// `within 5 ms`. `None`: there were none.
pub(super) fn told(spread: &Spread, part: f64) -> Option<String> {
    spread.within(part).map(|seconds| match seconds.is_infinite() {
        true => "in longer than is told apart".to_owned(),
        false => format!("within {}", time(seconds)),
    })
}

pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

/// `1.5 GiB`
pub(super) fn bytes(number: f64) -> String {
    let units = [("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1_024.0)];
    match units.into_iter().find(|(_, unit)| number >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", number / unit),
        None => format!("{number:.0} bytes"),
    }
}

/// A gauge that counts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and not below 0")]
pub(super) fn number(gauge: f64) -> String {
    group(gauge.max(0.0) as u64)
}

/// The heavier of the two.
pub(super) fn worse(one: State, other: State) -> State {
    one.max(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_told_in_the_unit_that_fits() {
        for (seconds, said) in [(0.000_5, "0.5 ms"), (0.002, "2 ms"), (0.5, "500 ms"), (1.0, "1 s"), (30.0, "30 s")] {
            assert_eq!(time(seconds), said);
        }
        for (number, said) in [(12.0, "12 bytes"), (2_048.0, "2.0 KiB"), (1_610_612_736.0, "1.5 GiB")] {
            assert_eq!(bytes(number), said);
        }
        assert_eq!(told(&Spread::default(), 0.5), None);
    }
}
