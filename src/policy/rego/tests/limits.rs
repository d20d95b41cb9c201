use std::sync::Arc;

use super::*;

#[test]
fn an_evaluation_ends_after_its_steps() {
    let text = "package p\ndeny[msg] { xs := numbers.range(1, 3000); x := xs[_]; y := xs[_]; x * y == -1; msg := input.spec.namespace }";
    let finding = judged(&policy("data.p.deny", text), &image_review(&["a"]));
    assert_eq!(finding.error.as_deref(), Some("it took more than 1000000 steps"));
    assert_eq!(finding.violations, []);
}

#[test]
fn it_has_all_its_steps_each_time() {
    let text = "package p\ndeny[msg] { xs := numbers.range(1, 100); x := xs[_]; y := xs[_]; x * y == -1; msg := input.spec.namespace }";
    let policy = policy("data.p.deny", text);
    for _ in 0..20 {
        assert_eq!(said(&judged(&policy, &image_review(&["a"]))), []);
    }
}

#[test]
fn violations_past_the_cap_are_counted_and_texts_are_cut() {
    let text = "package p\ndeny[msg] { n := numbers.range(1, 130)[_]; msg := sprintf(\"%d%s\", [n, input.spec.containers[0].image]) }";
    let finding = judged(&policy("data.p.deny", text), &image_review(&[&"a".repeat(5_000)]));
    assert_eq!((finding.violations.len(), finding.omitted), (100, 30));
    assert!(finding.violations.iter().all(|one| one.message.len() < 1_100));
}

#[test]
fn a_view_is_evaluated_once() {
    let policy = policy("data.p.deny", "package p\ndeny[msg] { msg := input.spec.containers[_].image }");
    let body = image_review(&["a"]);
    let review = decode(body.as_bytes()).expect("a review");
    let subject = Subject { view: View::Image, encoded: review.view.encoded() };
    assert!(policy.recall(review.view.hash()).is_none());
    let first = policy.judge(review.view.hash(), subject);
    assert!(Arc::ptr_eq(&first, &policy.judge(review.view.hash(), subject)));
    assert!(policy.recall(review.view.hash()).is_some());
}
