//! Censuses of many rules at once, against the census of each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::config;
use crate::policy::Revision;
use crate::policy::readiness::census::{Census, Faults, Ground};
use crate::policy::readiness::evidence::{
    Against, Evidence, Fault, Known, Moment, OfRule, Place, Running, SaidOfRunning,
};
use crate::policy::readiness::tally::Tallies;
use crate::policy::readiness::{Asked, ReadinessSettings};
use crate::review::clock::{DAY, Timestamp};
use crate::review::workload::Workload;

const NOW: Timestamp = Timestamp(1_790_000_000_123);

/// What is shared between rules makes no difference: by chance, against the census of each.
#[test]
fn a_tally_is_what_the_census_of_the_rule_comes_to() {
    for rollout in [
        "{namespaces: [n1, n2], mode: warn}",
        "{rules: b, namespaces: n1, mode: enforce}, {namespaces: n2, mode: warn}",
    ] {
        compare(rollout);
    }
}

fn compare(rollout: &str) {
    let policies = format!(
        "policies:
- name: images
  mode: audit
  rollout: [{rollout}]
  rules:
  - {{id: a, deny: {{tag: latest}}}}
  - {{id: b, deny: {{tag: old}}}}
  - {{id: c, deny: {{tag: new}}, rollout: [{{namespaces: n3, mode: enforce}}]}}
exemptions:
- {{namespaces: n4, permanent: true, ticket: T}}
- {{namespaces: n5, images: 'docker.io/library/*:1', permanent: true, ticket: T}}"
    );
    let config = config(&policies);
    let revision = Revision::load(&config.policies, &config.staging).expect("it loads");
    let policy = &revision.policies[0];
    let asked = Asked::all(policy, &[]);
    let ground = Ground { policy, exemptions: &revision.exemptions, settings: &ReadinessSettings::DEFAULT, now: NOW };
    let mut rejected = 0;
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let evidence = by_chance(&mut rng, &asked);
        let mut tallies = Tallies::of(&evidence);
        for (at, asked) in asked.iter().enumerate() {
            let mut wanted = Census::wanted(ground, asked, &evidence, at);
            wanted.sort_unstable();
            let mut of_tally = tallies.wanted(ground, asked, at);
            of_tally.sort_unstable();
            assert_eq!(of_tally, wanted, "{seed}: {}", asked.rule);
            let faults: Faults = wanted.iter().map(|key| (*key, vec![fault(&mut rng, &asked.rule)])).collect();
            let census = Census::take(ground, asked, &evidence, at, &faults);
            let tally = tallies.take(ground, asked, at, &faults);
            let mut namespaces = census.namespaces.clone();
            namespaces.sort_by_key(|one| one.place);
            assert_eq!(tally.namespaces().cloned().collect::<Vec<_>>(), namespaces, "{seed}: {}", asked.rule);
            assert_eq!(tally.rejected, census.rejected().collect::<Vec<_>>(), "{seed}: {}", asked.rule);
            assert_eq!(tally.totals, census.totals, "{seed}: {}", asked.rule);
            for (known, standing) in census.standings.iter().enumerate() {
                assert_eq!(tally.has_seen(known), standing.seen, "{seed}: {}", asked.rule);
            }
            rejected += tally.rejected.len();
        }
    }
    assert!(rejected > 300, "{rejected}");
}

fn fault(rng: &mut fastrand::Rng, rule: &str) -> Fault {
    let image = format!("nginx:{}", rng.u8(0..2));
    Fault { rule: rule.to_owned(), image: Some(image), container: None, message: String::new(), help: None }
}

fn by_chance(rng: &mut fastrand::Rng, asked: &[Asked]) -> Evidence {
    let moment = |rng: &mut fastrand::Rng| {
        let key = rng.i64(0..40);
        Moment { at: Timestamp(NOW.0 - (40 - key) * DAY), key }
    };
    let places: Vec<Place> = (0..8)
        .map(|number| Place {
            cluster: "prod".to_owned(),
            namespace: format!("n{number}"),
            recorded: rng.bool().then_some(NOW),
        })
        .collect();
    let mut known = Vec::new();
    for number in 0..rng.usize(0..30) {
        let said = |rng: &mut fastrand::Rng| SaidOfRunning {
            policy: "images".to_owned(),
            version: rng.choice(["now", "before"]).expect("one").to_owned(),
            violations: (0..rng.usize(0..3)).map(|at| fault(rng, &asked[at].rule)).collect(),
        };
        let running = rng.bool().then(|| {
            Arc::new(Running {
                at: moment(rng).at,
                images: Vec::new(),
                said: (0..rng.usize(0..2)).map(|_| said(rng)).collect(),
            })
        });
        known.push(Known {
            place: rng.usize(0..places.len()),
            workload: Workload { kind: "Deployment".to_owned(), name: format!("w{number}") },
            id: rng.bool().then(|| i64::try_from(number).expect("small")),
            reviewed_at: None,
            running,
        });
    }
    let (judged, judging_since) = (Arc::new(some(rng, 30, moment)), Arc::new(some(rng, 8, |rng| moment(rng).at)));
    let against = |rng: &mut fastrand::Rng| Against {
        open: rng.bool().then(|| moment(rng)),
        exempted: rng.bool().then(|| moment(rng)),
    };
    let rules = asked.iter().map(|_| OfRule {
        versions: [String::from("now")].into(),
        judged: Arc::clone(&judged),
        judging_since: Arc::clone(&judging_since),
        against: some(rng, 30, against),
        last_violation: some(rng, 8, |rng| moment(rng).at),
    });
    let rules = rules.collect();
    Evidence { places, known, rules, since: None }
}

/// Of half the keys below `end`.
fn some<K: TryFrom<u8> + Eq + Hash, V>(
    rng: &mut fastrand::Rng,
    end: u8,
    value: impl Fn(&mut fastrand::Rng) -> V,
) -> HashMap<K, V> {
    let mut map = HashMap::new();
    for key in (0..end).filter_map(|key| K::try_from(key).ok()) {
        if rng.bool() {
            map.insert(key, value(rng));
        }
    }
    map
}
