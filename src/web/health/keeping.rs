//! What is kept: the journal that answers wait for, the history that none waits for, the configuration.

use super::super::filters::count;
use super::super::vitals::{NOW, SPAN};
use super::arrival::{listed, were};
use super::latency::{bytes, number, told, worse};
use super::remedy::Remedy;
use super::{Ground, State, Way};
use crate::recorder::settings::OnFailure;

pub fn ways(ground: Ground<'_>) -> Vec<Way> {
    vec![journal(ground), history(ground), configuration(ground)]
}

/// The part of journal.max_size from which on somebody should look.
const NEARLY: f64 = 0.8;
/// Seconds of a disk that answers wait for.
const SLOW: f64 = 0.1;
/// Records reach the history within a second or so: later than this (s) is worth a look.
const LATE: f64 = 15.0;

fn journal(ground: Ground<'_>) -> Way {
    let bounds = &ground.vitals.bounds;
    let size = ground.vitals.gauge("rehearsal_journal_size_bytes", &[]);
    let has_failed = ground.vitals.gauge("rehearsal_journal_failed", &[]) > 0.5;
    let missed = ground.grew("rehearsal_journal_missed_total", &[]);
    let reasons = ground.vitals.grown_by(SPAN, "rehearsal_journal_missed_total", "reason");
    let disk = |span| ground.vitals.spread(span, "rehearsal_journal_fsync_seconds_bucket", &[]);
    let is_nearly_full = size >= NEARLY * bounds.journal as f64;
    let is_slow = disk(NOW).within(0.99).is_some_and(|seconds| seconds > SLOW);
    let of_failure = match (has_failed || missed.0 > 0, bounds.on_failure) {
        (false, _) => State::degraded_if(is_nearly_full || is_slow),
        (true, OnFailure::Answer) => State::Degraded,
        (true, OnFailure::Refuse) => State::Blocking,
    };
    let written = match (has_failed, missed.0) {
        (true, _) => "It cannot be written".to_owned(),
        (false, 0) => "It is written".to_owned(),
        (false, some) => format!("It is written again, after {} missed", were(some, "decision")),
    };
    let confirmed = |span| told(&disk(span), 0.99).map(|told| format!("99\u{a0}% of writes were confirmed {told}"));
    let then = match bounds.on_failure {
        OnFailure::Answer => "answers go out all the same, and a gap counts them",
        OnFailure::Refuse => "a review is answered 503 while it cannot be (journal.on_failure: refuse)",
    };
    Way::of("journal", "The journal on the disk", of_failure)
        .now(format!(
            "{written}: {} of {}{}; {then}.",
            bytes(size),
            bytes(bounds.journal as f64),
            confirmed(NOW).map(|confirmed| format!(", and {confirmed}")).unwrap_or_default()
        ))
        .hour(match missed.1 {
            0 => {
                let confirmed = confirmed(SPAN).map(|confirmed| format!("; {confirmed}")).unwrap_or_default();
                format!("No decision was missed{confirmed}.")
            }
            some => format!("{} not recorded: {}.", were(some, "decision"), listed(&reasons)),
        })
        .remedy(Remedy::told(
            "Free or enlarge the disk of data_dir: it is written again within a second, and the gap ends. It grows while the \
             history is away, up to journal.max_size.",
        ))
}

fn history(ground: Ground<'_>) -> Way {
    let lag = ground.vitals.gauge("rehearsal_journal_lag_seconds", &[]);
    let backlog = ground.vitals.gauge("rehearsal_journal_backlog_records", &[]);
    let failures = ground.grew("rehearsal_journal_drain_failures_total", &[]);
    let behind = ground.live.completeness.behind.len() as u64;
    let state = worse(
        State::degraded_if(ground.history.is_err()),
        State::degraded_if(lag > LATE || failures.0 > 0 || behind > 0),
    );
    let waits = match backlog.round() {
        0.0 => "no record waits in the journal".to_owned(),
        1.0 => format!("1 record waits in the journal, for {lag:.0} s"),
        _ => format!("{} records wait in the journal, the oldest for {lag:.0} s", number(backlog)),
    };
    let now = match ground.history {
        Ok(()) => format!("It was read for this page; {waits}."),
        Err(why) => format!("It cannot be read: {}; {waits}. No answer waits for it.", why.trim_end_matches('.')),
    };
    Way::of("history", "The history's database", state)
        .now(now)
        .hour(format!(
            "{} not taken at once; at most {:.0} s behind at a full minute; {} behind now.",
            were(failures.1, "write"),
            ground.vitals.most("rehearsal_journal_lag_seconds", &[]),
            count(behind, "replica")
        ))
        .remedy(Remedy::told(
            "It is in nobody's way: reviews are judged and answered, and decisions wait in the journal. Mend the database; what \
             waits is taken to it by itself.",
        ))
}

fn configuration(ground: Ground<'_>) -> Way {
    let has_failed = ground.vitals.gauge("rehearsal_reload_failed", &[]) > 0.5;
    let failures = ground.grew("rehearsal_reloads_total", &[("result", "failed")]);
    let changes = ground.grew("rehearsal_reloads_total", &[("result", "changed")]);
    let revision = &ground.live.revision;
    Way::of("configuration", "The configuration in force", State::degraded_if(has_failed))
        .now(match has_failed {
            false => format!("Revision {revision} is in force: what is configured; policies: {}.", ground.policies().count()),
            true => format!(
                "The last good configuration is in force, revision {revision}: what is configured has mistakes, and a restart \
                 goes on with it, too."
            ),
        })
        .hour(format!("Changed {}; read with mistakes {}.", times(changes.1), times(failures.1)))
        .remedy(Remedy::check(&ground.vitals.bounds))
}

fn times(number: u64) -> String {
    count(number, "time")
}
