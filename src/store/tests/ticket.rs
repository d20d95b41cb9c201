//! Break-glass tickets.

use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Answer;
use crate::review::ticket::{FirstUse, KEPT, Owner, Ticket, TicketKey};
use crate::review::workload::Workload;
use crate::store::read::Uses;
use crate::store::retention::Swept;

on_both![what_replicas_know_is_merged_and_heard_of, first_uses_are_listed_in_pages, one_that_nobody_shows_is_forgotten,];

fn ticket(name: &str, first: Option<i64>) -> Ticket {
    let workload = Workload { kind: "Pod".to_owned(), name: name.to_owned() };
    let key = TicketKey { cluster: "prod".into(), namespace: "shop".into(), workload, ticket: "t".into() };
    let first_use = first.map(|at| FirstUse {
        at: Timestamp(at),
        until: Timestamp(at + 1),
        person: "nul\0".to_owned(),
        rules: vec!["p/r".to_owned()],
        decision: id(name, at),
        without: Answer::Denied,
    });
    Ticket { first_use, ..Ticket::new(key, Timestamp(0)) }
}

/// The same whenever it is asked for.
fn id(name: &str, at: i64) -> DecisionId {
    let rest = name.bytes().fold(0, |rest, byte| rest * 256 + u128::from(byte));
    DecisionId(uuid::Uuid::from_u128((u128::from(at.unsigned_abs()) << 80) + rest))
}

async fn what_replicas_know_is_merged_and_heard_of(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    let later = ticket("web", Some(20));
    let kept = store.keep_tickets(std::slice::from_ref(&later)).await.expect("kept");
    let (all, known) = store.tickets(None).await.expect("read");
    assert_eq!((kept, all), (vec![later.clone()], vec![later]));
    let owner = Owner { at: Timestamp(7), user: Some("alice".to_owned()), groups: vec!["sre".to_owned()] };
    let theirs = [
        Ticket { owner: Some(owner.clone()), ..ticket("web", Some(10)) },
        ticket("other", None),
        Ticket { owner: None, ..ticket("web", Some(30)) },
    ];
    let kept = store.keep_tickets(&theirs).await.expect("kept");
    assert_eq!(kept.len(), 3);
    let whole = Ticket { owner: Some(owner), ..ticket("web", Some(10)) };
    let (news, then) = store.tickets(Some(known)).await.expect("read");
    assert!(then > known && news.contains(&whole) && news.contains(&theirs[1]), "{news:?}");
    assert_eq!(store.tickets(None).await.expect("read").0.len(), 2);
}

async fn first_uses_are_listed_in_pages(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    let mut all: Vec<Ticket> = (0..7).map(|n| ticket(&n.to_string(), Some(100 + n / 3))).collect();
    store.keep_tickets(&[&all[..], &[ticket("unused", None)]].concat()).await.expect("kept");
    let place = |one: &Ticket| one.first_use.as_ref().map(|first| (first.at, first.decision));
    all.sort_by_key(|one| std::cmp::Reverse(place(one)));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.uses(&Uses::default(), 2, after).await.expect("read");
        listed.extend(page.tickets);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, all);
    let asked = Uses { since: Some(Timestamp(101)), until: Some(Timestamp(102)), ..Uses::default() };
    assert_eq!(store.uses(&asked, 9, None).await.expect("read").tickets.len(), 3);
    let asked = Uses { cluster: Some("prod".into()), namespace: Some("blog".into()), ..Uses::default() };
    assert!(store.uses(&asked, 9, None).await.expect("read").tickets.is_empty());
}

async fn one_that_nobody_shows_is_forgotten(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    let shown = Ticket { seen: Timestamp(10), ..ticket("shown", Some(1)) };
    store.keep_tickets(&[ticket("gone", Some(1)), shown.clone()]).await.expect("kept");
    let mut swept = Swept::default();
    store.sweep_at(&HISTORY.retention, &mut swept, Timestamp(KEPT + 5)).await.expect("swept");
    assert_eq!((swept.deleted.get("tickets"), store.tickets(None).await.expect("read").0), (Some(&1), vec![shown]));
}
