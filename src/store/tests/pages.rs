//! What pages read beside lists and figures: what stands against workloads, names, what is new.

use super::batches::nonzero;
use super::history::History;
use super::plans::{forget, taken};
use super::{HISTORY, Kind, REPLICA, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Decision, Record};
use crate::store::Store;
use crate::store::bucket::Width;
use crate::store::reach::Reach;
use crate::store::read::{Blame, Filter, Hits, Referred, Scope, Slice, Which};
use crate::store::recount::recount;
use crate::store::settings::HistorySettings;
use crate::store::sql::Sql;

on_both![
    what_stands_against_a_workload_leads_to_as_many_decisions,
    names_are_found_by_any_part_of_them,
    what_is_stored_late_is_news,
    no_page_reads_a_whole_table,
    images_past_the_limit_are_not_counted_by_themselves,
    images_are_not_counted_anew_for_each_batch,
    digests_of_a_tag_are_the_same_in_a_list_and_on_a_page
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);
const ALL: Slice = Slice { skip: 0, limit: 1_000 };

async fn what_stands_against_a_workload_leads_to_as_many_decisions(kind: Kind) {
    let history = History::new(31, 600, 60, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    for batch in history.records.chunks(90) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
    let store = &test.store;
    let (mut followed, mut with_example) = (0, 0);
    for (cluster, namespace) in [("lab", "team-1"), ("prod-eu", "team-0"), ("prod-us", ""), ("lab", "")] {
        let scope = Scope {
            since: Some(Timestamp(NOW.0 - 30 * 3_600_000)),
            until: Some(NOW),
            cluster: Some(cluster.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..Scope::default()
        };
        let found = store.against(&scope, ALL).await.expect("a read").expect("there is such a namespace");
        assert!(found.rows.is_sorted_by_key(|row| std::cmp::Reverse(row.would_reject + row.denied)));
        assert_eq!(found.all, found.rows.len() as u64);
        for row in &found.rows {
            let of_row = Filter {
                since: Some(found.since),
                until: Some(found.until),
                cluster: scope.cluster.clone(),
                namespace: scope.namespace.clone(),
                workload: Some(row.workload.clone()),
                policy: Some(row.policy.clone()),
                rule: Some(row.rule.clone()),
                dry_run: Some(false),
                ..Filter::default()
            };
            let blamed = Filter { blame: Blame::Only, ..of_row.clone() };
            let count = async |filter: Filter| {
                store.decisions(&filter, 1_000, None).await.expect("a page").decisions.len() as u64
            };
            assert_eq!(count(Filter { would_reject: Some(true), ..blamed.clone() }).await, row.would_reject, "{row:?}");
            assert_eq!(count(Filter { answer: Some(Answer::Denied), ..blamed }).await, row.denied, "{row:?}");
            followed += row.would_reject.min(1) + row.denied.min(1);
            let all = store.decisions(&Filter { since: None, until: None, ..of_row.clone() }, 1_000, None).await;
            let times: Vec<Timestamp> = all.expect("a page").decisions.iter().map(|one| one.decision.at).collect();
            assert_eq!(Some(&row.first_at), times.last(), "{row:?}");
            let last = store.decisions(&of_row, 1, None).await.expect("a page").decisions.remove(0).decision;
            assert_eq!(row.last_at, last.at, "{row:?}");
            let example = row.example.as_ref().expect("it is kept");
            let decision =
                store.decision(example.decision, &Reach::Everything).await.expect("a read").expect("there").decision;
            assert_eq!(decision.at, row.last_at);
            let mut verdicts = decision.verdicts.iter().filter(|verdict| verdict.policy == row.policy);
            let violations = verdicts.next().map(|verdict| verdict.violations.iter().chain(&verdict.standing));
            assert!(violations.into_iter().flatten().any(|one| one.rule == row.rule && one.message == example.message));
            with_example += usize::from(!example.images.is_empty());
        }
        let second = store.against(&scope, Slice { skip: 1, limit: 1 }).await.expect("a read").expect("there");
        assert_eq!(second.rows.first(), found.rows.get(1));
    }
    assert!(followed > 10 && with_example > 5, "{followed} figures, {with_example} images");
    let nowhere = Scope { cluster: Some("lab".to_owned()), namespace: Some("nowhere".to_owned()), ..Scope::default() };
    assert_eq!(store.against(&nowhere, ALL).await.expect("a read"), None);
}

async fn names_are_found_by_any_part_of_them(kind: Kind) {
    let history = History::new(32, 200, 20, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let names = async |text: &str| test.store.names(&Scope::default(), text).await.expect("names");
    let nginx = names("NGINX").await;
    assert_eq!(nginx.repositories.names, ["docker.io/library/nginx"]);
    assert_eq!(nginx.images.names, ["nginx", "nginx:1.29"]);
    assert!(nginx.workloads.names.is_empty() && !nginx.images.is_more);
    let web = names("eb-1").await;
    assert!(web.workloads.is_more && web.workloads.names.len() == 8, "in three clusters of four namespaces: {web:?}");
    assert!(web.workloads.names.iter().all(|(.., workload)| workload.name == "web-1"));
    let scope = Scope { cluster: Some("lab".to_owned()), namespace: Some("team-1".to_owned()), ..Scope::default() };
    let there = test.store.names(&scope, "web-1").await.expect("names").workloads;
    assert_eq!(there.names.len(), 1, "{there:?}");
    assert_eq!(names("replicaset-c").await.users.names.len(), 1);
    assert_eq!(names("o-lates").await.rules.names, [("images".to_owned(), "no-latest".to_owned())]);
    assert_eq!(names("team-").await.namespaces.names.len(), 8);
    for odd in ["%", "_", "\\", "[", "?", "'", "\u{0}"] {
        let found = names(odd).await;
        let all = found.images.names.iter().chain(&found.users.names).chain(&found.repositories.names);
        assert!(all.into_iter().all(|name| name.contains(odd)), "{odd:?}: {found:?}");
    }
}

/// Decisions of the template's review at these times.
fn decided(history: &History, times: &[i64]) -> Vec<Record> {
    let template = &history.decisions[0].decision;
    let decision = |at: &i64| {
        let at = Timestamp(*at);
        Record::Decision(Box::new(Decision { id: DecisionId::at(at), at, ..template.clone() }))
    };
    times.iter().map(decision).collect()
}

async fn what_is_stored_late_is_news(kind: Kind) {
    let mut history = History::new(33, 40, 5, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    history.records.retain(|record| matches!(record, Record::Review(_)));
    let end = test.store.end().await.expect("an end");
    let news = async |filter: &Filter, followed, limit| {
        let news = test.store.news(filter, followed, limit).await.expect("news");
        let times: Vec<i64> = news.decisions.iter().map(|one| one.decision.at.0).collect();
        (times, news.is_more, news.followed)
    };
    let any = Filter::default();
    assert_eq!(news(&any, end.clone(), 10).await, (vec![], false, end.clone()));
    // One of yesterday, stored now, and one of now; then the same of another replica that was away.
    let (late, soon) = (NOW.0 - 86_400_000, NOW.0 + 5);
    test.store.apply_at(&decided(&history, &[soon, late]), NOW).await.expect("a batch");
    let (times, is_more, followed) = news(&any, end.clone(), 10).await;
    assert_eq!((times, is_more), (vec![late, soon], false));
    assert_eq!(news(&any, followed.clone(), 10).await.0, Vec::<i64>::new(), "once");
    if kind == Kind::Postgres {
        let other =
            Store::open(&test.settings, &HISTORY, uuid::Uuid::from_u128(REPLICA.as_u128() + 1)).await.expect("a store");
        other.apply_at(&decided(&history, &[late - 7]), NOW).await.expect("a batch");
        assert_eq!(news(&any, followed.clone(), 10).await.0, [late - 7]);
        // A batch of the first replica has a greater number by now: neither hides the other.
        test.store.apply_at(&decided(&history, &[late - 9]), NOW).await.expect("a batch");
        let (times, _, both) = news(&any, followed, 10).await;
        assert_eq!((times, both.0.len()), (vec![late - 9, late - 7], 2));
    }
    let since = Filter { since: Some(NOW), ..Filter::default() };
    assert_eq!(news(&since, end.clone(), 10).await.0, [soon]);
    let nobody = Filter { user: Some("nobody".to_owned()), ..Filter::default() };
    let (times, _, followed) = news(&nobody, end.clone(), 10).await;
    assert!(times.is_empty() && followed != end, "what fits nothing is passed all the same");
    let (times, is_more, _) = news(&any, end, 1).await;
    assert!(times.len() == 1 && is_more, "{times:?}");
}

async fn no_page_reads_a_whole_table(kind: Kind) {
    let history = History::new(34, 300, 6, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let store = &test.store;
    let namespace = Some("team-1".to_owned());
    for scope in [
        Scope { since: Some(Timestamp(NOW.0 - 7_200_000)), until: Some(NOW), ..Scope::default() },
        Scope { cluster: Some("lab".to_owned()), namespace: namespace.clone(), ..Scope::default() },
    ] {
        taken(store, "before").await;
        for of in [Hits::Rules, Hits::Namespaces, Hits::Places, Hits::Repositories] {
            store.hits(of, &scope, Which::New, ALL).await.expect("hits");
            assert!(taken(store, "hits").await <= 4, "{of:?}");
        }
        store.summary(&scope).await.expect("a summary");
        assert!(taken(store, "a summary").await <= 12);
        store.chart(&scope, 60).await.expect("a chart");
        assert!(taken(store, "a chart").await <= 5);
    }
    let scope = Scope { cluster: Some("lab".to_owned()), namespace, ..Scope::default() };
    store.against(&scope, ALL).await.expect("a read");
    assert_eq!(taken(store, "against").await, 3);
    let end = store.end().await.expect("an end");
    let news =
        store.news(&Filter { rule: Some("no-latest".to_owned()), ..Filter::default() }, Default::default(), 10).await;
    assert!(!news.expect("news").decisions.is_empty() && end.0.len() == 1);
    assert!(taken(store, "news").await <= 6);
    for filter in [
        Filter {
            user: Some("system:serviceaccount:kube-system:replicaset-controller".to_owned()),
            namespace: scope.namespace.clone(),
            ..Filter::default()
        },
        Filter { workload: Some(history.decisions[0].review.workload.clone()), ..Filter::default() },
    ] {
        store.decisions(&filter, 50, None).await.expect("a page");
        assert!(taken(store, "a list").await > 2);
    }
}

async fn images_past_the_limit_are_not_counted_by_themselves(kind: Kind) {
    let history = History::new(35, 300, 30, NOW);
    let few = HistorySettings { max_names: 3, ..HISTORY };
    let test = TestStore::new(kind, &few).await;
    for batch in history.records.chunks(40) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
    assert_eq!(test.count("images WHERE counted").await, "3");
    assert_eq!(test.count("images WHERE NOT counted").await, "5");
    assert_eq!(test.count("images m WHERE NOT counted AND id IN (SELECT image FROM image_workloads)").await, "0");
    let figures = nonzero(test.figures().await);
    assert!(figures.iter().any(|line| line.starts_with("image_workloads")));
    recount(&test.store.database, 1, |_| Width::Quarter).await.expect("a recount");
    assert_eq!(
        nonzero(test.figures().await),
        figures,
        "also with another limit by now, since it is a stored assignment"
    );
    let all = Scope { since: Some(Timestamp(0)), until: Some(NOW), ..Scope::default() };
    forget();
    for of in ["docker.io/library/nginx", "quay.io/team/job", "docker.io/library/busybox"] {
        let found = test.store.references(&Referred::Of(of.to_owned()), &all, ALL).await.expect("references");
        for row in found.rows {
            let filter = Filter { image: Some(row.text.clone()), dry_run: Some(false), ..Filter::default() };
            let rows = test.store.decisions(&filter, 1_000, None).await.expect("a page").decisions;
            assert_eq!(rows.len() as u64, row.reviews, "{row:?}");
            assert_eq!(
                (rows.last().map(|one| one.decision.at), rows.first().map(|one| one.decision.at)),
                (Some(row.first_at), Some(row.last_at))
            );
            let workloads: std::collections::BTreeSet<_> =
                rows.iter().map(|one| (&one.decision.cluster, &one.review.namespace, &one.review.workload)).collect();
            assert_eq!(workloads.len() as u64, row.workloads);
            let askers = test.store.askers(&row.text, &all, ALL).await.expect("askers");
            assert_eq!(
                (askers.all, askers.rows.iter().map(|asker| asker.reviews).sum::<u64>()),
                (row.workloads, row.reviews)
            );
        }
    }
    taken(&test.store, "references").await;
}

async fn images_are_not_counted_anew_for_each_batch(kind: Kind) {
    let test = TestStore::new(kind, &HistorySettings { max_names: 12, ..HISTORY }).await;
    test.store.apply_at(&History::new(36, 300, 30, NOW).records, NOW).await.expect("a batch");
    assert_eq!(test.count("images WHERE counted").await, "8");
    assert!(!test.store.any_uncounted_images().await.expect("a read"));
    // As other replicas add some: they are noticed once a thousand are added here.
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(Sql::new("INSERT INTO images (text) VALUES ('a'), ('b'), ('c'), ('d'), ('e')")).await.expect("rows");
    tx.commit().await.expect("committed");
    let mut history = History::new(38, 300, 30, NOW);
    for record in &mut history.records {
        if let Record::Review(review) = record {
            review.images.iter_mut().for_each(|image| image.text.push_str("-2"));
        }
    }
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    assert_eq!(test.count("images WHERE counted").await, "17", "8, 5, and the 4 that there was room for");
    assert!(test.store.any_uncounted_images().await.expect("a read"));
}

async fn digests_of_a_tag_are_the_same_in_a_list_and_on_a_page(kind: Kind) {
    let mut history = History::new(37, 400, 6, NOW);
    let digest = |of: char| format!("sha256:{}", of.to_string().repeat(64));
    // Everywhere in the place of another image.
    let plain = "busybox:1";
    let pinned = |of| format!("docker.io/library/busybox:1@{}", digest(of));
    for record in &mut history.records {
        let Record::Review(review) = record else { continue };
        for image in review.images.iter_mut().filter(|image| image.text.starts_with("nginx")) {
            image.text = pinned(if image.text == "nginx" { 'a' } else { 'b' });
            image.repository = Some("library/busybox".to_owned());
        }
    }
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let all = Scope { since: Some(Timestamp(0)), until: Some(NOW), ..Scope::default() };
    let of = Referred::Of("docker.io/library/busybox".to_owned());
    let rows = test.store.references(&of, &all, ALL).await.expect("references").rows;
    assert_eq!(test.store.count_references(&of, &all).await.expect("a count"), rows.len() as u64);
    let row = rows.iter().find(|row| row.text == plain).expect("it was asked for");
    let digests = test.store.digests(plain, &all).await.expect("digests");
    assert_eq!(digests, [digest('a'), digest('b')]);
    assert_eq!(row.digests, 2);
    let nowhere = Scope { namespace: Some("nowhere".to_owned()), ..all };
    assert!(test.store.digests(plain, &nowhere).await.expect("digests").is_empty(), "as of its place alone");
}
