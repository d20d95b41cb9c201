use super::*;

const WHITELIST: &str = include_str!("../../../../tests/fixtures/examples/container-image-whitelist.rego");

#[test]
fn the_missions_policy_runs_to_the_letter_on_both_reviews() {
    let policy = policy("data.admission.deny", WHITELIST);
    let (rule, message) = ("container-image-whitelist", "invalid container registry image \"nginx:1.2\"");
    for body in
        [pod(&["nginx:1.2", "registry.acmecorp.com/a:1"]), image_review(&["nginx:1.2", "registry.acmecorp.com/a:1"])]
    {
        let finding = judged(&policy, &body);
        assert_eq!(said(&finding), [(rule, message)], "{body}");
        assert_eq!(finding.violations[0].image.as_deref(), Some("nginx:1.2"));
    }
    let fine = judged(&policy, &pod(&["registry.acmecorp.com/a:1"]));
    assert!(fine.judged && fine.violations.is_empty());
}

#[test]
fn rows_of_other_objects_and_rows_that_patch_say_nothing() {
    let text = r#"package admission
        deny[{"id": "other", "resource": {"kind": "pods", "namespace": "shop", "name": "another"}, "resolution": {"message": "m"}}] { true }
        deny[{"id": "patch", "resource": {"kind": "pods", "namespace": "shop", "name": "web"}, "resolution": {"patches": [], "message": "m"}}] { true }
        deny[{"id": "ours", "resource": {"kind": "pods", "namespace": "shop", "name": "web"}, "resolution": {"message": "no"}}] { true }"#;
    assert_eq!(said(&judged(&policy("data.admission.deny", text), &pod(&["a"]))), [("ours", "no")]);
}

#[test]
fn the_object_stands_at_its_place_under_data() {
    let text = r#"package admission
        import data.kubernetes.pods
        deny[{"id": "p", "resource": {"kind": "pods", "namespace": ns, "name": name}, "resolution": {"message": msg}}] {
            pods[ns][name].userInfo.username == "alice"
            msg := pods[ns][name].object.spec.containers[_].image
        }
        deny[{"id": "any", "resource": {"kind": kind, "namespace": ns, "name": name}, "resolution": {"message": kind}}] {
            data.kubernetes[kind][ns][name].operation == "CREATE"
        }"#;
    let policy = policy("data.admission.deny", text);
    assert_eq!(said(&judged(&policy, &pod(&["a:1"]))), [("any", "pods"), ("p", "a:1")]);
    assert_eq!(said(&judged(&policy, &image_review(&["a:1"]))), [("any", "pods")], "an ImageReview names no user");
}

const KUBE_MGMT: &str = r#"package kubernetes.admission
    deny[msg] {
        input.request.kind.kind == "Pod"
        image := input.request.object.spec.containers[_].image
        not startswith(image, "hooli.com/")
        msg := sprintf("image %v is not from hooli.com", [image])
    }"#;

#[test]
fn deny_strings_as_kube_mgmt_has_them() {
    let policy = policy("data.kubernetes.admission.deny", KUBE_MGMT);
    let expected = [("deny", "image nginx is not from hooli.com")];
    assert_eq!(said(&judged(&policy, &pod(&["nginx", "hooli.com/a"]))), expected);
    assert_eq!(said(&judged(&policy, &image_review(&["nginx"]))), expected);
}

#[test]
fn system_main_answers_an_admission_review() {
    let main = r#"package system
        import data.kubernetes.admission
        main = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        default uid = ""
        uid = input.request.uid
        response = {"allowed": false, "uid": uid, "status": {"message": reason}} {
            reason = concat(", ", admission.deny)
            reason != ""
        }
        else = {"allowed": true, "uid": uid}"#;
    let mut settings = settings("data.system.main", main);
    settings.modules.push(RegoModule { file: "deny.rego".into(), text: KUBE_MGMT.into(), dialect: None });
    let policy = compile(&settings);
    let finding = judged(&policy, &pod(&["nginx", "b"]));
    assert_eq!(said(&finding), [("main", "image b is not from hooli.com, image nginx is not from hooli.com")]);
    assert_eq!(said(&judged(&policy, &pod(&["hooli.com/a"]))), []);
}

#[test]
fn violations_are_objects_with_a_msg() {
    let text = r#"package p
        import rego.v1
        violation contains {"msg": msg, "details": {"container": c.name}} if {
            some c in input.request.object.spec.containers
            endswith(c.image, ":latest")
            msg := sprintf("container <%v> uses latest", [c.name])
        }"#;
    let finding = judged(&policy("data.p.violation", text), &pod(&["a:1", "b:latest"]));
    assert_eq!(said(&finding), [("violation", "container <c1> uses latest")]);
    let violation = &finding.violations[0];
    assert_eq!((violation.image.as_deref(), violation.container.as_deref()), (Some("b:latest"), Some("c1")));
}

#[test]
fn a_boolean_is_read_by_its_name() {
    let text = r#"package p
        import rego.v1
        default allow := false
        allow if not any_latest
        any_latest if endswith(input.request.object.spec.containers[_].image, ":latest")
        undefined_allow_is_none if false
        deny_it if any_latest"#;
    for (entrypoint, body, expected) in [
        ("data.p.allow", pod(&["a:latest"]), vec![("allow", "data.p.allow is not true")]),
        ("data.p.allow", pod(&["a:1"]), vec![]),
        ("data.p.deny_it", pod(&["a:latest"]), vec![("deny_it", "data.p.deny_it is true")]),
        ("data.p.deny_it", pod(&["a:1"]), vec![]),
    ] {
        assert_eq!(said(&judged(&policy(entrypoint, text), &body)), expected, "{entrypoint}");
    }
    let unknown = judged(&policy("data.p.undefined_allow_is_none", text), &pod(&["a:1"]));
    let error = unknown.error.expect("never an allow");
    assert_eq!(error, "data.p.undefined_allow_is_none is undefined for this review");
}

#[test]
fn an_allow_that_is_undefined_is_no_allow() {
    let text = "package p\nallow { input.request.object.spec.hostNetwork == false }";
    assert_eq!(said(&judged(&policy("data.p.allow", text), &pod(&["a"]))), [("allow", "data.p.allow is not true")]);
}

#[test]
fn a_policy_for_image_reviews_judges_both() {
    let text = r#"package imagepolicy
        deny[msg] { image := input.spec.containers[_].image; not startswith(image, "ours/"); msg := image }"#;
    let policy = policy("data.imagepolicy.deny", text);
    assert_eq!(policy.form(), Form::ImageReview);
    assert_eq!(said(&judged(&policy, &image_review(&["nginx", "ours/a"]))), [("deny", "nginx")]);
    assert_eq!(said(&judged(&policy, &pod(&["nginx", "ours/a"]))), [("deny", "nginx")]);
}

#[test]
fn an_image_review_is_answered_as_a_webhook_would() {
    let text = r#"package p
        import rego.v1
        review := {"apiVersion": "imagepolicy.k8s.io/v1alpha1", "kind": "ImageReview", "status": status}
        default status := {"allowed": true}
        status := {"allowed": false, "reason": "no nginx"} if contains(input.spec.containers[_].image, "nginx")"#;
    assert_eq!(said(&judged(&policy("data.p.review", text), &image_review(&["nginx"]))), [("review", "no nginx")]);
    assert_eq!(said(&judged(&policy("data.p.review", text), &image_review(&["a"]))), []);
}

#[test]
fn conftest_has_the_object_and_a_set_that_only_warns() {
    let text = r#"package main
        deny[msg] { input.kind == "Pod"; not input.metadata.labels.team; msg := "a pod needs a team" }
        warn[msg] { input.spec.containers[_].image == "nginx"; msg := "nginx is old" }"#;
    let policy = policy("data.main.deny", text);
    assert_eq!(policy.form(), Form::Object);
    let finding = judged(&policy, &pod(&["nginx"]));
    assert_eq!(said(&finding), [("deny", "a pod needs a team"), ("warn", "nginx is old")]);
    assert_eq!(finding.violations.iter().map(|one| one.most).collect::<Vec<_>>(), [Mode::Enforce, Mode::Warn]);
}

#[test]
fn a_policy_of_a_pod_that_only_names_kind_and_containers_is_one_of_objects() {
    let text = r#"package main
        deny[msg] { input.kind == "Pod"; msg := input.spec.containers[_].image }"#;
    assert_eq!(policy("data.main.deny", text).form(), Form::Object);
    let text = text.replace("\"Pod\"", "\"ImageReview\"");
    assert_eq!(policy("data.main.deny", &text).form(), Form::ImageReview);
}

#[test]
fn without_an_image_an_image_policy_has_nothing_to_judge() {
    let text = "package p\ndeny[msg] { input.spec.namespace == \"shop\"; msg := \"no\" }";
    assert!(!judged(&policy("data.p.deny", text), &image_review(&[])).judged);
}

#[test]
fn data_is_merged_under_its_place() {
    let mut settings = settings(
        "data.p.deny",
        "package p\nimport data.lists.allowed\ndeny[msg] { msg := input.spec.containers[_].image; not allowed[msg] }",
    );
    let document = |at: &[&str], json: &str| DataDocument {
        file: "data.json".into(),
        at: at.iter().map(|step| (*step).to_owned()).collect(),
        json: json.into(),
    };
    settings.data = vec![
        document(&["lists"], r#"{"allowed": {"a": true}}"#),
        document(&[], r#"{"lists": {"allowed": {"b": true}}}"#),
    ];
    assert_eq!(said(&judged(&compile(&settings), &image_review(&["a", "b", "c"]))), [("deny", "c")]);
}

#[test]
fn what_is_printed_is_kept_beside_the_verdict() {
    let text = "package p\ndeny[msg] { image := input.spec.containers[_].image; print(\"saw\", image); msg := image }";
    let finding = judged(&policy("data.p.deny", text), &image_review(&["a"]));
    assert_eq!(said(&finding), [("deny", "a")]);
    assert_eq!(finding.prints, ["policy.rego:2: saw a"]);
}
