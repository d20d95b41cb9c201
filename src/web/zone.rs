//! Times as a page shows them, in one named zone.

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::review::clock::Timestamp;

#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

// === impl Zone ===

impl Zone {
    pub fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    pub fn by_name(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }

    /// `Europe/Berlin`, or the offset of a zone without a name.
    pub fn name(&self) -> String {
        match self.0.iana_name() {
            Some(name) => name.to_owned(),
            None => self.abbreviation(Timestamp::now()),
        }
    }

    /// `CET`, `UTC`, `+05:45`: what the zone is called at that time.
    pub fn abbreviation(&self, at: Timestamp) -> String {
        self.format(at, "%Z")
    }

    /// `2026-11-23 10:15`
    pub fn minute(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M")
    }

    /// `2026-11-23 10:15:03`
    pub fn second(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    /// `2026-11-23 10:15:03.123`
    pub fn millisecond(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S.%3f")
    }

    /// `2026-11-23`
    pub fn date(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d")
    }

    /// `10:15:03`
    pub fn time(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S")
    }

    /// `10:15`
    pub fn clock(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M")
    }

    /// `23 Nov`
    pub fn day(&self, at: Timestamp) -> String {
        self.format(at, "%-d %b")
    }

    /// `Mon 23 Nov, 10:15`
    pub fn prose(&self, at: Timestamp) -> String {
        self.format(at, "%a %-d %b, %H:%M")
    }

    pub fn at(&self, at: Timestamp) -> Option<Zoned> {
        jiff::Timestamp::from_millisecond(at.0).ok().map(|at| at.to_zoned(self.0.clone()))
    }

    fn format(&self, at: Timestamp, pattern: &str) -> String {
        match self.at(at) {
            Some(zoned) => zoned.strftime(pattern).to_string(),
            // Outside the years that a calendar is kept for: the number is all there is.
            None => at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_zone() {
        let at = Timestamp(1_795_428_903_123);
        let utc = Zone::new(TimeZone::UTC);
        assert_eq!(utc.millisecond(at), "2026-11-23 10:15:03.123");
        assert_eq!(utc.abbreviation(at), "UTC");
        let east = Zone::new(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(east.minute(at), "2026-11-23 12:15");
        assert_eq!(east.prose(at), "Mon 23 Nov, 12:15");
        assert_eq!(east.name(), "+02");
    }

    #[test]
    fn a_time_past_the_calendar_is_its_number() {
        assert_eq!(Zone::new(TimeZone::UTC).minute(Timestamp(i64::MAX)), format!("{} ms", i64::MAX));
    }
}
