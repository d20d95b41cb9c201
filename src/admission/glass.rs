//! Break-glass tickets on the way of a review: what is remembered of those that it shows, and what is remembered after it.

use tracing::warn;

use crate::policy::Revision;
use crate::policy::break_glass::{Appeal, BreakGlass, Remembered};
use crate::recorder::tickets::{Noted, Tickets};
use crate::review::Review;
use crate::review::clock::{DAY, DecisionId, Timestamp};
use crate::review::decision::{Answer, Decision, Exempted, PolicyVerdict};
use crate::review::ticket::{FirstUse, Ticket, TicketKey};
use crate::review::workload::Workload;

use super::opinion::Glass;
use super::sender::Sender;
use super::service::Shared;

/// Whose tickets a review shows.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    cluster: String,
    namespace: String,
    workload: Workload,
    now: Timestamp,
}

/// Of a review that shows tickets.
#[derive(Debug)]
pub(super) struct Shown {
    pub appeal: Appeal,
    pub holder: Holder,
}

/// `None`, at the cost of a look, where it shows none.
pub(super) fn shown(
    break_glass: &BreakGlass,
    tickets: &Tickets,
    sender: &Sender,
    review: &Review,
    body: &[u8],
    now: Timestamp,
) -> Option<Box<Shown>> {
    if break_glass.is_empty() || review.record.annotations.is_empty() {
        return None;
    }
    let record = &review.record;
    let namespace = record.namespace.clone().unwrap_or_default();
    let holder = Holder { cluster: sender.cluster.clone(), namespace, workload: record.workload.clone(), now };
    let remembered = |ticket: &str| match tickets.get(&holder.key(ticket)) {
        Some(ticket) => Remembered::Known(Box::new(ticket)),
        None if tickets.has_room(&holder.cluster) => Remembered::Unknown,
        None => Remembered::NoRoom,
    };
    let appeal = break_glass.appeal(review, body, now, remembered)?;
    Some(Box::new(Shown { appeal, holder }))
}

// === impl Shown ===

impl Shown {
    /// What it may let through of what that revision's policies find.
    pub fn glass<'a>(&'a self, revision: &'a Revision) -> Glass<'a> {
        Glass { break_glass: &revision.break_glass, appeal: &self.appeal }
    }

    /// After its decision, before its answer. A dry run leaves no trace, and one that did not get through uses nothing up.
    ///
    /// `changes`: the review leaves something another than it was.
    pub async fn remember(&self, shared: &Shared, decision: &Decision, changes: bool) {
        if decision.dry_run {
            return;
        }
        let owner = self.appeal.owner().filter(|_| changes && decision.answer == Answer::Allowed);
        let mut is_news = false;
        for ticket in self.appeal.tickets() {
            let (tickets, key) = (&shared.settings.tickets, self.holder.key(ticket));
            // Of a ticket that nothing is known of it does not matter who showed it in vain.
            if owner.is_some() || tickets.get(&key).is_some() {
                let owner = owner.cloned();
                is_news |= tickets.note(&Ticket { owner, ..self.holder.ticket(ticket) }) != Noted::Nothing;
            }
        }
        if decision.answer == Answer::Allowed {
            is_news |= self.holder.used(shared, decision.id, &decision.verdicts);
        }
        if is_news {
            shared.settings.tickets.save(shared.settings.patience).await;
        }
    }
}

// === impl Holder ===

impl Holder {
    fn key(&self, ticket: &str) -> TicketKey {
        TicketKey {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            workload: self.workload.clone(),
            ticket: ticket.to_owned(),
        }
    }

    /// As it is shown today.
    fn ticket(&self, ticket: &str) -> Ticket {
        Ticket::new(self.key(ticket), Timestamp(self.now.0 - self.now.0.rem_euclid(DAY)))
    }

    /// Remembers the first use of each ticket that let something through. Whether there is anything new to remember.
    pub fn used(&self, shared: &Shared, decision: DecisionId, verdicts: &[PolicyVerdict]) -> bool {
        let mut is_news = false;
        let mut told: Vec<&str> = Vec::new();
        for by in verdicts.iter().flat_map(PolicyVerdict::let_through).filter_map(|one| one.exempted.as_ref()) {
            let Exempted::BreakGlass { ticket, person, since, without, .. } = by else { continue };
            if told.contains(&ticket.as_str()) {
                continue;
            }
            told.push(ticket);
            let first_use = FirstUse {
                at: *since,
                until: end(verdicts, ticket).unwrap_or(*since),
                person: person.clone(),
                rules: rules(verdicts, ticket),
                decision,
                without: *without,
            };
            let change = Ticket { first_use: Some(first_use), ..self.ticket(ticket) };
            let noted = shared.settings.tickets.note(&change);
            is_news |= noted != Noted::Nothing;
            if noted == Noted::FirstUse {
                self.tell(shared, &change, verdicts);
            }
        }
        is_news
    }

    fn tell(&self, shared: &Shared, ticket: &Ticket, verdicts: &[PolicyVerdict]) {
        let (Ticket { key, first_use: Some(first), .. }, Self { cluster, namespace, workload, .. }) = (ticket, self)
        else {
            return;
        };
        warn!(
            ticket = key.ticket,
            cluster,
            namespace,
            workload = format!("{}/{}", workload.kind, workload.name),
            person = first.person,
            rules = first.rules.join(", "),
            until = %first.until,
            decision = %first.decision,
            "break-glass: the first use of a ticket; without it {}",
            first.without.as_str()
        );
        for verdict in verdicts.iter().filter(|verdict| !of(verdict, &key.ticket).is_empty()) {
            shared.metrics.broke_glass(&verdict.policy);
        }
    }
}

/// Of the entries by which the ticket let something through, the end of the one that lasts longest.
fn end(verdicts: &[PolicyVerdict], ticket: &str) -> Option<Timestamp> {
    let through = verdicts.iter().flat_map(PolicyVerdict::let_through).filter_map(|one| one.exempted.as_ref());
    let end = |by: &Exempted| match by {
        Exempted::BreakGlass { ticket: own, until, .. } if own == ticket => Some(*until),
        _ => None,
    };
    through.filter_map(end).max()
}

/// `policy/rule` of what the ticket let through, each once.
fn rules(verdicts: &[PolicyVerdict], ticket: &str) -> Vec<String> {
    let mut rules: Vec<String> = verdicts.iter().flat_map(|verdict| of(verdict, ticket)).collect();
    rules.sort();
    rules.dedup();
    rules
}

fn of(verdict: &PolicyVerdict, ticket: &str) -> Vec<String> {
    let by_it = verdict.let_through().filter(|one| one.exempted.as_ref().and_then(Exempted::broken_by) == Some(ticket));
    by_it.map(|one| format!("{}/{}", verdict.policy, one.rule)).collect()
}
