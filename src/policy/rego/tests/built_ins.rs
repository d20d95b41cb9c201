//! Each function that the engine lacks, against its documented meaning.

use super::*;

/// `expression` is true, and so a message.
#[track_caller]
fn holds(expression: &str) {
    let text = format!("package p\ndeny[msg] {{ {expression}; msg := input.spec.namespace }}");
    let finding = judged(&policy("data.p.deny", &text), &image_review(&["a"]));
    assert_eq!(said(&finding), [("deny", "shop")], "{expression}");
}

/// `expression` is false or undefined.
#[track_caller]
fn does_not_hold(expression: &str) {
    holds(&format!("not {expression}"));
}

#[test]
fn re_match_searches_anywhere() {
    holds(r#"re_match("^a.c$", "abc")"#);
    holds(r#"re_match("b", "abc")"#);
    does_not_hold(r#"re_match("^b", "abc")"#);
    does_not_hold(r#"re_match("(", "abc")"#);
    does_not_hold("re_match(\"a\", 1)");
    holds(r#"regex.match("^a.c$", "abc")"#);
}

#[test]
fn any_and_all_go_over_arrays_and_sets() {
    holds("any([false, true])");
    holds("any({false, true})");
    does_not_hold("any([])");
    does_not_hold("any([1, \"a\"])");
    holds("all([true, true])");
    holds("all([])");
    does_not_hold("all([true, false])");
    does_not_hold("all({true, 1})");
}

#[test]
fn casts_give_the_value_or_nothing() {
    holds("cast_array({2, 1}) == [1, 2]");
    holds("cast_array([2, 1]) == [2, 1]");
    does_not_hold("cast_array(1)");
    holds("cast_set([2, 1, 1]) == {1, 2}");
    holds("cast_string(\"a\") == \"a\"");
    does_not_hold("cast_string(1)");
    holds("cast_boolean(true)");
    does_not_hold("cast_boolean(1)");
    holds("cast_null(null) == null");
    holds("cast_object({\"a\": 1}) == {\"a\": 1}");
    does_not_hold("cast_object([])");
}

#[test]
fn set_diff_is_what_only_the_first_has() {
    holds("set_diff({1, 2, 3}, {2}) == {1, 3}");
    does_not_hold("set_diff([1], {2})");
}

#[test]
fn networks_contain_and_meet_each_other() {
    holds(r#"net.cidr_overlap("10.0.0.0/8", "10.1.2.3")"#);
    holds(r#"net.cidr_overlap("10.0.0.0/8", "10.1.0.0/16")"#);
    does_not_hold(r#"net.cidr_overlap("10.1.0.0/16", "10.0.0.0/8")"#);
    holds(r#"net.cidr_intersects("10.1.0.0/16", "10.0.0.0/8")"#);
    does_not_hold(r#"net.cidr_intersects("10.1.0.0/16", "10.2.0.0/16")"#);
    does_not_hold(r#"net.cidr_overlap("x", "10.2.0.0/16")"#);
    holds(r#"net.cidr_intersects("fe80::/10", "fe80::1")"#);
}

#[test]
fn submatches_are_listed_up_to_a_number() {
    holds(r#"regex.find_all_string_submatch_n("a(x*)b", "-axxb-ab-", -1) == [["axxb", "xx"], ["ab", ""]]"#);
    holds(r#"regex.find_all_string_submatch_n("a(x*)b", "-axxb-ab-", 1) == [["axxb", "xx"]]"#);
}

#[test]
fn sha256_is_in_hexadecimal() {
    holds(r#"crypto.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#);
}

#[test]
fn functions_that_could_fill_the_memory_have_a_limit() {
    holds("numbers.range(1, 3) == [1, 2, 3]");
    holds("bits.lsh(1, 3) == 8");
    holds("count(net.cidr_expand(\"10.0.0.0/30\")) == 4");
    for (expression, limit) in [
        ("numbers.range(1, 100000000)", "numbers.range makes at most 100000 numbers at once"),
        ("numbers.range(-9223372036854775807, 9223372036854775807)", "numbers.range makes at most 100000 numbers"),
        ("bits.lsh(1, 1000000000)", "bits.lsh shifts by at most 4096 bits"),
        ("net.cidr_expand(\"10.0.0.0/8\")", "net.cidr_expand lists at most 2^16 addresses"),
    ] {
        let text = format!("package p\ndeny[msg] {{ x := {expression}; count(x) > 0; msg := input.spec.namespace }}");
        let error = judged(&policy("data.p.deny", &text), &image_review(&["a"])).error.expect(expression);
        assert!(error.starts_with("policy.rego:2:") && error.contains(limit), "{error}");
    }
}
