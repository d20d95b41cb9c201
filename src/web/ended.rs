//! Ceilings that held something back in the span of a page and have ended: they explain its figures, and want nobody.

use super::filters::count;
use super::frame::Notice;
use super::zone::Zone;
use crate::policy::ceiling::Ceiling;
use crate::review::clock::Timestamp;

#[derive(Debug)]
pub struct EndedCeilings {
    pub heading: String,
    /// The oldest first.
    pub lines: Vec<Notice>,
    /// How many there are before these.
    pub earlier: u64,
}

/// Those that a page tells one by one.
const TOLD: usize = 20;

// === impl EndedCeilings ===

impl EndedCeilings {
    pub fn of(ceilings: &[Ceiling], now: Timestamp, zone: &Zone) -> Option<Self> {
        let ended: Vec<&Ceiling> = ceilings.iter().filter(|ceiling| !ceiling.is_in_force(now)).collect();
        let have = if ended.len() == 1 { "has" } else { "have" };
        let number = count(ended.len() as u64, "ceiling");
        let (earlier, latest) = ended.split_at(ended.len().saturating_sub(TOLD));
        (!ended.is_empty()).then(|| Self {
            heading: format!("{number} held modes back in this time and {have} ended"),
            lines: latest.iter().map(|ceiling| Notice::of_ceiling(ceiling, now, zone)).collect(),
            earlier: earlier.len() as u64,
        })
    }
}
