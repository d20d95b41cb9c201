//! Instants and days.

use super::super::mistake::{Wrong, shown};
use super::Form;
use crate::review::clock::{DAY, Timestamp};

/// An instant, or the end of a day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

// === impl Moment ===

impl Form for Moment {
    const NAME: &'static str = "moment";
    const WHAT: &'static str = "an instant or a day";
    const PATTERN: Option<&'static str> = Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}");

    fn read(text: &str) -> Result<Self, Wrong> {
        // A day is a text of ten characters; jiff would take the beginning of a longer one for it.
        let day = (text.len() == 10).then(|| text.parse::<jiff::civil::Date>().ok()).flatten();
        let day = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let end = day.map(|day| day.timestamp().as_millisecond() + DAY);
        let instant = || text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        end.or_else(instant).map(|at| Self(Timestamp(at))).ok_or_else(|| {
            let fix = "write a day, such as 2026-12-01, or an instant with its zone, such as 2026-12-01T18:00:00Z";
            Wrong::new(format!("{} is neither a day nor an instant", shown(text)), fix)
        })
    }

    fn write(&self) -> String {
        if self.0.0.rem_euclid(DAY) == 0 { self.0.last_day() } else { self.0.to_string() }
    }
}
