use std::collections::BTreeSet;

use super::batches::{effective, number};
use super::history::History;
use super::plans::{forget, taken};
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::agreement::{Accord, Agreement};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::comparison::Stance;
use crate::review::decision::{Decision, PolicyVerdict, Record, Verdict};
use crate::store::agreement::read::{agreements, causes, over_time};
use crate::store::reach::{Realm, Rights};
use crate::store::read::{AgreedFilter, Causes, DryRuns, Filter, Pair, Paired, Scope};
use crate::store::sql::Sql;

on_both![
    each_cell_is_exactly_its_decisions_and_the_bars_add_up_to_them,
    what_is_behind_a_disagreement_is_exactly_its_decisions,
    a_late_verdict_moves_a_decision_from_one_cell_to_another_once,
    of_a_part_only_its_reviews_agree,
    of_a_history_from_before_nothing_older_is_counted_or_listed,
    an_outcome_that_was_met_first_as_that_of_candidates_leads_to_its_decisions,
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

/// What the version before this one stored is there without its cells when this one drains the late verdicts of it, and
/// decisions that were made before and not stored yet.
async fn of_a_history_from_before_nothing_older_is_counted_or_listed(kind: Kind) {
    let (history, mut test) = (History::new(85, 900, 60, NOW), TestStore::new(kind, &HISTORY).await);
    let edge = Timestamp(NOW.0 - 10 * 3_600_000);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for record in &history.records {
        let is_before = match record {
            Record::Decision(decision) => decision.at < edge && decision.name.is_none(),
            Record::Amendment(_) => false,
            _ => true,
        };
        if is_before { before.push(record.clone()) } else { after.push(record.clone()) }
    }
    test.store.apply_at(&before, NOW).await.expect("a batch");
    let mut tx = test.store.database.begin().await.expect("a transaction");
    for table in ["rollup_agreements", "rollup_disagreements", "decision_agreements", "outcome_agreements"] {
        tx.execute(Sql::new(&format!("DELETE FROM {table}"))).await.expect("no rows");
    }
    let mut sql = Sql::new("INSERT INTO horizons (kind, before) VALUES ('agreements', ");
    sql.bind(edge.0).push(")");
    tx.execute(sql).await.expect("a row");
    tx.commit().await.expect("a commit");
    test.store = test.again(&HISTORY).await;
    for batch in after.chunks(70) {
        test.store.apply_at(batch, NOW).await.expect("a batch");
    }

    let found = agreements(&test.store.database, &scope(), NOW).await.expect("agreements");
    assert_eq!(found.counted_since, Some(edge));
    let whole =
        Filter { since: Some(found.since), until: Some(found.until), dry_run: Some(false), ..Filter::default() };
    for local in [None, Some("images"), Some("labels")] {
        let (pair, accords) = (pair(local), found.accords(&pair(local)));
        let bars = over_time(&test.store.database, &scope(), &pair, 40, NOW).await.expect("bars");
        for accord in Accord::ALL {
            let filter = Filter { agreed: of_pair(&pair, Some(accord)), ..whole.clone() };
            let rows = listed(&test, &filter).await;
            assert_eq!((accords.of(accord), rows > 0), (rows, true), "{pair:?} {accord:?}");
            assert_eq!(bars.iter().map(|bar| bar.accords.of(accord)).sum::<u64>(), rows, "{pair:?} {accord:?}");
            let older = Filter { since: None, until: Some(edge), ..filter };
            assert_eq!(listed(&test, &older).await, 0, "{pair:?} {accord:?}");
        }
        let of_cells = found.paired.iter().filter(|one| one.pair == pair);
        for (local_said, webhook_said) in Stance::ALL.into_iter().flat_map(|one| Stance::ALL.map(|other| (one, other)))
        {
            let cell = AgreedFilter {
                local_said: Some(local_said),
                webhook_said: Some(webhook_said),
                pair: pair.clone(),
                accord: None,
            };
            let is_it = |one: &&Paired| (one.local_said, one.webhook_said) == (local_said, webhook_said);
            let figure = of_cells.clone().find(is_it).map_or(0, |one| one.reviews);
            assert_eq!(listed(&test, &Filter { agreed: Some(cell), ..whole.clone() }).await, figure);
        }
    }
}

async fn an_outcome_that_was_met_first_as_that_of_candidates_leads_to_its_decisions(kind: Kind) {
    let (history, test) = (History::new(86, 300, 2, NOW), TestStore::new(kind, &HISTORY).await);
    let is_common = |decision: &Decision| {
        let allow = decision.verdicts.iter().filter(|one| one.verdict == Verdict::Allow).count();
        (allow, decision.verdicts.len(), decision.dry_run) == (2, 2, false)
    };
    let stored = history.decisions.iter().find(|stored| is_common(&stored.decision)).expect("both allow it");
    let second = Decision { candidates: Vec::new(), ..stored.decision.clone() };
    let (verdicts, candidates) = (Vec::new(), second.verdicts.clone());
    let first = Decision { id: DecisionId::at(second.at), verdicts, candidates, ..second.clone() };
    for decision in [first, second] {
        let records = [Record::Review(stored.review.clone()), Record::Decision(Box::new(decision))];
        test.store.apply_at(&records, NOW).await.expect("a batch");
    }
    let found = agreements(&test.store.database, &scope(), NOW).await.expect("agreements");
    for pair in [pair(None), pair(Some("images"))] {
        let agreed = of_pair(&pair, Some(Accord::Agreed));
        let filter = Filter { since: Some(found.since), until: Some(found.until), agreed, ..Filter::default() };
        assert_eq!((found.accords(&pair).of(Accord::Agreed), listed(&test, &filter).await), (1, 1), "{pair:?}");
    }
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
