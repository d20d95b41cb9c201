//! How local policies and a webhook agree: what the page and the API ask of the history, and the words for it.

use super::filters::{count, group};
use super::query::Parameters;
use super::sentence::Sentence;
use super::{Live, address::Address};
use crate::policy::revision::Source;
use crate::review::agreement::Accord;
use crate::store::read::{AccordBucket, Accords, Agreements, Causes, Disagreed, Pair, Scope};
use crate::store::{Store, StoreError};

/// What is loaded, by name.
#[derive(Debug)]
pub struct Loaded {
    pub webhooks: Vec<String>,
    pub locals: Vec<String>,
}

/// Everything that there is to say of a span.
#[derive(Debug)]
pub struct Found {
    pub agreements: Agreements,
    /// `None`: no webhook is loaded, and none was asked in that time.
    pub chosen: Option<Chosen>,
}

/// The pair that is looked at.
#[derive(Debug)]
pub struct Chosen {
    pub pair: Pair,
    pub accords: Accords,
    pub over_time: Vec<AccordBucket>,
    pub rules: Disagreed,
    pub namespaces: Disagreed,
    pub repositories: Disagreed,
}

// === impl Loaded ===

impl Loaded {
    pub fn of(live: &Live) -> Self {
        let named = |remote: bool| {
            let policies = live.loaded.policies.iter();
            let of_kind = policies.filter(|policy| matches!(policy.source, Source::Webhook(_)) == remote);
            of_kind.map(|policy| policy.name.clone()).collect()
        };
        Self { webhooks: named(true), locals: named(false) }
    }
}

// === impl Found ===

impl Found {
    /// Of the pair that the parameters name; without a webhook, of the first that is loaded, or was asked in that time.
    pub async fn of(
        store: &Store,
        loaded: &Loaded,
        parameters: &Parameters,
        scope: &Scope,
        (most_bars, most_causes): (usize, u16),
    ) -> Result<Self, StoreError> {
        let agreements = store.agreements(scope).await?;
        let counted = || agreements.paired.iter().map(|one| &one.pair.webhook);
        let first = loaded.webhooks.first().or_else(|| counted().next());
        let webhook = parameters.text("webhook").map(str::to_owned).or_else(|| first.cloned());
        let local = parameters.text("local").map(str::to_owned);
        let Some(pair) = webhook.map(|webhook| Pair { webhook, local }) else {
            return Ok(Self { agreements, chosen: None });
        };
        let behind = |causes| store.disagreed(causes, scope, &pair, most_causes);
        let (over_time, rules, namespaces, repositories) = tokio::try_join!(
            store.agreement_over_time(scope, &pair, most_bars),
            behind(Causes::Rules),
            behind(Causes::Namespaces),
            behind(Causes::Repositories),
        )?;
        let accords = agreements.accords(&pair);
        let chosen = Chosen { accords, over_time, rules, namespaces, repositories, pair };
        Ok(Self { agreements, chosen: Some(chosen) })
    }

    /// Every pair that was counted, and the one that is looked at; each once, in their order.
    pub fn pairs(&self) -> Vec<&Pair> {
        let counted = self.agreements.paired.iter().map(|one| &one.pair);
        let mut pairs: Vec<&Pair> = counted.chain(self.chosen.iter().map(|chosen| &chosen.pair)).collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }
}

/// The decisions of a pair in `list`.
pub fn list_of(list: &Address, pair: &Pair) -> Address {
    list.clone().with("webhook", &pair.webhook).with_some("local", pair.local.as_deref())
}

/// Local policies, as a sentence names them at its beginning or not.
pub fn local(pair: &Pair) -> String {
    pair.local.as_ref().map_or_else(|| "local policies".to_owned(), |name| format!("the policy {name}"))
}

/// "In the last 7 days local policies and the webhook bouncer agreed in 14,203 of 14,512 reviews; 212 would be rejected here
/// that the webhook let through; 97 were denied by the webhook that local policies would let through."
pub fn sentence(span: &str, pair: &Pair, accords: &Accords) -> Sentence {
    let (local, webhook) = (local(pair), &pair.webhook);
    let sentence = Sentence::default().plain(format!("{span} {local} and the webhook {webhook} "));
    if accords.reviews() == 0 {
        return sentence.plain("judged no review together.");
    }
    let agreed = group(accords.of(Accord::Agreed));
    let mut sentence = sentence
        .plain("agreed in ")
        .phrase("allowed", agreed)
        .plain(format!(" of {}", count(accords.reviews(), "review")));
    let let_through =
        if pair.local.is_some() { "the policy would let through" } else { "local policies would let through" };
    for (accord, class, words) in [
        (Accord::OnlyLocal, "would", "would be rejected here that the webhook let through".to_owned()),
        (Accord::OnlyWebhook, "denied", format!("were denied by the webhook that {let_through}")),
        (Accord::Error, "failed", "have no verdict of one of the two".to_owned()),
    ] {
        let reviews = accords.of(accord);
        if reviews > 0 || accord != Accord::Error {
            let number = if reviews == 0 { "none".to_owned() } else { group(reviews) };
            sentence = sentence.plain("; ").phrase(if reviews == 0 { "" } else { class }, number);
            sentence = sentence.plain(format!(" {}", singular(words, reviews)));
        }
    }
    sentence.plain(".")
}

fn singular(words: String, number: u64) -> String {
    match number {
        1 => words.replacen("were ", "was ", 1).replacen("have ", "has ", 1),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_they_agree_is_said_in_one_sentence() {
        let said = |local: Option<&str>, accords: [u64; 5]| {
            let pair = Pair { webhook: "bouncer".to_owned(), local: local.map(str::to_owned) };
            sentence("In the last 7 days", &pair, &Accords(accords)).to_string()
        };
        assert_eq!(
            said(None, [14_203, 212, 97, 0, 0]),
            "In the last 7 days local policies and the webhook bouncer agreed in 14,203 of 14,512 reviews; 212 would be \
             rejected here that the webhook let through; 97 were denied by the webhook that local policies would let through."
        );
        assert_eq!(
            said(Some("images"), [1, 0, 1, 1, 5]),
            "In the last 7 days the policy images and the webhook bouncer agreed in 1 of 8 reviews; none would be rejected \
             here that the webhook let through; 1 was denied by the webhook that the policy would let through; 1 has no \
             verdict of one of the two."
        );
        assert_eq!(
            said(None, [0; 5]),
            "In the last 7 days local policies and the webhook bouncer judged no review together."
        );
    }
}
