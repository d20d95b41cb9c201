//! Who broke a glass in the period.

use crate::review::ticket::{FirstUse, KEPT, Ticket};
use crate::store::{Broken, UsePage};
use crate::web::address::Address;
use crate::web::filters::count;
use crate::web::place::Place;
use crate::web::sentence::{Fate, listed, workload};

use super::Asking;

#[derive(Debug)]
pub struct Glass {
    pub sentence: String,
    /// Newest first.
    pub uses: Vec<Use>,
    /// What is left out, in words.
    pub note: Option<String>,
}

/// The first use of a ticket by a workload.
#[derive(Debug)]
pub struct Use {
    pub at: String,
    pub until: String,
    pub ticket: String,
    pub person: String,
    pub workload: String,
    pub place: String,
    pub rules: String,
    /// What it would have been.
    pub without: &'static str,
    pub href: Address,
}

// === impl Glass ===

impl Glass {
    pub fn of(page: &UsePage, asking: &Asking) -> Self {
        let uses: Vec<Use> = page.tickets.iter().filter_map(|ticket| Use::of(ticket, asking)).collect();
        let Broken { tickets, workloads } = page.broken();
        let at_least = if page.next.is_some() { "At least " } else { "" };
        let sentence = match workloads {
            0 => "No ticket was first used in this time.".to_owned(),
            number => format!(
                "{at_least}{} first let through by a break-glass ticket in this time, by {}.",
                if number == 1 { "1 workload was".to_owned() } else { format!("{} were", count(number, "workload")) },
                count(tickets, "ticket")
            ),
        };
        let left_out = page.next.is_some().then(|| "These are the latest; the API lists all.".to_owned());
        let forgotten = asking.scope.since.filter(|since| asking.now().0.saturating_sub(since.0) > KEPT);
        let forgotten = forgotten.map(|_| "A ticket that nobody has shown for 400 days is forgotten.".to_owned());
        let notes: Vec<String> = left_out.into_iter().chain(forgotten).collect();
        Self { sentence, uses, note: (!notes.is_empty()).then(|| notes.join(" ")) }
    }
}

// === impl Use ===

impl Use {
    fn of(ticket: &Ticket, asking: &Asking) -> Option<Self> {
        let Ticket { key, first_use, .. } = ticket;
        let FirstUse { at, until, person, rules, decision, without } = first_use.as_ref()?;
        let zone = &asking.zone;
        Some(Self {
            at: zone.second(*at),
            until: zone.second(*until),
            ticket: key.ticket.clone(),
            person: person.clone(),
            workload: workload(&key.workload),
            place: Place::of(&key.cluster, &key.namespace).named(),
            rules: listed(rules),
            without: Fate::without(*without).label(),
            href: asking.to(format!("/decisions/{decision}")),
        })
    }
}
