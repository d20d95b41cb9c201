//! How reviews reach us, and whether they find room: the listener, its certificates, the bounds, the deadline.

use super::super::filters::{count, group};
use super::super::vitals::{NOW, OnOverload, SPAN};
use super::latency::{bytes, number, worse};
use super::remedy::Remedy;
use super::{Ground, State, Way};
use crate::review::clock::{DAY, Timestamp};

pub fn ways(ground: Ground<'_>) -> Vec<Way> {
    vec![reviews(ground), listener(ground), overload(ground), memory(ground), deadline(ground), refused(ground)]
}

/// A self-made certificate is renewed a month before its end: one that is this close to it (ms) was not.
const SOON: i64 = 14 * DAY;

/// The part of a bound from which on there is little room left.
const NEARLY: f64 = 0.8;

/// Seconds that an API server waits unless it is told otherwise, and those after which somebody notices.
const DEADLINE: f64 = 10.0;
const SLOW: f64 = 3.0;
/// Seconds of our own, without the wait for a webhook, that are far from what judging takes: the disk took them.
const OWN: f64 = 1.0;

/// What an API server sends, and of what is refused only that can be.
const CONCERNS: [&str; 5] = ["panicked", "slow_body", "broken_body", "too_large", "unreadable"];

/// Quiet is no fault by itself: a night without a deploy, or another replica that is asked. So it is told, not judged.
fn reviews(ground: Ground<'_>) -> Way {
    let last = ground.vitals.series("rehearsal_last_review_timestamp_seconds");
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a calendar")]
    let last = last.map(|(labels, at)| (Timestamp((at as i64).saturating_mul(1_000)), labels.get("cluster")));
    let now = match last.max() {
        None => "None has come since this process began.".to_owned(),
        Some((at, cluster)) => {
            let of = cluster.map(|cluster| format!(", from {cluster}")).unwrap_or_default();
            format!("The last one came at {}{of}.", ground.zone.minute(at))
        }
    };
    let answered = ground.vitals.grew(SPAN, "rehearsal_reviews_total", &[]);
    Way::of("reviews", "Reviews that come", State::Fine)
        .now(now)
        .hour(format!("{} answered.", were(answered, "review")))
        .remedy(Remedy::told(
            "Where none come at all, the webhook configuration is gone, or its failurePolicy: Ignore hides that it cannot \
             reach this. /clusters has the last review of each cluster, whichever replica it came to.",
        ))
        .remedy(Remedy::look_at_the_webhook())
}

/// Of what the webhook listens with.
struct End {
    /// Role and name.
    of: String,
    at: Timestamp,
    /// It is of the server's own chain, and has ended.
    turns_away: bool,
}

/// What turns API servers away, or what ends first. Of the webhook's listener alone: another's is in nobody's way.
fn first_end(ground: Ground<'_>) -> Option<End> {
    let ends = ground.vitals.series("rehearsal_certificate_end_timestamp_seconds");
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a calendar")]
    let end = ends.filter(|(labels, _)| labels.get("listener").is_some_and(|own| own == "webhook")).filter_map(
        |(labels, end)| {
            let (role, at) = (labels.get("role")?, Timestamp((end as i64).saturating_mul(1_000)));
            let turns_away = role == "server" && at <= ground.now;
            Some(End { of: format!("{role} {}", labels.get("name")?), at, turns_away })
        },
    );
    end.min_by_key(|end| (!end.turns_away, end.at))
}

fn listener(ground: Ground<'_>) -> Way {
    let refused = ground.grew("rehearsal_connections_refused_total", &[("listener", "webhook")]);
    let end = first_end(ground);
    let of_end = match &end {
        None => State::Fine,
        Some(End { turns_away: true, .. }) => State::Blocking,
        Some(End { at, .. }) => State::degraded_if(at.0.saturating_sub(ground.now.0) < SOON),
    };
    let certificate = match &end {
        None => "It listens without TLS".to_owned(),
        Some(End { of, at, turns_away: true }) => {
            format!("The certificate of {of} ended at {}: no API server connects", ground.zone.minute(*at))
        }
        Some(End { of, at, .. }) if *at <= ground.now => {
            format!("The certificate of {of} ended at {}, which turns nobody away by itself", ground.zone.minute(*at))
        }
        Some(End { of, at, .. }) => {
            let days = count((at.0 - ground.now.0).unsigned_abs() / DAY.unsigned_abs(), "day");
            format!("The first certificate to end is that of {of}, in {days}, at {}", ground.zone.minute(*at))
        }
    };
    let now = match refused.0 {
        0 => format!("{certificate}; no connection was turned away."),
        some => format!("{certificate}; {} turned away before a request.", were(some, "connection")),
    };
    let reasons = ground.vitals.grown_by(SPAN, "rehearsal_connections_refused_total", "reason");
    let way = Way::of("listener", "Listener and certificates", worse(of_end, State::degraded_if(refused.0 > 0)));
    way.now(now)
        .hour(match refused.1 {
            0 => "No connection was turned away.".to_owned(),
            some => format!("{} turned away, on every listener: {}.", were(some, "connection"), listed(&reasons)),
        })
        .remedy(Remedy::run(
            "New files in the place of those that webhook.tls names are in use within seconds; a self-made certificate is \
             renewed by itself. The API server trusts what caBundle holds.",
            "rehearsal certs --dns rehearsal.rehearsal.svc --out certs",
        ))
        .remedy(Remedy::failure_policy())
}

fn overload(ground: Ground<'_>) -> Way {
    let shed = ground.grew("rehearsal_unjudged_total", &[]);
    let refused = ground.grew("rehearsal_refused_total", &[("reason", "overloaded")]);
    let state = if refused.0 > 0 { State::Blocking } else { State::degraded_if(shed.0 > 0) };
    let (taken, places) = (ground.vitals.gauge("rehearsal_in_flight_reviews", &[]), ground.vitals.bounds.in_flight);
    let room = format!("{} of {} places are taken", number(taken), group(places as u64));
    let now = match (refused.0, shed.0) {
        (0, 0) => format!("{room}; no review was turned away."),
        (0, shed) => format!("{room}; {} answered allowed, unjudged.", were(shed, "review")),
        (refused, _) => {
            format!("{room}; {} refused with 503, so that the failure policy decides.", were(refused, "review"))
        }
    };
    let most = number(ground.vitals.most("rehearsal_in_flight_reviews", &[]));
    let next = match (ground.vitals.can_enforce, ground.vitals.bounds.overload) {
        (false, OnOverload::Answer) => "Nothing loaded can reject, so that what finds no room is let through.",
        (true, _) => "Something loaded can reject, so that what finds no room is a 503.",
        (false, OnOverload::Refuse) => "webhook.overload is refuse: what finds no room is a 503.",
    };
    Way::of("overload", "Overload", state)
        .now(now)
        .hour(format!(
            "Refused with 503: {}; let through unjudged: {}; at most {most} at once at a full minute.",
            refused.1, shed.1
        ))
        .remedy(Remedy::told(format!(
            "{next} Raise webhook.limits.max_in_flight, or run more replicas; a webhook that hangs holds places, too."
        )))
        .remedy(Remedy::ceiling(&ground.vitals.bounds))
}

fn memory(ground: Ground<'_>) -> Way {
    let bounds = &ground.vitals.bounds;
    let webhook = [("listener", "webhook")];
    let held = ground.vitals.gauge("rehearsal_in_flight_bytes", &[]);
    let open = ground.vitals.gauge("rehearsal_connections", &webhook);
    let of_full = [("listener", "webhook"), ("reason", "too_many_connections")];
    let full = ground.grew("rehearsal_connections_refused_total", &of_full);
    let is_nearly_full = held >= NEARLY * bounds.in_flight_bytes as f64 || open >= NEARLY * bounds.connections as f64;
    let state = if full.0 > 0 { State::Blocking } else { State::degraded_if(is_nearly_full) };
    Way::of("memory", "Memory and connections", state)
        .now(format!(
            "Bodies take {} of {}, and {} of {} are open.",
            bytes(held),
            bytes(bounds.in_flight_bytes as f64),
            number(open),
            count(bounds.connections as u64, "connection")
        ))
        .hour(format!(
            "At most {} and {} at a full minute; too many: {}.",
            bytes(ground.vitals.most("rehearsal_in_flight_bytes", &[])),
            plural(ground.vitals.most("rehearsal_connections", &webhook), "connection"),
            full.1
        ))
        .remedy(Remedy::told(
            "webhook.limits has max_in_flight_bytes and connections; past them connections are closed, and reviews are \
             treated as under overload.",
        ))
}

fn deadline(ground: Ground<'_>) -> Way {
    let spread = |span| ground.vitals.spread(span, "rehearsal_review_duration_seconds_bucket", &[]);
    let (now, hour) = (spread(NOW), spread(SPAN));
    let own = ground.vitals.spread(NOW, "rehearsal_review_own_seconds_bucket", &[]).over(OWN);
    let is_slow = now.over(SLOW) > 0 || own > 0;
    let state = worse(State::blocking_if(now.over(DEADLINE) > 0), State::degraded_if(is_slow));
    let told = match (now.count, now.over(SLOW), now.over(DEADLINE)) {
        (0, ..) => "No review was answered in the last 5 minutes.".to_owned(),
        (all, 0, _) => format!("Of {} none took longer than 3 s.", count(all, "answer")),
        (all, slow, late) => {
            format!("Of {} {slow} took longer than 3 s, and {late} longer than 10 s.", count(all, "answer"))
        }
    };
    let told = match own {
        0 => told,
        some => {
            format!("{told} {some} took longer than 1 s without the wait for webhooks: look at the journal's disk.")
        }
    };
    Way::of("deadline", "The API server's deadline", state)
        .now(told)
        .hour(format!("Of {} {} took longer than 3 s, and {} longer than 10 s.", count(hour.count, "answer"), hour.over(SLOW), hour.over(DEADLINE)))
        .remedy(Remedy::told(
            "The API server gives up after timeoutSeconds (10 s where nothing is said), and its failure policy decides. What takes \
             so long is a webhook that enforces, or the journal's disk: the table of latencies says which.",
        ))
        .remedy(Remedy::timeout())
}

fn refused(ground: Ground<'_>) -> Way {
    let reasons = |span| {
        let mut grown = ground.vitals.grown_by(span, "rehearsal_refused_total", "reason");
        grown.retain(|(reason, _)| *reason != "overloaded");
        grown
    };
    let (now, hour) = (reasons(NOW), reasons(SPAN));
    let is_serious = now.iter().any(|(reason, _)| CONCERNS.contains(reason));
    let state = if is_serious { State::Blocking } else { State::degraded_if(!now.is_empty()) };
    let sum = |grown: &[(&str, u64)]| grown.iter().map(|(_, number)| number).sum::<u64>();
    let told = |grown: &[(&str, u64)]| match sum(grown) {
        0 => "No request was refused as one that cannot be read.".to_owned(),
        some => format!("{} refused: {}.", were(some, "request"), listed(grown)),
    };
    let way = Way::of("refused", "Requests that get no answer", state);
    way.now(told(&now)).hour(told(&hour)).remedy(Remedy::told(
        "To an API server each is a failed call. panicked is a fault of ours, which the log has with its place; too_large, \
         slow_body and broken_body are of webhook.limits and webhook.timeouts; other reasons are seldom an API server.",
    ))
}

/// `1 review was`, `3 reviews were`.
pub(super) fn were(number: u64, one: &str) -> String {
    format!("{} {}", count(number, one), if number == 1 { "was" } else { "were" })
}

fn plural(gauge: f64, one: &str) -> String {
    let plural = if gauge.round() == 1.0 { "" } else { "s" };
    format!("{} {one}{plural}", number(gauge))
}

pub(super) fn listed(grown: &[(&str, u64)]) -> String {
    grown.iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
}
