//! Ceilings, and their lifts.

use super::{HISTORY, Kind, TestStore, on_both};
use crate::policy::ceiling::{Ceiling, Lift};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Mode;
use crate::store::reach::Reach;
use crate::store::read::Range;

on_both![a_ceiling_is_kept_once_and_lifted_once];

fn ceiling(from: i64, until: i64) -> Ceiling {
    Ceiling {
        id: DecisionId::at(Timestamp(from)),
        most: Mode::Warn,
        policy: Some("images".into()),
        namespace: Some("team-*".into()),
        include_webhooks: true,
        ticket: format!("INC-{from}"),
        reason: Some("the mirror is down".into()),
        by: "ana@desk".into(),
        from: Timestamp(from),
        until: Timestamp(until),
        lifted: None,
    }
}

async fn a_ceiling_is_kept_once_and_lifted_once(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let store = &test.store;
    let lift = |at, by: &str| Some(Lift { at: Timestamp(at), by: by.into() });
    let (early, mut late) = (ceiling(10, 20), ceiling(15, 60));
    let plain = Ceiling { policy: None, namespace: None, reason: None, most: Mode::Audit, ..ceiling(70, 80) };
    for one in [&late, &early, &plain, &early] {
        store.keep_ceiling(one).await.expect("kept");
    }
    for (at, by) in [(40, "bo"), (50, "cy")] {
        let lifted = Ceiling { lifted: lift(at, by), ticket: "another".into(), ..late.clone() };
        store.keep_ceiling(&lifted).await.expect("lifted");
    }
    store.keep_ceiling(&late).await.expect("nothing is taken back");
    late.lifted = lift(40, "bo");
    assert_eq!(store.ceilings(&Reach::Everything).await.expect("read"), [plain.clone(), late.clone(), early.clone()]);
    let current = async |now| store.current_ceilings(Timestamp(now)).await.expect("read");
    assert_eq!(current(19).await, [early.clone(), late.clone(), plain.clone()]);
    assert_eq!(current(20).await, [late.clone(), plain.clone()], "lifted ones too");
    let within = async |since, until| {
        let range = Range { since: Some(Timestamp(since)), until: Some(Timestamp(until)) };
        store.ceilings_within(range, &Reach::Everything).await.expect("read")
    };
    assert_eq!(within(0, 15).await, std::slice::from_ref(&early));
    assert_eq!(within(20, 71).await, [late.clone(), plain.clone()]);
    assert_eq!(within(40, 70).await, [], "it was lifted");
}
