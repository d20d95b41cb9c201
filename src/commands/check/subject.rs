//! What is judged: the reviews that files hold, or that their objects would make.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::review::json::Node;
use crate::review::strict;

use super::input::{self, Cut, Item};

/// One object or review, as the body of a request.
#[derive(Debug)]
pub struct Subject {
    pub place: Place,
    /// `Deployment/web`.
    pub name: String,
    pub kind: String,
    pub namespace: Option<String>,
    /// And no object.
    pub is_review: bool,
    pub body: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// Where it begins.
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

/// Hands everything in the files to `take`, in their order: one at a time, since there may be a cluster of them.
///
/// # Errors
/// The first file that cannot be read, or holds nothing.
pub fn each(files: &[PathBuf], namespace: &str, mut take: impl FnMut(&Subject)) -> Result<Cut, String> {
    let mut cut = Cut::default();
    for file in files {
        let (name, text) = text(file)?;
        let mut found = 0;
        let of_file = input::each(&name, &text, |item| {
            found += 1;
            take(&Subject::of(&name, &item, namespace)?);
            Ok(())
        });
        cut.add(of_file?);
        if found == 0 {
            return Err(format!("{name} holds no object"));
        }
    }
    Ok(cut)
}

fn text(file: &Path) -> Result<(String, String), String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("standard input cannot be read: {error}"))?;
        return Ok(("-".to_owned(), text));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    Ok((name, text))
}

// === impl Subject ===

impl Subject {
    fn of(file: &str, item: &Item<'_>, namespace: &str) -> Result<Self, String> {
        let place = Place { file: file.to_owned(), line: item.line };
        let document =
            strict::parse(item.json.as_bytes()).map_err(|error| format!("{place}: {error} of the object"))?;
        let root = document.root();
        let own = said(root, &["kind"]).zip(said(root, &["apiVersion"]));
        let listed_as = item.listed_as.map(|(kind, version)| (kind.to_owned(), version.to_owned()));
        let Some((kind, version)) = own.or(listed_as) else {
            return Err(format!("{place} is no object of Kubernetes: it has no kind and apiVersion"));
        };
        if kind.ends_with("List") && root.member("items").is_some() {
            return Err(format!(
                "{place} is a list in a list, which nothing looks into: give the objects that it holds"
            ));
        }
        match kind.as_str() {
            "ImageReview" | "AdmissionReview" => Ok(Self::review(place, kind, root)),
            _ => Ok(Self::created(place, kind, &version, root, namespace)),
        }
    }

    fn review(place: Place, kind: String, review: Node<'_>) -> Self {
        let namespace = said(review, &["request", "namespace"]).or_else(|| said(review, &["spec", "namespace"]));
        let name = said(review, &["request", "name"]).map_or_else(|| kind.clone(), |name| format!("{kind}/{name}"));
        Self { place, name, kind, namespace, is_review: true, body: review.raw().to_owned() }
    }

    /// As the API server would ask about its creation.
    fn created(place: Place, kind: String, api_version: &str, object: Node<'_>, namespace: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let name = said(object, &["metadata", "name"]).or_else(|| said(object, &["metadata", "generateName"]));
        let name = name.unwrap_or_default();
        let own = said(object, &["metadata", "namespace"]);
        let namespace = own.or_else(|| (!OF_THE_CLUSTER.contains(&kind.as_str())).then(|| namespace.to_owned()));
        let request = json!({
            "uid": "check", "operation": "CREATE", "name": name, "namespace": namespace,
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": plural(&kind)},
        });
        let request = request.to_string();
        let request = request.strip_suffix('}').expect("it is an object");
        let object = as_created(&kind, api_version, object);
        // The object as it stands, and not read and written again: there may be a cluster of them.
        let body = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{request},"object":{object}}}}}"#
        );
        Self { place, name: format!("{kind}/{name}"), kind, namespace, is_review: false, body }
    }
}

/// What stands there, where it is a text.
fn said(of: Node<'_>, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(of, |node, step| node.member(step))?;
    found.text().map(Cow::into_owned)
}

/// An object as it would be made anew, with its kind. A pod that runs is judged as its successor would be, without what
/// only the one that runs has: the mark that it is being deleted, and containers that somebody added to look into it.
fn as_created<'a>(kind: &str, api_version: &str, object: Node<'a>) -> Cow<'a, str> {
    let runs = kind == "Pod" && said(object, &["status", "phase"]).is_some();
    let is_marked = object.member("metadata").is_some_and(|metadata| metadata.member("deletionTimestamp").is_some());
    let is_looked_into = object.member("spec").is_some_and(|spec| spec.member("ephemeralContainers").is_some());
    let has_kind = object.member("kind").is_some() && object.member("apiVersion").is_some();
    if has_kind && !(runs && (is_marked || is_looked_into)) {
        return Cow::Borrowed(object.raw());
    }
    let mut value: Value = serde_json::from_str(object.raw()).expect("what was parsed strictly is JSON");
    if runs {
        for (part, field) in [("metadata", "deletionTimestamp"), ("spec", "ephemeralContainers")] {
            value[part].as_object_mut().and_then(|part| part.remove(field));
        }
    }
    (value["kind"], value["apiVersion"]) = (kind.into(), api_version.into());
    Cow::Owned(value.to_string())
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
