//! Times as people and programs write them in an address.

use jiff::civil;

use super::Now;
use crate::review::clock::{DAY, Timestamp};

/// What is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time: write RFC 3339 (2026-11-23T10:15:00Z), a date or a date and time in the report's zone \
     (2026-11-23 10:15), or how long ago (15m, 24h, 7d)"
)]
pub struct NotATime(String);

/// RFC 3339; a date, with or without a time of day, in the zone of `now`; or a whole number and `s`, `m`, `h`, `d` or
/// `w` for so long ago.
pub fn parse(text: &str, now: Now<'_>) -> Result<Timestamp, NotATime> {
    let text = text.trim();
    ago(text, now).or_else(|| instant(text)).or_else(|| local(text, now)).ok_or_else(|| NotATime(text.to_owned()))
}

fn ago(text: &str, now: Now<'_>) -> Option<Timestamp> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let unit = text.chars().next_back()?;
    let millis: i64 = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let span = number.parse::<i64>().ok()?.checked_mul(millis)?;
    on_the_calendar(now.at.0.checked_sub(span)?)
}

fn instant(text: &str) -> Option<Timestamp> {
    // A `+` that nobody escaped reaches us as a space: `...T10:15:00 01:00`.
    let plus = text.contains(['T', 't']).then(|| text.replace(' ', "+"));
    let instant = plus.as_deref().unwrap_or(text).parse::<jiff::Timestamp>().ok()?;
    Some(Timestamp(instant.as_millisecond()))
}

fn local(text: &str, now: Now<'_>) -> Option<Timestamp> {
    let civil = match text.parse::<civil::DateTime>() {
        Ok(civil) => civil,
        Err(_) => text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0),
    };
    let instant = now.zone.time_zone().to_timestamp(civil).ok()?;
    Some(Timestamp(instant.as_millisecond()))
}

fn on_the_calendar(millis: i64) -> Option<Timestamp> {
    jiff::Timestamp::from_millisecond(millis).ok().map(|_| Timestamp(millis))
}
