use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;
use crate::store::bucket::Width;
use crate::store::reach::Reach;
use crate::store::read::{Filter, Scope};
use crate::store::recount::recount;
use crate::store::{StoreError, Synthetic};

on_both![a_made_up_history_is_whole, a_made_up_history_is_not_mixed_with_another];

const NOW: Timestamp = Timestamp(1_790_000_000_123);
const WANTED: Synthetic = Synthetic { decisions: 3_000, days: 10, seed: 1 };

async fn a_made_up_history_is_whole(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    test.store.generate_until(WANTED, NOW, |_| {}).await.expect("a history");
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
    let from = Timestamp(NOW.0 - i64::from(WANTED.days) * 86_400_000);
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
    let few = Synthetic { decisions: 50, days: 1, seed: 2 };
    test.store.generate_until(few, NOW, |_| {}).await.expect("a history");
    let again = test.store.generate_until(few, NOW, |_| {}).await;
    assert!(matches!(again, Err(StoreError::NotEmpty)), "{again:?}");
}
