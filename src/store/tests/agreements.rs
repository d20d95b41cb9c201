use std::collections::BTreeSet;

use super::batches::{effective, number};
use super::history::History;
use super::plans::{forget, taken};
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::agreement::{Accord, Agreement};
use crate::review::clock::Timestamp;
use crate::review::decision::{Decision, PolicyVerdict, Record, Verdict};
use crate::store::agreements::{agreements, causes, over_time};
use crate::store::key;
use crate::store::reach::{Realm, Rights};
use crate::store::read::{AgreedFilter, Causes, DryRuns, Filter, Pair, Scope};
use crate::store::sql::Sql;

on_both![
    each_cell_is_exactly_its_decisions_and_the_bars_add_up_to_them,
    what_is_behind_a_disagreement_is_exactly_its_decisions,
    a_late_verdict_moves_a_decision_from_one_cell_to_another_once,
    of_a_part_only_its_reviews_agree,
    of_a_history_from_before_nothing_older_is_counted_or_listed,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

async fn stored(kind: Kind, seed: u64) -> (TestStore, History) {
    let history = History::new(seed, 900, 60, NOW);
    let test = TestStore::new(kind, &HISTORY).await;
    for batch in history.records.chunks(70) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }
    (test, history)
}

fn scope() -> Scope {
    Scope { since: Some(Timestamp(NOW.0 - 30 * 3_600_000)), ..Scope::default() }
}

fn pair(local: Option<&str>) -> Pair {
    Pair { webhook: "bouncer".to_owned(), local: local.map(str::to_owned) }
}

fn of_pair(pair: &Pair, accord: Option<Accord>) -> Option<AgreedFilter> {
    Some(AgreedFilter { pair: pair.clone(), local_said: None, webhook_said: None, accord })
}

/// So many decisions are in the list, which is read a page after the other.
async fn listed(test: &TestStore, filter: &Filter) -> u64 {
    let (mut found, mut after) = (0, None);
    loop {
        let page = test.store.decisions(filter, 50, after).await.expect("a page");
        found += page.decisions.len() as u64;
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn each_cell_is_exactly_its_decisions_and_the_bars_add_up_to_them(kind: Kind) {
    let (test, _) = stored(kind, 81).await;
    let found = agreements(&test.store.database, &scope(), NOW).await.expect("agreements");
    let whole =
        Filter { since: Some(found.since), until: Some(found.until), dry_run: Some(false), ..Filter::default() };
    let pairs: BTreeSet<&Pair> = found.paired.iter().map(|one| &one.pair).collect();
    assert_eq!(pairs.into_iter().collect::<Vec<_>>(), [&pair(None), &pair(Some("images")), &pair(Some("labels"))]);
    for one in &found.paired {
        let cell = AgreedFilter {
            pair: one.pair.clone(),
            local_said: Some(one.local_said),
            webhook_said: Some(one.webhook_said),
            accord: None,
        };
        assert_eq!(listed(&test, &Filter { agreed: Some(cell), ..whole.clone() }).await, one.reviews, "{one:?}");
    }
    assert!(found.paired.len() > 40, "{:?}", found.paired);
    for local in [None, Some("images"), Some("labels")] {
        let (pair, accords) = (pair(local), found.accords(&pair(local)));
        let bars = over_time(&test.store.database, &scope(), &pair, 40, NOW).await.expect("bars");
        assert_eq!(
            (bars.first().map(|bar| bar.from), bars.last().map(|bar| bar.to)),
            (Some(found.since), Some(found.until))
        );
        for accord in Accord::ALL {
            let filter = Filter { agreed: of_pair(&pair, Some(accord)), ..whole.clone() };
            let rows = listed(&test, &filter).await;
            assert_eq!((accords.of(accord), rows > 0), (rows, true), "{pair:?} {accord:?}");
            assert_eq!(bars.iter().map(|bar| bar.accords.of(accord)).sum::<u64>(), rows);
            let bar = bars.iter().max_by_key(|bar| bar.accords.of(accord)).expect("a bar");
            let of_bar = Filter { since: Some(bar.from), until: Some(bar.to), ..filter };
            assert_eq!(listed(&test, &of_bar).await, bar.accords.of(accord));
        }
        assert_eq!(listed(&test, &Filter { agreed: of_pair(&pair, None), ..whole.clone() }).await, accords.reviews());
    }
}

async fn what_is_behind_a_disagreement_is_exactly_its_decisions(kind: Kind) {
    let (test, _) = stored(kind, 82).await;
    let (database, pair) = (&test.store.database, pair(None));
    let found = agreements(database, &scope(), NOW).await.expect("agreements");
    let mut followed = 0;
    for kind in [Causes::Rules, Causes::Namespaces, Causes::Repositories] {
        let disagreed = causes(database, kind, &scope(), &pair, 100, NOW).await.expect("causes");
        for (accord, side) in
            [(Accord::OnlyLocal, &disagreed.only_local), (Accord::OnlyWebhook, &disagreed.only_webhook)]
        {
            assert_eq!((side.all, side.more()), (side.causes.len() as u64, 0));
            assert!(side.causes.is_sorted_by(|one, next| one.reviews >= next.reviews), "{side:?}");
            for cause in &side.causes {
                let mut filter = Filter {
                    since: Some(found.since),
                    until: Some(found.until),
                    dry_run: Some(false),
                    agreed: of_pair(&pair, Some(accord)),
                    ..Filter::default()
                };
                match kind {
                    Causes::Rules => {
                        let (policy, rule) = cause.name.split_once('/').expect("a name");
                        (filter.policy, filter.rule) = (Some(policy.to_owned()), Some(rule.to_owned()));
                        assert_eq!(accord == Accord::OnlyWebhook, policy == "bouncer");
                    }
                    Causes::Namespaces => {
                        (filter.cluster, filter.namespace) = (Some(cause.cluster.clone()), Some(cause.name.clone()));
                    }
                    Causes::Repositories => filter.repository = Some(cause.name.clone()),
                }
                assert_eq!(listed(&test, &filter).await, cause.reviews, "{kind:?} {accord:?} {cause:?}");
                followed += 1;
            }
        }
    }
    assert!(followed > 30, "only {followed}");
    let few = causes(database, Causes::Namespaces, &scope(), &pair, 2, NOW).await.expect("causes").only_local;
    assert!(few.causes.len() == 2 && few.more() > 3, "{few:?}");
    forget();
    for kind in [Causes::Rules, Causes::Namespaces, Causes::Repositories] {
        test.store.disagreed(kind, &scope(), &pair, 8).await.expect("causes");
        assert!(taken(&test.store, "what is behind it").await <= 3, "{kind:?}");
    }
    test.store.agreements(&scope()).await.expect("agreements");
    assert!(taken(&test.store, "agreements").await <= 5);
    test.store.agreement_over_time(&scope(), &pair, 60).await.expect("bars");
    assert!(taken(&test.store, "bars").await <= 4);
}

async fn a_late_verdict_moves_a_decision_from_one_cell_to_another_once(kind: Kind) {
    let (history, test) = (History::new(83, 300, 20, NOW), TestStore::new(kind, &HISTORY).await);
    let (late, first): (Vec<Record>, Vec<Record>) =
        history.records.iter().cloned().partition(|record| matches!(record, Record::Amendment(_)));
    test.store.apply_at(&first, NOW).await.expect("a batch");
    let all = Scope { dry_run: DryRuns::Include, ..scope() };
    let pending = async || {
        let filter = Filter { agreed: of_pair(&pair(None), Some(Accord::Error)), ..Filter::default() };
        let found = agreements(&test.store.database, &all, NOW).await.expect("agreements").accords(&pair(None));
        assert_eq!(found.of(Accord::Error), listed(&test, &filter).await);
        (found.of(Accord::Error), found.reviews())
    };
    let before = pending().await;
    test.store.apply_at(&late, NOW).await.expect("a batch");
    let after = pending().await;
    let is_late =
        |id| late.iter().any(|record| matches!(record, Record::Amendment(one) if !one.candidate && one.decision == id));
    let moved =
        history.decisions.iter().map(|stored| &stored.decision).filter(|decision| {
            is_late(decision.id) && Agreement::between(&decision.verdicts)[0].accord() != Accord::Error
        });
    let moved = moved.count() as u64;
    assert!(moved > 30, "{moved}");
    assert_eq!((after.0, after.1), (before.0 - moved, before.1));
    for batch in [&late, &first] {
        test.store.apply_at(batch, NOW).await.expect("a batch");
        assert_eq!(pending().await, after, "what is sent again moves nothing");
    }
}

async fn of_a_part_only_its_reviews_agree(kind: Kind) {
    let (test, history) = stored(kind, 84).await;
    let realm = Realm::new(&["lab".to_owned()], &["team-1".to_owned(), "team-2".to_owned()]);
    let reach = test.store.reach(&Rights::Only(vec![realm])).await.expect("a part");
    let part = Scope { dry_run: DryRuns::Include, ..Scope::of(reach) };
    let own = history.decisions.iter().filter(|stored| {
        stored.decision.cluster == "lab" && matches!(stored.review.namespace.as_deref(), Some("team-1" | "team-2"))
    });
    let found = agreements(&test.store.database, &part, NOW).await.expect("agreements").accords(&pair(None));
    assert_eq!(found.reviews(), own.count() as u64);
    for kind in [Causes::Rules, Causes::Namespaces, Causes::Repositories] {
        let disagreed = causes(&test.store.database, kind, &part, &pair(None), 100, NOW).await.expect("causes");
        let all = [disagreed.only_local, disagreed.only_webhook].into_iter().flat_map(|side| side.causes);
        for cause in all {
            assert!(cause.reviews <= found.reviews(), "{cause:?}");
            let is_own = cause.cluster == "lab" && ["team-1", "team-2"].contains(&&*cause.name);
            assert!(kind != Causes::Namespaces || is_own, "{cause:?}");
        }
    }
}

async fn of_a_history_from_before_nothing_older_is_counted_or_listed(kind: Kind) {
    let (test, _) = stored(kind, 85).await;
    let edge = Timestamp(NOW.0 - 10 * 3_600_000);
    let mut tx = test.store.database.begin().await.expect("a transaction");
    let mut sql = Sql::new("INSERT INTO horizons (kind, before) VALUES ('agreements', ");
    sql.bind(edge.0).push(")");
    tx.execute(sql).await.expect("a row");
    // Nor does such a history have rows of decisions of before.
    let mut older = Sql::new("DELETE FROM decision_agreements WHERE key < ");
    older.bind(key::start(edge));
    tx.execute(older).await.expect("fewer rows");
    tx.commit().await.expect("a commit");
    let found = agreements(&test.store.database, &scope(), NOW).await.expect("agreements");
    assert_eq!(found.counted_since, Some(edge));
    let agreed = Filter { agreed: of_pair(&pair(None), Some(Accord::Nothing)), ..Filter::default() };
    let page = test.store.decisions(&agreed, 1_000, None).await.expect("a page").decisions;
    assert!(!page.is_empty() && page.iter().all(|stored| stored.decision.at >= edge));
}

/// The webhook and the local policy, five times what this says and what that says, and the rules that the one violates that
/// denies alone.
pub fn recount_agreements(decision: &Decision) -> Vec<(String, i64, BTreeSet<String>)> {
    let webhook = decision.verdicts.iter().find(|one| one.policy == "bouncer").expect("it is always asked");
    let local: Vec<&PolicyVerdict> = decision.verdicts.iter().filter(|one| one.policy != "bouncer").collect();
    let order = [Verdict::Deny, Verdict::Pending, Verdict::Error, Verdict::Allow, Verdict::None];
    let together = |some: &[&PolicyVerdict]| {
        let said = |wanted: &Verdict| some.iter().any(|one| effective(one) == *wanted);
        order.into_iter().find(said).expect("one of them")
    };
    let violated = |some: &[&PolicyVerdict]| {
        let of = |one: &PolicyVerdict| {
            let all = one.violations.iter().chain(&one.standing);
            all.map(|by| format!("{}/{}", one.policy, by.rule)).collect::<Vec<_>>()
        };
        some.iter().flat_map(|one| of(one)).collect::<BTreeSet<_>>()
    };
    let cell = |name: &str, some: &[&PolicyVerdict]| {
        let (ours, theirs) = (together(some), effective(webhook));
        let rules = if ours == Verdict::Deny { violated(some) } else { violated(&[webhook]) };
        (format!("bouncer|{name}"), number(ours) * 5 + number(theirs), rules)
    };
    std::iter::once(cell("", &local)).chain(local.iter().map(|one| cell(&one.policy, &[*one]))).collect()
}
