use super::*;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Exempted, Mode, ReviewHash};

fn violation(rule: &str, mode: Mode) -> Violation {
    Violation {
        rule: rule.into(),
        mode,
        image: None,
        container: None,
        message: "no".into(),
        help: None,
        exempted: None,
    }
}

fn verdict(policy: &str, verdict: Verdict, violations: Vec<Violation>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.into(),
        version: None,
        mode: Mode::Audit,
        verdict,
        violations,
        standing: Vec::new(),
        omitted: 0,
        held_back: None,
        presented: None,
        error: None,
        duration_us: Some(1),
    }
}

fn decision(answer: Answer, would_reject: bool, verdicts: Vec<PolicyVerdict>) -> Decision {
    Decision {
        id: DecisionId::at(Timestamp(0)),
        at: Timestamp(0),
        cluster: "prod".into(),
        review: ReviewHash([0; 32]),
        name: None,
        user: None,
        caller: None,
        uid: None,
        dry_run: false,
        answer,
        code: if answer == Answer::Failed { 503 } else { 200 },
        message: None,
        would_reject,
        verdicts,
        candidates: Vec::new(),
        redacted: false,
        revision: "r".into(),
        duration_us: 1,
        notes: Vec::new(),
    }
}

#[test]
fn the_state_is_one_sentence() {
    let figures = Figures { reviews: 14_203, allowed: 14_203, would_reject: 212, ..Figures::default() };
    let said = state("In the last 7 days", &figures, 3, Some(5));
    assert_eq!(
        said.to_string(),
        "In the last 7 days 14,203 reviews; 212 would have been rejected, by 3 rules, in 5 namespaces."
    );
    let said = state("In the last hour", &Figures { reviews: 1, ..Figures::default() }, 0, Some(0));
    assert_eq!(said.to_string(), "In the last hour 1 review; none would have been rejected.");
    let figures = Figures { reviews: 9, would_reject: 1, denied: 2, failed: 1, ..Figures::default() };
    let said = state("In the last hour", &figures, 100, Some(1));
    assert_eq!(
        said.to_string(),
        "In the last hour 9 reviews; 1 would have been rejected, by 100 rules, in 1 namespace; 2 denied; 1 failed."
    );
    assert_eq!(state("In the last hour", &Figures::default(), 0, None).to_string(), "In the last hour no reviews.");
}

#[test]
fn an_answer_says_what_it_would_have_been() {
    let both =
        vec![violation("no-latest", Mode::Audit), violation("pinned", Mode::Warn), violation("no-latest", Mode::Audit)];
    let got = decision(Answer::Allowed, true, vec![verdict("images", Verdict::Deny, both)]);
    assert_eq!(
        answer(&got).to_string(),
        "Allowed, but it would have been rejected by images/no-latest and images/pinned."
    );

    let got = decision(
        Answer::Denied,
        false,
        vec![
            verdict("images", Verdict::Deny, vec![violation("no-latest", Mode::Audit)]),
            verdict("bouncer", Verdict::Deny, vec![violation("bouncer", Mode::Enforce)]),
        ],
    );
    assert_eq!(
        answer(&got).to_string(),
        "Denied by bouncer/bouncer. Not yet enforced, but against it as well: images/no-latest."
    );

    let got = Decision { dry_run: true, ..decision(Answer::Failed, false, Vec::new()) };
    assert_eq!(
        answer(&got).to_string(),
        "A dry run, failed with 503: the cluster's own failure policy decided what became of the request."
    );
}

#[test]
fn an_allowed_review_says_why_nothing_stood_against_it() {
    let said = |verdicts| answer(&decision(Answer::Allowed, false, verdicts)).to_string();
    assert_eq!(said(vec![verdict("images", Verdict::Allow, Vec::new())]), "Allowed. No policy stood against it.");
    assert_eq!(said(vec![verdict("images", Verdict::None, Vec::new())]), "Allowed. There was nothing in it to judge.");
    assert_eq!(said(Vec::new()), "Allowed. No policy is loaded that could stand against it.");
    assert_eq!(said(vec![verdict("opa", Verdict::Pending, Vec::new())]), "Allowed. opa has not answered yet.");
    assert_eq!(said(vec![verdict("opa", Verdict::Error, Vec::new())]), "Allowed. opa could not judge it.");
    let standing = PolicyVerdict {
        standing: vec![violation("pinned", Mode::Audit)],
        ..verdict("images", Verdict::Allow, Vec::new())
    };
    assert!(said(vec![standing]).contains("standing violations"));
}

#[test]
fn a_would_be_rejection_is_never_called_denied() {
    let got = decision(
        Answer::Allowed,
        true,
        vec![verdict("images", Verdict::Deny, vec![violation("no-latest", Mode::Audit)])],
    );
    assert_eq!(Fate::of(&got), Fate::WouldReject);
    assert!(!Fate::WouldReject.label().contains("denied"));
    assert!(!answer(&got).to_string().to_lowercase().contains("denied"));
}

fn let_through(rule: &str, mode: Mode, ticket: &str) -> Violation {
    let (ticket, person) = (ticket.to_owned(), format!("who-has-{ticket}"));
    let (since, until, without) = (Timestamp(0), Timestamp(1), Answer::Denied);
    let by = Exempted::BreakGlass { ticket, person, since, until, without };
    Violation { exempted: Some(by), ..violation(rule, mode) }
}

#[test]
fn what_broke_the_glass_is_said_with_what_would_have_rejected() {
    let said = |would_reject, violations| {
        answer(&decision(Answer::Allowed, would_reject, vec![verdict("images", Verdict::Deny, violations)])).to_string()
    };
    let both = || {
        vec![
            let_through("hub", Mode::Enforce, "A"),
            let_through("no-latest", Mode::Audit, "A"),
            let_through("pinned", Mode::Enforce, "B"),
            let_through("hub", Mode::Enforce, "A"),
        ]
    };
    let told = "It broke the glass: ticket A, person who-has-A; ticket B, person who-has-B. Without them, it would have \
                been denied by images/hub and images/pinned.";
    assert_eq!(said(false, both()), format!("Allowed. {told}"));
    let and_more = [both(), vec![violation("other", Mode::Audit)]].concat();
    assert_eq!(said(true, and_more), format!("Allowed, but it would have been rejected by images/other. {told}"));
    let light = || vec![let_through("no-latest", Mode::Audit, "A"), let_through("hub", Mode::Warn, "A")];
    assert_eq!(
        said(false, light()),
        "Allowed. It broke the glass: ticket A, person who-has-A. Without it, it would have been a would-be rejection by \
         images/no-latest and images/hub, with a warning of images/hub."
    );
    let late = vec![verdict("images", Verdict::Deny, light()), verdict("opa", Verdict::Pending, Vec::new())];
    let late = Decision { dry_run: true, ..decision(Answer::Allowed, false, late) };
    let late = answer(&late).to_string();
    assert!(late.starts_with("A dry run, allowed. opa has not answered yet. It would break the glass: "), "{late}");
}
