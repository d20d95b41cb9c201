use serde_json::{Value, json};

use super::*;

fn redaction(value: &Value) -> Redaction {
    let json = value.to_string();
    let redaction = Redaction::of(json.as_bytes());
    let document = strict::parse(json.as_bytes()).expect("JSON");
    assert_eq!(holds_secrets(&document), !redaction.is_empty(), "{json}");
    redaction
}

fn redacted(value: &Value) -> Value {
    let redaction = redaction(value);
    serde_json::from_str(&redaction.object(&value.to_string())).expect("still JSON")
}

#[test]
fn the_values_of_variables_are_gone() {
    let pod = json!({"kind": "Pod", "spec": {"containers": [{
        "image": "nginx", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "N", "value": ""},
        {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}});
    let mut expected = pod.clone();
    expected["spec"]["containers"][0]["env"][0]["value"] = json!(REDACTED);
    assert_eq!(redacted(&pod), expected);
}

#[test]
fn the_data_of_secrets_and_config_maps_is_gone_and_no_other_data() {
    let secret =
        json!({"kind": "Secret", "type": "Opaque", "data": {"p": "aHVudGVyMg=="}, "stringData": {"q": "letmein"}});
    assert_eq!(
        redacted(&secret),
        json!({"kind": "Secret", "type": "Opaque", "data": {"p": REDACTED}, "stringData": {"q": REDACTED}})
    );
    let map = json!({"kind": "ConfigMap", "data": {"a": "b\n\"c"}, "binaryData": {"d": "AAE="}});
    assert_eq!(redacted(&map), json!({"kind": "ConfigMap", "data": {"a": REDACTED}, "binaryData": {"d": REDACTED}}));
    let other = json!({"kind": "Widget", "data": {"a": "value"}});
    assert!(redaction(&other).is_empty());
    assert_eq!(redacted(&other), other);
}

#[test]
fn the_word_after_a_telling_name_is_gone() {
    let args = |args: Value| redacted(&json!({"args": args}))["args"].clone();
    assert_eq!(args(json!(["--password=hunter2", "--port=80"])), json!(["--password=[redacted]", "--port=80"]));
    assert_eq!(args(json!(["--db-password", "hunter2", "x"])), json!(["--db-password", "[redacted]", "x"]));
    assert_eq!(args(json!(["-Api_Key", "abc"])), json!(["-Api_Key", "[redacted]"]));
    assert_eq!(args(json!(["--token", "--verbose", "x"])), json!(["--token", "--verbose", "x"]));
    assert_eq!(
        args(json!(["-c", "export TOKEN='a b'; run --passwd \"x y\" --secret: z --name n"])),
        json!(["-c", "export TOKEN=[redacted]; run --passwd [redacted] --secret: [redacted] --name n"])
    );
    assert_eq!(args(json!(["run", "--verbose", 1])), json!(["run", "--verbose", 1]));
    let probe = json!({"livenessProbe": {"exec": {"command": ["check", "--credential=abc"]}}});
    assert_eq!(redacted(&probe)["livenessProbe"]["exec"]["command"][1], "--credential=[redacted]");
}

#[test]
fn the_last_applied_copy_is_gone() {
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    let object = json!({"metadata": {"annotations": {key: "{\"data\":{\"p\":\"hunter2\"}}", "a": "b"}}});
    assert_eq!(redacted(&object), json!({"metadata": {"annotations": {key: REDACTED, "a": "b"}}}));
}

#[test]
fn a_view_that_holds_the_object_is_redacted_alike() {
    let secret = json!({"kind": "Secret", "data": {"p": "aHVudGVyMg=="}});
    let redaction = redaction(&secret);
    let view =
        json!({"object": secret, "oldObject": {"kind": "Secret", "data": {"p": "b2xk"}}, "kind": "Secret"}).to_string();
    let read: Value = serde_json::from_str(&redaction.object(&view)).expect("JSON");
    assert_eq!(read["object"]["data"]["p"], REDACTED);
    assert_eq!(read["oldObject"]["data"]["p"], REDACTED);
    let once = redaction.object(&view);
    assert_eq!(redaction.object(&once), once);
    assert_eq!(redaction.object("not json"), format!("\"{REDACTED}\""));
}

#[test]
fn messages_lose_the_longest_secret_first_and_keep_short_ones() {
    let object = json!({"kind": "Secret", "stringData": {"a": "hunter2", "b": "hunter2-long", "c": "80", "d": "true"}, "data": {"e": "bGV0bWVpbg=="}});
    let redaction = redaction(&object);
    assert_eq!(redaction.message("hunter2-long and hunter2 on 80 is true"), "[redacted] and [redacted] on 80 is true");
    assert_eq!(redaction.message("decoded letmein, coded bGV0bWVpbg=="), "decoded [redacted], coded [redacted]");
    assert!(matches!(redaction.message("nothing"), Cow::Borrowed("nothing")));
}

#[test]
fn nothing_to_hide_costs_nothing() {
    let pod = json!({"kind": "Pod", "spec": {"containers": [{"image": "nginx"}]}});
    let redaction = redaction(&pod);
    assert!(redaction.is_empty());
    assert_eq!(redaction.object("{ \"a\" : 1 }"), "{ \"a\" : 1 }");
}
