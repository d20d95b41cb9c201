use std::collections::HashMap;
use std::sync::Arc;

use super::census::{Census, Faults, Ground};
use super::evidence::{Against, Evidence, Known, Moment, OfRule, Place};
use super::state::{Counts, Gate, State};
use super::{Asked, ReadinessSettings};
use crate::policy::Revision;
use crate::policy::settings::{StagingSettings, built_in};
use crate::review::clock::{DAY, Timestamp};
use crate::review::workload::Workload;

const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn ago(days: i64) -> Option<Timestamp> {
    Some(Timestamp(NOW.0 - days * DAY))
}

fn state(counts: [u64; 3], violated: Option<Timestamp>, since: Option<Timestamp>) -> State {
    let [known, seen, rejected] = counts;
    let counts = Counts { known, seen, rejected, exempted: 0 };
    State::of(counts, false, (violated, since), &ReadinessSettings::DEFAULT, NOW)
}

#[test]
fn the_heaviest_reason_is_the_state() {
    for (counts, violated, since, words, gate) in [
        ([9, 7, 3], ago(1), ago(20), "not ready: 3 workloads", Gate::Not),
        ([9, 7, 1], None, ago(20), "not ready: 1 workload", Gate::Not),
        ([9, 7, 0], ago(3), ago(20), "not quiet: violated 3 days ago", Gate::Not),
        ([9, 7, 0], ago(8), ago(20), "unseen: 2 of 9", Gate::Unknown),
        ([9, 9, 0], None, ago(2), "too new: first judged 2 days ago", Gate::Unknown),
        ([9, 9, 0], None, None, "too new: it has judged nothing", Gate::Unknown),
        ([9, 9, 0], None, ago(7), "ready, of what was seen", Gate::Ready),
        ([9, 9, 0], ago(7), ago(20), "ready, of what was seen", Gate::Ready),
    ] {
        let found = state(counts, violated, since);
        assert_eq!((found.words(NOW).as_str(), found.gate()), (words, gate));
    }
    assert_eq!(State::Ready { recorded: true }.words(NOW), "ready");
}

#[test]
fn a_day_is_told_in_hours_until_there_are_two() {
    let ago = |hours: i64| super::state::ago(Timestamp(NOW.0 - hours * DAY / 24), NOW);
    assert_eq!([0, 1, 47, 48].map(ago), ["within the last hour", "1 hour ago", "47 hours ago", "2 days ago"]);
    assert_eq!(ago(-5), "within the last hour", "a clock that is ahead");
}

/// `not-quiet` is before `not-ready` in the alphabet, and `new` before `unseen`.
#[test]
fn the_heaviest_state_comes_first() {
    let revision = Revision::load(&built_in(), &StagingSettings::default()).expect("it loads");
    let asked = Asked::all(&revision.policies[0], &[]).swap_remove(0);
    let names = ["a-ready", "b-new", "c-unseen", "d-not-quiet", "e-not-ready", "f-new"];
    let place = |name: &&str| Place { cluster: "prod".to_owned(), namespace: (*name).to_owned(), recorded: None };
    let known = |place: usize| Known {
        place,
        workload: Workload { kind: "Deployment".to_owned(), name: "web".to_owned() },
        id: i64::try_from(place).ok(),
        reviewed_at: None,
        running: None,
    };
    let judged = Moment { at: Timestamp(NOW.0 - 1), key: 1 };
    let of_rule = OfRule {
        judged: Arc::new([0, 1, 3, 4, 5].map(|id| (id, judged)).into()),
        against: HashMap::from([(4, Against { open: Some(judged), exempted: None })]),
        last_violation: HashMap::from([(0, Timestamp(NOW.0 - 9 * DAY)), (3, Timestamp(NOW.0 - DAY))]),
        ..OfRule::default()
    };
    let evidence = Evidence {
        places: names.iter().map(place).collect(),
        known: (0..names.len()).map(known).collect(),
        rules: vec![of_rule],
        since: None,
    };
    let (policy, exemptions) = (&revision.policies[0], &revision.exemptions);
    let ground = Ground { policy, exemptions, settings: &ReadinessSettings::DEFAULT, now: NOW };
    let census = Census::take(ground, &asked, &evidence, 0, &Faults::new());
    let order: Vec<&str> = census.namespaces.iter().map(|one| names[one.place]).collect();
    assert_eq!(order, ["e-not-ready", "d-not-quiet", "c-unseen", "b-new", "f-new", "a-ready"]);
    let states: Vec<&str> = census.namespaces.iter().map(|one| one.state.name()).collect();
    assert_eq!(states, ["not-ready", "not-quiet", "unseen", "new", "new", "ready-of-seen"]);
}
