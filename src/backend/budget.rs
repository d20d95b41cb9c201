//! How long a review may take.

use std::time::Duration;

use crate::review::decision::Protocol;

/// What an API server waits for a webhook when nobody says otherwise (`timeoutSeconds`, v1).
const ADMISSION_DEFAULT: Duration = Duration::from_secs(10);
/// The ImagePolicyWebhook plugin gives up after 30 s and sends no `?timeout=`; the rest is for the way back.
const IMAGE_DEFAULT: Duration = Duration::from_secs(25);
/// Below this an answer that is ready may still miss the API server's deadline on its way.
const MIN_MARGIN: Duration = Duration::from_millis(50);
/// Above this a margin only takes time away from the backend.
const MAX_MARGIN: Duration = Duration::from_millis(500);

/// The time from a review's arrival to its answer: the API server's `?timeout=` (a Go duration) less a margin of
/// 10 %, or the default of the protocol when there is none or it is no positive duration.
pub fn budget(query_timeout: Option<&str>, protocol: Protocol) -> Duration {
    match query_timeout.and_then(go_duration).filter(|timeout| !timeout.is_zero()) {
        Some(timeout) => timeout - margin(timeout),
        None => match protocol {
            Protocol::AdmissionReview => ADMISSION_DEFAULT,
            Protocol::ImageReview => IMAGE_DEFAULT,
        },
    }
}

/// Never more than half of it, so that something is left of the shortest.
fn margin(timeout: Duration) -> Duration {
    (timeout / 10).clamp(MIN_MARGIN, MAX_MARGIN).min(timeout / 2)
}

/// What Go's `time.ParseDuration` reads: `10s`, `1m30s`, `1.5h`, `1850ms`. A negative one is `None`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        let unit_length = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_length);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        nanos = nanos.checked_add(in_nanos(whole, fraction, unit_in_nanos(unit)?)?)?;
        rest = behind;
    }
    // Go holds a duration in 63 bits.
    let nanos = u64::try_from(nanos).ok().filter(|nanos| i64::try_from(*nanos).is_ok());
    nanos.filter(|_| !text.is_empty() && text != "+").map(Duration::from_nanos)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn in_nanos(whole: &str, fraction: &str, unit: u64) -> Option<u128> {
    let whole: u128 = if whole.is_empty() { 0 } else { u128::from(whole.parse::<u64>().ok()?) };
    // Nothing behind the 15th digit is a nanosecond, of an hour neither.
    let fraction = &fraction[..fraction.len().min(15)];
    let parts: u128 = if fraction.is_empty() { 0 } else { u128::from(fraction.parse::<u64>().ok()?) };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).expect("at most 15"));
    Some(whole * u128::from(unit) + parts * u128::from(unit) / scale)
}

fn unit_in_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both micro signs of Unicode.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(timeout: Option<&str>) -> u128 {
        budget(timeout, Protocol::AdmissionReview).as_millis()
    }

    #[test]
    fn the_api_servers_timeout_less_a_margin() {
        assert_eq!(millis(Some("10s")), 9_500, "at most 500 ms");
        assert_eq!(millis(Some("1m30s")), 89_500);
        assert_eq!(millis(Some("2s")), 1_800, "10 %");
        assert_eq!(millis(Some("1850ms")), 1_665);
        assert_eq!(millis(Some("1.5s")), 1_350);
        assert_eq!(millis(Some("200ms")), 150, "at least 50 ms");
        assert_eq!(millis(Some("60ms")), 30, "never more than half");
        assert_eq!(millis(Some("+1h")), 3_599_500);
    }

    #[test]
    fn without_one_the_default_of_the_protocol() {
        assert_eq!(budget(None, Protocol::AdmissionReview), Duration::from_secs(10));
        assert_eq!(budget(None, Protocol::ImageReview), Duration::from_secs(25));
        for wrong in ["", "10", "s", "0", "0s", "-5s", "1e3s", "10 s", "10x", ".s", "1.2.3s", "+", "++1s", "5s-"] {
            assert_eq!(millis(Some(wrong)), 10_000, "{wrong:?}");
        }
        for huge in ["9999999999999999999999h", "99999999999h", "18446744073709551615h"] {
            assert_eq!(millis(Some(huge)), 10_000, "{huge:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_budget_below_what_it_says_or_the_default(text in "[+.0-9a-zµ -]{0,12}") {
            let budget = budget(Some(&text), Protocol::ImageReview);
            match go_duration(&text).filter(|said| !said.is_zero()) {
                Some(said) => prop_assert!(!budget.is_zero() && budget <= said && said - budget <= MAX_MARGIN),
                None => prop_assert_eq!(budget, IMAGE_DEFAULT),
            }
        }

        #[test]
        fn what_go_prints_is_read_back(minutes in 0_u64..60, seconds in 0_u64..60, millis in 1_u64..1000) {
            let said = Duration::from_secs(minutes * 60 + seconds) + Duration::from_millis(millis);
            let text = format!("{minutes}m{seconds}.{millis:03}s");
            prop_assert_eq!(go_duration(&text), Some(said));
            let budget = budget(Some(&text), Protocol::AdmissionReview);
            prop_assert!(budget < said && said - budget <= MAX_MARGIN);
        }
    }
}
