//! What is said of a process whose figures are given.

use std::sync::Arc;

use super::*;
use crate::policy::Revision;
use crate::policy::settings::{PolicySettings, StagingSettings, built_in};
use crate::review::clock::{DAY, DecisionId};
use crate::review::decision::Mode;
use crate::web::tests;
use crate::web::vitals::Reading;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// As of a process of which these were the figures a minute ago, and are now.
fn health_over(live: &Live, before: &str, now: &str) -> Health {
    let readings = [(NOW.0 - 60_000, before), (NOW.0, now)];
    let readings = readings.into_iter().map(|(at, text)| Arc::new(Reading::of(Timestamp(at), text))).collect();
    let vitals = Vitals { readings, ..tests::vitals() };
    let zone = Zone::new(jiff::tz::TimeZone::UTC);
    Health::of(Ground { vitals: &vitals, live, history: Ok(()), now: NOW, zone: &zone })
}

fn health(before: &str, now: &str) -> Health {
    health_over(&tests::live(), before, now)
}

fn way<'a>(health: &'a Health, id: &str) -> &'a Way {
    health.ways.iter().find(|way| way.id == id).expect("a way")
}

/// When these end, in days from now: listener, role and days.
fn certificates(ends: &[(&str, &str, i64)]) -> String {
    let line = |(listener, role, days): &(&str, &str, i64)| {
        let end = (NOW.0 + days * DAY) / 1_000;
        let labels = format!("listener=\"{listener}\",role=\"{role}\",name=\"of-{listener}\"");
        format!("rehearsal_certificate_end_timestamp_seconds{{{labels}}} {end}\n")
    };
    ends.iter().map(line).collect()
}

#[test]
fn only_a_server_certificate_of_the_webhook_that_has_ended_is_in_the_way() {
    let of = |ends: &[(&str, &str, i64)]| {
        let health = health("", &certificates(ends));
        let way = way(&health, "listener");
        (way.state, way.now.clone())
    };
    let (state, now) = of(&[("report", "server", -1), ("", "webhook_ca", -2), ("webhook", "server", 90)]);
    assert_eq!(state, State::Fine, "{now}");
    assert!(now.contains("server of-webhook, in 90 days"), "{now}");
    let (state, now) = of(&[("webhook", "client_ca", -1), ("webhook", "server", 90)]);
    assert_eq!(state, State::Degraded, "{now}");
    assert!(now.contains("client_ca of-webhook ended") && !now.contains("no API server"), "{now}");
    let (state, now) = of(&[("webhook", "client_ca", -9), ("webhook", "server", -1)]);
    assert_eq!(state, State::Blocking, "{now}");
    assert!(now.contains("server of-webhook ended") && now.contains("no API server connects"), "{now}");
}

#[test]
fn a_report_that_is_full_is_not_a_webhook_that_is_full() {
    let refused = |listener: &str, number: u32| {
        let labels = format!("listener=\"{listener}\",reason=\"too_many_connections\"");
        format!("rehearsal_connections_refused_total{{{labels}}} {number}\n")
    };
    let of = |listener| {
        let health = health(&refused(listener, 1), &refused(listener, 4));
        way(&health, "memory").state
    };
    assert_eq!([of("report"), of("webhook")], [State::Fine, State::Blocking]);
}

#[test]
fn a_disk_that_answers_wait_for_is_told_with_the_deadline() {
    let own = |slow: u32| {
        format!(
            "rehearsal_review_own_seconds_bucket{{le=\"1.0\"}} 7\nrehearsal_review_own_seconds_bucket{{le=\"+Inf\"}} {}\n",
            7 + slow
        )
    };
    let fast = health(&own(0), &own(0));
    assert_eq!(way(&fast, "deadline").state, State::Fine);
    let slow = health(&own(0), &own(2));
    let deadline = way(&slow, "deadline");
    assert_eq!(deadline.state, State::Degraded);
    assert!(deadline.now.contains("2 took longer than 1 s") && deadline.now.contains("the journal's disk"));
    assert!(deadline.remedies[0].what.contains("a webhook that enforces, or the journal's disk"));
}

#[test]
fn what_was_not_asked_for_has_no_figure_in_a_sentence() {
    let health = health("", "rehearsal_journal_backlog_records 1\nrehearsal_journal_lag_seconds 2\n");
    for way in &health.ways {
        for said in [&way.now, &way.hour] {
            assert!(!said.contains("nothing was asked") && !said.contains("1 records"), "{said}");
        }
    }
    assert_eq!(way(&health, "journal").hour, "No decision was missed.");
    assert!(way(&health, "history").now.contains("1 record waits in the journal, for 2 s"));
}

#[test]
fn when_the_last_review_came_is_told() {
    assert_eq!(way(&health("", ""), "reviews").now, "None has come since this process began.");
    let last = |cluster: &str, ago: i64| {
        let at = NOW.0 / 1_000 - ago;
        format!("rehearsal_last_review_timestamp_seconds{{cluster=\"{cluster}\"}} {at}\n")
    };
    let health = health("", &(last("lab", 7_200) + &last("prod", 3_600)));
    let reviews = way(&health, "reviews");
    assert_eq!(reviews.now, "The last one came at 2027-01-15 07:00, from prod.");
}

fn ceiling(ticket: &str, policy: Option<&str>, namespace: Option<&str>) -> Ceiling {
    Ceiling {
        id: DecisionId::at(NOW),
        most: Mode::Audit,
        policy: policy.map(str::to_owned),
        namespace: namespace.map(str::to_owned),
        include_webhooks: false,
        ticket: ticket.to_owned(),
        reason: None,
        by: "ana@desk".to_owned(),
        from: NOW,
        until: Timestamp(NOW.0 + DAY),
        lifted: None,
    }
}

#[test]
fn the_ceiling_that_is_named_is_the_one_that_holds_what_could_reject() {
    let now_under = |mode: Mode, ceilings: Vec<Ceiling>| {
        let settings = [PolicySettings { mode, ..built_in().remove(0) }];
        let revision = Revision::load(&settings, &StagingSettings::default()).expect("it loads");
        let live = Live { ceilings, loaded: Arc::new(revision), ..tests::live() };
        way(&health_over(&live, "", ""), "enforce").now.clone()
    };
    let elsewhere = || ceiling("INC-1", Some("another"), None);
    let all = now_under(Mode::Enforce, vec![elsewhere(), ceiling("INC-2", None, Some("*"))]);
    assert!(all.starts_with("No local policy can reject: the ceiling INC-2 holds;"), "{all}");
    let none = now_under(Mode::Audit, vec![elsewhere()]);
    assert!(none.starts_with("No local policy can reject: all are in audit or warn;"), "{none}");
    let part = now_under(Mode::Enforce, vec![ceiling("INC-3", None, Some("team-*"))]);
    assert!(part.contains(" can reject;") && !part.contains("INC-3"), "{part}");
}
