//! Documents that a policy of kubernetes-policy-controller finds under `data`: the object of the review, at its place.
//!
//! There `data.kubernetes.<kind>.<namespace>.<name>` is the AdmissionRequest, and `data.k8s.matches` has a row with it and
//! one with its object. Here both are made of `input`: a module of one's own at the same place goes before them.

/// `data.k8s.matches`. What has no name is called `unnamed` (there, by a random name), what has no namespace `default`.
pub const MATCHES: &str = r#"package k8s

import rego.v1

matches contains [kind, namespace, name, resource] if {
	[kind, namespace, name] := at
	resource := input.request.object
}

matches contains [kind, namespace, name, resource] if {
	[kind, namespace, name] := at
	resource := input.request
}

at := [input.request.resource.resource, named("namespace", "default"), named("name", "unnamed")]

named(field, _) := value if {
	value := object.get(input.request, field, "")
	value != ""
}

named(field, otherwise) := otherwise if object.get(input.request, field, "") == ""
"#;

/// What [`MATCHES`] calls an object that has no name, and what the Pod of an ImageReview is called.
pub const UNNAMED: &str = "unnamed";
/// And the namespace of one that has none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The resources that clusters have in any case: `data.kubernetes[kind]` goes over these and those that a policy names.
const RESOURCES: [&str; 14] = [
    "configmaps",
    "cronjobs",
    "daemonsets",
    "deployments",
    "ingresses",
    "jobs",
    "namespaces",
    "nodes",
    "pods",
    "podtemplates",
    "replicasets",
    "replicationcontrollers",
    "services",
    "statefulsets",
];

/// `data.kubernetes`, for the usual resources and those of `named` that can stand in a rule's head.
pub fn kubernetes<'a>(named: impl Iterator<Item = &'a str>) -> String {
    let is_word =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let resources: std::collections::BTreeSet<&str> = RESOURCES.into_iter().chain(named.filter(is_word)).collect();
    let mut text = String::from("package kubernetes\n\nimport rego.v1\n\nimport data.k8s\n");
    for resource in resources {
        text.push_str(&format!(
            "\n{resource}[k8s.at[1]] := {{k8s.at[2]: input.request}} if k8s.at[0] == \"{resource}\"\n"
        ));
    }
    text
}
