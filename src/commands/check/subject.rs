//! What is judged: the reviews that files hold, or that their objects would make.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::manifests;
use crate::policy::settings::Manifest;

/// One object or review, as the body of a request.
#[derive(Debug)]
pub struct Subject {
    pub place: Place,
    /// `Deployment/web`.
    pub name: String,
    pub namespace: Option<String>,
    pub body: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// Where the document begins.
    pub line: usize,
}

/// Kinds whose objects are in no namespace. Of kinds that a cluster adds nobody can know it without asking.
const OF_THE_CLUSTER: [&str; 17] = [
    "APIService",
    "CSIDriver",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Everything in the files, in their order.
///
/// # Errors
/// The first that cannot be read, or holds nothing.
pub fn read(files: &[PathBuf], namespace: &str) -> Result<Vec<Subject>, String> {
    let mut subjects = Vec::new();
    for file in files {
        let (name, text) = text(file)?;
        let found = manifests(&name, &text).map_err(|wrong| format!("{}; {}", wrong.problem, wrong.fix))?;
        if found.is_empty() {
            return Err(format!("{name} holds no object"));
        }
        for manifest in found {
            subjects.push(Subject::of(manifest, namespace)?);
        }
    }
    Ok(subjects)
}

fn text(file: &Path) -> Result<(String, String), String> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        return read.map(|_| ("-".to_owned(), text)).map_err(|error| format!("standard input cannot be read: {error}"));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    Ok((name, text))
}

// === impl Subject ===

impl Subject {
    fn of(manifest: Manifest, namespace: &str) -> Result<Self, String> {
        let Manifest { file, line, json } = manifest;
        let place = Place { file, line };
        let (Some(kind), Some(version)) = (json["kind"].as_str(), json["apiVersion"].as_str()) else {
            return Err(format!("{place} is no object of Kubernetes: it has no kind and apiVersion"));
        };
        match kind {
            "ImageReview" | "AdmissionReview" => Ok(Self::review(place, kind, &json)),
            _ => Ok(Self::created(place, kind, version, &json, namespace)),
        }
    }

    fn review(place: Place, kind: &str, review: &Value) -> Self {
        let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let namespace = text("/request/namespace").or_else(|| text("/spec/namespace"));
        let name = text("/request/name").map_or_else(|| kind.to_owned(), |name| format!("{kind}/{name}"));
        Self { place, name, namespace, body: review.to_string() }
    }

    /// As the API server would ask about its creation.
    fn created(place: Place, kind: &str, api_version: &str, object: &Value, namespace: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or_default();
        let namespace = metadata["namespace"].as_str().or((!OF_THE_CLUSTER.contains(&kind)).then_some(namespace));
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "check", "operation": "CREATE", "name": name, "namespace": namespace,
                "kind": {"group": group, "version": version, "kind": kind},
                "resource": {"group": group, "version": version, "resource": plural(kind)},
                "object": object,
            }
        });
        Self {
            place,
            name: format!("{kind}/{name}"),
            namespace: namespace.map(str::to_owned),
            body: review.to_string(),
        }
    }
}

/// The resource of a kind, as clients guess it that cannot ask.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.as_bytes().last() {
        _ if kind == "endpoints" => kind,
        Some(b's') => format!("{kind}es"),
        Some(b'y') => format!("{}ies", &kind[..kind.len() - 1]),
        _ => format!("{kind}s"),
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
