//! What a ticket in an annotation lets through in an emergency, for a time from a workload's first use of it.
//!
//! Like an exemption it acts after a policy has judged: the violation stays, as one that was let through. What is
//! remembered of tickets is no part of the policy: an [`Appeal`] brings it along.

use std::fmt;

use crate::review::Review;
use crate::review::clock::Timestamp;
use crate::review::decision::{Answer, Exempted, Mode, Protocol};
use crate::review::ticket::{FirstUse, Owner, Ticket, person};

use super::exemptions::Offence;
use super::glob::{Glob, Subject};
use super::settings::BreakGlassSettings;

pub use self::key::never_matches;

mod key;

/// In the order of the configuration.
#[derive(Debug, Default)]
pub struct BreakGlass(Vec<Entry>);

/// Each list that is empty is anything.
#[derive(Debug)]
struct Entry {
    annotation: Glob,
    value: String,
    policies: Vec<Glob>,
    rules: Vec<Glob>,
    clusters: Vec<Glob>,
    namespaces: Vec<Glob>,
    users: Vec<Glob>,
    groups: Vec<Glob>,
    /// ms.
    lasts: i64,
}

/// The tickets that a review shows, who shows them, and what is remembered of them.
#[derive(Debug, Clone)]
pub struct Appeal {
    protocol: Protocol,
    is_own: bool,
    /// As one that is remembered if the review is the workload's own.
    asker: Owner,
    tickets: Vec<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    ticket: String,
    value: String,
    remembered: Remembered,
}

/// What is remembered of a ticket.
#[derive(Debug, Clone)]
pub enum Remembered {
    Known(Box<Ticket>),
    Unknown,
    /// It is unknown, and so many others are remembered that there is no room for it.
    NoRoom,
}

/// What comes of a violation.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    LetThrough(Exempted),
    /// It acts although a ticket is shown that would be for it.
    Refused(Refusal),
}

/// Why a ticket lets nothing through any more; for whoever showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    UsedUp { ticket: String, first: Box<FirstUse>, ended: Timestamp },
    NoRoom { ticket: String },
}

/// Groups of one person that are remembered.
const MOST_GROUPS: usize = 64;

/// Bytes of the texts that are remembered of one ticket: more than Kubernetes allows for all of them.
const MOST_TEXT: usize = 4_096;

/// In whose service accounts the controllers of Kubernetes work, and what they are where they have none.
const CONTROLLERS: [&str; 2] = ["system:serviceaccount:kube-system:", "system:kube-controller-manager"];

// === impl BreakGlass ===

impl BreakGlass {
    pub fn of(settings: &[BreakGlassSettings]) -> Self {
        Self(settings.iter().map(Entry::of).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None`: the review shows no ticket. `body` is what it was read from; `remembered` says what is known of a ticket.
    pub fn appeal(
        &self,
        review: &Review,
        body: &[u8],
        now: Timestamp,
        remembered: impl Fn(&str) -> Remembered,
    ) -> Option<Appeal> {
        if self.0.is_empty() || review.record.annotations.is_empty() || !fits(review) {
            return None;
        }
        let shown = review.record.annotations.iter().filter(|(key, value)| self.0.iter().any(|one| one.is(key, value)));
        let tickets: Vec<Shown> = shown
            .map(|(key, value)| Shown { ticket: key.clone(), value: value.clone(), remembered: remembered(key) })
            .collect();
        if tickets.is_empty() {
            return None;
        }
        let mut groups = review.groups(body);
        groups.retain(|group| self.0.iter().any(|one| one.groups.iter().any(|glob| glob.matches(group))));
        groups.truncate(MOST_GROUPS);
        let asker = Owner { at: now, user: review.user.clone(), groups };
        Some(Appeal { protocol: review.protocol, is_own: review.is_own(), asker, tickets })
    }

    /// The first entry that takes in `offence` and has a ticket: one that is in force, else one that is not used yet.
    pub fn find(&self, offence: Offence<'_>, mode: Mode, appeal: &Appeal, now: Timestamp) -> Option<Found> {
        // As far as this violation goes.
        let without = if mode == Mode::Enforce { Answer::Denied } else { Answer::Allowed };
        let (mut fresh, mut refusal) = (None, None);
        for entry in self.0.iter().filter(|entry| entry.takes_in(offence)) {
            for shown in appeal.tickets.iter().filter(|shown| entry.is(&shown.ticket, &shown.value)) {
                let Some(person) = entry.person(appeal, shown) else { continue };
                let used = |since: Timestamp, person: String| {
                    let (ticket, until) = (shown.ticket.clone(), entry.end(since));
                    Found::LetThrough(Exempted::BreakGlass { ticket, person, since, until, without })
                };
                let ticket = || shown.ticket.clone();
                match (&shown.remembered, shown.first_use()) {
                    (_, Some(first)) if now < entry.end(first.at) => return Some(used(first.at, person)),
                    (_, Some(first)) => {
                        let (first, ended) = (Box::new(first.clone()), entry.end(first.at));
                        refusal.get_or_insert_with(|| Refusal::UsedUp { ticket: ticket(), first, ended });
                    }
                    (Remembered::NoRoom, None) => {
                        refusal.get_or_insert_with(|| Refusal::NoRoom { ticket: ticket() });
                    }
                    (Remembered::Known(_) | Remembered::Unknown, None) => {
                        fresh.get_or_insert_with(|| used(now, person));
                    }
                }
            }
        }
        fresh.or(refusal.map(Found::Refused))
    }
}

/// What is longer than anything an API server sends is not remembered.
fn fits(review: &Review) -> bool {
    let record = &review.record;
    let texts = [
        record.namespace.as_deref().unwrap_or_default(),
        &record.workload.kind,
        &record.workload.name,
        review.user.as_deref().unwrap_or_default(),
    ];
    let keys: usize = record.annotations.keys().map(String::len).sum();
    texts.iter().map(|text| text.len()).sum::<usize>() <= MOST_TEXT && keys <= 64 * MOST_TEXT
}

// === impl Entry ===

impl Entry {
    fn of(settings: &BreakGlassSettings) -> Self {
        let globs =
            |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern, Subject::Name)).collect::<Vec<_>>();
        Self {
            annotation: Glob::new(&settings.annotation, Subject::Name),
            value: settings.value.clone(),
            policies: globs(&settings.policies),
            rules: globs(&settings.rules),
            clusters: globs(&settings.clusters),
            namespaces: globs(&settings.namespaces),
            users: globs(&settings.users),
            groups: globs(&settings.groups),
            lasts: i64::try_from(settings.lasts.as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.value == value && key.len() <= MOST_TEXT && self.annotation.matches(key)
    }

    fn takes_in(&self, offence: Offence<'_>) -> bool {
        let any = |globs: &[Glob], text: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(text));
        any(&self.policies, offence.policy)
            && any(&self.rules, offence.rule)
            && any(&self.clusters, offence.place.cluster)
            && any(&self.namespaces, offence.place.namespace)
    }

    /// Who answers for it. `None`: nobody who may.
    ///
    /// What a controller made is the word of whoever changed its workload last. Anybody can write an owner into a pod: so
    /// that nobody breaks the glass in another's name, it is believed of the controllers of Kubernetes, and of those whom
    /// the entry names.
    fn person(&self, appeal: &Appeal, shown: &Shown) -> Option<String> {
        let of_asker = || person(appeal.asker.user.as_deref(), appeal.protocol);
        if appeal.is_own || appeal.asker.user.is_none() {
            return self.names(&appeal.asker).then(of_asker);
        }
        let owner = shown.owner();
        let is_believed = self.is_anybodys() || is_controller(&appeal.asker) || self.names(&appeal.asker);
        if !is_believed || !(self.is_anybodys() || owner.is_some_and(|owner| self.names(owner))) {
            return None;
        }
        let of_owner = owner.and_then(|owner| owner.user.clone());
        Some(of_owner.or_else(|| shown.first_use().map(|first| first.person.clone())).unwrap_or_else(of_asker))
    }

    fn is_anybodys(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    fn names(&self, one: &Owner) -> bool {
        let is_user = |user: &str| self.users.iter().any(|glob| glob.matches(user));
        let is_in = |group: &String| self.groups.iter().any(|glob| glob.matches(group));
        (self.users.is_empty() || one.user.as_deref().is_some_and(is_user))
            && (self.groups.is_empty() || one.groups.iter().any(is_in))
    }

    fn end(&self, since: Timestamp) -> Timestamp {
        Timestamp(since.0.saturating_add(self.lasts))
    }
}

fn is_controller(one: &Owner) -> bool {
    let [service_accounts, manager] = CONTROLLERS;
    one.user.as_deref().is_some_and(|user| user.starts_with(service_accounts) || user == manager)
}

// === impl Appeal ===

impl Appeal {
    /// Keys of annotations.
    pub fn tickets(&self) -> impl Iterator<Item = &str> {
        self.tickets.iter().map(|shown| shown.ticket.as_str())
    }

    /// As if a controller of Kubernetes asked, where a workload's pod names nobody: the next one is made by one.
    pub fn by_a_controller(mut self) -> Self {
        if !self.is_own && self.protocol == Protocol::AdmissionReview {
            let [_, manager] = CONTROLLERS;
            self.asker.user.get_or_insert_with(|| manager.to_owned());
        }
        self
    }

    /// Who is to be remembered for the workload: of its own review, whoever asks.
    pub fn owner(&self) -> Option<&Owner> {
        self.is_own.then_some(&self.asker)
    }
}

// === impl Shown ===

impl Shown {
    fn known(&self) -> Option<&Ticket> {
        match &self.remembered {
            Remembered::Known(ticket) => Some(ticket),
            Remembered::Unknown | Remembered::NoRoom => None,
        }
    }

    fn first_use(&self) -> Option<&FirstUse> {
        self.known()?.first_use.as_ref()
    }

    fn owner(&self) -> Option<&Owner> {
        self.known()?.owner.as_ref()
    }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedUp { ticket, first, ended } => {
                let FirstUse { at, person, .. } = &**first;
                write!(
                    f,
                    "The break-glass ticket {ticket} is used up: first used at {at} by {person}, ended at {ended}"
                )
            }
            Self::NoRoom { ticket } => write!(
                f,
                "The break-glass ticket {ticket} is not taken: so many are remembered already that there is no room for it"
            ),
        }
    }
}

/// A key that there can be, for whoever wrote one that there cannot.
pub const EXAMPLE: &str = "*.image-policy.k8s.io/ticket-*";

#[cfg(test)]
mod tests;
