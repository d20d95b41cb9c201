use super::history::History;
use super::plans::plan;
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::agreement::{Accord, Agreement};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::comparison::{Comparison, Stance};
use crate::review::decision::{Answer, Decision, ImageRecord, Mode, Record, Verdict, Violation};
use crate::review::workload::Workload;
use crate::store::figures::{comparisons, summary};
use crate::store::hits::ranking;
use crate::store::list::{self, SCANNED};
use crate::store::reach::Reach;
use crate::store::read::{
    AgreedFilter, Blame, Compared, ComparedFilter, Filter, Hits, Pair, Scope, Slice, StoredDecision, Which,
};

on_both![
    every_filter_finds_what_it_says,
    the_list_of_a_figure_has_as_many_rows_as_it_says,
    a_uid_is_found_whenever_it_was,
    a_uid_that_hundreds_share_is_listed_whole,
    pages_show_each_decision_once_also_where_times_are_equal,
    a_page_reads_so_far_and_says_where_it_stopped,
    no_list_reads_the_whole_table,
    reads_go_on_while_a_batch_is_written
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a filter means, said once more.
fn matching(filter: &Filter, history: &History) -> Vec<StoredDecision> {
    let glob = filter.image.as_ref().map(|pattern| {
        let text = format!("^{}$", regex::escape(pattern).replace("\\*", ".*"));
        regex::Regex::new(&text).expect("a pattern")
    });
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|text| Some(text) == found);
    let matches = |StoredDecision { decision, review }: &&StoredDecision| {
        let violated = decision.verdicts.iter().any(|verdict| {
            let mut all = verdict.violations.iter().chain(&verdict.standing);
            is(&filter.policy, Some(&verdict.policy)) && all.any(|one| is(&filter.rule, Some(&one.rule)))
        });
        filter.since.is_none_or(|since| decision.at >= since)
            && filter.until.is_none_or(|until| decision.at < until)
            && is(&filter.cluster, Some(&decision.cluster))
            && is(&filter.namespace, Some(review.namespace.as_deref().unwrap_or_default()))
            && filter.workload.as_ref().is_none_or(|workload| *workload == review.workload)
            && is(&filter.user, decision.user.as_deref())
            && ((filter.policy.is_none() && filter.rule.is_none()) || violated)
            && glob.as_ref().is_none_or(|glob| review.images.iter().any(|image| glob.is_match(&image.text)))
            && filter.repository.as_ref().is_none_or(|name| review.images.iter().any(|image| is_of(image, name)))
            && (filter.blame == Blame::Any || is_to_blame(filter, decision, &review.images))
            && is(&filter.uid, decision.uid.as_deref())
            && filter.answer.is_none_or(|answer| answer == decision.answer)
            && filter.would_reject.is_none_or(|would_reject| would_reject == decision.would_reject)
            && filter.dry_run.is_none_or(|dry_run| dry_run == decision.dry_run)
            && filter.compared.as_ref().is_none_or(|compared| is_compared(compared, decision))
            && filter.agreed.as_ref().is_none_or(|agreed| is_agreed(agreed, decision))
    };
    history.decisions.iter().filter(matches).cloned().collect()
}

fn is_compared(filter: &ComparedFilter, decision: &Decision) -> bool {
    let fits = |wanted: Option<Stance>, said| wanted.is_none_or(|stance| stance == said);
    Comparison::of(decision)
        .any(|one| one.candidate == filter.candidate && fits(filter.live, one.live) && fits(filter.silent, one.silent))
}

fn is_agreed(filter: &AgreedFilter, decision: &Decision) -> bool {
    Agreement::between(&decision.verdicts).iter().any(|one| {
        (one.local, one.webhook) == (filter.pair.local.as_deref(), filter.pair.webhook.as_str())
            && filter.fits(one.local_said, one.webhook_said)
    })
}

fn agreed(local: Option<&str>, said: [Option<Stance>; 2], accord: Option<Accord>) -> Option<AgreedFilter> {
    let pair = Pair { webhook: "bouncer".to_owned(), local: local.map(str::to_owned) };
    Some(AgreedFilter { pair, local_said: said[0], webhook_said: said[1], accord })
}

fn is_of(image: &ImageRecord, name: &str) -> bool {
    image.registry.as_deref().zip(image.repository.as_deref()).is_some_and(|(registry, repository)| {
        name.strip_prefix(registry).and_then(|rest| rest.strip_prefix('/')) == Some(repository)
    })
}

/// The rule and the repository that a filter names are reasons of a denial or a would-be rejection.
fn is_to_blame(filter: &Filter, decision: &Decision, images: &[ImageRecord]) -> bool {
    let acts = |violation: &&Violation| match violation.mode {
        _ if violation.exempted.is_some() => false,
        Mode::Enforce => decision.answer == Answer::Denied,
        Mode::Audit | Mode::Warn => decision.would_reject,
    };
    let denying = || decision.verdicts.iter().filter(|verdict| verdict.verdict == Verdict::Deny);
    let of_rule =
        denying().filter(|verdict| filter.policy.as_ref().is_none_or(|name| *name == verdict.policy)).any(|verdict| {
            let mut acting = verdict.violations.iter().filter(acts);
            acting.any(|violation| filter.rule.as_ref().is_none_or(|name| *name == violation.rule))
        });
    let of_repository = filter.repository.as_ref().is_none_or(|name| {
        let mut acting = denying().flat_map(|verdict| &verdict.violations).filter(acts);
        acting.any(|violation| {
            images.iter().any(|image| violation.image.as_ref() == Some(&image.text) && is_of(image, name))
        })
    });
    (filter.policy.is_none() && filter.rule.is_none() || of_rule) && of_repository
}

fn compared(live: Option<Stance>, silent: Option<Stance>) -> Option<ComparedFilter> {
    Some(ComparedFilter { candidate: "bouncer".to_owned(), live, silent })
}

/// Each filter alone, then pairs and triples of them.
fn filters(history: &History) -> Vec<Filter> {
    let uid = |with: &str| {
        let mut uids = history.decisions.iter().filter_map(|one| one.decision.uid.clone());
        uids.find(|uid| uid.starts_with(with))
    };
    let alone = vec![
        Filter { since: Some(Timestamp(NOW.0 - 7_200_000)), ..Filter::default() },
        Filter { until: Some(Timestamp(NOW.0 - 7_200_000)), ..Filter::default() },
        Filter { cluster: some("lab"), ..Filter::default() },
        Filter { namespace: some("team-1"), ..Filter::default() },
        Filter { namespace: some(""), ..Filter::default() },
        Filter {
            workload: Some(Workload { kind: "Deployment".to_owned(), name: "web-1".to_owned() }),
            ..Filter::default()
        },
        Filter { user: some("system:serviceaccount:kube-system:replicaset-controller"), ..Filter::default() },
        Filter { policy: some("images"), ..Filter::default() },
        Filter { rule: some("pinned"), ..Filter::default() },
        Filter { image: some("nginx"), ..Filter::default() },
        Filter { image: some("*/shop/*"), ..Filter::default() },
        Filter { image: some("[::1]:5000/a?b"), ..Filter::default() },
        Filter { image: some("[:*a?b*"), ..Filter::default() },
        Filter { image: some("quay.io/team/*"), ..Filter::default() },
        Filter { repository: some("docker.io/library/nginx"), ..Filter::default() },
        Filter { repository: some("quay.io/team/job"), blame: Blame::Only, ..Filter::default() },
        Filter { policy: some("images"), blame: Blame::Only, ..Filter::default() },
        Filter { rule: some("no-latest"), blame: Blame::Only, ..Filter::default() },
        Filter { uid: uid("uid-"), ..Filter::default() },
        Filter { uid: uid("01"), ..Filter::default() },
        Filter { answer: Some(Answer::Allowed), ..Filter::default() },
        Filter { answer: Some(Answer::Denied), ..Filter::default() },
        Filter { would_reject: Some(true), ..Filter::default() },
        Filter { would_reject: Some(false), ..Filter::default() },
        Filter { dry_run: Some(true), ..Filter::default() },
        Filter { dry_run: Some(false), ..Filter::default() },
        Filter { compared: compared(None, None), ..Filter::default() },
        Filter { compared: compared(Some(Stance::Allow), Some(Stance::Deny)), ..Filter::default() },
        Filter { agreed: agreed(None, [None; 2], None), ..Filter::default() },
        Filter { agreed: agreed(Some("labels"), [Some(Stance::Allow), None], None), ..Filter::default() },
        Filter { agreed: agreed(None, [Some(Stance::Deny), Some(Stance::Allow)], None), ..Filter::default() },
        Filter { agreed: agreed(Some("images"), [None; 2], Some(Accord::Agreed)), ..Filter::default() },
        Filter { agreed: agreed(None, [None; 2], Some(Accord::Error)), ..Filter::default() },
    ];
    let mut all = vec![
        Filter::default(),
        Filter { policy: some("bouncer"), rule: some("bouncer"), ..Filter::default() },
        Filter { policy: some("bouncer"), rule: some("pinned"), ..Filter::default() },
        Filter { namespace: some("nowhere"), ..Filter::default() },
        Filter { image: some("none*"), ..Filter::default() },
        Filter { agreed: agreed(Some("nobody"), [None; 2], None), ..Filter::default() },
        Filter { agreed: agreed(None, [Some(Stance::Allow); 2], Some(Accord::Error)), ..Filter::default() },
    ];
    for one in &alone {
        for two in &alone {
            all.push(both(one, two));
            all.push(both(&both(one, two), &Filter { would_reject: Some(true), ..Filter::default() }));
        }
    }
    all
}

/// Where both say something, the first counts.
fn both(one: &Filter, two: &Filter) -> Filter {
    let (one, two) = (one.clone(), two.clone());
    Filter {
        reach: Reach::Everything,
        since: one.since.or(two.since),
        until: one.until.or(two.until),
        cluster: one.cluster.or(two.cluster),
        namespace: one.namespace.or(two.namespace),
        workload: one.workload.or(two.workload),
        user: one.user.or(two.user),
        policy: one.policy.or(two.policy),
        rule: one.rule.or(two.rule),
        image: one.image.or(two.image),
        repository: one.repository.or(two.repository),
        blame: if one.blame == Blame::Any { two.blame } else { one.blame },
        uid: one.uid.or(two.uid),
        answer: one.answer.or(two.answer),
        would_reject: one.would_reject.or(two.would_reject),
        dry_run: one.dry_run.or(two.dry_run),
        compared: one.compared.or(two.compared),
        agreed: one.agreed.or(two.agreed),
    }
}

async fn walk(test: &TestStore, filter: &Filter, limit: u16) -> Vec<StoredDecision> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = test.store.decisions(filter, limit, after).await.expect("a page");
        assert!(page.decisions.len() <= usize::from(limit));
        assert_eq!(page.searched_until, None, "so few rows are all read");
        found.extend(page.decisions);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn every_filter_finds_what_it_says(kind: Kind) {
    let history = History::new(11, 500, 6, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let mut found_some = 0;
    for filter in filters(&history) {
        let expected = matching(&filter, &history);
        found_some += usize::from(!expected.is_empty());
        assert_eq!(walk(&test, &filter, 1_000).await, expected, "{filter:?}");
    }
    assert!(found_some > 300, "only {found_some} of the filters found anything");
}

async fn the_list_of_a_figure_has_as_many_rows_as_it_says(kind: Kind) {
    let history = History::new(16, 900, 60, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    for batch in history.records.chunks(70) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
    let scope = Scope { since: Some(Timestamp(NOW.0 - 30 * 3_600_000)), ..Scope::default() };
    let span = summary(&test.store.database, &scope, NOW).await.expect("a summary");
    let whole = Filter {
        since: Some(span.since),
        until: Some(span.until),
        dry_run: Some(false),
        blame: Blame::Only,
        ..Filter::default()
    };
    let mut followed = 0;
    for hits in [Hits::Rules, Hits::Repositories] {
        let all = (Which::Hit, Slice { skip: 0, limit: 100 });
        for hit in ranking(&test.store.database, hits, &scope, all, NOW).await.expect("hits").hits {
            let (policy, rule) = hit.name.split_once('/').expect("a name");
            let of_hit = match hits {
                Hits::Rules => Filter { policy: some(policy), rule: some(rule), ..whole.clone() },
                _ => Filter { repository: some(&hit.name), ..whole.clone() },
            };
            let would = Filter { would_reject: Some(true), ..of_hit.clone() };
            let denied = Filter { answer: Some(Answer::Denied), ..of_hit };
            assert_eq!(walk(&test, &would, 50).await.len() as u64, hit.would_reject, "{hit:?}");
            assert_eq!(walk(&test, &denied, 50).await.len() as u64, hit.denied, "{hit:?}");
            followed += hit.would_reject.min(1) + hit.denied.min(1);
        }
    }
    assert!(followed >= 8, "only {followed} figures");
    let compared = comparisons(&test.store.database, &scope, NOW).await.expect("comparisons").compared;
    for one in &compared {
        let cell = ComparedFilter { candidate: one.candidate.clone(), live: Some(one.live), silent: Some(one.silent) };
        let cluster = Some(one.cluster.clone());
        let of_cell = Filter { compared: Some(cell), cluster, blame: Blame::Any, ..whole.clone() };
        assert_eq!(walk(&test, &of_cell, 50).await.len() as u64, one.reviews, "{one:?}");
    }
    let is_pending = |one: &&Compared| one.silent == Stance::Pending;
    assert!(compared.len() > 20 && compared.iter().find(is_pending).is_none(), "{compared:?}");
}

/// The index over uids of SQLite has a part for each 2^23 ms: its first moment, its last, and times with nothing between.
async fn a_uid_is_found_whenever_it_was(kind: Kind) {
    const PART: i64 = 1 << 23;
    let start = NOW.0 / PART * PART;
    let times = [NOW.0, start, start - 1, start - PART, NOW.0 - 90 * 86_400_000, NOW.0 - 300 * 86_400_000];
    let mut history = History::new(17, times.len(), 1, NOW);
    let template = history.decisions[0].decision.clone();
    history.records.retain(|record| !matches!(record, Record::Decision(_) | Record::Amendment(_)));
    let uid = |number: usize| uuid::Uuid::from_u128((number as u128) << 120).to_string();
    for (number, at) in times.into_iter().map(Timestamp).enumerate() {
        let (id, uid) = (DecisionId::at(at), Some(uid(number)));
        history.records.push(Record::Decision(Box::new(Decision { id, at, uid, ..template.clone() })));
    }
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    for (number, at) in times.into_iter().enumerate() {
        let of_uid = Filter { uid: Some(uid(number)), ..Filter::default() };
        let bounded = |since: i64, until: i64| {
            let (since, until) = (Some(Timestamp(since)), Some(Timestamp(until)));
            Filter { since, until, ..of_uid.clone() }
        };
        let filters = [of_uid.clone(), bounded(at, at + 1), bounded(at - PART, at + PART)];
        for filter in filters {
            let found = walk(&test, &filter, 10).await;
            assert_eq!(found.iter().map(|one| one.decision.at.0).collect::<Vec<_>>(), [at], "{filter:?}");
        }
        for filter in [bounded(at - PART, at), bounded(at + 1, at + PART)] {
            assert_eq!(walk(&test, &filter, 10).await, [], "{filter:?}");
        }
        if kind == Kind::Sqlite {
            for sql in list::statements(&test.store.database, &of_uid).await.expect("statements") {
                let steps = plan(&test.store.database, sql).await;
                assert!(steps.iter().any(|step| step.contains("USING INDEX decisions_uid (<expr>=? AND <expr>=?")));
            }
        }
    }
}

/// Postgres looks up the keys of a uid first, where they are few.
async fn a_uid_that_hundreds_share_is_listed_whole(kind: Kind) {
    let mut history = History::new(18, 450, 1, NOW);
    let shared = uuid::Uuid::from_u128(7 << 100).to_string();
    for record in &mut history.records {
        if let Record::Decision(decision) = record {
            decision.uid = Some(shared.clone());
        }
    }
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let found = walk(&test, &Filter { uid: Some(shared), ..Filter::default() }, 50).await;
    let mut ids: Vec<_> = found.iter().map(|one| (one.decision.at, one.decision.id)).collect();
    assert!(ids.is_sorted_by(|one, next| one > next));
    ids.dedup();
    assert_eq!(ids.len(), 450);
}

async fn pages_show_each_decision_once_also_where_times_are_equal(kind: Kind) {
    let mut history = History::new(12, 300, 1, NOW);
    history.decisions.sort_by_key(|one| std::cmp::Reverse((one.decision.at, one.decision.id)));
    let ties = history.decisions.windows(2).filter(|pair| pair[0].decision.at == pair[1].decision.at).count();
    assert!(ties > 30, "{ties}");
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    for limit in [1, 7, 50, 299, 300, 301] {
        assert_eq!(walk(&test, &Filter::default(), limit).await, history.decisions, "{limit}");
    }
    let filter = Filter { namespace: some("team-2"), dry_run: Some(false), ..Filter::default() };
    let expected = matching(&filter, &history);
    assert_eq!(walk(&test, &filter, 3).await, expected);
}

async fn a_page_reads_so_far_and_says_where_it_stopped(kind: Kind) {
    let history = History::new(13, 400, 24, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    // Newer than all of those, more than a page may read, and no match among them.
    let template = &history.decisions[0].decision;
    let newer = |number: usize| Timestamp(NOW.0 + 1 + number as i64);
    let others: Vec<Record> = (0..SCANNED + 500)
        .map(|number| {
            let (at, answer) = (newer(number), Answer::Failed);
            Record::Decision(Box::new(Decision { id: DecisionId::at(at), at, answer, ..template.clone() }))
        })
        .collect();
    test.store.apply_at(&others, NOW).await.expect("a batch");
    let filter = Filter { answer: Some(Answer::Allowed), ..Filter::default() };
    let first = test.store.decisions(&filter, 50, None).await.expect("a page");
    assert_eq!(first.decisions, []);
    assert_eq!(first.searched_until, Some(newer(500)), "the last of those that it read");
    assert_eq!(first.next.map(|next| next.at), first.searched_until);
    let second = test.store.decisions(&filter, 1_000, first.next).await.expect("a page");
    assert_eq!(second.decisions, matching(&filter, &history));
    assert_eq!((second.next, second.searched_until), (None, None));
}

async fn no_list_reads_the_whole_table(kind: Kind) {
    let history = History::new(14, 300, 6, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    // A plan on Postgres names each day's partition in each of its ranges: some of them are enough.
    let every = if kind == Kind::Postgres { 23 } else { 1 };
    for filter in filters(&history).into_iter().step_by(every) {
        for sql in list::statements(&test.store.database, &filter).await.expect("statements") {
            let text = sql.text.clone();
            for step in plan(&test.store.database, sql).await {
                assert!(!reads_all(&step), "{step}\n{text}\n{filter:?}");
            }
        }
    }
}

fn reads_all(step: &str) -> bool {
    let whole = ["SCAN d", "SCAN decisions", "SCAN v", "SCAN o", "SCAN i", "SCAN x"];
    whole.iter().any(|bad| step.ends_with(bad) || step.contains(&format!("{bad} ")))
        || step.contains("Seq Scan on decision")
        || step.contains("Seq Scan on review")
}

async fn reads_go_on_while_a_batch_is_written(kind: Kind) {
    let history = History::new(15, 600, 6, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    let store = test.store.clone();
    let records = history.records.clone();
    let writer = tokio::spawn(async move {
        for batch in records.chunks(40) {
            store.apply_at(batch, NOW).await.expect("a batch");
        }
    });
    let mut reads = 0;
    while !writer.is_finished() || reads < 10 {
        let page = test.store.decisions(&Filter::default(), 1_000, None).await.expect("a page");
        assert!(page.decisions.is_sorted_by_key(|one| std::cmp::Reverse((one.decision.at, one.decision.id))));
        reads += 1;
    }
    writer.await.expect("written");
    assert_eq!(walk(&test, &Filter::default(), 1_000).await, history.decisions);
}
