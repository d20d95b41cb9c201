use super::*;

#[track_caller]
fn refused(entrypoint: &str, text: &str, problem: &str, fix: &str) {
    let (_, found, would_be) = mistake(&settings(entrypoint, text));
    assert_eq!((found.as_str(), would_be.as_str()), (problem, fix));
}

#[test]
fn a_syntax_error_has_its_place() {
    let (field, problem, _) = mistake(&settings("data.p.deny", "package p\n\ndeny[msg] { msg := \"a }"));
    assert_eq!(field, "files");
    assert!(problem.starts_with("policy.rego:3:20: "), "{problem}");
}

#[test]
fn an_unknown_function_has_its_place_and_the_one_that_was_meant() {
    refused(
        "data.p.deny",
        "package p\ndeny[msg] { startsWith(input.spec.namespace, \"a\"); msg := \"b\" }",
        "policy.rego:2:13: there is no function startsWith",
        "startswith",
    );
    refused(
        "data.p.deny",
        "package p\ndeny[msg] { helpers.is_ours(input.spec.namespace); msg := \"b\" }",
        "policy.rego:2:13: there is no function helpers.is_ours",
        "a function of this policy's files, or a built-in of docs/rego.md",
    );
}

#[test]
fn functions_whose_result_is_another_each_time_are_refused_by_name() {
    for (call, why) in [
        ("http.send({\"method\": \"get\", \"url\": \"http://x\"})", "http.send is refused: it asks another server"),
        ("time.now_ns()", "time.now_ns is refused: its result is another each time"),
        ("rand.intn(\"a\", 3)", "rand.intn is refused: its result is another each time"),
        ("opa.runtime()", "opa.runtime is refused: it tells of the process that runs it"),
        ("external_data({})", "external_data is refused: it asks another server"),
    ] {
        let text = format!("package p\ndeny[msg] {{ x := {call}; msg := x }}");
        let (_, problem, _) = mistake(&settings("data.p.deny", &text));
        let expected = format!("policy.rego:2:18: {why}, and the same review must always have the same verdict");
        assert_eq!(problem, expected);
    }
}

#[test]
fn what_stands_nowhere_is_told_where_it_is_asked_for() {
    refused(
        "data.p.deny",
        "package p\nimport data.lib.images\ndeny[msg] { images.bad; msg := \"b\" }",
        "policy.rego:2:8: data.lib.images is in no file of this policy, so what needs it would silently allow",
        "add the file that has it to `files` (an empty document, where it is meant to be empty)",
    );
    refused(
        "data.p.deny",
        "package p\ndeny[msg] { data.inventory.namespace[_]; msg := \"b\" }",
        "policy.rego:2:13: data.inventory is what Gatekeeper replicates of a cluster, which is not known here",
        "a policy that needs the review alone",
    );
}

#[test]
fn an_entry_point_that_is_none_is_told_with_the_nearest() {
    let text = "package admission\ndeny[msg] { msg := \"b\" }\nhelp(x) = x { true }";
    for (entrypoint, problem, fix) in [
        (
            "data.admision.deny",
            "`data.admision.deny` is no rule of these files, so nothing would ever be denied",
            "data.admission.deny",
        ),
        (
            "data.admission",
            "`data.admission` is no rule of these files, so nothing would ever be denied",
            "data.admission.deny",
        ),
        ("data.admission.help", "data.admission.help is a function", "a rule"),
    ] {
        let (field, found, would_be) = mistake(&settings(entrypoint, text));
        assert_eq!((field.as_str(), found.as_str(), would_be.as_str()), ("entrypoint", problem, fix));
    }
}

#[test]
fn a_variable_that_is_bound_nowhere_is_told() {
    let (_, problem, _) = mistake(&settings("data.p.deny", "package p\ndeny[msg] { x == 1; msg := \"b\" }"));
    assert!(problem.starts_with("policy.rego:2:13: ") && problem.contains("unsafe"), "{problem}");
}

#[test]
fn documents_that_contradict_each_other_are_told() {
    let mut settings = settings("data.p.deny", "package p\ndeny[msg] { msg := data.a }");
    for json in [r#"{"a": "1"}"#, r#"{"a": "2"}"#, "[]"] {
        let json = json.to_owned();
        settings.data.push(DataDocument { file: "d.json".into(), at: Vec::new(), json });
    }
    let (_, problem, _) = mistake(&settings);
    assert!(problem.starts_with("d.json: "), "{problem}");
}

#[test]
fn every_mistake_of_a_step_is_told() {
    let mut settings = settings("data.p.deny", "package p\ndeny[msg] { foo(1); bar(2); msg := \"b\" }");
    settings.modules.push(RegoModule {
        file: "two.rego".into(),
        text: "package q\na { baz(1) }".into(),
        dialect: None,
    });
    let mistakes = RegoPolicy::compile(&settings).expect_err("mistakes");
    assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
}

#[test]
fn a_dialect_that_is_given_is_the_only_one() {
    let text = "package p\ndeny[msg] { msg := \"b\" }";
    let mut settings = settings("data.p.deny", text);
    settings.dialect = Dialect::V1;
    let (_, problem, _) = mistake(&settings);
    assert!(problem.contains("`if` keyword is required"), "{problem}");
    settings.modules[0].dialect = Some(Dialect::V0);
    compile(&settings);
}
