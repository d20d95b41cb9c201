use super::history::History;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Answer, Gap, Record, UNDECLARED};
use crate::store::figures::{by_cluster, chart, summary, undeclared};
use crate::store::hits::ranking;
use crate::store::reach::Reach;
use crate::store::read::{DryRuns, Figures, Filter, Hits, Range, Rejections, Scope, Slice, StoredDecision, Which};

on_both![
    summary_and_chart_are_what_the_decisions_add_up_to,
    figures_by_cluster_are_those_of_each,
    an_empty_history_has_empty_figures,
    the_most_hit_come_first,
    unjudged_reviews_are_added_once,
    what_is_of_undeclared_senders_is_asked_for_by_name,
    the_last_word_on_a_gap_counts_and_gaps_stand_where_they_touch
];

const QUARTER: i64 = 15 * 60_000;
const ALL: Slice = Slice { skip: 0, limit: 1_000 };
const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn expected(history: &History, scope: &Scope, since: Timestamp, until: Timestamp) -> Figures {
    let mut figures = Figures::default();
    for StoredDecision { decision, review } in &history.decisions {
        let inside = decision.at >= since
            && decision.at < until
            && scope.cluster.as_ref().is_none_or(|cluster| *cluster == decision.cluster)
            && scope.namespace.as_ref().is_none_or(|of| *of == review.namespace.clone().unwrap_or_default());
        if !inside {
            continue;
        }
        figures.dry_runs += u64::from(decision.dry_run);
        let counts = match scope.dry_run {
            DryRuns::Include => true,
            DryRuns::Exclude => !decision.dry_run,
            DryRuns::Only => decision.dry_run,
        };
        if counts {
            figures.reviews += 1;
            figures.allowed += u64::from(decision.answer == Answer::Allowed);
            figures.denied += u64::from(decision.answer == Answer::Denied);
            figures.failed += u64::from(decision.answer == Answer::Failed);
            figures.would_reject += u64::from(decision.would_reject);
        }
    }
    figures
}

fn scopes() -> Vec<Scope> {
    let ago = |hours: i64| Some(Timestamp(NOW.0 - hours * 3_600_000));
    let mut all = Vec::new();
    for (since, until) in [(None, None), (ago(30), None), (ago(30), ago(2)), (None, ago(50)), (ago(3_000), ago(2_900))]
    {
        for cluster in [None, Some("prod-eu".to_owned()), Some("nowhere".to_owned())] {
            for namespace in [None, Some("team-1".to_owned())] {
                for dry_run in [DryRuns::Exclude, DryRuns::Include, DryRuns::Only] {
                    let (cluster, namespace) = (cluster.clone(), namespace.clone());
                    all.push(Scope { since, until, cluster, namespace, dry_run, ..Scope::default() });
                }
            }
        }
    }
    all
}

async fn summary_and_chart_are_what_the_decisions_add_up_to(kind: Kind) {
    let history = History::new(21, 700, 100, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    for scope in scopes() {
        let found = summary(&test.store.database, &scope, NOW).await.expect("a summary");
        assert_eq!(found.figures, expected(&history, &scope, found.since, found.until), "{scope:?}");
        let before = &found.before;
        assert_eq!(before.until, found.since, "{scope:?}");
        assert!(before.until.0 - before.since.0 >= found.until.0 - found.since.0, "{scope:?}: {found:?}");
        assert_eq!(before.figures, expected(&history, &scope, before.since, before.until), "{scope:?}");
        assert!(found.since.0 % QUARTER == 0 && found.until.0 % QUARTER == 0, "{found:?}");
        assert!(scope.since.is_none_or(|since| found.since <= since), "{scope:?}");
        assert!(found.until >= scope.until.unwrap_or(NOW), "{scope:?}");
        for most in [5, 60, 400] {
            let bars = chart(&test.store.database, &scope, most, NOW).await.expect("a chart");
            assert!(bars.len() <= most, "{} bars", bars.len());
            assert_eq!(bars.first().map(|bar| bar.from), Some(found.since));
            assert_eq!(bars.last().map(|bar| bar.to), Some(found.until));
            assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from));
            for bar in bars {
                assert_eq!(bar.figures, expected(&history, &scope, bar.from, bar.to), "{scope:?}");
            }
        }
    }
}

async fn figures_by_cluster_are_those_of_each(kind: Kind) {
    let history = History::new(6, 400, 40, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply(&history.records).await.expect("a batch");
    for scope in scopes() {
        let found = by_cluster(&test.store.database, &scope, NOW).await.expect("figures");
        for (cluster, figures) in &found.clusters {
            let of_it = Scope { cluster: Some(cluster.clone()), ..scope.clone() };
            let expected = summary(&test.store.database, &of_it, NOW).await.expect("a summary");
            // What was answered unread is of no namespace.
            let unjudged = if scope.namespace.is_some() { 0 } else { expected.figures.unjudged };
            assert_eq!(*figures, Figures { unjudged, ..expected.figures }, "{cluster} {scope:?}");
        }
        let all = summary(&test.store.database, &scope, NOW).await.expect("a summary");
        let sum: u64 = found.clusters.iter().map(|(_, figures)| figures.reviews).sum();
        assert_eq!(sum, all.figures.reviews, "{scope:?}");
    }
}

async fn an_empty_history_has_empty_figures(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let found = test.store.summary(&Scope::default()).await.expect("a summary");
    assert_eq!(found.figures, Figures::default());
    let found = test.store.hits(Hits::Rules, &Scope::default(), Which::Seen, ALL).await.expect("hits");
    assert_eq!((found.hits.len(), found.all), (0, 0));
    assert_eq!(test.store.first_at().await.expect("a time"), None);
}

async fn the_most_hit_come_first(kind: Kind) {
    let history = History::new(22, 500, 40, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    for scope in scopes() {
        let range = summary(&test.store.database, &scope, NOW).await.expect("a summary");
        for of in [Hits::Rules, Hits::Namespaces, Hits::Places, Hits::Repositories] {
            let asked = async |which, slice| {
                let found = ranking(&test.store.database, of, &scope, (which, slice), NOW).await.expect("hits");
                assert!(found.hits.is_sorted_by_key(|hit| std::cmp::Reverse((hit.would_reject, hit.denied))));
                found
            };
            let found = asked(Which::Hit, ALL).await;
            assert_eq!(found.all, found.hits.len() as u64);
            let second = asked(Which::Hit, Slice { skip: 1, limit: 1 }).await;
            assert_eq!(second.hits.first(), found.hits.get(1));
            assert_eq!(second.all, if found.all > 1 { found.all } else { 0 });
            let mut new = found.hits.clone();
            new.retain(|hit| hit.before == Rejections::default());
            assert_eq!(asked(Which::New, ALL).await.hits, new);
            let mut seen = asked(Which::Seen, ALL).await.hits;
            assert!(seen.len() as u64 >= found.all);
            seen.retain(|hit| hit.would_reject + hit.denied > 0);
            assert_eq!(seen, found.hits, "standing violations alone are no hit");
            if matches!(of, Hits::Namespaces | Hits::Places) {
                for hit in found.hits {
                    let cluster = hit.cluster.clone().or(scope.cluster.clone());
                    let scope = Scope { namespace: Some(hit.name.clone()), cluster, ..scope.clone() };
                    let expected = |since, until| expected(&history, &scope, since, until);
                    let now = expected(range.since, range.until);
                    assert_eq!(
                        (hit.reviews, hit.would_reject, hit.denied),
                        (now.reviews, now.would_reject, now.denied),
                        "{hit:?}"
                    );
                    let past = expected(range.before.since, range.before.until);
                    assert_eq!(
                        (hit.before.would_reject, hit.before.denied),
                        (past.would_reject, past.denied),
                        "{hit:?}"
                    );
                }
            }
        }
    }
    let all = Scope { dry_run: DryRuns::Include, ..Scope::default() };
    let rules = test.store.hits(Hits::Rules, &all, Which::Hit, ALL).await.expect("hits").hits;
    let rules: Vec<String> = rules.into_iter().map(|hit| hit.name).collect();
    assert!(
        rules.contains(&"images/no-latest".to_owned()) && rules.contains(&"bouncer/bouncer".to_owned()),
        "{rules:?}"
    );
    let policies = test.store.policies_and_rules().await.expect("names");
    let names: Vec<(&str, usize)> = policies.iter().map(|one| (one.policy.as_str(), one.rules.len())).collect();
    assert_eq!(names, [("bouncer", 1), ("images", 3), ("labels", 1)]);
    assert_eq!(test.store.clusters(&Reach::Everything).await.expect("names"), ["lab", "prod-eu", "prod-us"]);
    assert_eq!(
        test.store.namespaces(Some("lab"), &Reach::Everything).await.expect("names"),
        ["team-0", "team-1", "team-2", "team-3"]
    );
}

async fn unjudged_reviews_are_added_once(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let unjudged = |id: DecisionId, cluster: &str, count| Record::Unjudged {
        id,
        cluster: cluster.to_owned(),
        bucket: Timestamp(NOW.0 - NOW.0 % QUARTER),
        count,
    };
    let ids = [0, 1, 2].map(|n| DecisionId::at(Timestamp(NOW.0 + n)));
    let records = [unjudged(ids[0], "a", 5), unjudged(ids[1], "a", 7), unjudged(ids[2], "b", 11)];
    test.store.apply_at(&records[..2], NOW).await.expect("a batch");
    test.store.apply_at(&records, NOW).await.expect("a batch");
    for (cluster, count) in [(None, 23), (Some("a"), 12), (Some("b"), 11)] {
        let scope = Scope { cluster: cluster.map(str::to_owned), ..Scope::default() };
        let found = summary(&test.store.database, &scope, NOW).await.expect("a summary");
        assert_eq!((found.figures.unjudged, found.figures.reviews), (count, 0));
    }
}

async fn the_last_word_on_a_gap_counts_and_gaps_stand_where_they_touch(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let gap = |n: i64, cluster: Option<&str>, from, to: Option<i64>| Gap {
        id: DecisionId(uuid::Uuid::from_u128(n as u128)),
        cluster: cluster.map(str::to_owned),
        from: Timestamp(from),
        to: to.map(Timestamp),
        count: to.map(|_| 3),
        reason: "the disk was full".to_owned(),
    };
    let open = gap(1, None, 1_000, None);
    let closed = gap(1, None, 1_000, Some(2_000));
    let of_lab = gap(2, Some("lab"), 5_000, None);
    test.store.apply_at(&[Record::Gap(open), Record::Gap(of_lab.clone())], NOW).await.expect("a batch");
    test.store.apply_at(&[Record::Gap(closed.clone())], NOW).await.expect("a batch");
    let found = async |since: i64, until: i64, cluster: Option<&str>| {
        let range = Range { since: Some(Timestamp(since)), until: Some(Timestamp(until)) };
        test.store.gaps(range, cluster, &Reach::Everything).await.expect("gaps")
    };
    assert_eq!(found(0, 9_000, None).await, [closed.clone(), of_lab.clone()]);
    assert_eq!(found(0, 9_000, Some("prod")).await, std::slice::from_ref(&closed));
    assert_eq!(found(0, 1_000, None).await, []);
    assert_eq!(found(1_500, 1_600, Some("lab")).await, [closed]);
    assert_eq!(found(2_500, 9_000, Some("lab")).await, [of_lab]);
}

async fn what_is_of_undeclared_senders_is_asked_for_by_name(kind: Kind) {
    let mut history = History::new(5, 60, 30, NOW);
    for (at, record) in history.records.iter_mut().enumerate() {
        match record {
            Record::Decision(decision) if at % 3 == 0 => decision.cluster = UNDECLARED.to_owned(),
            _ => {}
        }
    }
    let of = |wanted: bool| {
        let decisions = history.records.iter().filter_map(|record| match record {
            Record::Decision(decision) => Some(decision),
            _ => None,
        });
        decisions.filter(|decision| (decision.cluster == UNDECLARED) == wanted).count()
    };
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let store = &test.store;
    let scope = |cluster: Option<&str>| Scope {
        cluster: cluster.map(str::to_owned),
        dry_run: DryRuns::Include,
        until: Some(Timestamp(NOW.0 + 1)),
        ..Scope::default()
    };
    for (cluster, expected) in [(None, of(false)), (Some(UNDECLARED), of(true))] {
        let found = summary(&store.database, &scope(cluster), NOW).await.expect("a summary");
        assert_eq!(found.figures.reviews, expected as u64, "{cluster:?}");
        let filter = Filter { cluster: cluster.map(str::to_owned), ..Filter::default() };
        let page = store.decisions(&filter, 1_000, None).await.expect("a page");
        assert_eq!(page.decisions.len(), expected, "{cluster:?}");
        let namespaces = store.namespaces(cluster, &Reach::Everything).await.expect("namespaces");
        assert!(!namespaces.is_empty());
        let filter = Filter { namespace: Some(namespaces[0].clone()), ..filter };
        let page = store.decisions(&filter, 1_000, None).await.expect("a page");
        assert!(!page.decisions.is_empty());
        assert!(page.decisions.iter().all(|s| (s.decision.cluster == UNDECLARED) == cluster.is_some()), "{cluster:?}");
        assert_eq!(undeclared(&store.database, &scope(cluster), NOW).await.expect("a count"), of(true) as u64);
    }
}
