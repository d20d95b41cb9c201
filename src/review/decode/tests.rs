use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(body: &Value) -> Review {
    decode(body.to_string().as_bytes()).expect("a review")
}

#[track_caller]
fn refused(body: &str, message: &str) {
    let error = decode(body.as_bytes()).expect_err("it should be refused").to_string();
    assert!(error.contains(message), "{error}");
}

/// `role container text`, with a `*` where it is new.
fn images(review: &Review) -> Vec<String> {
    let new = |image: &Image| if image.new { "*" } else { "" };
    let container = |image: &Image| image.container.clone().unwrap_or_else(|| "-".to_owned());
    review
        .images
        .iter()
        .map(|image| format!("{} {} {}{}", image.role.as_str(), container(image), image.text, new(image)))
        .collect()
}

fn workload(review: &Review) -> String {
    format!("{} {}", review.record.workload.kind, review.record.workload.name)
}

const DIGEST: &str = "@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0";

fn two_images(tag: &str, new: bool) -> Vec<String> {
    let mark = |new: bool| if new { "*" } else { "" };
    vec![
        format!("container a myrepo/myimage:{tag}*"),
        format!("container b myrepo/myimage{DIGEST}{}", mark(new)),
        format!("init i registry.acmecorp.com/init:1.0{}", mark(new)),
    ]
}

/// Every capture: protocol version, operation, kind, name, workload, images.
#[test]
fn every_captured_admission_review_is_read() {
    let large: Vec<String> = (0..12)
        .map(|n| format!("container c{n} registry.acmecorp.com/team-{}/svc-{n}:{}.{n}.0*", n % 4, n + 1))
        .collect();
    let bad = || {
        ["a UPPER/Case:bad tag!*", "x <script>alert(1)</script>*", "csv =cmd|' /C calc'!A0*"]
            .map(|image| format!("container {image}"))
            .to_vec()
    };
    let one = |image: &str| vec![image.to_owned()];
    let web = |tag: &str, new: &str| {
        vec![
            format!("container web registry.acmecorp.com/web:{tag}*"),
            format!("container sidecar docker.io/library/busybox:latest{new}"),
        ]
    };
    let agent = format!("container agent quay.io:443/acme/agent:v1{DIGEST}*");
    let mut label_only = two_images("v2", false);
    label_only[0].pop();
    let cases = [
        ("002-admission-v1-create-pod", "Pod", "two-images", "Pod two-images", two_images("v1", true)),
        ("003-admission-v1beta1-create-pod", "Pod", "two-images", "Pod two-images", two_images("v1", true)),
        ("005-admission-v1beta1-create-pod", "Pod", "gen-bf87b", "Pod gen-", one("container a nginx*")),
        ("006-admission-v1-create-pod", "Pod", "gen-bf87b", "Pod gen-", one("container a nginx*")),
        ("007-admission-v1-create-deployment", "Deployment", "web", "Deployment web", web("2.3.4", "*")),
        (
            "008-admission-v1-create-statefulset",
            "StatefulSet",
            "db",
            "StatefulSet db",
            one("container db postgres:15*"),
        ),
        ("009-admission-v1-create-daemonset", "DaemonSet", "agent", "DaemonSet agent", vec![agent]),
        ("010-admission-v1-create-job", "Job", "once", "Job once", one("container once localhost:5000/redis*")),
        (
            "011-admission-v1-create-replicationcontroller",
            "ReplicationController",
            "nginx-latest",
            "ReplicationController nginx-latest",
            one("container nginx-latest nginx*"),
        ),
        ("013-admission-v1-update-pod", "Pod", "two-images", "Pod two-images", two_images("v2", false)),
        ("014-admission-v1-update-deployment", "Deployment", "web", "Deployment web", web("2.3.5", "")),
        ("015-admission-v1-update-pod", "Pod", "two-images", "Pod two-images", label_only),
        ("017-admission-v1beta1-create-pod-dry-run", "Pod", "dry", "Pod dry", one("container dry nginx:1.25*")),
        ("018-admission-v1-create-pod-dry-run", "Pod", "dry", "Pod dry", one("container dry nginx:1.25*")),
        (
            "019-admission-v1-create-cronjob",
            "CronJob",
            "nightly",
            "CronJob nightly",
            one("container nightly gcr.io/acme/nightly:2026-11-01*"),
        ),
        (
            "020-admission-v1-create-podtemplate",
            "PodTemplate",
            "tpl",
            "PodTemplate tpl",
            one("container c ghcr.io/acme/tpl:1*"),
        ),
        ("022-admission-v1-create-pod", "Pod", "bad-image", "Pod bad-image", bad()),
        ("023-admission-v1beta1-create-pod", "Pod", "bad-image", "Pod bad-image", bad()),
        ("025-admission-v1beta1-create-pod", "Pod", "large", "Pod large", large.clone()),
        ("026-admission-v1-create-pod", "Pod", "large", "Pod large", large),
    ];
    for (file, kind, name, team_name, expected) in cases {
        let review = decode(&capture(&format!("{file}.json"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(review.protocol, Protocol::AdmissionReview, "{file}");
        let version = if file.contains("v1beta1") { "admission.k8s.io/v1beta1" } else { "admission.k8s.io/v1" };
        assert_eq!(review.api_version, version, "{file}");
        assert_eq!(review.record.operation == Operation::Update, file.contains("update"), "{file}");
        assert_eq!(review.dry_run, file.contains("dry-run"), "{file}");
        assert_eq!(review.record.kind.as_deref(), Some(kind), "{file}");
        assert_eq!(review.name.as_deref(), Some(name), "{file}");
        assert_eq!(review.record.namespace.as_deref(), Some("mynamespace"), "{file}");
        assert_eq!(review.user.as_deref(), Some("lab-admin"), "{file}");
        assert_eq!(workload(&review), team_name, "{file}");
        assert_eq!(images(&review), expected, "{file}");
        assert_eq!(review.exempt_from_denial, file.starts_with("015"), "{file}");
        assert!(review.uid.is_some() && review.object.is_some(), "{file}");
        let annotations: Vec<_> =
            review.record.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let annotation = match (kind, name) {
            ("Pod", "two-images") => vec!["mycluster.image-policy.k8s.io/ticket-1234=break-glass".to_owned()],
            ("Deployment", _) => vec!["mycluster.image-policy.k8s.io/team=payments".to_owned()],
            _ => vec![],
        };
        assert_eq!(annotations, annotation, "{file}");
    }
}

#[test]
fn every_captured_image_review_is_read() {
    let acme: Vec<String> =
        (0..12).map(|n| format!("registry.acmecorp.com/team-{}/svc-{n}:{}.{n}.0", n % 4, n + 1)).collect();
    let two = |tag: &str, digest: &str| {
        vec![
            format!("myrepo/myimage:{tag}"),
            format!("myrepo/myimage{digest}"),
            "registry.acmecorp.com/init:1.0".into(),
        ]
    };
    let mut docs = two("v1", &DIGEST[..DIGEST.len() - 1]);
    docs.pop();
    let ticket = ["mycluster.image-policy.k8s.io/ticket-1234"].as_slice();
    let running = "running docker.io/myrepo/myimage, registry.acmecorp.com/init";
    let bad = ["UPPER/Case:bad tag!", "<script>alert(1)</script>", "=cmd|' /C calc'!A0"].map(str::to_owned).to_vec();
    let bad_name = "running <script>alert(1)</script>, =cmd|' /C calc'!A0, UPPER/Case:bad tag!";
    let docs_name = format!("running docker.io/myrepo/myimage, {}", docs[1]);
    let cases = [
        ("001-image-review", ticket, two("v1", DIGEST), Some(running)),
        ("004-image-review", &[], vec!["nginx".to_owned()], Some("running docker.io/library/nginx")),
        ("012-image-review", ticket, two("v2", DIGEST), Some(running)),
        ("016-image-review", &[], vec!["nginx:1.25".to_owned()], Some("running docker.io/library/nginx")),
        ("021-image-review", &[], bad, Some(bad_name)),
        ("024-image-review", &[], acme, None),
        ("image-review", ticket, docs, Some(docs_name.as_str())),
    ];
    for (file, annotations, texts, name) in cases {
        let review = decode(&capture(&format!("{file}.json"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(review.protocol, Protocol::ImageReview, "{file}");
        assert_eq!(review.api_version, "imagepolicy.k8s.io/v1alpha1", "{file}");
        assert_eq!(review.record.operation, Operation::Create, "{file}");
        assert_eq!(review.record.namespace.as_deref(), Some("mynamespace"), "{file}");
        assert!(review.name.is_none() && review.user.is_none() && review.uid.is_none() && review.object.is_none());
        assert!(
            review.record.kind.is_none()
                && review.record.group.is_none()
                && !review.dry_run
                && !review.exempt_from_denial
        );
        assert_eq!(review.record.annotations.keys().map(String::as_str).collect::<Vec<_>>(), annotations, "{file}");
        assert_eq!(
            images(&review),
            texts.iter().map(|text| format!("unknown - {text}*")).collect::<Vec<_>>(),
            "{file}"
        );
        assert_eq!(review.record.workload.kind, "Pods", "{file}");
        if let Some(name) = name {
            assert_eq!(review.record.workload.name, name, "{file}");
        }
    }
}

#[test]
fn an_image_that_cannot_be_read_is_part_of_the_review() {
    let review = decode(&capture("image-review.json")).expect("a review");
    let record = &review.record.images[1];
    assert_eq!(record.error.as_deref(), Some("the digest has 63 hexadecimal digits, sha256 needs 64"));
    assert!(
        record.registry.is_none() && record.repository.is_none() && record.tag.is_none() && record.digest.is_none()
    );
    let nginx = decode(&capture("004-image-review.json")).expect("a review");
    let record = &nginx.record.images[0];
    assert_eq!((record.registry.as_deref(), record.tag.as_deref()), (Some("docker.io"), Some("latest")));
}

fn admission(operation: &str, kind: (&str, &str), object: &Value, old: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u", "kind": {"group": kind.0, "version": "v1", "kind": kind.1}, "namespace": "n",
        "operation": operation, "userInfo": {"username": "me"}, "object": object, "oldObject": old}})
}

fn pod(spec: &Value) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": spec})
}

#[test]
fn images_come_from_every_list_of_every_kind() {
    let spec = json!({
        "containers": [{"name": "c", "image": "a"}, {"name": "empty", "image": ""}, {"name": "none"}],
        "initContainers": [{"name": "i", "image": "b"}],
        "ephemeralContainers": [{"name": "e", "image": "c"}],
        "volumes": [{"name": "v", "image": {"reference": "d"}}, {"name": "w", "emptyDir": {}}, {"name": "x", "image": {}}],
    });
    let expected = ["container c a*", "init i b*", "ephemeral e c*", "volume v d*"];
    let template =
        json!({"spec": {"template": {"metadata": {"annotations": {"x.image-policy.k8s.io/a": "b"}}, "spec": spec}}});
    for kind in [
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("batch", "Job"),
        ("", "ReplicationController"),
        ("extensions", "Deployment"),
    ] {
        let review = read(&admission("CREATE", kind, &template, &Value::Null));
        assert_eq!(images(&review), expected, "{kind:?}");
        assert_eq!(review.record.annotations.len(), 1, "{kind:?}");
    }
    let cron = json!({"spec": {"jobTemplate": template}});
    assert_eq!(images(&read(&admission("CREATE", ("batch", "CronJob"), &cron, &Value::Null))), expected);
    let plain = json!({"template": template["spec"]["template"]});
    assert_eq!(images(&read(&admission("CREATE", ("", "PodTemplate"), &plain, &Value::Null))), expected);
    assert_eq!(images(&read(&admission("CREATE", ("", "Pod"), &pod(&spec), &Value::Null))), expected);
    for kind in [("acme.example", "Pod"), ("acme.example", "Deployment"), ("", "ConfigMap"), ("apps", "Pod")] {
        let review = read(&admission("CREATE", kind, &pod(&spec), &Value::Null));
        assert!(review.images.is_empty(), "{kind:?}");
    }
    let nothing = json!({"containers": null, "initContainers": [], "volumes": null});
    assert!(read(&admission("CREATE", ("", "Pod"), &pod(&nothing), &Value::Null)).images.is_empty());
}

#[test]
fn an_ephemeral_container_is_new_and_the_rest_is_not() {
    let old = pod(&json!({"containers": [{"name": "c", "image": "a"}]}));
    let new = pod(
        &json!({"containers": [{"name": "c", "image": "a"}], "ephemeralContainers": [{"name": "c", "image": "a"}]}),
    );
    let mut body = admission("UPDATE", ("", "Pod"), &new, &old);
    body["request"]["subResource"] = json!("ephemeralcontainers");
    let review = read(&body);
    assert_eq!(images(&review), ["container c a", "ephemeral c a*"]);
    assert_eq!(review.record.subresource.as_deref(), Some("ephemeralcontainers"));
    assert!(!review.exempt_from_denial);
    let legacy = json!({"metadata": {"name": "p"}, "ephemeralContainers": [{"name": "e", "image": "b"}]});
    let review = read(&admission("UPDATE", ("", "EphemeralContainers"), &legacy, &json!({"ephemeralContainers": []})));
    assert_eq!((images(&review), workload(&review).as_str()), (vec!["ephemeral e b*".to_owned()], "Pod p"));
}

#[test]
fn a_delete_brings_no_image_and_keeps_its_workload() {
    let old = json!({"metadata": {"name": "web-5d4f8-abcde", "generateName": "web-5d4f8-", "labels": {"pod-template-hash": "5d4f8"},
        "ownerReferences": [{"kind": "Other", "name": "o"}, {"kind": "ReplicaSet", "name": "web-5d4f8", "controller": true}]},
        "spec": {"containers": [{"name": "c", "image": "a"}]}});
    let review = read(&admission("DELETE", ("", "Pod"), &Value::Null, &old));
    assert!(review.images.is_empty() && review.object.is_none() && !review.exempt_from_denial);
    assert_eq!((workload(&review).as_str(), review.name.as_deref()), ("Deployment web", Some("web-5d4f8-abcde")));
}

#[test]
fn what_leaves_the_spec_as_it_was_or_is_being_deleted_is_exempt() {
    let old = pod(&json!({"containers": [{"name": "c", "image": "a"}], "x": 1}));
    let mut new = pod(&json!({"x": 1, "containers": [{"image": "a", "name": "c"}]}));
    new["metadata"]["labels"] = json!({"a": "b"});
    assert!(read(&admission("UPDATE", ("", "Pod"), &new, &old)).exempt_from_denial);
    assert!(!read(&admission("CREATE", ("", "Pod"), &new, &old)).exempt_from_denial);
    new["spec"]["x"] = json!(2);
    assert!(!read(&admission("UPDATE", ("", "Pod"), &new, &old)).exempt_from_denial);
    new["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:36:33Z");
    assert!(read(&admission("UPDATE", ("", "Pod"), &new, &old)).exempt_from_denial);
    new["metadata"]["deletionTimestamp"] = Value::Null;
    assert!(!read(&admission("UPDATE", ("", "Pod"), &new, &old)).exempt_from_denial);
    let template = |image: &str| json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}});
    assert!(read(&admission("UPDATE", ("", "PodTemplate"), &template("a"), &template("a"))).exempt_from_denial);
    assert!(!read(&admission("UPDATE", ("", "PodTemplate"), &template("a"), &template("b"))).exempt_from_denial);
    let map = |value: &str| json!({"data": {"a": value}});
    assert!(!read(&admission("UPDATE", ("", "ConfigMap"), &map("1"), &map("2"))).exempt_from_denial);
}

#[test]
fn escaped_text_is_read_as_what_it_says() {
    let body = br#"{"kind":"Image\u0052eview","apiVersion":"imagepolicy.k8s.io\/v1alpha1","sp\u0065c":{"containers":[{"image":"ngin\u0078"}]}}"#;
    let review = decode(body).expect("a review");
    assert_eq!(review.images[0].text, "nginx");
}

#[test]
fn another_kind_is_told_what_is_accepted() {
    let accepted = "accepted are ImageReview of imagepolicy.k8s.io/v1alpha1 and AdmissionReview of admission.k8s.io/v1 or admission.k8s.io/v1beta1";
    for (body, found) in [
        (
            r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}"#,
            "kind \"TokenReview\", apiVersion \"authentication.k8s.io/v1\"",
        ),
        (r#"{"kind":"ImageReview","apiVersion":"admission.k8s.io/v1","spec":{}}"#, "kind \"ImageReview\""),
        (r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2","request":{}}"#, "admission.k8s.io/v2"),
        (r#"{"kind":"AdmissionReview"}"#, "without apiVersion"),
        ("{}", "without kind, without apiVersion"),
    ] {
        refused(body, found);
        refused(body, accepted);
    }
}

#[test]
fn a_wrong_shape_is_named_with_its_place() {
    let image = r#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","spec":"#;
    refused(
        &format!("{image}\n {{\"annotations\":[]}}}}"),
        "spec.annotations: expected an object, found a list at line 2 column 17",
    );
    refused(
        &format!("{image}{{\"annotations\":{{\"a\":1}}}}}}"),
        "spec.annotations.a: expected a string, found a number",
    );
    refused(&format!("{image}[]}}"), "spec: expected an object, found a list");
    refused(&format!("{image}null}}"), "spec: it is missing");
    refused(&format!("{image}{{\"containers\":{{}}}}}}"), "spec.containers: expected a list, found an object");
    refused(
        &format!("{image}{{\"containers\":[[\"nginx\"]]}}}}"),
        "spec.containers[0]: expected an object, found a list",
    );
    refused(
        &format!("{image}{{\"containers\":[{{}},{{\"image\":1}}]}}}}"),
        "spec.containers[1].image: expected a string",
    );
    refused("[]", "without kind, without apiVersion; accepted are ImageReview");
    refused(r#"{"kind":1}"#, "kind: expected a string, found a number");
    refused("{\"kind\":", "the body is not JSON: the text ends");
    let admission = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1""#;
    refused(&format!("{admission}}}"), "request: it is missing");
    refused(&format!("{admission},\"request\":{{}}}}"), "request.uid: it is missing");
    refused(&format!("{admission},\"request\":{{\"uid\":\"\"}}}}"), "request.uid: it is missing");
    refused(&format!("{admission},\"request\":{{\"uid\":\"u\"}}}}"), "request.operation: it is missing");
    refused(
        &format!("{admission},\"request\":{{\"uid\":\"u\",\"operation\":\"PATCH\"}}}}"),
        "request.operation: expected CREATE",
    );
    let object = format!(
        "{admission},\"request\":{{\"uid\":\"u\",\"operation\":\"CREATE\",\"kind\":{{\"group\":\"\",\"kind\":\"Pod\"}},\n\"object\":"
    );
    refused(
        &format!("{object}{{\"metadata\":{{\"annotations\":[]}}}}}}}}"),
        "request.object.metadata.annotations: expected an object, found a list at line 2 column 37",
    );
    refused(
        &format!("{object}{{\"spec\":{{\"containers\":[1]}}}}}}}}"),
        "request.object.spec.containers[0]: expected an object, found a number",
    );
}

#[test]
fn a_deep_object_is_still_read() {
    // The object stands 3 deep, and 128 is the most for the whole body.
    let deep: Value = (0..124).fold(json!(1), |inner, _| json!([inner]));
    let review = read(&admission("CREATE", ("", "Pod"), &json!({"x": deep}), &Value::Null));
    assert!(review.object.is_some());
}

#[test]
fn one_record_serves_every_repeat() {
    let hash = |change: fn(&mut Value)| {
        let mut body = serde_json::from_slice(&capture("006-admission-v1-create-pod.json")).expect("JSON");
        change(&mut body);
        read(&body).record.hash
    };
    let same = hash(|_| {});
    assert_eq!(same, hash(|body| body["request"]["uid"] = json!("another")));
    assert_eq!(same, hash(|body| body["request"]["dryRun"] = json!(true)));
    assert_eq!(same, hash(|body| body["request"]["userInfo"]["username"] = json!("another")));
    assert_eq!(
        same,
        hash(|body| {
            body["request"]["name"] = json!("gen-zzzzz");
            body["request"]["object"]["metadata"]["name"] = json!("gen-zzzzz");
        })
    );
    let others = [
        hash(|body| body["request"]["namespace"] = json!("another")),
        hash(|body| body["request"]["operation"] = json!("UPDATE")),
        hash(|body| body["request"]["subResource"] = json!("status")),
        hash(|body| body["request"]["object"]["spec"]["containers"][0]["image"] = json!("nginx:2")),
        hash(|body| body["request"]["object"]["spec"]["containers"][0]["name"] = json!("b")),
        hash(|body| body["request"]["object"]["metadata"]["generateName"] = json!("other-")),
        hash(|body| body["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/b": "c"})),
        hash(|body| body["apiVersion"] = json!("admission.k8s.io/v1beta1")),
        same,
    ];
    let distinct: HashSet<_> = others.iter().map(|hash| hash.0).collect();
    assert_eq!(distinct.len(), others.len());
}
