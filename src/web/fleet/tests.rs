use super::*;
use crate::policy::readiness::evidence::Evidence;
use crate::policy::readiness::state::{Counts, State};
use crate::review::decision::Mode;
use crate::web::completeness::Completeness;
use crate::web::tests;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn the_heaviest_word_is_that_of_all() {
    let of = |ready, unknown, not| Gates { ready, unknown, not }.gate();
    assert_eq!([of(0, 0, 0), of(2, 0, 0)], [None, Some(Gate::Ready)]);
    assert_eq!([of(2, 1, 0), of(2, 1, 1)], [Some(Gate::Unknown), Some(Gate::Not)]);
}

/// That was heard of so long ago (ms), and has stored all that it had decided by then.
fn replica(id: u128, ago: i64) -> Replica {
    let heard_at = Timestamp(NOW.0 - ago);
    let clusters = vec!["prod".to_owned()];
    let standing =
        crate::store::read::Standing { replica: Uuid::from_u128(id), clusters, heard_at, stored_until: Some(heard_at) };
    let (version, revision) = ("0.1.0".to_owned(), "r1".to_owned());
    Replica { standing, started_at: Timestamp(0), has_stopped: false, version, revision, said: None }
}

#[test]
fn one_dead_replica_beside_two_healthy_ones_leaves_a_cluster_served() {
    let silent = |ago: [i64; 3]| {
        let replicas: Vec<Replica> = (1..).zip(ago).map(|(id, ago)| replica(id, ago)).collect();
        let all: Vec<_> = replicas.iter().map(|replica| replica.standing.clone()).collect();
        let completeness = Completeness::of(&all[0], all[1..].to_vec(), NOW);
        let live = Live { completeness, ..tests::live() };
        let served = Served::of("prod", &replicas, &live, &Exemptions::default(), NOW);
        (served.silent, served.is_silent())
    };
    assert_eq!(silent([0, 5_000, 300_000]), (1, false));
    assert_eq!(silent([0, 5_000, 10_000]), (0, false));
    assert_eq!(silent([300_000; 3]), (3, true));
    let nobody = Served::of("prod", &[], &tests::live(), &Exemptions::default(), NOW);
    assert!(nobody.is_silent());
}

/// Of one rule: the place and the state of each namespace.
fn rule(name: &str, states: &[(usize, State)]) -> (Asked, Tally) {
    let asked = Asked {
        policy: "images".to_owned(),
        rule: name.to_owned(),
        version: String::new(),
        text: None,
        may_be_loosened: false,
        is_staged: false,
    };
    let namespace = |(place, state): &(usize, State)| InNamespace {
        place: *place,
        counts: Counts::default(),
        state: *state,
        violated: None,
        quiet_since: None,
        mode: Mode::Audit,
        most: Mode::Audit,
    };
    (asked, Tally::among(states.iter().map(namespace).collect()))
}

#[test]
fn a_part_of_the_namespaces_that_are_not_ready_has_each_rule_that_makes_it_so() {
    let place = |cluster: &str, namespace: &str| Place {
        cluster: cluster.to_owned(),
        namespace: namespace.to_owned(),
        recorded: None,
    };
    let places =
        vec![place("prod", "c"), place("lab", "a"), place("prod", "a"), place("prod", "b"), place("prod", "d")];
    let (not, ready, new) = (State::NotReady(1), State::Ready { recorded: true }, State::New { since: None });
    let rules = vec![
        rule("first", &[(0, not), (1, not), (2, ready), (3, not), (4, ready)]),
        rule("second", &[(0, new), (1, ready), (2, not), (3, not), (4, new)]),
    ];
    let evidence = Evidence { places, known: Vec::new(), rules: Vec::new(), since: None };
    let overall = Overall { evidence, rules };
    let gates = gates(&overall);
    let fleet = Fleet { overall, clusters: Vec::new(), replicas: None, gaps: Vec::new(), gates };
    let told = |gate, part| {
        let (all, standings) = fleet.standings("prod", gate, part);
        let rules = |one: &Standing<'_>| one.rules.iter().map(|(asked, _)| asked.rule.clone()).collect::<Vec<_>>();
        let told = standings.iter().map(|one| (one.place.namespace.clone(), rules(one))).collect::<Vec<_>>();
        (all, told)
    };
    let row = |namespace: &str, rules: &[&str]| {
        (namespace.to_owned(), rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>())
    };
    let [a, b, c] = [row("a", &["second"]), row("b", &["first", "second"]), row("c", &["first"])];
    assert_eq!(told(Gate::Not, (0, 2)), (3, vec![a, b]));
    assert_eq!(told(Gate::Not, (2, 2)), (3, vec![c]));
    assert_eq!(told(Gate::Unknown, (0, 2)), (1, vec![row("d", &["second"])]));
    let prod = fleet.of_rule(&fleet.overall.rules[0].1)["prod"];
    assert_eq!(prod, Gates { ready: 2, not: 2, unknown: 0 });
}
