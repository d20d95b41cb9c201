//! Who loses an exemption at its end, or needs one that is over, as pages tell it.

use super::address::Address;
use super::exemptions::{Row, State, Told};
use super::filters::{count, group};
use super::frame::Visit;
use super::place::Place;
use super::sentence::{self, Sentence};
use super::zone::Zone;
use crate::policy::readiness::lapse::Lapse;

/// One exemption with its workloads.
#[derive(Debug)]
pub struct Losing {
    pub title: String,
    pub href: Address,
    /// When it ends or ended.
    pub when: String,
    pub sentence: Sentence,
    pub workloads: Vec<Loser>,
    /// Those that are on the exemption's page alone.
    pub more: u64,
}

#[derive(Debug)]
pub struct Loser {
    pub workload: String,
    pub place: String,
    /// Its decisions.
    pub href: Address,
    pub rules: Vec<String>,
    pub breaks: bool,
}

// === impl Losing ===

impl Losing {
    /// With at most `shown` of the workloads.
    pub fn of(row: &Row, told: &Told, visit: &Visit, shown: usize) -> Self {
        Self {
            title: row.title(),
            href: page(visit, &row.known.id),
            when: when(row, &visit.zone),
            sentence: said(row, &visit.zone),
            workloads: row.lapses.iter().take(shown).map(|lapse| Loser::of(lapse, told, visit)).collect(),
            more: row.lapses.len().saturating_sub(shown) as u64,
        }
    }
}

/// The page of an exemption.
pub fn page(visit: &Visit, id: &str) -> Address {
    visit.to(Address::below("/exemptions", &[id]).path())
}

/// When an exemption ends, or ended.
pub fn when(row: &Row, zone: &Zone) -> String {
    match row.state {
        State::Until(until) => format!("ends {}", zone.minute(until)),
        State::Permanent => "has no end".to_owned(),
        State::Ended(until) => format!("ended {}", zone.minute(until)),
        State::Gone => match row.known.loaded {
            Some((_, last)) => format!("not in the configuration any more, last loaded {}", zone.minute(last)),
            None => "not in the configuration".to_owned(),
        },
    }
}

/// "3 workloads will break on 2026-12-01; 1 would be rejected."
pub fn said(row: &Row, zone: &Zone) -> Sentence {
    let breaking = row.lapses.iter().filter(|lapse| lapse.breaks).count() as u64;
    let rejected = row.lapses.len() as u64 - breaking;
    let sentence = Sentence::default();
    let (will, would) = match row.state {
        State::Until(until) => {
            let on = zone.date(until);
            (format!(" will break on {on}"), format!(" would be rejected from {on} on"))
        }
        State::Permanent => return sentence.plain("It ends for nobody."),
        State::Ended(_) | State::Gone => {
            let need = if breaking + rejected == 1 { " still needs it" } else { " still need it" };
            (
                format!("{need}: a rule is enforced there"),
                format!("{need}: nothing is enforced there yet, it would be rejected"),
            )
        }
    };
    match (breaking, rejected) {
        (0, 0) if row.state.holds() => sentence.plain("No workload that is known loses anything then."),
        (0, 0) => sentence.plain("No workload that is known needs it any more."),
        (0, rejected) => sentence.phrase("would", workloads(rejected)).plain(would + "."),
        (breaking, 0) => sentence.phrase("denied", workloads(breaking)).plain(will + "."),
        (breaking, rejected) => sentence
            .phrase("denied", workloads(breaking))
            .plain(will + "; ")
            .phrase("would", group(rejected))
            .plain(" more would be rejected."),
    }
}

fn workloads(number: u64) -> String {
    count(number, "workload")
}

// === impl Loser ===

impl Loser {
    pub fn of(lapse: &Lapse, told: &Told, visit: &Visit) -> Self {
        let (at, known) = told.workload(lapse);
        let place = Place::of(&at.cluster, &at.namespace);
        let workload = sentence::workload(&known.workload);
        let list = place.list(&visit.to("/decisions").without("since").without("until"));
        Self {
            href: list.with("workload", &workload),
            place: place.named(),
            workload,
            rules: lapse.rules.iter().cloned().collect(),
            breaks: lapse.breaks,
        }
    }
}
