use super::{HISTORY, Kind, TestStore, on_both};
use crate::policy::rules::version_of;
use crate::policy::settings::{PolicySettings, RuleSettings, SourceSettings, built_in};
use crate::review::clock::Timestamp;
use crate::store::bucket::Width;
use crate::store::reach::Reach;
use crate::store::read::{Filter, Scope};
use crate::store::recount::recount;
use crate::store::synthetic::Scale;
use crate::store::{StoreError, Synthetic};

on_both![
    a_made_up_history_is_whole,
    a_made_up_history_is_not_mixed_with_another,
    a_made_up_fleet_has_the_namespaces_and_breaks_the_rules_that_are_asked_for,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn wanted() -> Synthetic {
    Synthetic { decisions: 3_000, days: 10, seed: 1, scale: Scale::default() }
}

async fn a_made_up_history_is_whole(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.generate_until(wanted(), NOW, |_| {}).await.expect("a history");
    assert_eq!(test.count("decisions").await, "3000");
    let page = test.store.decisions(&Filter::default(), u16::MAX, None).await.expect("a page");
    assert_eq!(page.decisions.len(), 3_000);
    let uids: std::collections::BTreeSet<_> = page.decisions.iter().map(|stored| &stored.decision.uid).collect();
    assert_eq!(uids.len(), 3_000);
    for stored in page.decisions.iter().step_by(97) {
        let decision = &stored.decision;
        let found = test.store.decision(decision.id, &Reach::Everything).await.expect("a read");
        assert_eq!(found.as_ref(), Some(stored), "by its id");
        let filter = Filter { uid: decision.uid.clone(), ..Filter::default() };
        let found = test.store.decisions(&filter, 10, None).await.expect("a page").decisions;
        assert_eq!(found.first(), Some(stored), "by its uid");
    }
    let rejected = page.decisions.iter().filter(|stored| stored.decision.would_reject && !stored.decision.dry_run);
    let summary = test.store.summary(&Scope { until: Some(NOW), ..Scope::default() }).await.expect("a summary");
    assert_eq!(summary.figures.would_reject, rejected.count() as u64);
    assert_eq!(summary.figures.reviews + summary.figures.dry_runs, 3_000);
    assert!(summary.figures.would_reject > 50 && summary.figures.dry_runs > 0, "{:?}", summary.figures);
    let from = Timestamp(NOW.0 - i64::from(wanted().days) * 86_400_000);
    let outside = summary.gaps.iter().all(|gap| gap.from >= NOW || gap.to.is_some_and(|to| to <= from));
    assert!(outside, "a replica was there all the time: {:?}", summary.gaps);

    let figures = test.figures().await;
    recount(&test.store.database, 1, |day| Width::kept(day.0, NOW)).await.expect("a recount");
    assert_eq!(test.figures().await, figures);
    let indexes = match kind {
        Kind::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'decisions'",
        Kind::Postgres => "SELECT count(*) FROM pg_indexes WHERE tablename = 'decisions'",
    };
    let other = TestStore::new(kind, &HISTORY).await;
    assert_eq!(test.dump(indexes).await, other.dump(indexes).await);
}

async fn a_made_up_history_is_not_mixed_with_another(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let few = Synthetic { decisions: 50, days: 1, ..wanted() };
    test.store.generate_until(few.clone(), NOW, |_| {}).await.expect("a history");
    let again = test.store.generate_until(few, NOW, |_| {}).await;
    assert!(matches!(again, Err(StoreError::NotEmpty)), "{again:?}");
}

async fn a_made_up_fleet_has_the_namespaces_and_breaks_the_rules_that_are_asked_for(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let [built_in] = built_in().try_into().expect("one");
    let rule = |id: &str| match &built_in.source {
        SourceSettings::Rules(rules) => RuleSettings { id: id.to_owned(), ..rules[0].clone() },
        other => panic!("{other:?}"),
    };
    let rules = ["no-latest", "third", "fourth"].map(rule);
    let version = version_of(&rules);
    let policy =
        PolicySettings { name: "own".to_owned(), source: SourceSettings::Rules(rules.into()), ..built_in.clone() };
    let scale = Scale::of(200, &[policy]);
    let wanted = Synthetic { decisions: 20_000, scale, ..wanted() };
    test.store.generate_until(wanted, NOW, |_| {}).await.expect("a history");
    assert_eq!(test.count("namespaces").await, "600");
    let broken = test.dump("SELECT DISTINCT r.name FROM decision_rules d JOIN rules r ON r.id = d.rule").await;
    for rule in ["no-latest", "third", "fourth"] {
        assert!(broken.iter().any(|row| row.contains(rule)), "{rule}: {broken:?}");
    }
    let outcomes = test.dump("SELECT verdicts FROM outcomes").await;
    assert!(outcomes.iter().all(|row| row.contains(&version)), "{outcomes:?}");
}
