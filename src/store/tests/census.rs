//! What a census is taken from: which review of a workload has the last word, and by which text.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::plans::{forget, seen};
use super::{HISTORY, Kind, TestStore, on_both};
use crate::policy::exemptions::Exemptions;
use crate::policy::readiness::census::{Census, Fate, Faults, Ground};
use crate::policy::readiness::evidence::Evidence;
use crate::policy::readiness::state::State;
use crate::policy::readiness::{Asked, ReadinessSettings};
use crate::policy::revision::Revision;
use crate::policy::settings::{PolicySettings, SourceSettings, StagingSettings, built_in};
use crate::policy::text;
use crate::review::clock::{DAY, DecisionId, Timestamp};
use crate::review::decision::{
    Amendment, Answer, Decision, Exempted, Mode, Operation, PolicyVerdict, Protocol, Record, ReviewHash, ReviewRecord,
    Verdict, Violation,
};
use crate::review::workload::Workload;
use crate::store::Store;
use crate::store::inventory::{Account, Contents, Coverage, Found, Inventories, Inventory, Judged, Running};
use crate::store::read::Scope;
use crate::store::sql::Sql;

on_both![
    the_last_review_decides_whoever_stored_it,
    what_judged_nothing_and_what_was_dry_say_nothing,
    a_change_of_another_rule_costs_no_evidence,
    a_late_verdict_counts_at_the_time_of_its_review,
    an_inventory_adds_what_runs_and_says_what_becomes_of_it,
    an_older_history_says_from_when_on_it_knows,
    a_rule_covers_what_a_version_that_had_it_judged_in_the_span,
    a_namespace_is_new_however_long_the_rule_judges_elsewhere,
    all_rules_are_read_with_as_few_statements_as_one,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn policies() -> Vec<PolicySettings> {
    built_in()
}

fn revision(policies: &[PolicySettings]) -> Revision {
    Revision::load(policies, &StagingSettings::default()).expect("it loads")
}

fn ago(days: i64) -> Timestamp {
    Timestamp(NOW.0 - days * DAY)
}

/// A review of a workload in `shop`, and what the policy `images` says of it.
fn reviewed(at: Timestamp, workload: &str, version: &str, verdict: PolicyVerdict) -> Vec<Record> {
    let mut review = ReviewRecord {
        hash: ReviewHash([0; 32]),
        protocol: Protocol::AdmissionReview,
        api_version: "v1".to_owned(),
        operation: Operation::Create,
        subresource: None,
        group: Some(String::new()),
        kind: Some("Pod".to_owned()),
        namespace: Some("shop".to_owned()),
        workload: Workload { kind: "Deployment".to_owned(), name: workload.to_owned() },
        images: Vec::new(),
        annotations: BTreeMap::new(),
    };
    review.hash = ReviewHash(Sha256::digest(workload).into());
    let decision = Decision {
        id: DecisionId::at(at),
        at,
        cluster: "prod".to_owned(),
        review: review.hash,
        name: None,
        user: None,
        uid: None,
        caller: None,
        dry_run: false,
        answer: Answer::Allowed,
        code: 200,
        message: None,
        would_reject: false,
        verdicts: vec![PolicyVerdict { version: Some(version.to_owned()), ..verdict }],
        candidates: Vec::new(),
        redacted: false,
        revision: "r".to_owned(),
        duration_us: 1,
        notes: Vec::new(),
    };
    vec![Record::Review(review), Record::Decision(Box::new(decision))]
}

fn says(verdict: Verdict, standing: Vec<Violation>) -> PolicyVerdict {
    PolicyVerdict {
        policy: "images".to_owned(),
        version: None,
        mode: Mode::Audit,
        verdict,
        violations: Vec::new(),
        standing,
        omitted: 0,
        held_back: None,
        presented: None,
        error: None,
        duration_us: None,
    }
}

fn violation(exempted: Option<Exempted>) -> Violation {
    Violation {
        rule: "no-latest".to_owned(),
        mode: Mode::Audit,
        image: Some("nginx".to_owned()),
        container: None,
        message: "nginx uses the tag latest".to_owned(),
        help: None,
        exempted,
    }
}

fn fine() -> PolicyVerdict {
    says(Verdict::Allow, Vec::new())
}

fn standing() -> PolicyVerdict {
    says(Verdict::Allow, vec![violation(None)])
}

/// Of the one rule of these policies: each known workload's name, whether it was seen, and what becomes of it.
struct Taken {
    evidence: Evidence,
    census: Census,
}

async fn census(store: &Store, policies: &[PolicySettings]) -> Taken {
    let revision = revision(policies);
    let settings =
        ReadinessSettings { window: Duration::from_secs(30 * 86_400), quiet: Duration::from_secs(7 * 86_400) };
    let policy = &revision.policies[0];
    let asked = Asked::all(policy, &[]).remove(0);
    let scope = Scope { since: Some(ago(30)), ..Scope::default() };
    let evidence = store.evidence(&scope, std::slice::from_ref(&asked)).await.expect("evidence");
    let ground = Ground { policy, exemptions: &Exemptions::default(), settings: &settings, now: NOW };
    let wanted = Census::wanted(ground, &asked, &evidence, 0);
    let faults: Faults = store.faults(&asked.policy, &wanted).await.expect("faults");
    let census = Census::take(ground, &asked, &evidence, 0, &faults);
    Taken { evidence, census }
}

// === impl Taken ===

impl Taken {
    fn standings(&self) -> Vec<(&str, bool, Fate)> {
        let pairs = self.evidence.known.iter().zip(&self.census.standings);
        let mut all: Vec<(&str, bool, Fate)> =
            pairs.map(|(known, standing)| (known.workload.name.as_str(), standing.seen, standing.fate)).collect();
        all.sort_by_key(|(name, ..)| *name);
        all
    }

    fn state(&self) -> State {
        assert_eq!(self.census.namespaces.len(), 1);
        self.census.namespaces[0].state
    }
}

fn version() -> String {
    revision(&policies()).policies[0].version().expect("rules have one").to_owned()
}

async fn the_last_review_decides_whoever_stored_it(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let other = Store::open(&test.settings, &HISTORY, Uuid::from_u128(2)).await.expect("a store");
    let v = version();
    let apply = async |store: &Store, records: Vec<Record>| {
        store.apply_at(&records, NOW).await.expect("a batch");
    };
    // Mended since, as the other replica knows; and broken since.
    apply(&test.store, reviewed(ago(20), "mended", &v, standing())).await;
    apply(&other, reviewed(ago(9), "mended", &v, fine())).await;
    apply(&other, reviewed(ago(20), "broken", &v, fine())).await;
    apply(&test.store, reviewed(ago(9), "broken", &v, standing())).await;
    // What is stored later may be of before.
    apply(&other, reviewed(ago(10), "late", &v, fine())).await;
    apply(&test.store, reviewed(ago(12), "late", &v, standing())).await;
    let by_exemption = Exempted::Exemption { id: None, ticket: None, owner: None, reason: None, until: None };
    let exempted = says(Verdict::Allow, vec![violation(Some(by_exemption))]);
    apply(&test.store, reviewed(ago(10), "ended", &v, exempted)).await;
    let taken = census(&test.store, &policies()).await;
    let expected = [
        ("broken", true, Fate::Rejected),
        // Exempted then, and by nothing now.
        ("ended", true, Fate::Rejected),
        ("late", true, Fate::Clear),
        ("mended", true, Fate::Clear),
    ];
    assert_eq!(taken.standings(), expected, "{kind:?}");
    assert_eq!(taken.state(), State::NotReady(2));
    assert_eq!(taken.census.namespaces[0].violated, Some(ago(9)));

    // Two of one millisecond: the later id counts.
    let mut twice = [reviewed(ago(1), "twice", &v, standing()), reviewed(ago(1), "twice", &v, fine())].concat();
    let mut random = 0;
    for record in &mut twice {
        if let Record::Decision(decision) = record {
            random += 1;
            let bytes = (u128::try_from(ago(1).0).expect("a time") << 80) | (7 << 76) | (1 << 63) | (random << 64);
            decision.id = DecisionId(Uuid::from_u128(bytes));
        }
    }
    apply(&test.store, twice).await;
    let taken = census(&test.store, &policies()).await;
    assert!(taken.standings().contains(&("twice", true, Fate::Clear)), "{:?}", taken.standings());
}

async fn what_judged_nothing_and_what_was_dry_say_nothing(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let v = version();
    let mut records = reviewed(ago(9), "none", &v, says(Verdict::None, Vec::new()));
    records.extend(reviewed(ago(9), "error", &v, says(Verdict::Error, Vec::new())));
    records.extend(reviewed(ago(9), "fine", &v, fine()));
    records.extend(reviewed(ago(40), "long-ago", &v, standing()));
    let mut dry = reviewed(ago(9), "dry", &v, standing());
    if let Record::Decision(decision) = &mut dry[1] {
        decision.dry_run = true;
    }
    records.extend(dry);
    test.store.apply_at(&records, NOW).await.expect("a batch");
    let taken = census(&test.store, &policies()).await;
    let expected = [("error", false, Fate::Clear), ("fine", true, Fate::Clear), ("none", false, Fate::Clear)];
    assert_eq!(taken.standings(), expected);
    assert_eq!(taken.state(), State::Unseen { unseen: 2, known: 3 });

    // Of namespaces that are not asked for nothing is read, and of decisions nothing at all.
    let elsewhere = async |scope: Scope| {
        let asked = Asked::all(&revision(&policies()).policies[0], &[]);
        test.store.evidence(&scope, &asked).await.expect("evidence").known.len()
    };
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("DELETE FROM decisions")).await.expect("deleted");
    tx.commit().await.expect("committed");
    assert_eq!(census(&test.store, &policies()).await.standings(), expected);
    let in_namespace = |namespace: &str| Scope {
        since: Some(ago(30)),
        cluster: Some("prod".to_owned()),
        namespace: Some(namespace.to_owned()),
        ..Scope::default()
    };
    let counts = [elsewhere(in_namespace("shop")).await, elsewhere(in_namespace("nowhere")).await];
    assert_eq!(counts, [3, 0]);
}

async fn a_change_of_another_rule_costs_no_evidence(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let (before, mut after) = (policies(), policies());
    let SourceSettings::Rules(rules) = &mut after[0].source else { panic!("rules") };
    let mut added = rules[0].clone();
    added.id = "added".to_owned();
    rules.push(added);
    rules[0].message = Some("said in other words".to_owned());
    let versions = [&before, &after].map(|policies| revision(policies).policies[0].version().expect("one").to_owned());
    assert_ne!(versions[0], versions[1]);
    for policies in [&before, &after] {
        let text = text::shown(policies, &StagingSettings::default());
        let id = revision(policies).id;
        test.store.keep_revision(&id, &text, &[ago(20)]).await.expect("kept");
        test.store.keep_revision(&id, &text, &[ago(20)]).await.expect("kept again");
    }
    test.store.apply_at(&reviewed(ago(20), "old", &versions[0], standing()), NOW).await.expect("a batch");
    test.store.apply_at(&reviewed(ago(10), "new", &versions[1], fine()), NOW).await.expect("a batch");
    let taken = census(&test.store, &after).await;
    assert_eq!(taken.standings(), [("new", true, Fate::Clear), ("old", true, Fate::Rejected)], "{kind:?}");
    assert_eq!(census(&test.store, &before).await.standings(), taken.standings(), "both ways");

    let mut other = after.clone();
    let SourceSettings::Rules(rules) = &mut other[0].source else { panic!("rules") };
    rules[0].scope.except_namespaces = vec!["lab".to_owned()];
    let taken = census(&test.store, &other).await;
    assert_eq!(taken.standings(), [("new", false, Fate::Clear), ("old", false, Fate::Clear)], "its own text");
}

async fn a_late_verdict_counts_at_the_time_of_its_review(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let v = version();
    let pending = reviewed(ago(9), "web", &v, says(Verdict::Pending, Vec::new()));
    let Record::Decision(decision) = &pending[1] else { panic!("a decision") };
    let (id, at) = (decision.id, decision.at);
    test.store.apply_at(&pending, NOW).await.expect("a batch");
    assert_eq!(census(&test.store, &policies()).await.standings(), [("web", false, Fate::Clear)]);
    let verdict = PolicyVerdict { version: Some(v.clone()), ..standing() };
    let late = [Record::Amendment(Amendment { decision: id, at, candidate: false, verdict })];
    for _ in 0..2 {
        test.store.apply_at(&late, NOW).await.expect("a batch");
    }
    let taken = census(&test.store, &policies()).await;
    assert_eq!(taken.standings(), [("web", true, Fate::Rejected)]);
    assert_eq!(taken.census.namespaces[0].violated, Some(at));
    test.store.apply_at(&reviewed(ago(8), "web", &v, fine()), NOW).await.expect("a batch");
    assert_eq!(census(&test.store, &policies()).await.standings(), [("web", true, Fate::Clear)]);
}

async fn an_inventory_adds_what_runs_and_says_what_becomes_of_it(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let v = version();
    let mut records = reviewed(ago(20), "broken", &v, standing());
    records.extend(reviewed(ago(20), "fine", &v, fine()));
    records.extend(reviewed(ago(1), "newer", &v, fine()));
    test.store.apply_at(&records, NOW).await.expect("a batch");
    let runs = |name: &str, violations: Vec<Violation>| Running {
        namespace: "shop".to_owned(),
        contents: Contents {
            workload: Workload { kind: "Deployment".to_owned(), name: name.to_owned() },
            pods: 1,
            images: Vec::new(),
            more_images: false,
            verdicts: vec![Judged {
                policy: "images".to_owned(),
                verdict: if violations.is_empty() { Verdict::Allow } else { Verdict::Deny },
                violations: violations.into_iter().map(|violation| Found { violation, pods: 1 }).collect(),
                omitted: 0,
                error: None,
                reviewed: false,
            }],
            last_review: None,
        },
    };
    let inventory = |at: Timestamp, version: &str| Inventory {
        cluster: "prod".to_owned(),
        at,
        account: Account {
            policies: vec![("images".to_owned(), version.to_owned())],
            coverage: Coverage { namespaces: 1, ..Coverage::default() },
            ..Account::default()
        },
        workloads: vec![
            // Newer than its review, and the other way round.
            runs("broken", Vec::new()),
            runs("newer", vec![violation(None)]),
            runs("runs", Vec::new()),
            runs("stands", vec![violation(None)]),
        ],
        namespaces: Vec::new(),
    };
    let inventories = Inventories::open(&test.settings).await.expect("inventories");
    inventories.add(&inventory(ago(3), "another")).await.expect("added");
    let taken = census(&test.store, &policies()).await;
    let expected = [
        ("broken", true, Fate::Rejected),
        ("fine", true, Fate::Clear),
        ("newer", true, Fate::Clear),
        ("runs", false, Fate::Clear),
        ("stands", false, Fate::Clear),
    ];
    assert_eq!(taken.standings(), expected, "judged by another text");
    inventories.add(&inventory(ago(2), &v)).await.expect("added");
    let taken = census(&test.store, &policies()).await;
    let expected = [
        ("broken", true, Fate::Clear),
        ("fine", true, Fate::Clear),
        ("newer", true, Fate::Clear),
        ("runs", false, Fate::Clear),
        ("stands", false, Fate::Rejected),
    ];
    assert_eq!(taken.standings(), expected);
    assert_eq!(taken.evidence.places[0].recorded, Some(ago(2)));
    inventories.close().await;
}

async fn an_older_history_says_from_when_on_it_knows(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&reviewed(ago(9), "web", &version(), fine()), NOW).await.expect("a batch");
    // As a history that was brought up to this schema five days ago.
    let mut tx = test.store.database.begin().await.expect("a transaction");
    for text in [
        format!("INSERT INTO horizons (kind, before) VALUES ('evidence', {})", ago(5).0),
        "DELETE FROM workload_judged".to_owned(),
        "DELETE FROM versions".to_owned(),
    ] {
        tx.execute(Sql::new(&text)).await.expect("a statement");
    }
    tx.commit().await.expect("committed");
    let taken = census(&test.again(&HISTORY).await, &policies()).await;
    assert_eq!((taken.standings(), taken.evidence.since), (vec![("web", false, Fate::Clear)], Some(ago(5))));
    // What was decided before, and waited in a journal, is taken for evidence too.
    let fresh = TestStore::new(kind, &HISTORY).await;
    fresh.store.apply_at(&reviewed(ago(9), "web", "v", fine()), NOW).await.expect("a batch");
    assert_eq!(census(&fresh.store, &policies()).await.evidence.since, None, "it holds nothing of before");
}

async fn a_namespace_is_new_however_long_the_rule_judges_elsewhere(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let v = version();
    test.store.apply_at(&reviewed(ago(20), "old", &v, fine()), NOW).await.expect("a batch");
    let mut records = reviewed(ago(2), "young", &v, fine());
    if let Record::Review(review) = &mut records[0] {
        review.namespace = Some("annex".to_owned());
    }
    test.store.apply_at(&records, NOW).await.expect("a batch");
    let taken = census(&test.store, &policies()).await;
    let state = |namespace: &str| {
        let is_it = |place: usize| taken.evidence.places[place].namespace == namespace;
        taken.census.namespaces.iter().find(|one| is_it(one.place)).expect("it is known").state
    };
    assert_eq!(state("annex"), State::New { since: Some(ago(2)) }, "{kind:?}");
    assert_eq!(state("shop"), State::Ready { recorded: false });
}

async fn all_rules_are_read_with_as_few_statements_as_one(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&reviewed(ago(9), "web", &version(), standing()), NOW).await.expect("a batch");
    let mut many = policies();
    let SourceSettings::Rules(rules) = &mut many[0].source else { panic!("rules") };
    let one = rules[0].clone();
    rules.extend((0..9).map(|number| {
        let mut other = one.clone();
        other.id = format!("other-{number}");
        other
    }));
    let scope = Scope { since: Some(ago(30)), ..Scope::default() };
    let mut statements = Vec::new();
    for policies in [&policies(), &many] {
        let asked = Asked::all(&revision(policies).policies[0], &[]);
        forget();
        test.store.evidence(&scope, &asked).await.expect("evidence");
        statements.push((asked.len(), seen().len()));
    }
    assert!(statements[0].0 + 9 == statements[1].0 && statements[1].1 <= statements[0].1, "{statements:?}");
}

async fn a_rule_covers_what_a_version_that_had_it_judged_in_the_span(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let (before, mut after) = (policies(), policies());
    let SourceSettings::Rules(rules) = &mut after[0].source else { panic!("rules") };
    let mut added = rules[0].clone();
    added.id = "added".to_owned();
    rules.push(added);
    rules[0].message = Some("said in other words".to_owned());
    let versions = [&before, &after].map(|policies| revision(policies).policies[0].version().expect("one").to_owned());
    for policies in [&before, &after] {
        let text = text::shown(policies, &StagingSettings::default());
        test.store.keep_revision(&revision(policies).id, &text, &[ago(20)]).await.expect("kept");
    }
    for (days, workload, version) in [
        (40, "gone", &versions[0]),
        (40, "steady", &versions[0]),
        (20, "old", &versions[0]),
        (10, "new", &versions[1]),
        (2, "steady", &versions[0]),
        (1, "later", &versions[1]),
    ] {
        test.store.apply_at(&reviewed(ago(days), workload, version, fine()), NOW).await.expect("a batch");
    }
    // It judged nothing of this one.
    let none = says(Verdict::None, Vec::new());
    test.store.apply_at(&reviewed(ago(9), "none", &versions[1], none), NOW).await.expect("a batch");
    let asked = Asked::all(&revision(&after).policies[0], &[]);
    let scope = |namespace: Option<&str>| Scope {
        since: Some(ago(30)),
        until: Some(ago(5)),
        namespace: namespace.map(str::to_owned),
        ..Scope::default()
    };
    for namespace in [None, Some("shop")] {
        let found = test.store.coverage(&scope(namespace), &asked, 1).await.expect("coverage");
        let known: Vec<&str> = found.known.iter().map(|known| known.workload.name.as_str()).collect();
        assert_eq!(known, ["new", "none", "old", "steady"], "{kind:?} {namespace:?}");
        let told: Vec<(u64, u64, Vec<&str>)> = found
            .rules
            .iter()
            .map(|one| (one.known, one.judged, one.missed.iter().map(|&at| known[at]).collect()))
            .collect();
        // The first rule in any of its texts; the second in the one version that had it.
        assert_eq!(told, [(4, 3, vec!["none"]), (4, 1, vec!["none"])], "{kind:?} {namespace:?}");
    }
    let elsewhere = test.store.coverage(&scope(Some("nowhere")), &asked, 1).await.expect("coverage");
    assert_eq!((elsewhere.known.len(), elsewhere.rules[0].known, elsewhere.rules[0].judged), (0, 0, 0));
}
