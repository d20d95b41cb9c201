use super::ReadinessSettings;
use super::state::{Counts, Gate, State};
use crate::review::clock::{DAY, Timestamp};

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
