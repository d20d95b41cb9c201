//! Who used which exemption, and what each was.

use std::collections::BTreeMap;

use super::history::History;
use super::plans::taken;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::policy::settings::{ExemptionSettings, StagingSettings};
use crate::policy::text;
use crate::review::clock::Timestamp;
use crate::review::decision::{Answer, Decision, Exempted};
use crate::store::exemption::{Known, LISTED, Used};
use crate::store::reach::{Realm, Rights};
use crate::store::read::{Filter, LetThrough, Scope, Slice, StoredDecision};

on_both![
    every_use_leads_to_as_many_decisions,
    what_an_exemption_is_is_kept_as_it_was_loaded_last,
    one_that_is_held_is_told_however_many_there_are,
    loads_are_told_the_last_first
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);
const ALL: Slice = Slice { skip: 0, limit: 1_000 };

/// Whether something was let through that way, found in the decision alone.
pub(super) fn is_let_through(decision: &Decision, way: &LetThrough) -> bool {
    let violations = decision.verdicts.iter().flat_map(|verdict| &verdict.violations);
    let mut exempted = violations.filter_map(|violation| violation.exempted.as_ref());
    exempted.any(|by| match (by, way) {
        (Exempted::Exemption { id, .. }, LetThrough::Exemption(wanted)) => id.as_ref() == Some(wanted),
        (Exempted::BreakGlass { ticket, .. }, LetThrough::Ticket(wanted)) => {
            decision.answer == Answer::Allowed && (wanted == "*" || ticket == wanted)
        }
        _ => false,
    })
}

async fn counted(test: &TestStore, filter: Filter) -> Vec<StoredDecision> {
    test.store.decisions(&filter, 1_000, None).await.expect("a page").decisions
}

async fn every_use_leads_to_as_many_decisions(kind: Kind) {
    let history = History::new(91, 700, 100, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    for batch in history.records.chunks(90) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
    let store = &test.store;
    let part = Rights::Only(vec![Realm::new(&["lab".to_owned()], &["team-1".to_owned(), "team-2".to_owned()])]);
    let part = store.reach(&part).await.expect("a part");
    let span = Scope { since: Some(Timestamp(NOW.0 - 50 * 3_600_000)), until: Some(NOW), ..Scope::default() };
    for scope in [
        Scope::default(),
        span.clone(),
        Scope { cluster: Some("prod-eu".to_owned()), ..span.clone() },
        Scope { namespace: Some("team-1".to_owned()), ..span.clone() },
        Scope { reach: part, ..span },
    ] {
        taken(store, "before").await;
        let found = store.exempting(&scope, 1_000, &[]).await.expect("a read");
        assert!(taken(store, "exemptions").await <= 3);
        assert_eq!((found.exemptions.len(), found.known_since), (2, None), "{found:?}");
        let own = |decision: &StoredDecision| {
            let namespace = decision.review.namespace.clone().unwrap_or_default();
            scope.reach.covers(&decision.decision.cluster, &namespace)
                && scope.cluster.as_ref().is_none_or(|cluster| *cluster == decision.decision.cluster)
                && scope.namespace.as_ref().is_none_or(|name| *name == namespace)
                && !decision.decision.dry_run
        };
        for Known { id, last_used, used, .. } in &found.exemptions {
            let way = LetThrough::Exemption(id.clone());
            let own = history.decisions.iter().filter(|one| own(one) && is_let_through(&one.decision, &way));
            assert_eq!(*last_used, own.clone().map(|one| one.decision.at).max(), "{id}");
            let of_days = own.filter(|one| (found.since..found.until).contains(&one.decision.at)).count() as u64;
            assert_eq!(used.reviews, of_days, "{id} {scope:?}");
            assert_eq!(used.users.iter().map(|user| user.reviews).sum::<u64>(), used.reviews);
            assert_eq!(used.users.len() as u64, used.workloads);
            assert!(used.users.is_sorted_by_key(|user| std::cmp::Reverse(user.reviews)));
            let list = Filter {
                since: Some(found.since),
                until: Some(found.until),
                cluster: scope.cluster.clone(),
                namespace: scope.namespace.clone(),
                dry_run: Some(false),
                let_through: Some(way),
                ..Filter::of(scope.reach.clone())
            };
            assert_eq!(counted(&test, list.clone()).await.len() as u64, used.reviews, "{id}");
            for user in used.users.iter().take(3) {
                let of_user = Filter {
                    cluster: Some(user.cluster.clone()),
                    namespace: Some(user.namespace.clone()),
                    workload: Some(user.workload.clone()),
                    ..list.clone()
                };
                let listed = counted(&test, of_user).await;
                assert_eq!((listed.len() as u64, listed[0].decision.at), (user.reviews, user.last_at), "{user:?}");
            }
            let second = store.users(id, &scope, Slice { skip: 1, limit: 1 }).await.expect("a read").expect("there");
            assert_eq!(second.users.first(), used.users.get(1), "{id}");
        }
    }
    assert_eq!(store.users("000000000000", &Scope::default(), ALL).await.expect("a read"), None);
}

fn written(exemptions: Vec<ExemptionSettings>) -> String {
    text::whole(&[], &StagingSettings { exemptions, ..StagingSettings::default() })
}

fn of(namespace: &str, until: Option<i64>, reason: &str) -> ExemptionSettings {
    ExemptionSettings {
        namespaces: vec![namespace.to_owned()],
        until: until.map(Timestamp),
        reason: Some(reason.to_owned()),
        ..ExemptionSettings::default()
    }
}

async fn what_an_exemption_is_is_kept_as_it_was_loaded_last(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let (shop, blog) = (of("shop", Some(5), "then"), of("blog", None, "always"));
    let prolonged = ExemptionSettings { until: Some(Timestamp(9)), ..shop.clone() };
    for (id, exemptions, at) in [
        ("bbbb", vec![prolonged.clone(), blog.clone()], 20),
        // What is stored late is of before.
        ("aaaa", vec![shop.clone()], 10),
        // Of two that take in the same, the one that ends last.
        ("cccc", vec![prolonged.clone(), shop.clone()], 30),
    ] {
        test.store.keep_revision(id, &written(exemptions), &[Timestamp(at)]).await.expect("kept");
    }
    let found = test.store.exempting(&Scope::default(), 9, &[]).await.expect("a read").exemptions;
    let known = |settings: &ExemptionSettings, loaded: (i64, i64)| Known {
        id: settings.id(),
        settings: Some(settings.clone()),
        loaded: Some((Timestamp(loaded.0), Timestamp(loaded.1))),
        last_used: None,
        used: Used::default(),
    };
    assert_eq!(found, [known(&prolonged, (10, 30)), known(&blog, (20, 20))], "{kind:?}");
}

/// It was told as never used.
async fn one_that_is_held_is_told_however_many_there_are(kind: Kind) {
    let history = History::new(91, 200, 100, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let found = test.store.exempting(&Scope::default(), 9, &[]).await.expect("a read").exemptions;
    let own = found.into_iter().find(|one| one.used.reviews > 0).expect("one that is used");
    let many = (0..=LISTED).map(|number| of(&format!("team-{number}"), None, "of many")).collect();
    test.store.keep_revision("aaaa", &written(many), &[NOW]).await.expect("kept");
    for (held, told) in [(&[][..], false), (&[own.id.as_str()], true)] {
        let found = test.store.exempting(&Scope::default(), 9, held).await.expect("a read").exemptions;
        assert_eq!(found.len() as i64, LISTED + i64::from(told), "{kind:?}");
        assert_eq!(found.contains(&own), told, "{kind:?}");
    }
}

async fn loads_are_told_the_last_first(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    for (id, loads) in [("aaaa", vec![10, 40]), ("bbbb", vec![20]), ("aaaa", vec![10]), ("cccc", vec![30])] {
        let loads: Vec<Timestamp> = loads.into_iter().map(Timestamp).collect();
        store.keep_revision(id, &written(Vec::new()), &loads).await.expect("kept");
    }
    let told = async |before: Option<i64>| -> Vec<(i64, String)> {
        let loads = store.loads(before.map(Timestamp), 3).await.expect("loads");
        assert!(loads.iter().all(|load| load.replica == Some(super::REPLICA)));
        loads.into_iter().map(|load| (load.at.0, load.revision)).collect()
    };
    let load = |at: i64, id: &str| (at, id.to_owned());
    assert_eq!(told(None).await, [load(40, "aaaa"), load(30, "cccc"), load(20, "bbbb")]);
    assert_eq!(told(Some(20)).await, [load(10, "aaaa")]);
    let mut before = BTreeMap::new();
    for id in ["aaaa", "bbbb", "cccc", "none"] {
        before.insert(id, store.revision_before(id).await.expect("a read"));
    }
    let expected = [None, Some("aaaa"), Some("bbbb"), None].map(|name| name.map(str::to_owned));
    assert_eq!(before.into_values().collect::<Vec<_>>(), expected);
    let texts = store.revision_texts(&["bbbb".to_owned(), "none".to_owned()]).await.expect("texts");
    assert_eq!(texts.iter().map(|one| (one.id.as_str(), one.text.is_some())).collect::<Vec<_>>(), [("bbbb", true)]);
}
