//! What a constraint is asked about.

use std::collections::BTreeMap;

use regorus::Value;

/// An AdmissionRequest as Gatekeeper's templates see it.
#[derive(Debug)]
pub struct Reviewed {
    /// `input.review`. On DELETE its object is the one that goes.
    pub request: Value,
    pub group: String,
    pub kind: String,
    /// Empty for an object of the cluster.
    pub namespace: String,
    /// That of the object, and of the one before.
    pub objects: Vec<Identity>,
    /// The labels of its namespace, where they are known.
    pub namespace_labels: Option<Labels>,
}

pub type Labels = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Identity {
    pub name: String,
    pub labels: Labels,
}

// === impl Reviewed ===

impl Reviewed {
    pub fn of(mut request: Value, namespace_labels: Option<Labels>) -> Self {
        if request["operation"] == Value::from("DELETE") && request["object"].as_object().is_err() {
            let old = request["oldObject"].clone();
            if let Ok(fields) = request.as_object_mut() {
                fields.insert("object".into(), old);
            }
        }
        let objects =
            [&request["object"], &request["oldObject"]].into_iter().filter(|object| object.as_object().is_ok());
        let objects = objects.map(|object| Identity::of(object, &request)).collect();
        let kind = &request["kind"];
        let (group, kind, namespace) = (text(&kind["group"]), text(&kind["kind"]), text(&request["namespace"]));
        Self { group, kind, namespace, objects, namespace_labels, request }
    }

    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }
}

// === impl Identity ===

impl Identity {
    fn of(object: &Value, request: &Value) -> Self {
        let metadata = &object["metadata"];
        let name = Some(text(&metadata["name"])).filter(|name| !name.is_empty());
        Self { name: name.unwrap_or_else(|| text(&request["name"])), labels: labels(&metadata["labels"]) }
    }
}

pub fn labels(value: &Value) -> Labels {
    let labels = value.as_object().into_iter().flat_map(|labels| labels.iter());
    labels.map(|(key, value)| (text(key), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_string().map(|text| text.to_string()).unwrap_or_default()
}
