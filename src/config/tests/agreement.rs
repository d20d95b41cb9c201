//! The types, their schema, the reader and the example say the same.

use serde_json::{Value, json};

use super::super::shape::{Scalar, Shape, leaves, shape};
use super::super::tree::{Content, Entry, Node, parse};
use super::*;

/// Every node that `shape` allows in one place, its fields all given: one for each alternative.
fn samples(shape: &Shape) -> Vec<Node> {
    let scalar = |text: &str| Node::scalar(Place::Default, text.to_owned());
    let mut samples = Vec::new();
    match &shape.scalar {
        Some(Scalar::Form(form)) => samples.push(scalar(sample_of(form))),
        Some(Scalar::Words(words)) => samples.extend(words.iter().map(|word| scalar(word))),
        Some(Scalar::Integer { min, max }) => samples.extend([scalar(&min.to_string()), scalar(&max.to_string())]),
        Some(Scalar::Boolean) => samples.extend([scalar("true"), scalar("false")]),
        None => {}
    }
    if let Some(list) = &shape.list {
        samples.push(Node { place: Place::Default, content: Content::List(self::samples(&list.items)) });
    }
    if let Some(fields) = &shape.mapping {
        let fields: Vec<_> = fields.iter().map(|field| (field.name.clone(), self::samples(&field.shape))).collect();
        for round in 0..fields.iter().map(|(_, samples)| samples.len()).max().unwrap_or(1) {
            let entries = fields.iter().map(|(name, samples)| Entry {
                key: name.clone(),
                place: Place::Default,
                value: samples[round % samples.len()].clone(),
            });
            samples.push(Node { place: Place::Default, content: Content::Mapping(entries.collect()) });
        }
    }
    if shape.nullable {
        samples.push(scalar("null"));
    }
    samples
}

fn sample_of(form: &str) -> &'static str {
    match form {
        "duration" => "7s",
        "size" => "7MiB",
        "address" => "127.0.0.1:7",
        "path" => "seven",
        "time-zone" => "Europe/Berlin",
        "moment" => "2027-07-07",
        "subject" => "CN=seven",
        "postgres-url" => "postgres://seven@seven.example.com/x",
        "url" => "https://seven.example.com/x",
        "password-hash" => "$argon2id$v=19$m=8,t=1,p=1$c2V2ZW5zZXZlbg$c2V2ZW5zZXZlbnNldmVuc2V2ZW4",
        "token-hash" => "sha256:7777777777777777777777777777777777777777777777777777777777777777",
        "address-range" => "10.0.0.0/7",
        "dns-label" | "name" | "host-name" | "certificate-name" | "text" => "seven",
        other => panic!("no sample of the form {other}"),
    }
}

#[test]
fn the_types_take_all_that_the_shape_allows_and_lose_nothing() {
    let samples = samples(shape());
    assert!(samples.len() > 2, "too few alternatives to mean anything");
    for sample in samples {
        let mut mistakes = Mistakes::default();
        let read = reader::read(&sample, shape(), &mut mistakes).unwrap();
        assert_eq!(mistakes.in_order(), []);
        let document: Document = serde_json::from_value(read.clone()).unwrap();
        let mut again = serde_json::to_value(&document).unwrap();
        keep_given(&read, &mut again);
        assert_eq!(again, read);
    }
}

/// Takes from `value` the fields that `given` has not, which are there as `null` or by default, and writes `off` as
/// it is given.
fn keep_given(given: &Value, value: &mut Value) {
    match (given, value) {
        (Value::Object(given), Value::Object(map)) => {
            map.retain(|name, _| given.contains_key(name));
            map.iter_mut().for_each(|(name, value)| keep_given(&given[name], value));
        }
        (Value::Array(given), Value::Array(items)) => {
            given.iter().zip(items).for_each(|(given, item)| keep_given(given, item));
        }
        (Value::String(given), value) if given == "false" && *value == json!("off") => *value = json!("false"),
        _ => {}
    }
}

#[test]
fn whatever_stands_at_a_field_nothing_panics() {
    let odd = ["", "null", "~", "7", "-1", "[]", "{}", "[null]", "[{}]", "{a: b}", "'x y'", "true", "[[1]]", "\"\\0\""];
    let contract = include_str!("contract.yaml");
    let mut tried = 0;
    for value in odd {
        for (at, _) in contract.match_indices(": ") {
            let end = at + contract[at..].find('\n').unwrap();
            let yaml = format!("{}: {value}{}", &contract[..at], &contract[end..]);
            let _ = Written::new(&yaml).load();
            tried += 1;
        }
        for leaf in leaves().iter().filter(|leaf| leaf.variable.is_some()) {
            let _ = load(None, variables(&[(leaf.variable.as_deref().unwrap(), value)]));
        }
    }
    assert!(tried > 200);
}

#[test]
fn the_example_works_and_is_the_default() {
    let written = Written::new(EXAMPLE);
    let loaded = written.check(&|_| Vec::new()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(std::fs::read_dir(written.dir.path()).unwrap().count(), 1, "check wrote something");
    std::fs::write(&written.file, "").unwrap();
    assert_eq!(loaded.config, written.load().unwrap().config);
}

#[test]
fn the_example_shows_every_field_of_the_schema_and_no_other() {
    let shown = parse(EXAMPLE, &mut Mistakes::default()).unwrap();
    for leaf in leaves().iter().filter(|leaf| !leaf.path.starts_with("policies")) {
        let name = &leaf.field.name;
        let commented = EXAMPLE
            .lines()
            .any(|line| line.trim_start().strip_prefix('#').is_some_and(|text| text.contains(&format!("{name}:"))));
        match &leaf.field.default {
            Some(_) => assert!(shown.at(&leaf.path).is_some(), "{} is not in the example", leaf.path),
            None => {
                assert!(commented || shown.place_of(&leaf.path) != &shown.place, "{} is not in the example", leaf.path)
            }
        }
    }
    let policy_fields = ["timeout", "webhook", "client_certificate", "token_file", "max_in_flight", "require", "allow"];
    for name in policy_fields {
        assert!(EXAMPLE.contains(&format!("{name}:")), "{name} is not in the example");
    }
}

#[test]
fn the_example_stays_right_when_its_comments_are_taken_away() {
    let start = EXAMPLE.find("\npolicies:").unwrap();
    let policies: String = EXAMPLE[start..]
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            // A commented-out field, not a sentence.
            Some(text) if text.starts_with(['-', ' ']) => format!("{}{text}\n", " ".repeat(line.find('#').unwrap())),
            Some(_) => "\n".to_owned(),
            None => format!("{line}\n"),
        })
        .collect();
    let config = config(&policies);
    assert_eq!(config.policies.len(), 2, "{policies}");
    let SourceSettings::Rules(rules) = &config.policies[0].source else { panic!("rules") };
    assert_eq!(rules.len(), 4);
}

#[test]
fn the_schema_is_closed_and_says_what_each_field_means() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["webhook"]["properties"]["limits"]["properties"]["max_body"]["default"], "7MiB");
    let policy = &schema["properties"]["policies"]["items"];
    assert_eq!(policy["required"], json!(["name"]));
    assert_eq!(policy["properties"]["rules"]["items"]["required"], json!(["id"]));
    for leaf in leaves() {
        assert!(leaf.field.meaning.ends_with('.'), "{} has no meaning: {:?}", leaf.path, leaf.field.meaning);
    }
}
