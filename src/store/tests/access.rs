//! Sessions, and what people did with the report.

use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::store::access::{Access, Accesses, Event, Means};
use crate::store::session::{Ended, Session};
use crate::store::settings::RetentionSettings;
use crate::store::{Store, Swept};

on_both![a_session_is_begun_seen_and_ended, the_log_is_listed_in_pages_and_by_filters, both_go_when_they_are_due];

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(1_790_000_000_123);

fn session(key: u8, who: &str, ends_at: i64) -> Session {
    Session {
        key: [key; 32],
        who: format!("{who}, as people read it"),
        subject: who.to_owned(),
        means: Means::Users,
        proof: key.is_multiple_of(2).then_some([key; 32]),
        groups: vec!["shop".to_owned(), "a \"b\"\u{202e}".to_owned()],
        began_at: NOW,
        seen_at: NOW,
        ends_at: Timestamp(ends_at),
    }
}

fn access(at: i64, event: Event, who: Option<&str>) -> Access {
    Access {
        id: DecisionId::at(Timestamp(at)),
        at: Timestamp(at),
        event,
        who: who.map(str::to_owned),
        means: who.map(|_| Means::Proxy),
        peer: "10.0.0.7".to_owned(),
        what: "NUL \0 and <b>".to_owned(),
        more: 3,
    }
}

async fn keys(store: &Store) -> Vec<u8> {
    let mut known = Vec::new();
    for key in 1..=5 {
        known.extend(store.session([key; 32]).await.expect("a read").map(|session| session.key[0]));
    }
    known
}

async fn a_session_is_begun_seen_and_ended(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    let noted = |at| access(at, Event::SignIn, Some("ana"));
    for (key, who, instead_of) in
        [(1, "ana", None), (2, "ana", Some([1; 32])), (3, "bo", None), (4, "ana", Some([9; 32]))]
    {
        store.begin_session(&session(key, who, NOW.0 + DAY), instead_of, &noted(key.into())).await.expect("begun");
    }
    assert_eq!(keys(store).await, [2, 3, 4], "each in the place of the one that the browser had");
    let of_two = store.session([2; 32]).await.expect("a read");
    assert_eq!(of_two, Some(session(2, "ana", NOW.0 + DAY)));
    store.saw_session([2; 32], Timestamp(NOW.0 + 60_000)).await.expect("seen");
    let seen = store.session([2; 32]).await.expect("a read").map(|session| session.seen_at);
    assert_eq!(seen, Some(Timestamp(NOW.0 + 60_000)));
    store.end_sessions(Ended::One([3; 32]), &noted(10)).await.expect("ended");
    store.begin_session(&session(5, "bo", NOW.0 + DAY), None, &noted(11)).await.expect("begun");
    store.end_sessions(Ended::Of("ana", Means::Oidc), &noted(12)).await.expect("ended");
    assert_eq!(keys(store).await, [2, 4, 5], "nothing of another means");
    store.end_sessions(Ended::Of("ana", Means::Users), &noted(13)).await.expect("ended");
    assert_eq!(keys(store).await, [5]);
    assert_eq!(test.count("access_log").await, "8", "each said so");
}

async fn the_log_is_listed_in_pages_and_by_filters(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let all = [
        access(1_000, Event::SignIn, Some("ana")),
        access(1_000, Event::Refusal, None),
        access(1_000, Event::Refusal, Some("bo")),
        access(2_000, Event::Export, Some("ana")),
    ];
    for one in &all {
        test.store.note_access(one).await.expect("noted");
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = test.store.accesses(&Accesses::default(), 1, after).await.expect("a page");
        assert!(page.accesses.len() <= 1);
        found.extend(page.accesses);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut expected = all.to_vec();
    expected.iter_mut().for_each(|access| access.what = access.what.replace('\0', "\u{fffd}"));
    expected.sort_by_key(|access| std::cmp::Reverse((access.at, access.id.0)));
    assert_eq!(found, expected);
    let count = async |asked: Accesses| test.store.accesses(&asked, 9, None).await.expect("a page").accesses.len();
    assert_eq!(count(Accesses { event: Some(Event::Refusal), ..Accesses::default() }).await, 2);
    assert_eq!(count(Accesses { who: Some("ana".into()), ..Accesses::default() }).await, 2);
    assert_eq!(count(Accesses { since: Some(Timestamp(1_001)), ..Accesses::default() }).await, 1);
    assert_eq!(count(Accesses { until: Some(Timestamp(1_000)), ..Accesses::default() }).await, 0);
}

async fn both_go_when_they_are_due(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let kept = i64::try_from(RetentionSettings::DEFAULT.events.as_millis()).expect("years");
    for (key, ends_at) in [(1, NOW.0), (2, NOW.0 + 1)] {
        let noted = access(NOW.0 - kept - DAY * i64::from(key), Event::SignIn, Some("ana"));
        test.store.begin_session(&session(key, "ana", ends_at), None, &noted).await.expect("begun");
    }
    test.store.note_access(&access(NOW.0 - kept + DAY, Event::Export, None)).await.expect("noted");
    let mut swept = Swept::default();
    test.store.sweep_at(&RetentionSettings::DEFAULT, &mut swept, NOW).await.expect("a sweep").expect("ours");
    assert_eq!(keys(&test.store).await, [2]);
    let left = test.store.accesses(&Accesses::default(), 9, None).await.expect("a page").accesses;
    assert_eq!(left.iter().map(|access| access.event).collect::<Vec<_>>(), [Event::Export]);
    assert_eq!((swept.deleted.get("sessions"), swept.deleted.get("access_log")), (Some(&1), Some(&2)));
}
