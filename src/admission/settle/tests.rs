use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::admission::answer::{self, Addressee};
use crate::admission::opinion::{Bearing, Force, Occasion};
use crate::backend::answer::BackendAnswer;
use crate::policy::exemptions::Exemptions;
use crate::policy::revision::{Policy, Source};
use crate::policy::rollout::{Place, Rollout};
use crate::policy::rules::{Finding, RuleViolation};
use crate::policy::settings::{ExemptionSettings, Speaks, StagingSettings, WebhookSettings};
use crate::policy::system::SystemCeiling;
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, Protocol};
use crate::review::workload::Workload;

/// A policy of the built-in's one rule.
fn rules(name: &str, mode: Mode) -> Policy {
    let mut settings = crate::policy::settings::built_in();
    settings[0].name = name.into();
    settings[0].mode = mode;
    crate::policy::Revision::load(&settings, &StagingSettings::default())
        .expect("the built-in loads")
        .policies
        .remove(0)
}

fn webhook(name: &str, mode: Mode, on_error: OnError) -> Policy {
    let settings = WebhookSettings {
        url: "http://127.0.0.1/".parse().expect("a URL"),
        speaks: Speaks::AdmissionReview,
        bridge: false,
        timeout: Duration::from_secs(5),
        ca: None,
        client_identity: None,
        token_file: None,
        max_in_flight: 64,
        overridable: false,
    };
    let (rollout, ceiling) = (Rollout::default(), SystemCeiling::default());
    Policy { name: name.into(), mode, rollout, ceiling, on_error, source: Source::Webhook(settings) }
}

fn answered(text: &str) -> Result<BackendAnswer, BackendError> {
    BackendAnswer::parse(text.as_bytes().to_vec().into(), Protocol::AdmissionReview, "admission.k8s.io/v1", Some("u"))
}

fn response(members: &str) -> Result<BackendAnswer, BackendError> {
    answered(&format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"u",{members}}}}}"#
    ))
}

fn remote(policy: &Policy, result: Result<BackendAnswer, BackendError>) -> Opinion<'_> {
    let bearing = Bearing { mode: policy.mode, held_back: None, relief: None };
    Opinion::remote(policy, &bearing, result, Duration::from_millis(1))
}

/// A local policy's opinion: one violation for each (rule, image).
fn local<'a>(policy: &'a Policy, violations: &[(&str, &str)], is_exempt: bool) -> Opinion<'a> {
    let violation = |(rule, image): &(&str, &str)| RuleViolation {
        rule: (*rule).into(),
        most: Mode::Enforce,
        image: Some((*image).into()),
        container: None,
        message: format!("{image} is wrong"),
        help: Some("Do better".into()),
    };
    let finding =
        Finding { judged: true, violations: violations.iter().map(violation).collect(), ..Finding::default() };
    let force = if is_exempt { Force::None } else { Force::Full };
    Opinion::local(policy, "version", &finding, occasion(force), Duration::from_micros(5))
}

fn occasion(force: Force) -> Occasion<'static> {
    static WORKLOAD: LazyLock<Workload> = LazyLock::new(|| Workload { kind: "Deployment".into(), name: "web".into() });
    static EXEMPTIONS: LazyLock<Exemptions> = LazyLock::new(|| {
        Exemptions::of(&[ExemptionSettings {
            images: vec!["docker.io/library/known:*".into()],
            until: Some(Timestamp(2_000)),
            ticket: Some("SEC-1".into()),
            ..ExemptionSettings::default()
        }])
    });
    let place = Place { cluster: "prod", namespace: "shop" };
    let (glass, ceilings) = (None, None);
    Occasion { place, workload: &WORKLOAD, now: Timestamp(1_500), exemptions: &EXEMPTIONS, glass, ceilings, force }
}

fn wording() -> Wording<'static> {
    Wording { style: AnswerStyle::Prefixed, decision: DecisionId::at(Timestamp(1_000)), link: None }
}

fn settled(opinions: &mut [Opinion<'_>]) -> (Settlement, serde_json::Value, u16) {
    let settlement = settle(opinions, wording());
    let to = Addressee { protocol: Protocol::AdmissionReview, api_version: "admission.k8s.io/v1", uid: Some("u") };
    let reply = answer::reply(to, &settlement, opinions, wording());
    let body = serde_json::from_slice(&reply.body).expect("a reply is JSON");
    (settlement, body, reply.status.as_u16())
}

#[test]
fn with_nothing_in_enforce_all_is_allowed_and_annotated() {
    let (audit, warn) = (rules("a", Mode::Audit), rules("w", Mode::Warn));
    let hook = webhook("h", Mode::Audit, OnError::Fail);
    let mut opinions = [
        local(&audit, &[("no-latest", "nginx"), ("no-latest", "redis")], false),
        local(&warn, &[("pinned", "nginx")], false),
        remote(&hook, Err(BackendError::Unreachable("refused".into()))),
    ];
    let (settlement, body, status) = settled(&mut opinions);
    assert_eq!((settlement.outcome.answer(), settlement.would_reject, status), (Answer::Allowed, true, 200));
    assert_eq!(body["response"]["allowed"], true);
    assert_eq!(body["response"]["uid"], "u");
    assert_eq!(body["response"]["auditAnnotations"]["would-reject"], "a/no-latest,w/pinned");
    assert_eq!(
        body["response"]["warnings"],
        serde_json::json!(["would be rejected by w/pinned: nginx is wrong"]),
        "an audit violation warns nobody"
    );
}

#[test]
fn one_denying_webhook_is_passed_whole() {
    let policy = webhook("bouncer", Mode::Enforce, OnError::Fail);
    let denial = r#""allowed":false,"status":{"code":418,"message":"no teapots","details":{"x":1.50}},"extra":[1e2]"#;
    let mut opinions = [remote(&policy, response(denial))];
    let (settlement, body, _) = settled(&mut opinions);
    assert_eq!(settlement.outcome.answer(), Answer::Denied);
    assert!(!settlement.would_reject);
    assert_eq!(body["response"]["status"]["code"], 418);
    assert_eq!(body["response"]["status"]["message"], "no teapots");
    assert_eq!(body["response"]["extra"], serde_json::json!([1e2]));
}

#[test]
fn several_denials_are_joined_in_policy_order_with_each_help_once() {
    let (rules, hook) = (rules("images", Mode::Enforce), webhook("b", Mode::Enforce, OnError::Fail));
    let mut opinions = [
        local(&rules, &[("no-latest", "nginx"), ("no-latest", "redis")], false),
        remote(&hook, response(r#""allowed":false,"status":{"message":"as it came."}"#)),
    ];
    let (_, body, _) = settled(&mut opinions);
    assert_eq!(body["response"]["status"]["code"], 403);
    assert_eq!(
        body["response"]["status"]["message"],
        "images/no-latest: nginx is wrong; images/no-latest: redis is wrong; as it came. Do better"
    );
}

#[test]
fn an_image_that_a_terminal_would_obey_is_inert_in_a_denial() {
    let rules = rules("images", Mode::Enforce);
    let (_, body, _) = settled(&mut [local(&rules, &[("r", "a\n\u{1b}[2Jb\u{202e}c")], false)]);
    let message = body["response"]["status"]["message"].as_str().expect("a message");
    assert!(message.starts_with("images/r: a  [2Jb c is wrong"), "{message:?}");
}

#[test]
fn denial_beats_failure_and_failure_beats_allow() {
    let (rules, hook) = (rules("images", Mode::Enforce), webhook("b", Mode::Enforce, OnError::Fail));
    let late = || Err(BackendError::Late(Duration::from_secs(5)));
    let (settlement, ..) = settled(&mut [remote(&hook, late()), local(&rules, &[("r", "i")], false)]);
    assert_eq!(settlement.outcome.answer(), Answer::Denied);
    let (settlement, body, status) = settled(&mut [remote(&hook, late()), local(&rules, &[], false)]);
    assert_eq!((settlement.outcome.answer(), status), (Answer::Failed, 503));
    assert_eq!(body["kind"], "Status");
    assert!(body["message"].as_str().is_some_and(|message| message.contains("policy b could not judge")), "{body}");
}

#[test]
fn on_error_allow_and_deny_answer_so() {
    let late = || Err(BackendError::Late(Duration::from_secs(5)));
    for (on_error, answer) in [(OnError::Allow, Answer::Allowed), (OnError::Deny, Answer::Denied)] {
        let hook = webhook("b", Mode::Enforce, on_error);
        let (settlement, _, status) = settled(&mut [remote(&hook, late())]);
        assert_eq!((settlement.outcome.answer(), status), (answer, 200));
    }
}

#[test]
fn a_backends_own_429_passes_with_its_retry_after() {
    let hook = webhook("b", Mode::Enforce, OnError::Fail);
    let busy = BackendError::Status {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(HeaderValue::from_static("7")),
        body: bytes::Bytes::new(),
        excerpt: "busy".into(),
    };
    let settlement = settle(&mut [remote(&hook, Err(busy))], wording());
    let Outcome::Failed { code, retry_after, .. } = settlement.outcome else { panic!("{settlement:?}") };
    assert_eq!((code.as_u16(), retry_after), (429, Some(HeaderValue::from_static("7"))));
}

const PATCH: &str = r#""allowed":true,"patchType":"JSONPatch","patch":"W10=""#;

#[test]
fn a_patch_passes_when_nothing_else_denies_and_a_second_one_is_an_error() {
    let first = webhook("one", Mode::Enforce, OnError::Fail);
    let second = webhook("two", Mode::Enforce, OnError::Fail);
    let (_, body, _) = settled(&mut [remote(&second, response(r#""allowed":true"#)), remote(&first, response(PATCH))]);
    assert_eq!(body["response"]["patch"], "W10=");
    assert_eq!(body["response"]["patchType"], "JSONPatch");

    let (settlement, body, status) = settled(&mut [remote(&first, response(PATCH)), remote(&second, response(PATCH))]);
    assert_eq!(status, 503);
    assert!(body["message"].as_str().is_some_and(|message| message.contains("policy two")), "{body}");
    assert_eq!(settlement.notes, ["the patch of policy one was dropped"]);
}

#[test]
fn a_patch_of_a_rehearsed_webhook_is_dropped_and_noted() {
    let audit = webhook("a", Mode::Audit, OnError::Fail);
    let (settlement, body, _) = settled(&mut [remote(&audit, response(PATCH))]);
    assert_eq!(body["response"].get("patch"), None);
    assert_eq!(settlement.notes, ["the patch of policy a was dropped"]);
}

#[test]
fn a_webhooks_warnings_come_first_and_its_annotation_wins_over_ours() {
    let hook = webhook("b", Mode::Enforce, OnError::Fail);
    let warn = rules("w", Mode::Warn);
    let said = r#""allowed":true,"warnings":["theirs"],"auditAnnotations":{"decision":"theirs","k":"v"}"#;
    let (_, body, _) = settled(&mut [local(&warn, &[("r", "nginx")], false), remote(&hook, response(said))]);
    assert_eq!(body["response"]["warnings"][0], "theirs");
    assert_eq!(body["response"]["warnings"][1], "would be rejected by w/r: nginx is wrong");
    let annotations = &body["response"]["auditAnnotations"];
    assert_eq!((&annotations["decision"], &annotations["k"]), (&"theirs".into(), &"v".into()));
    assert_eq!(annotations["would-reject"], "w/r");
}

#[test]
fn a_request_that_may_not_be_denied_keeps_what_was_found_as_standing() {
    let rules = rules("images", Mode::Enforce);
    let mut opinions = [local(&rules, &[("r", "nginx")], true)];
    let (settlement, ..) = settled(&mut opinions);
    assert_eq!((settlement.outcome.answer(), settlement.would_reject), (Answer::Allowed, false));
    assert_eq!(opinions[0].verdict.standing.len(), 1);
}

/// 1,001 images, say. It would hold up a deletion as a denial would.
#[test]
fn an_error_of_a_local_policy_never_holds_up_an_exempt_request() {
    let finding = Finding { error: Some("too many".into()), ..Finding::default() };
    let took = Duration::from_micros(5);
    for (on_error, otherwise) in
        [(OnError::Fail, Answer::Failed), (OnError::Deny, Answer::Denied), (OnError::Allow, Answer::Allowed)]
    {
        let policy = Policy { on_error, ..rules("images", Mode::Enforce) };
        for (force, expected) in [(Force::Full, otherwise), (Force::None, Answer::Allowed)] {
            let mut opinions = [Opinion::local(&policy, "version", &finding, occasion(force), took)];
            let (settlement, ..) = settled(&mut opinions);
            assert_eq!(settlement.outcome.answer(), expected, "{on_error:?} {force:?}");
            assert_eq!((opinions[0].verdict.verdict, settlement.would_reject), (Verdict::Error, false));
        }
        for mode in [Mode::Audit, Mode::Warn] {
            let policy = Policy { on_error, ..rules("images", mode) };
            let (settlement, ..) =
                settled(&mut [Opinion::local(&policy, "version", &finding, occasion(Force::Full), took)]);
            assert_eq!(settlement.outcome.answer(), Answer::Allowed, "{on_error:?} {mode:?}");
        }
    }
}

#[test]
fn an_exempted_violation_neither_rejects_nor_would_have() {
    for mode in [Mode::Audit, Mode::Warn, Mode::Enforce] {
        let policy = rules("images", mode);
        let mut opinions = [local(&policy, &[("no-latest", "known")], false)];
        let (settlement, body, _) = settled(&mut opinions);
        assert_eq!((settlement.outcome.answer(), settlement.would_reject), (Answer::Allowed, false), "{mode}");
        assert_eq!(opinions[0].verdict.verdict, Verdict::Deny, "what the policy said stays");
        assert_eq!(body["response"]["auditAnnotations"].as_object().map(serde_json::Map::len), Some(1), "{body}");
        assert_eq!(body["response"]["warnings"], serde_json::json!(["exemption SEC-1 ends 1970-01-01T00:00:02.000Z"]));
        let (settlement, ..) = settled(&mut [local(&policy, &[("no-latest", "known"), ("no-latest", "other")], false)]);
        assert_eq!(settlement.outcome.answer() == Answer::Denied, mode == Mode::Enforce);
        assert_eq!(settlement.would_reject, mode != Mode::Enforce);
    }
}

/// A pod of a hundred exempted images could bring one more that nothing exempts.
#[test]
fn nothing_is_exempted_where_violations_were_left_out() {
    let policy = rules("images", Mode::Enforce);
    let violation = RuleViolation {
        rule: "no-latest".into(),
        most: Mode::Enforce,
        image: Some("known".into()),
        container: None,
        message: "m".into(),
        help: None,
    };
    let finding = Finding { judged: true, violations: vec![violation], omitted: 1, ..Finding::default() };
    let took = Duration::from_micros(5);
    let (settlement, ..) = settled(&mut [Opinion::local(&policy, "version", &finding, occasion(Force::Full), took)]);
    assert_eq!(settlement.outcome.answer(), Answer::Denied);
}

#[test]
fn an_answer_without_uid_version_and_kind_is_repaired() {
    let hook = webhook("b", Mode::Enforce, OnError::Fail);
    let (_, body, _) = settled(&mut [remote(&hook, answered(r#"{"response":{"allowed":true}}"#))]);
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(body["kind"], "AdmissionReview");
    assert_eq!(body["response"]["uid"], "u");
}

#[test]
fn the_drop_in_says_the_first_text_alone() {
    let rules = rules("images", Mode::Enforce);
    let mut opinions = [local(&rules, &[("r", "a"), ("r", "b")], false)];
    let settlement = settle(&mut opinions, Wording { style: AnswerStyle::Bare, ..wording() });
    let Outcome::Denied { message } = settlement.outcome else { panic!("{settlement:?}") };
    assert_eq!(message, "a is wrong");
}

#[test]
fn a_denial_counts_only_what_may_reject_past_the_cap() {
    let rules = rules("images", Mode::Enforce);
    let mut opinions = [local(&rules, &[("r", "a")], false)];
    opinions[0].verdict.omitted = 7;
    let (_, body, _) = settled(&mut opinions);
    assert_eq!(body["response"]["status"]["message"], "images/r: a is wrong; and up to 7 more. Do better");

    // A standing one was kept, so only such were left out.
    let mut opinions = [local(&rules, &[("r", "a"), ("s", "b")], false)];
    opinions[0].verdict.omitted = 7;
    let standing = opinions[0].verdict.violations.pop().expect("the second");
    opinions[0].verdict.standing.push(standing);
    let (_, body, _) = settled(&mut opinions);
    assert_eq!(body["response"]["status"]["message"], "images/r: a is wrong. Do better");
}
