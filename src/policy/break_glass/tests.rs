use std::time::Duration;

use serde_json::json;

use super::*;
use crate::policy::rollout::Place;
use crate::review::clock::DecisionId;
use crate::review::decode;
use crate::review::ticket::TicketKey;
use crate::review::workload::Workload;

const KEY: &str = "a.image-policy.k8s.io/ticket-7";
const CONTROLLER: &str = "system:serviceaccount:kube-system:replicaset-controller";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn entry() -> BreakGlassSettings {
    BreakGlassSettings {
        annotation: "*.image-policy.k8s.io/ticket-*".to_owned(),
        value: "break-glass".to_owned(),
        policies: Vec::new(),
        rules: Vec::new(),
        clusters: Vec::new(),
        namespaces: Vec::new(),
        users: Vec::new(),
        groups: Vec::new(),
        lasts: Duration::from_millis(100),
    }
}

/// A pod of the Deployment `web` (or the Deployment itself) that `user` of `group` makes.
fn review(user: &str, group: &str, is_own: bool, annotations: &serde_json::Value) -> (Review, String) {
    let template = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"image": "nginx"}]}});
    let (kind, name, object) = match is_own {
        true => ("Deployment", "web", json!({"metadata": {"name": "web"}, "spec": {"template": template}})),
        false => {
            let owner = json!({"kind": "ReplicaSet", "name": "web-5f", "controller": true});
            let metadata = json!({"name": "web-5f-x", "annotations": annotations, "ownerReferences": [owner],
                "labels": {"pod-template-hash": "5f"}});
            ("Pod", "web-5f-x", json!({"metadata": metadata, "spec": template["spec"]}))
        }
    };
    let group_of_kind = if is_own { "apps" } else { "" };
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "namespace": "shop", "name": name, "object": object,
        "kind": {"group": group_of_kind, "version": "v1", "kind": kind},
        "userInfo": {"username": user, "groups": [group, "system:authenticated"]}}})
    .to_string();
    (decode::decode(body.as_bytes()).expect("a review"), body)
}

fn tickets() -> serde_json::Value {
    json!({ KEY: "break-glass" })
}

fn remembered(first: Option<i64>, owner: Option<(&str, &str)>) -> Remembered {
    let workload = Workload { kind: "Deployment".into(), name: "web".into() };
    let key = TicketKey { cluster: "prod".into(), namespace: "shop".into(), workload, ticket: KEY.into() };
    let mut ticket = Ticket::new(key, Timestamp(0));
    ticket.first_use = first.map(|at| FirstUse {
        at: Timestamp(at),
        until: Timestamp(at),
        person: "alice".to_owned(),
        rules: Vec::new(),
        decision: DecisionId::at(Timestamp(at)),
        without: Answer::Denied,
    });
    let groups = |group: &str| vec![group.to_owned()];
    ticket.owner =
        owner.map(|(user, group)| Owner { at: Timestamp(0), user: Some(user.to_owned()), groups: groups(group) });
    Remembered::Known(Box::new(ticket))
}

/// At 1000, of `images/no-latest` in `prod` and `shop`.
fn found(settings: &[BreakGlassSettings], (review, body): &(Review, String), known: &Remembered) -> Option<Found> {
    let break_glass = BreakGlass::of(settings);
    let now = Timestamp(1_000);
    let appeal = break_glass.appeal(review, body.as_bytes(), now, |_| known.clone())?;
    let offence = Offence {
        policy: "images",
        rule: "no-latest",
        place: Place { cluster: "prod", namespace: "shop" },
        workload: &review.record.workload,
        image: None,
        container: None,
    };
    break_glass.find(offence, Mode::Enforce, &appeal, now)
}

/// Who let it through, and since when.
fn through(found: Option<Found>) -> Option<(String, i64)> {
    match found? {
        Found::LetThrough(Exempted::BreakGlass { person, since, .. }) => Some((person, since.0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_that_is_given_must_match() {
    let own = review("alice", "sre", true, &tickets());
    let whole = BreakGlassSettings {
        policies: texts(&["images"]),
        rules: texts(&["no-*"]),
        clusters: texts(&["prod"]),
        namespaces: texts(&["shop"]),
        users: texts(&["ali*"]),
        groups: texts(&["sre", "oncall"]),
        ..entry()
    };
    for settings in [entry(), whole.clone()] {
        let by = through(found(&[settings], &own, &Remembered::Unknown));
        assert_eq!(by, Some(("alice".to_owned(), 1_000)));
    }
    for other in [
        BreakGlassSettings { annotation: "*.image-policy.k8s.io/glass".into(), ..whole.clone() },
        BreakGlassSettings { value: "break-glas".into(), ..whole.clone() },
        BreakGlassSettings { policies: texts(&["x"]), ..whole.clone() },
        BreakGlassSettings { rules: texts(&["x"]), ..whole.clone() },
        BreakGlassSettings { clusters: texts(&["x"]), ..whole.clone() },
        BreakGlassSettings { namespaces: texts(&["x"]), ..whole.clone() },
        BreakGlassSettings { users: texts(&["bob"]), ..whole.clone() },
        BreakGlassSettings { groups: texts(&["system:masters"]), ..whole.clone() },
    ] {
        assert_eq!(found(std::slice::from_ref(&other), &own, &Remembered::Unknown), None, "{other:?}");
    }
}

#[test]
fn a_ticket_ends_its_time_after_the_first_use() {
    let own = review("bob", "sre", true, &tickets());
    assert_eq!(through(found(&[entry()], &own, &remembered(Some(901), None))), Some(("bob".to_owned(), 901)));
    let Some(Found::Refused(refusal)) = found(&[entry()], &own, &remembered(Some(900), None)) else {
        panic!("it is used up")
    };
    let told = "The break-glass ticket a.image-policy.k8s.io/ticket-7 is used up: first used at \
                1970-01-01T00:00:00.900Z by alice, ended at 1970-01-01T00:00:01.000Z";
    assert_eq!(refusal.to_string(), told);
    let longer = BreakGlassSettings { lasts: Duration::from_millis(101), ..entry() };
    let by = through(found(&[entry(), longer], &own, &remembered(Some(900), None)));
    assert_eq!(by, Some(("bob".to_owned(), 900)), "another entry has it for longer");
    let full = found(&[entry()], &own, &Remembered::NoRoom);
    assert!(matches!(full, Some(Found::Refused(Refusal::NoRoom { .. }))), "{full:?}");
}

#[test]
fn pods_inherit_from_whoever_changed_their_workload_last() {
    let of_alice = BreakGlassSettings { users: texts(&["alice"]), ..entry() };
    let of_sre = BreakGlassSettings { groups: texts(&["sre"]), ..entry() };
    let alice = remembered(None, Some(("alice", "sre")));
    for settings in [of_alice.clone(), of_sre.clone(), entry()] {
        let by = through(found(&[settings], &review(CONTROLLER, "x", false, &tickets()), &alice));
        assert_eq!(by, Some(("alice".to_owned(), 1_000)));
    }
    for nobody in [remembered(Some(950), None), remembered(Some(950), Some(("mallory", "x"))), Remembered::Unknown] {
        for settings in [of_alice.clone(), of_sre.clone()] {
            assert_eq!(found(&[settings], &review(CONTROLLER, "x", false, &tickets()), &nobody), None);
        }
    }
    let forged = review("mallory", "x", false, &tickets());
    assert_eq!(found(std::slice::from_ref(&of_alice), &forged, &alice), None, "an owner that anybody can write");
    let own_hands = review("alice", "x", false, &tickets());
    assert_eq!(through(found(&[of_alice], &own_hands, &alice)), Some(("alice".to_owned(), 1_000)));
}

#[test]
fn a_ticket_in_force_is_taken_before_a_new_one_is_begun() {
    let other = "b.image-policy.k8s.io/ticket-8";
    let own = review("alice", "sre", true, &json!({ KEY: "break-glass", other: "break-glass" }));
    let break_glass = BreakGlass::of(&[entry()]);
    let appeal = |first: i64| {
        let known = |ticket: &str| if ticket == other { remembered(Some(first), None) } else { Remembered::Unknown };
        break_glass.appeal(&own.0, own.1.as_bytes(), Timestamp(1_000), known).expect("it shows two")
    };
    let offence = Offence {
        policy: "images",
        rule: "r",
        place: Place { cluster: "prod", namespace: "shop" },
        workload: &own.0.record.workload,
        image: None,
        container: None,
    };
    for (first, expected) in [(950, other), (800, KEY)] {
        let by = break_glass.find(offence, Mode::Audit, &appeal(first), Timestamp(1_000));
        let Some(Found::LetThrough(by)) = by else { panic!("{by:?}") };
        assert_eq!(by.broken_by(), Some(expected), "first used at {first}");
    }
}
