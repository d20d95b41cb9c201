//! What is missing in a period: gaps, what waits in journals, what is deleted.

use crate::review::decision::Gap;
use crate::store::read::{Horizons, Scope, Summary};
use crate::web::filters::count;
use crate::web::frame::{self, Notice};
use crate::web::zone::Zone;
use crate::web::{Live, gaps};

use super::Asking;

/// Gaps that a report tells one by one.
const TOLD: usize = 40;

#[derive(Debug)]
pub struct Incomplete {
    pub gaps: Vec<Gap>,
    pub sentence: String,
    /// The latest, oldest first.
    pub told: Vec<Notice>,
    /// How many there are before these.
    pub earlier: u64,
    /// Replicas that are behind.
    pub behind: Option<Notice>,
}

/// Without a process nobody knows what waits in a journal.
const NOT_ASKED: &str = "not known here: what waits in journals only a process that serves knows, which --url asks";

/// Up to when all is stored.
pub fn until(live: Option<&Live>, zone: &Zone) -> String {
    live.map_or_else(|| NOT_ASKED.to_owned(), |live| frame::complete_until(&live.completeness, zone))
}

/// What of the period is kept no more, whatever it was.
pub fn deleted(horizons: &Horizons, scope: &Scope, zone: &Zone) -> Vec<Notice> {
    let kinds = [
        (horizons.figures, "Figures, and what says which rule judged which workload,"),
        (horizons.events, "Gaps, and counts of what was not judged,"),
    ];
    let is_touched = |before| scope.since.is_none_or(|since| since < before);
    let note = |(before, what): (Option<_>, &str)| {
        let before = before.filter(|before| is_touched(*before))?;
        Some(Notice {
            class: "deleted",
            href: None,
            heading: format!("Kept since {}", zone.minute(before)),
            text: format!("{what} of before are deleted, but for what a hold keeps."),
        })
    };
    kinds.into_iter().filter_map(note).collect()
}

// === impl Incomplete ===

impl Incomplete {
    pub fn of(summary: &Summary, asking: &Asking, live: Option<&Live>) -> Self {
        let gaps = match live {
            Some(live) => gaps::in_span(summary, live, asking.scope.cluster.as_deref()),
            None => summary.gaps.clone(),
        };
        let told = gaps.iter().skip(gaps.len().saturating_sub(TOLD));
        Self {
            sentence: match gaps.len() as u64 {
                0 => "No gap is known in this time.".to_owned(),
                number => format!(
                    "{} in this time, in which decisions were not recorded or no replica was there.",
                    count(number, "gap")
                ),
            },
            told: told.map(|gap| Notice::of_gap(gap, &asking.zone)).collect(),
            earlier: gaps.len().saturating_sub(TOLD) as u64,
            behind: live.and_then(|live| Notice::of_completeness(&live.completeness, &asking.zone)),
            gaps,
        }
    }
}
