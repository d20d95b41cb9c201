//! What local policies say beside a webhook: where they agree, and where one of the two denies what the other lets through.

use serde::{Deserialize, Serialize};

use super::comparison::Stance;
use super::decision::PolicyVerdict;

/// Local policies beside a webhook, of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement<'a> {
    /// `None`: all of them together, as they would answer if they were enforced.
    pub local: Option<&'a str>,
    pub webhook: &'a str,
    pub local_said: Stance,
    pub webhook_said: Stance,
}

/// What comes of two stances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accord {
    /// Both let it through, or both deny.
    Agreed,
    OnlyLocal,
    OnlyWebhook,
    /// One of them could not judge, or has not answered yet.
    Error,
    /// The webhook had nothing to judge, or it was not asked; or local policies had nothing to, and it did not deny: evidence
    /// of nothing.
    Nothing,
}

// === impl Agreement ===

impl<'a> Agreement<'a> {
    /// Of each webhook with all local policies, then with each of them; none where there are none of the one or the other.
    pub fn between(verdicts: &'a [PolicyVerdict]) -> Vec<Self> {
        let local = || verdicts.iter().filter(|verdict| !verdict.is_remote());
        if local().next().is_none() {
            return Vec::new();
        }
        let together = Stance::of_all(local());
        let with = |webhook: &'a PolicyVerdict| {
            let beside = move |local, local_said| Self {
                local,
                webhook: &webhook.policy,
                local_said,
                webhook_said: Stance::of(webhook),
            };
            let alone = local().map(move |verdict| beside(Some(verdict.policy.as_str()), Stance::of(verdict)));
            std::iter::once(beside(None, together)).chain(alone)
        };
        verdicts.iter().filter(|verdict| verdict.is_remote()).flat_map(with).collect()
    }

    pub fn accord(&self) -> Accord {
        Accord::of(self.local_said, self.webhook_said)
    }

    /// The verdict is of the one that denies alone, or one of those.
    pub fn is_by_who_denies(&self, verdict: &PolicyVerdict) -> bool {
        match self.accord() {
            Accord::OnlyLocal => !verdict.is_remote() && self.local.is_none_or(|local| local == verdict.policy),
            Accord::OnlyWebhook => verdict.policy == self.webhook,
            Accord::Agreed | Accord::Error | Accord::Nothing => false,
        }
    }
}

// === impl Accord ===

impl Accord {
    pub const ALL: [Self; 5] = [Self::Agreed, Self::OnlyLocal, Self::OnlyWebhook, Self::Error, Self::Nothing];

    pub fn of(local: Stance, webhook: Stance) -> Self {
        let is_unknown = |stance| matches!(stance, Stance::Error | Stance::Pending);
        match (local, webhook) {
            _ if is_unknown(local) || is_unknown(webhook) => Self::Error,
            (Stance::Allow, Stance::Allow) | (Stance::Deny, Stance::Deny) => Self::Agreed,
            (Stance::Deny, Stance::Allow) => Self::OnlyLocal,
            (_, Stance::Deny) => Self::OnlyWebhook,
            _ => Self::Nothing,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::OnlyLocal => "only_local",
            Self::OnlyWebhook => "only_webhook",
            Self::Error => "error",
            Self::Nothing => "nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::decision::{Mode, Verdict};

    fn verdict(policy: &str, version: Option<&str>, verdict: Verdict) -> PolicyVerdict {
        PolicyVerdict {
            policy: policy.to_owned(),
            version: version.map(str::to_owned),
            mode: Mode::Audit,
            verdict,
            violations: Vec::new(),
            standing: Vec::new(),
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        }
    }

    #[test]
    fn each_webhook_is_compared_with_all_local_policies_and_with_each() {
        let verdicts = [
            verdict("images", Some("v"), Verdict::Allow),
            verdict("bouncer", None, Verdict::Allow),
            verdict("labels", Some("v"), Verdict::Deny),
        ];
        let found: Vec<_> = Agreement::between(&verdicts).iter().map(|one| (one.local, one.accord())).collect();
        let expected =
            [(None, Accord::OnlyLocal), (Some("images"), Accord::Agreed), (Some("labels"), Accord::OnlyLocal)];
        assert_eq!(found, expected);
        assert!(Agreement::between(&verdicts[1..2]).is_empty(), "no local policy");
        assert!(Agreement::between(&verdicts[..1]).is_empty(), "no webhook");
        let of_all = Agreement::between(&verdicts)[0];
        let blamed = verdicts.iter().filter(|one| of_all.is_by_who_denies(one)).map(|one| one.policy.as_str());
        assert_eq!(blamed.collect::<Vec<_>>(), ["images", "labels"]);
    }

    #[test]
    fn a_webhook_that_was_not_asked_misses_nothing_and_what_is_not_known_is_no_agreement() {
        use Stance::{Allow, Deny, Error, None, Pending};
        for (local, webhook, expected) in [
            (Allow, Allow, Accord::Agreed),
            (Deny, Deny, Accord::Agreed),
            (Deny, Allow, Accord::OnlyLocal),
            (Deny, None, Accord::Nothing),
            (Allow, Deny, Accord::OnlyWebhook),
            (None, Deny, Accord::OnlyWebhook),
            (Deny, Error, Accord::Error),
            (Pending, Allow, Accord::Error),
            (Error, None, Accord::Error),
            (None, None, Accord::Nothing),
            (Allow, None, Accord::Nothing),
            (None, Allow, Accord::Nothing),
        ] {
            assert_eq!(Accord::of(local, webhook), expected, "{local:?} {webhook:?}");
        }
    }
}
