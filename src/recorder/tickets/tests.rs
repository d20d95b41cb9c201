use std::fs;

use super::*;
use crate::review::clock::{DAY, DecisionId};
use crate::review::decision::Answer;
use crate::review::ticket::{FirstUse, KEPT, Owner};
use crate::review::workload::Workload;

const PATIENCE: Duration = Duration::from_secs(20);

fn key(cluster: &str, name: usize) -> TicketKey {
    let workload = Workload { kind: "Pod".to_owned(), name: name.to_string() };
    TicketKey { cluster: cluster.to_owned(), namespace: "shop".to_owned(), workload, ticket: "t".to_owned() }
}

fn used(key: TicketKey, at: i64) -> Ticket {
    let at = Timestamp(at);
    let (decision, without) = (DecisionId::at(at), Answer::Denied);
    let first_use = FirstUse { at, until: at, person: "alice".to_owned(), rules: Vec::new(), decision, without };
    Ticket { first_use: Some(first_use), ..Ticket::new(key, Timestamp(Timestamp::now().0 / DAY * DAY)) }
}

#[tokio::test]
async fn what_was_noted_is_there_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let tickets = Tickets::open(dir.path());
    assert_eq!(tickets.note(&used(key("prod", 1), 10)), Noted::FirstUse);
    assert_eq!(tickets.note(&used(key("prod", 1), 20)), Noted::Nothing, "it was used before");
    tickets.save(PATIENCE).await;
    let next = Tickets::open(dir.path());
    assert_eq!(next.get(&key("prod", 1)).unwrap().first_use.unwrap().at, Timestamp(10));
    assert_eq!(next.trouble(), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the file alone");
    let past = Ticket { seen: Timestamp(Timestamp::now().0 - KEPT - 1), ..used(key("prod", 2), 10) };
    next.note(&past);
    next.save(PATIENCE).await;
    assert!(Tickets::open(dir.path()).get(&past.key).is_none(), "nobody showed it for so long");
}

#[tokio::test]
async fn what_cannot_be_written_or_read_is_said_and_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tickets.json"), "torn").unwrap();
    let tickets = Tickets::open(dir.path());
    assert!(tickets.trouble().unwrap().contains("may begin anew"), "{:?}", tickets.trouble());
    assert_eq!(fs::read_to_string(dir.path().join("tickets.json.damaged")).unwrap(), "torn");
    fs::create_dir(dir.path().join("tickets.json.new")).unwrap();
    tickets.note(&used(key("prod", 1), 10));
    tickets.save(PATIENCE).await;
    assert!(tickets.trouble().unwrap().contains("in memory alone"), "{:?}", tickets.trouble());
    fs::remove_dir(dir.path().join("tickets.json.new")).unwrap();
    tickets.save(PATIENCE).await;
    assert_eq!(tickets.trouble(), None);
    assert!(Tickets::open(dir.path()).get(&key("prod", 1)).is_some());
}

#[test]
fn no_room_is_made_by_forgetting_another() {
    let tickets = Tickets::in_memory();
    for name in 0..=MOST_OF_A_CLUSTER {
        tickets.note(&used(key("flooded", name), 10));
    }
    assert!(!tickets.has_room("flooded") && tickets.has_room("prod"));
    assert!(tickets.get(&key("flooded", 0)).is_some() && tickets.get(&key("flooded", MOST_OF_A_CLUSTER)).is_none());
    assert!(tickets.trouble().unwrap().contains("10000 are remembered of it"), "{:?}", tickets.trouble());
    tickets.forget_past(Timestamp(Timestamp::now().0 + KEPT + 1));
    assert!(tickets.has_room("flooded") && tickets.trouble().is_none());
}

#[test]
fn what_the_history_has_not_is_known() {
    let tickets = Tickets::in_memory();
    tickets.note(&used(key("prod", 1), 10));
    assert_eq!(tickets.unstored(9).len(), 1);
    tickets.take(&[used(key("prod", 1), 30), used(key("prod", 2), 5)]);
    assert_eq!(tickets.unstored(9).len(), 1, "that of the history is later");
    let whole = tickets.get(&key("prod", 1)).unwrap();
    tickets.take(std::slice::from_ref(&whole));
    assert!(tickets.unstored(9).is_empty() && tickets.get(&key("prod", 2)).is_some());
    let owner = Owner { at: Timestamp(40), user: Some("bob".to_owned()), groups: Vec::new() };
    tickets.note(&Ticket { owner: Some(owner), ..Ticket::new(key("prod", 2), Timestamp(0)) });
    assert_eq!(tickets.unstored(9).len(), 1);
    tickets.take(&[used(key("prod", 1), 5)]);
    assert_eq!(tickets.get(&key("prod", 1)).unwrap().first_use.unwrap().at, Timestamp(5), "the earliest wins");
}
