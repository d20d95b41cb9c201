//! A part of the history: what adds up to it, and nothing else.

use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Decision, Record, ReviewHash};
use crate::store::figures::{comparisons, summary};
use crate::store::hits::ranking;
use crate::store::list::SCANNED;
use crate::store::reach::{Reach, Realm, Rights};
use crate::store::read::{
    Causes, DryRuns, Figures, Filter, Hit, Hits, Pair, Referred, Scope, Slice, StoredDecision, Uses, Which,
};
use crate::store::sql::Sql;

on_both![
    figures_and_lists_of_a_part_are_those_of_its_namespaces,
    a_part_without_namespaces_is_empty,
    a_list_of_a_part_tells_no_place_of_another_s_decision,
    a_part_of_more_namespaces_than_a_statement_takes_values_is_read,
    a_list_of_a_part_of_many_namespaces_tells_of_others_no_more_than_a_second,
];

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

/// More than a page may read, newer than all others, and each with its own answer: decisions on one review.
fn failed(template: &StoredDecision) -> Vec<Record> {
    let decision = |number: usize| {
        let at = Timestamp(NOW.0 + 1 + number as i64);
        let answer = Answer::Failed;
        Record::Decision(Box::new(Decision { id: DecisionId::at(at), at, answer, ..template.decision.clone() }))
    };
    (0..SCANNED + 500).map(decision).collect()
}

async fn a_list_of_a_part_tells_no_place_of_another_s_decision(kind: Kind) {
    let history = History::new(73, 400, 24, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let other = history.decisions.iter().find(|stored| !is_in(stored)).expect("one of another namespace");
    test.store.apply_at(&failed(other), NOW).await.expect("a batch");
    let part = rights(&[("prod-eu", &["team-1", "team-2"]), ("lab", &["team-3"])]);
    let reach = test.store.reach(&part).await.expect("a part");
    for answer in [Answer::Failed, Answer::Allowed, Answer::Denied] {
        let filter = Filter { answer: Some(answer), ..Filter::of(reach.clone()) };
        let own = history.decisions.iter().filter(|stored| is_in(stored) && stored.decision.answer == answer);
        let page = test.store.decisions(&filter, 500, None).await.expect("a page");
        assert_eq!(page.decisions.iter().collect::<Vec<_>>(), own.collect::<Vec<_>>(), "{answer:?}");
        assert_eq!((page.next, page.searched_until), (None, None), "{answer:?}");
    }
}

async fn a_list_of_a_part_of_many_namespaces_tells_of_others_no_more_than_a_second(kind: Kind) {
    let history = History::new(74, 400, 24, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let template = history.decisions.iter().find(|stored| !is_in(stored)).expect("one of another namespace");
    // More namespaces than a list merges ranges of.
    let mut own = Vec::new();
    for number in 0..220_u8 {
        let mut review = template.review.clone();
        (review.hash, review.namespace) = (ReviewHash([number; 32]), Some(format!("own-{number}")));
        let at = Timestamp(NOW.0 - 1_000_000 - i64::from(number));
        let decision = Decision { id: DecisionId::at(at), at, review: review.hash, ..template.decision.clone() };
        own.extend([Record::Review(review), Record::Decision(Box::new(decision))]);
    }
    test.store.apply_at(&own, NOW).await.expect("a batch");
    test.store.apply_at(&failed(template), NOW).await.expect("a batch");
    let reach = test.store.reach(&rights(&[("*", &["own-*"])])).await.expect("a part");
    let (mut found, mut after, mut pages) = (0, None, 0);
    loop {
        let page = test.store.decisions(&Filter::of(reach.clone()), 50, after).await.expect("a page");
        if let (Some(until), Some(next)) = (page.searched_until, page.next) {
            assert_eq!((until.0 % 1_000, next.at, next.id.0), (0, until, uuid::Uuid::nil()));
            pages += 1;
        }
        found += page.decisions.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(found == 220 && pages > 0, "{found} decisions, {pages} pages that stopped");
}

/// SQLite takes 32,766.
async fn a_part_of_more_namespaces_than_a_statement_takes_values_is_read(kind: Kind) {
    let history = History::new(75, 200, 6, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let mut tx = test.store.database.begin().await.expect("a transaction");
    let many = "INSERT INTO namespaces (id, cluster, name) \
                WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 33000) \
                SELECT 100000 + n.n, c.id, 'many-' || n.n FROM n, clusters c WHERE c.name = 'lab'";
    tx.execute(Sql::new(many)).await.expect("rows");
    tx.commit().await.expect("committed");
    let store = &test.store;
    let reach = store.reach(&rights(&[("lab", &["many-*", "team-1"])])).await.expect("a part");
    let (scope, slice) = (Scope::of(reach.clone()), Slice { skip: 0, limit: 100 });
    let own = |stored: &&StoredDecision| {
        stored.decision.cluster == "lab" && stored.review.namespace.as_deref() == Some("team-1")
    };
    let own = history.decisions.iter().filter(own).count();
    let listed = store.decisions(&Filter::of(reach.clone()), 1_000, None).await.expect("a page").decisions.len();
    assert!(own > 0 && listed == own, "{listed} of {own}");
    summary(&store.database, &scope, NOW).await.expect("a summary");
    ranking(&store.database, Hits::Rules, &scope, (Which::Hit, slice), NOW).await.expect("hits");
    let nginx = Referred::Of("docker.io/library/nginx".to_owned());
    store.references(&nginx, &scope, slice).await.expect("references");
    store.askers("nginx", &scope, slice).await.expect("askers");
    store.names(&scope, "many-1").await.expect("names");
    assert_eq!(store.evidence(&scope, &[]).await.expect("evidence").places.len(), 33_001);
    assert_eq!(store.coverage(&scope, &[], 9).await.expect("a coverage").places.len(), 33_001);
    store.exempting(&scope, 9, &[]).await.expect("exemptions");
    store.users("5ec125ec125e", &scope, slice).await.expect("users").expect("it let something through");
    let uses = Uses { reach: reach.clone(), ..Uses::default() };
    store.uses(&uses, 9, None).await.expect("uses of tickets");
    let pair = Pair { webhook: "bouncer".to_owned(), local: None };
    store.agreements(&scope).await.expect("agreements");
    store.agreement_over_time(&scope, &pair, 60).await.expect("bars");
    for causes in [Causes::Rules, Causes::Namespaces, Causes::Repositories] {
        store.disagreed(causes, &scope, &pair, 9).await.expect("causes");
    }
}
