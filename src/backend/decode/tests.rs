use super::*;

const V1: &str = "admission.k8s.io/v1";
const V1BETA1: &str = "admission.k8s.io/v1beta1";
const ALPHA: &str = "imagepolicy.k8s.io/v1alpha1";

fn admission_in(api_version: &str, text: &str) -> Result<BackendAnswer, Problem> {
    decode(Bytes::copy_from_slice(text.as_bytes()), Protocol::AdmissionReview, api_version, Some("u-1"))
}

fn admission(text: &str) -> Result<BackendAnswer, Problem> {
    admission_in(V1, text)
}

fn response(members: &str) -> Result<BackendAnswer, Problem> {
    admission(&format!(r#"{{"response":{{{members}}}}}"#))
}

fn image(text: &str) -> Result<BackendAnswer, Problem> {
    decode(Bytes::copy_from_slice(text.as_bytes()), Protocol::ImageReview, ALPHA, None)
}

fn refused<const N: usize>(read: impl Fn(&str) -> Result<BackendAnswer, Problem>, cases: [(&str, &str); N]) {
    for (body, why) in cases {
        let problem = read(body).err().unwrap_or_else(|| panic!("{body} was accepted"));
        assert!(problem.contains(why), "{body}: {problem}");
    }
}

#[test]
fn an_image_review_allows_and_denies() {
    let allows = image(
        r#"{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","metadata":{"creationTimestamp":null},
            "spec":{},"status":{"allowed":true,"reason":"fine","auditAnnotations":{"seen":"yes","no":null}}}"#,
    )
    .expect("valid");
    assert!(allows.allowed && allows.message.is_none() && !allows.patches);
    assert_eq!(allows.audit_annotations, BTreeMap::from([("no".into(), "".into()), ("seen".into(), "yes".into())]));

    let denies = image(r#"{"status":{"allowed":false,"reason":"no \"latest\""}}"#).expect("valid without a kind");
    assert!(!denies.allowed);
    assert_eq!(denies.violation_text(), "no \"latest\"");
    let silent = image(r#"{"kind":"","apiVersion":null,"status":{"allowed":false}}"#).expect("valid");
    assert_eq!((silent.message.as_deref(), silent.violation_text()), (None, "denied without a message"));
}

#[test]
fn what_the_api_server_takes_as_a_silent_denial_is_an_error() {
    refused(
        image,
        [
            ("{}", "no status"),
            (r#"{"status":null}"#, "no status"),
            (r#"{"status":{}}"#, "no field allowed"),
            (r#"{"status":{"Allowed":true}}"#, "no field allowed"),
            (r#"{"status":{"allowed":null}}"#, "no field allowed"),
            (r#"{"Status":{"allowed":true}}"#, "no status"),
        ],
    );
    refused(
        admission,
        [
            ("{}", "no response"),
            (r#"{"response":null}"#, "no response"),
            (r#"{"response":{"uid":"u-1"}}"#, "no field allowed"),
            (r#"{"response":{"allow":true}}"#, "no field allowed"),
        ],
    );
}

#[test]
fn what_cannot_be_read_is_an_error() {
    refused(
        image,
        [
            ("", "empty"),
            ("ok", "not JSON"),
            ("<html></html>", "not JSON"),
            (r#"{"status":{"allowed":true}"#, "not JSON"),
            (r#"{"status":{"allowed":true}} {}"#, "not JSON"),
            (r#"{"status":{"allowed":true,"allowed":false}}"#, "not JSON"),
            (r#"[{"status":{"allowed":true}}]"#, "a list, not an object"),
            (r#"{"status":true}"#, "status is a boolean"),
            (r#"{"status":{"allowed":"true"}}"#, "a string, not true or false"),
            (r#"{"status":{"allowed":1}}"#, "a number"),
            (r#"{"status":{"allowed":false,"reason":7}}"#, "status.reason is a number"),
            (r#"{"status":{"allowed":true,"auditAnnotations":{"a":1}}}"#, "not only strings"),
            (r#"{"status":{"allowed":true,"auditAnnotations":[]}}"#, "a list, not an object"),
            (r#"{"kind":"PodReview","status":{"allowed":true}}"#, r#"kind is "PodReview", not "ImageReview""#),
            (r#"{"kind":3,"status":{"allowed":true}}"#, "kind is a number"),
            (r#"{"apiVersion":"v1","status":{"allowed":true}}"#, r#"apiVersion is "v1""#),
        ],
    );
}

#[test]
fn an_admission_review_keeps_what_the_writer_needs() {
    let text = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{
        "uid":"u-1", "allowed":false, "status":{"message":"no","reason":"Forbidden","code":422,"details":{"name":"x"}},
        "warnings":["one",null,"two"], "auditAnnotations":{"k":"v"}, "future" : {"kept": [1, 2.50, null]}},"extra":1e2}"#;
    let answer = admission(text).expect("valid");
    assert_eq!((answer.violation_text(), answer.code, answer.patches), ("no", Some(422), false));
    assert_eq!(answer.warnings, ["one", "", "two"]);
    assert_eq!(answer.body, text.as_bytes());
    let keys: Vec<_> = answer.response.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["uid", "allowed", "status", "warnings", "auditAnnotations", "future"]);
    assert_eq!(answer.response[5].1.get(), r#"{"kept": [1, 2.50, null]}"#, "byte for byte");
    let keys: Vec<_> = answer.envelope.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["kind", "apiVersion", "response", "extra"]);
    assert_eq!(answer.envelope[3].1.get(), "1e2");
}

#[test]
fn a_denials_words_are_those_that_the_api_server_would_show() {
    let of = |status: &str| response(&format!(r#""allowed":false,"status":{status}"#)).expect("valid");
    assert_eq!(of(r#"{"reason":"Because"}"#).violation_text(), "Because");
    assert_eq!(of(r#"{"message":"","reason":"Because"}"#).violation_text(), "Because");
    assert_eq!(of(r#"{"metadata":{}}"#).violation_text(), "denied without a message");
    assert_eq!(of("null").code, None);
    assert_eq!(of(r#"{"code":0}"#).code, None, "Go writes a missing code so");
    assert_eq!(of(r#"{"code":-4}"#).code, None);
    let allows = response(r#""allowed":true,"status":{"message":"ignored","code":403}"#).expect("valid");
    assert_eq!((allows.message, allows.code), (None, None));
}

#[test]
fn an_answer_may_leave_out_uid_version_and_kind_but_not_say_others() {
    assert!(response(r#""allowed":true"#).is_ok());
    assert!(response(r#""uid":"","allowed":true"#).is_ok(), "as kube-image-bouncer answers");
    refused(
        admission,
        [
            (r#"{"response":{"uid":"u-2","allowed":true}}"#, r#"uid is "u-2", not "u-1""#),
            (r#"{"response":{"uid":1,"allowed":true}}"#, "uid is a number"),
            (r#"{"kind":"ImageReview","response":{"allowed":true}}"#, "kind"),
            (r#"{"apiVersion":"admission.k8s.io/v1beta1","response":{"allowed":true}}"#, "apiVersion"),
            (r#"{"response":{"allowed":true,"warnings":"w"}}"#, "response.warnings is a string"),
            (r#"{"response":{"allowed":true,"warnings":[1]}}"#, "not only strings"),
            (r#"{"response":{"allowed":false,"status":"no"}}"#, "response.status is a string"),
            (r#"{"response":{"allowed":false,"status":{"code":"403"}}}"#, "not a whole number"),
            (r#"{"response":{"allowed":false,"status":{"message":{}}}}"#, "message is an object"),
            (r#"{"response":{"allowed":false,"status":{"details":[]}}}"#, "details is a list"),
        ],
    );
}

#[test]
fn a_patch_is_a_json_patch_with_its_type() {
    let encoded = |patch: &str| STANDARD.encode(patch);
    let good = encoded(r#"[{"op":"add","path":"/metadata/labels","value":{}}]"#);
    assert!(response(&format!(r#""allowed":true,"patchType":"JSONPatch","patch":"{good}""#)).expect("valid").patches);
    let folded = format!(r"{}\r\n{}", &good[..20], &good[20..]);
    assert!(response(&format!(r#""allowed":true,"patchType":"JSONPatch","patch":"{folded}""#)).expect("valid").patches);
    assert!(!response(r#""allowed":true,"patch":"","patchType":null"#).expect("valid").patches);

    let typed = |patch: &str| format!(r#""allowed":true,"patchType":"JSONPatch","patch":"{patch}""#);
    for (members, why) in [
        (format!(r#""allowed":true,"patch":"{good}""#), "without a patchType"),
        (r#""allowed":true,"patchType":"JSONPatch""#.to_owned(), "without a patch"),
        (format!(r#""allowed":true,"patchType":"MergePatch","patch":"{good}""#), "MergePatch"),
        (r#""allowed":true,"patchType":"JSONPatch","patch":[{"op":"add"}]"#.to_owned(), "a list, not a string"),
        (typed("%%%"), "not base64"),
        (typed(&good[1..]), "not base64"),
        (typed(&encoded("nothing")), "holds no JSON"),
        (typed(&encoded(r#"{"op":"add","path":"/"}"#)), "no JSONPatch"),
        (typed(&encoded(r#"[{"op":"add"}]"#)), "no JSONPatch"),
        (typed(&encoded("[1]")), "no JSONPatch"),
    ] {
        let problem = response(&members).expect_err(&members);
        assert!(problem.contains(why), "{members}: {problem}");
    }
}

#[test]
fn v1beta1_does_not_look_at_the_patch_type() {
    let patch = STANDARD.encode("[]");
    let read = |members: &str| admission_in(V1BETA1, &format!(r#"{{"response":{{"allowed":true{members}}}}}"#));
    assert!(read(&format!(r#","patch":"{patch}""#)).expect("valid").patches);
    assert!(!read(r#","patchType":"JSONPatch""#).expect("valid").patches);
    assert!(read(r#","patch":"!""#).is_err());
}
