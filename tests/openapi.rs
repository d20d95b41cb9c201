//! The OpenAPI document that is served, against the schema of such documents and against what the API answers.

mod harness;

use harness::reviews::{captures, pod_review};
use harness::{Rehearsal, run};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The OpenAPI Initiative's own (Apache-2.0), of 2021-04-15.
const META: &str = include_str!("fixtures/openapi-3.1.schema.json");

const DOCUMENT: &str = "/api/v1/openapi.json";

const CONFIG: &str = "cluster: lab
policies:
- name: images
  mode: audit
  rollout: [{namespaces: [shop], mode: enforce}]
  rules: [{id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest', help: pin it}]
candidates: [candidate.yaml]
exemptions: [{namespaces: lab, images: 'docker.io/library/busybox:*', permanent: true, ticket: SEC-1}]
break_glass: {annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass}
";

const CANDIDATE: &str = "policies:
- name: images
  rules: [{id: no-latest, deny: {tag: latest}}, {id: hub, deny: {registry: docker.io}}]
";

const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1"},
    "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "main", "image": "nginx", "imageID": ""}]}}"#;

/// One of everything that the API tells of.
async fn filled() -> Rehearsal {
    let rehearsal = Rehearsal::builder().file("candidate.yaml", CANDIDATE).config(CONFIG).start().await;
    for (_, body) in captures() {
        rehearsal.post("/review/lab", body).await;
    }
    let mut broken = pod_review("u", "shop", "broken", &["nginx"]);
    broken["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/ticket-7": "break-glass"});
    let mut of_cluster = pod_review("x", "", "wide", &["nginx"]);
    of_cluster["request"].as_object_mut().expect("a request").remove("namespace");
    let refused = pod_review("v", "shop", "refused", &["nginx"]);
    for review in [broken, refused, of_cluster, pod_review("w", "lab", "free", &["busybox:1"])] {
        rehearsal.review("/review/lab", &review).await;
    }
    rehearsal.decisions("", captures().len() + 4).await;
    std::fs::write(rehearsal.dir().join("pod.json"), POD).expect("the test's directory is writable");
    let ended = run(rehearsal.dir(), &["check", "--record", "-c", "rehearsal.yaml", "pod.json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    rehearsal
}

/// `document` as a schema for what `path` answers. Where it names properties there are no others.
fn answers(document: &Value, path: &str) -> Validator {
    let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let mut schema = json!({"allOf": [schema], "components": document["components"]});
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(members) => members.iter_mut().for_each(close),
        _ => {}
    }
}

fn wrong(validator: &Validator, answer: &Value) -> Vec<String> {
    validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[tokio::test]
async fn the_document_is_one_of_openapi_3_1() {
    let rehearsal = Rehearsal::builder().start().await;
    let document = rehearsal.get_json(DOCUMENT).await;
    let meta: Value = serde_json::from_str(META).expect("JSON");
    let meta = jsonschema::validator_for(&meta).expect("a schema");
    assert_eq!(wrong(&meta, &document), Vec::<String>::new());
    assert!(!wrong(&meta, &json!({"openapi": "3.1.0", "info": {}})).is_empty(), "it refuses what is none");
}

#[tokio::test]
async fn every_answer_is_what_the_document_says_and_nothing_more() {
    let rehearsal = filled().await;
    let document = rehearsal.get_json(DOCUMENT).await;
    let decision = rehearsal.decision("namespace=shop&answer=denied").await["id"].as_str().expect("text").to_owned();
    let revision = rehearsal.get_json("/api/v1/revisions").await["in_force"].as_str().expect("text").to_owned();
    let exemptions = rehearsal.get_json("/api/v1/exemptions").await;
    let exemption = exemptions["exemptions"][0]["id"].as_str().expect("text").to_owned();
    let paths: &Map<String, Value> = document["paths"].as_object().expect("paths");
    for path in paths.keys() {
        let id = match path.as_str() {
            "/api/v1/revisions/{id}" => &revision,
            "/api/v1/exemptions/{id}" => &exemption,
            _ => &decision,
        };
        let places = [("{id}", id.as_str()), ("{cluster}", "lab"), ("{namespace}", "shop")];
        let places = places.into_iter().chain([("{policy}", "images"), ("{rule}", "no-latest")]);
        let address = places.fold(path.clone(), |address, (name, value)| address.replace(name, value));
        let queries: &[&str] = match path.as_str() {
            "/api/v1/hits" => &["?of=rules", "?of=namespaces&new=true", "?of=images"],
            "/api/v1/names" => &["?q=n"],
            "/api/v1/images" => &["", "?repository=docker.io/library/nginx", "?unreadable=true"],
            "/api/v1/images/reference" => &["?image=nginx"],
            "/api/v1/rules/{policy}/{rule}" => &["", "?workloads=known"],
            _ => &[""],
        };
        for query in queries {
            let response = rehearsal.get(&format!("{address}{query}")).await;
            assert_eq!(response.status, 200, "{address}{query}: {}", response.text());
            let media_type = response.header("content-type").unwrap_or_default().to_owned();
            let media_type = media_type.split(';').next().unwrap_or_default();
            let content = &paths[path]["get"]["responses"]["200"]["content"];
            assert!(content.get(media_type).is_some(), "{address}: {media_type} is none of {content}");
            if media_type == "application/json" {
                let wrong = wrong(&answers(&document, path), &response.json());
                assert!(wrong.is_empty(), "{address}{query}: {wrong:#?}");
            }
        }
    }
}

#[tokio::test]
async fn every_parameter_that_the_document_names_is_taken_and_no_other() {
    let rehearsal = Rehearsal::builder().start().await;
    let document = rehearsal.get_json(DOCUMENT).await;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let refused = rehearsal.get(&format!("{}?no-such=1", path.replace(['{', '}'], ""))).await;
        let message = refused.json()["error"]["message"].as_str().expect("text").to_owned();
        let named = item["get"]["parameters"].as_array().expect("a list").iter().filter(|one| one["in"] == "query");
        let named: Vec<_> = named.map(|one| one["name"].as_str().expect("text")).collect();
        let expected = match named.as_slice() {
            [] => "there is no such parameter; this address takes none".to_owned(),
            named => format!("there is no such parameter; there are {}", named.join(", ")),
        };
        assert_eq!((refused.status, message.as_str()), (400, expected.as_str()), "{path}");
    }
}

#[tokio::test]
async fn an_error_is_what_the_document_says() {
    let rehearsal = Rehearsal::builder().start().await;
    let document = rehearsal.get_json(DOCUMENT).await;
    let failed = &document["paths"]["/api/v1/decisions"]["get"]["responses"]["default"];
    let schema = &failed["content"]["application/json"]["schema"];
    let mut schema = json!({"allOf": [schema], "components": document["components"]});
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for path in ["/api/v1/decisions?limit=0", "/api/v1/decisions/none", "/api/v1/nothing"] {
        let answer = rehearsal.get(path).await.json();
        assert_eq!(wrong(&validator, &answer), Vec::<String>::new(), "{path}: {answer}");
    }
}
