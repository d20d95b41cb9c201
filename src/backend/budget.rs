//! How long a webhook may take.

use std::time::Duration;

use crate::review::decision::Protocol;

/// An AdmissionReview without `?timeout=`: what the API server waits when a webhook configuration does not say.
const ADMISSION_REVIEW: Duration = Duration::from_secs(10);
/// The ImagePolicyWebhook plugin waits 30 s and does not say so; this leaves it time for a second try of its own.
const IMAGE_REVIEW: Duration = Duration::from_secs(25);
/// What is kept back for our own part and the way to the API server: a tenth, within these.
const LEAST_MARGIN: Duration = Duration::from_millis(50);
const MOST_MARGIN: Duration = Duration::from_millis(500);

/// The time for a review, from the API server's `?timeout=` where it gave one that can be read.
pub fn budget(timeout: Option<&str>, protocol: Protocol) -> Duration {
    match timeout.and_then(go_duration) {
        Some(timeout) => timeout.saturating_sub((timeout / 10).clamp(LEAST_MARGIN, MOST_MARGIN)),
        None => match protocol {
            Protocol::AdmissionReview => ADMISSION_REVIEW,
            Protocol::ImageReview => IMAGE_REVIEW,
        },
    }
}

/// Go's `time.ParseDuration` of a positive duration: `10s`, `1m30s`, `1.5s`, `1850ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number * in_seconds(&rest[..unit])?;
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

fn in_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" | "μs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3_600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_gives_less_a_margin() {
        let of = |text| budget(Some(text), Protocol::AdmissionReview);
        assert_eq!(of("10s"), Duration::from_millis(9_500), "a tenth is over 500 ms");
        assert_eq!(of("2s"), Duration::from_millis(1_800));
        assert_eq!(of("100ms"), Duration::from_millis(50), "a tenth is under 50 ms");
        assert_eq!(of("1m30s"), Duration::from_millis(89_500));
        assert_eq!(of("20ms"), Duration::ZERO);
    }

    #[test]
    fn without_one_each_protocol_has_its_own() {
        for text in [None, Some(""), Some("10"), Some("-1s"), Some("s"), Some("1e3s"), Some("10 s"), Some("1..s")] {
            assert_eq!(budget(text, Protocol::AdmissionReview), Duration::from_secs(10), "{text:?}");
            assert_eq!(budget(text, Protocol::ImageReview), Duration::from_secs(25), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_never_panics_and_never_exceeds_what_was_given(text in "[0-9.mshnuµ-]{0,12}") {
            let budget = budget(Some(&text), Protocol::AdmissionReview);
            let given = go_duration(&text).unwrap_or(ADMISSION_REVIEW);
            proptest::prop_assert!(budget <= given);
        }
    }
}
