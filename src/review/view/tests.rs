use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::review::decode::decode;

fn stripped(value: &Value) -> Value {
    serde_json::from_str(&object(value.to_string()).expect("JSON")).expect("canonical JSON is JSON")
}

fn canonical_text(json: &str) -> String {
    canonical(strict::parse(json.as_bytes()).expect("JSON").root())
}

#[test]
fn the_encoding_sorts_keys_by_bytes_and_keeps_numbers_as_they_are() {
    let text = "{ \"b\" : [1.0, 1e2, -0, 12345678901234567890123] , \"a\" : {\"é\":1,\"z\":2,\"Z\":3,\"\\u0061\":\"\\u0041\\n\\/\"} }";
    let expected = r#"{"a":{"Z":3,"a":"A\n/","z":2,"é":1},"b":[1.0,1e2,-0,12345678901234567890123]}"#;
    assert_eq!(canonical_text(text), expected);
}

#[test]
fn what_differs_between_two_creations_is_left_out() {
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1", "status": {"phase": "Pending"},
        "metadata": {
            "name": "web-abcde", "generateName": "web-", "uid": "1", "resourceVersion": "2", "generation": 3, "selfLink": "x",
            "creationTimestamp": "2026-11-23T06:36:33Z", "deletionTimestamp": "2026-11-23T06:36:33Z", "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"},
            "ownerReferences": [{"uid": "4", "name": "web"}],
            "labels": {"uid": "a label"}
        },
        "spec": {
            "status": "kept",
            "containers": [{"name": "kube-api-access-abcde", "volumeMounts": [{"name": "kube-api-access-x7k2p"}, {"name": "kube-api-access-mine"}]}],
            "volumes": [{"name": "kube-api-access-x7k2p"}, {"name": "data"}],
            "template": {"metadata": {"creationTimestamp": null, "labels": {}}}
        }
    });
    let expected = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "web-", "generateName": "web-", "annotations": {"keep": "me"}, "ownerReferences": [{"name": "web"}],
            "labels": {"uid": "a label"}
        },
        "spec": {
            "status": "kept",
            "containers": [{"name": "kube-api-access-abcde", "volumeMounts": [{"name": "kube-api-access-"}, {"name": "kube-api-access-mine"}]}],
            "volumes": [{"name": "kube-api-access-"}, {"name": "data"}],
            "template": {"metadata": {"labels": {}}}
        }
    });
    assert_eq!(stripped(&pod), expected);
}

#[test]
fn a_name_is_generated_only_with_five_characters_after_its_stem() {
    let name =
        |name: &str| stripped(&json!({"metadata": {"generateName": "web-", "name": name}}))["metadata"]["name"].clone();
    assert_eq!(name("web-abcde"), "web-");
    for given in ["web-abcdef", "web-abcd", "api-abcde", "web-"] {
        assert_eq!(name(given), given);
    }
}

fn body(name: &str, uid: &str, user_uid: &str, volume: &str) -> Vec<u8> {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": uid, "kind": {"group": "", "version": "v1", "kind": "Pod"}, "name": name, "namespace": "n", "operation": "CREATE",
        "userInfo": {"username": "me", "uid": user_uid, "groups": ["a", "b"], "extra": {"x": [user_uid]}},
        "object": {
            "metadata": {"name": name, "generateName": "web-", "uid": uid, "labels": {"app": "web"}, "annotations": {"x": "y"}},
            "spec": {"volumes": [{"name": volume}], "containers": [{"name": "c", "image": "nginx", "volumeMounts": [{"name": volume}]}]}
        },
        "oldObject": null, "dryRun": false}})
    .to_string()
    .into_bytes()
}

#[test]
fn two_pods_of_one_template_have_one_view() {
    let (one, other) =
        (body("web-aaaaa", "1", "2", "kube-api-access-aaaaa"), body("web-bbbbb", "3", "4", "kube-api-access-bbbbb"));
    let (first, second) = (decode(&one).expect("a review"), decode(&other).expect("a review"));
    assert_eq!(first.view, second.view);
    let view = |review: &Review, body: &[u8]| {
        let document = strict::parse(body).expect("JSON");
        let view = ObjectView::of(review, &document);
        (view.encode(), object_hash(&view.encode()))
    };
    assert_eq!(view(&first, &one), view(&second, &other));
    let (encoded, _) = view(&first, &one);
    assert_eq!(canonical_text(&encoded), encoded);
    let read: Value = serde_json::from_str(&encoded).expect("JSON");
    assert_eq!(read["name"], "web-");
    assert_eq!(read["user"], "me");
    assert_eq!(read["groups"], json!(["a", "b"]));
    assert_eq!(read["labels"], json!({"app": "web"}));
    assert_eq!(read["version"], "v1");
    assert_eq!(read["image"]["images"][0]["text"], "nginx");
    assert_eq!(read["object"]["spec"]["containers"][0]["image"], "nginx");
    assert!(read["oldObject"].is_null() && !encoded.contains("uid") && !encoded.contains("extra"));
}

#[test]
fn an_image_review_has_an_object_view_without_an_object() {
    let body = br#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","spec":{"containers":[{"image":"nginx"}],"namespace":"n"}}"#;
    let review = decode(body).expect("a review");
    let document = strict::parse(body).expect("JSON");
    let encoded = ObjectView::of(&review, &document).encode();
    let expected = r#"{"annotations":null,"group":null,"groups":null,"image":{"annotations":{},"group":null,"images":[{"container":null,"new":true,"role":"unknown","text":"nginx"}],"kind":null,"namespace":"n","operation":"CREATE","subresource":null},"kind":null,"labels":null,"name":null,"object":null,"oldObject":null,"resource":null,"user":null,"version":null}"#;
    assert_eq!(encoded, expected);
    assert_eq!(canonical_text(review.view.encoded()), review.view.encoded());
}

/// Objects that hold what a view leaves out, at places where it does and where it does not.
fn objects() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof!["web-", "web-abcde", "kube-api-access-", "kube-api-access-[a-z0-9]{5}", "\\PC{0,6}"]
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("name"),
        Just("generateName"),
        Just("uid"),
        Just("managedFields"),
        Just("status"),
        Just("annotations"),
        Just("kubectl.kubernetes.io/last-applied-configuration"),
        Just("ownerReferences"),
        Just("volumes"),
        Just("volumeMounts"),
        Just("spec"),
        Just("template"),
        Just("creationTimestamp"),
        Just("x"),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value with its members the other way round, and with spaces.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().rev().map(|(key, value)| format!("{} : {}", json!(key), reversed(value))).collect();
            format!("{{ {} }}", members.join(" , "))
        }
        Value::Array(items) => format!("[\n{}]", items.iter().map(reversed).collect::<Vec<_>>().join(",\n")),
        leaf => leaf.to_string(),
    }
}

proptest! {
    #[test]
    fn a_view_of_a_view_is_that_view(value in objects()) {
        let once = object(value.to_string()).expect("JSON");
        prop_assert_eq!(object(&once).expect("JSON"), once);
    }

    #[test]
    fn the_order_of_keys_and_the_spaces_between_them_mean_nothing(value in objects()) {
        prop_assert_eq!(object(reversed(&value)).expect("JSON"), object(value.to_string()).expect("JSON"));
        prop_assert_eq!(canonical_text(&reversed(&value)), canonical_text(&value.to_string()));
    }

    #[test]
    fn the_encoding_says_what_the_object_says(value in objects()) {
        let read: Value = serde_json::from_str(&canonical_text(&value.to_string())).expect("JSON");
        prop_assert_eq!(read, value);
    }
}
