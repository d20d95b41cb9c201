//! A part of the history: what adds up to it, and nothing else.

use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;
use crate::store::figures::{comparisons, summary};
use crate::store::hits::ranking;
use crate::store::reach::{Reach, Realm, Rights};
use crate::store::read::{DryRuns, Figures, Filter, Hit, Hits, Scope, Slice, StoredDecision, Which};

on_both![figures_and_lists_of_a_part_are_those_of_its_namespaces, a_part_without_namespaces_is_empty];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn rights(realms: &[(&str, &[&str])]) -> Rights {
    let realm = |(cluster, namespaces): &(&str, &[&str])| {
        let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Realm::new(&[(*cluster).to_owned()], &namespaces)
    };
    Rights::Only(realms.iter().map(realm).collect())
}

fn is_in(stored: &StoredDecision) -> bool {
    let namespace = stored.review.namespace.as_deref().unwrap_or_default();
    match stored.decision.cluster.as_str() {
        "prod-eu" => ["team-1", "team-2"].contains(&namespace),
        "lab" => namespace == "team-3",
        _ => false,
    }
}

async fn figures_and_lists_of_a_part_are_those_of_its_namespaces(kind: Kind) {
    let history = History::new(71, 600, 60, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let part = rights(&[("prod-*", &["nothing"]), ("prod-eu", &["team-[1]", "team-1", "team-2"]), ("lab", &["*-3"])]);
    let reach = test.store.reach(&part).await.expect("a part");
    let own: Vec<&StoredDecision> = history.decisions.iter().filter(|stored| is_in(stored)).collect();
    assert!(own.len() > 20 && own.len() < history.decisions.len() / 2, "{}", own.len());

    let of = Filter::of(reach.clone());
    let listed = test.store.decisions(&of, 1_000, None).await.expect("a page").decisions;
    assert_eq!(listed.iter().collect::<Vec<_>>(), own);
    let rejected = Filter { would_reject: Some(true), ..of.clone() };
    let listed = test.store.decisions(&rejected, 1_000, None).await.expect("a page").decisions.len();
    assert_eq!(listed, own.iter().filter(|stored| stored.decision.would_reject).count());
    for stored in &history.decisions {
        let (id, seen) = (stored.decision.id, is_in(stored));
        assert_eq!(test.store.decision(id, &reach).await.expect("a read").is_some(), seen, "{id:?}");
        let uid = Filter { uid: stored.decision.uid.clone(), ..of.clone() };
        let found = test.store.decisions(&uid, 1_000, None).await.expect("a page").decisions;
        assert!(found.iter().all(is_in) && (!seen || found.contains(stored)));
    }

    let scope = Scope { dry_run: DryRuns::Include, ..Scope::of(reach.clone()) };
    let figures = summary(&test.store.database, &scope, NOW).await.expect("a summary").figures;
    let would_reject = own.iter().filter(|stored| stored.decision.would_reject).count() as u64;
    assert_eq!((figures.reviews, figures.would_reject, figures.unjudged), (own.len() as u64, would_reject, 0));
    let mut added = Figures::default();
    for (cluster, namespace) in [("prod-eu", "team-1"), ("prod-eu", "team-2"), ("lab", "team-3")] {
        let one = Scope { cluster: Some(cluster.into()), namespace: Some(namespace.into()), ..scope.clone() };
        let of_one = summary(&test.store.database, &one, NOW).await.expect("a summary").figures;
        let everything = Scope { reach: Reach::Everything, ..one };
        let the_same = summary(&test.store.database, &everything, NOW).await.expect("a summary").figures;
        assert_eq!(of_one, Figures { unjudged: 0, ..the_same });
        added.reviews += of_one.reviews;
        added.denied += of_one.denied;
    }
    assert_eq!((added.reviews, added.denied), (figures.reviews, figures.denied));
    let top = async |of, scope: &Scope| {
        let asked = (Which::Hit, Slice { skip: 0, limit: 100 });
        ranking(&test.store.database, of, scope, asked, NOW).await.expect("hits").hits
    };
    let hits = async |of| top(of, &scope).await;
    let names = |hits: &[Hit]| hits.iter().map(|hit| hit.name.clone()).collect::<Vec<_>>();
    let namespaces = names(&hits(Hits::Namespaces).await);
    assert!(!namespaces.is_empty() && namespaces.iter().all(|name| ["team-1", "team-2", "team-3"].contains(&&**name)));
    for table in [Hits::Rules, Hits::Repositories] {
        let everything = Scope { reach: Reach::Everything, ..scope.clone() };
        let all = top(table, &everything).await;
        let own = hits(table).await;
        let of_all = |name: &str| all.iter().find(|hit| hit.name == name).map_or(0, |hit| hit.reviews);
        assert!(!own.is_empty() && own.iter().all(|hit| hit.reviews <= of_all(&hit.name)), "{own:?}");
    }
    what_names_are_found(&test, &scope).await;
    let compared = comparisons(&test.store.database, &scope, NOW).await.expect("comparisons").compared;
    assert!(compared.iter().all(|cell| ["lab", "prod-eu"].contains(&&*cell.cluster)), "{compared:?}");

    assert_eq!(test.store.clusters(&reach).await.expect("names"), ["lab", "prod-eu"]);
    assert_eq!(test.store.namespaces(Some("prod-eu"), &reach).await.expect("names"), ["team-1", "team-2"]);
    assert_eq!(test.store.namespaces(Some("prod-us"), &reach).await.expect("names"), [""; 0]);
    let newest = own.first().map(|stored| stored.decision.at);
    assert_eq!(test.store.last_at(&reach).await.expect("a time"), newest);
    assert_eq!(test.store.undeclared(&scope).await.expect("a count"), 0);
}

/// Names, images and the census of a part are of its namespaces.
async fn what_names_are_found(test: &TestStore, scope: &Scope) {
    let is_own = |cluster: &str, namespace: &str| {
        matches!((cluster, namespace), ("prod-eu", "team-1" | "team-2") | ("lab", "team-3"))
    };
    let found = test.store.names(scope, "*").await.expect("names");
    assert!(!found.namespaces.names.is_empty() && !found.workloads.names.is_empty());
    assert!(found.namespaces.names.iter().all(|(cluster, name)| is_own(cluster, name)), "{found:?}");
    assert!(found.workloads.names.iter().all(|(cluster, name, _)| is_own(cluster, name)), "{found:?}");
    assert!(found.users.names.is_empty() && found.images.names.is_empty() && found.repositories.names.is_empty());
    let images =
        test.store.names(&Scope { reach: Reach::Everything, ..scope.clone() }, "*").await.expect("names").images;
    let slice = Slice { skip: 0, limit: 100 };
    for image in images.names {
        let askers = test.store.askers(&image, scope, slice).await.expect("askers").rows;
        assert!(askers.iter().all(|asker| is_own(&asker.cluster, &asker.namespace)), "{askers:?}");
    }
    let census = test.store.evidence(scope, &[]).await.expect("evidence");
    assert!(!census.places.is_empty() && census.places.iter().all(|place| is_own(&place.cluster, &place.namespace)));
    let other = Scope { cluster: Some("prod-eu".into()), namespace: Some("team-3".into()), ..scope.clone() };
    assert!(test.store.against(&other, slice).await.expect("a read").is_none());
}

async fn a_part_without_namespaces_is_empty(kind: Kind) {
    let history = History::new(72, 60, 10, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let reach = test.store.reach(&rights(&[("nowhere", &["*"])])).await.expect("a part");
    let found = summary(&test.store.database, &Scope::of(reach.clone()), NOW).await.expect("a summary");
    assert_eq!(found.figures, Figures::default());
    assert!(test.store.decisions(&Filter::of(reach.clone()), 9, None).await.expect("a page").decisions.is_empty());
    let names = test.store.names(&Scope::of(reach.clone()), "*").await.expect("names");
    assert!(names.namespaces.names.is_empty() && names.workloads.names.is_empty());
    let slice = Slice { skip: 0, limit: 9 };
    assert_eq!(test.store.askers("nginx", &Scope::of(reach.clone()), slice).await.expect("askers").all, 0);
    assert!(test.store.runners("nginx", &Scope::of(reach.clone()), 9).await.expect("runners").rows.is_empty());
    assert!(test.store.clusters(&reach).await.expect("names").is_empty());
    assert_eq!(test.store.last_at(&reach).await.expect("a time"), None);
}
