//! The objects of a cluster that a case gives, as templates find them under `data.inventory`.

use serde_json::{Map, Value, json};

use crate::policy::gatekeeper::review::Labels;
use crate::policy::settings::Manifest;

#[derive(Debug)]
pub struct Inventory {
    pub json: Value,
}

// === impl Inventory ===

impl Inventory {
    /// Namespaced objects under `namespace.NAMESPACE.VERSION.KIND.NAME`, those of the cluster under
    /// `cluster.VERSION.KIND.NAME`.
    pub fn of(objects: &[Manifest]) -> Self {
        let mut json = json!({"cluster": {}, "namespace": {}});
        for Manifest { json: object, .. } in objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let namespace = text("/metadata/namespace");
            let root = if namespace.is_empty() { vec!["cluster"] } else { vec!["namespace", namespace] };
            let steps = root.into_iter().chain([text("/apiVersion"), text("/kind"), text("/metadata/name")]);
            let place = steps.fold(&mut json, |place, step| {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                &mut place[step]
            });
            *place = object.clone();
        }
        Self { json }
    }

    /// The labels of a namespace that is in it.
    pub fn labels(&self, namespace: &str) -> Option<Labels> {
        let object = self.json.pointer("/cluster/v1/Namespace")?.get(namespace)?;
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        Some(labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
    }
}
