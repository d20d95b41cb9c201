//! From a webhook's body to its answer.
//!
//! The API server takes some bodies as a denial that nobody meant (`{}`, no `status`, `Allowed` in capitals): these
//! are errors here, so that the cluster's own failure policy decides.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::review::decision::Protocol;
use crate::review::json::{Node, Shape};
use crate::review::strict;

use super::answer::BackendAnswer;

/// What is wrong, as a sentence that goes on from "its answer cannot be used:".
pub(super) type Problem = String;

pub(super) fn decode(
    body: Bytes,
    protocol: Protocol,
    api_version: &str,
    uid: Option<&str>,
) -> Result<BackendAnswer, Problem> {
    if body.is_empty() {
        return Err("it is empty".to_owned());
    }
    let document = strict::parse(&body).map_err(|error| format!("it is not JSON: {error}"))?;
    review(document.root(), body.clone(), protocol, api_version, uid)
}

/// A whole review, `root` of the answer `body`.
pub(super) fn review(
    root: Node<'_>,
    body: Bytes,
    protocol: Protocol,
    api_version: &str,
    uid: Option<&str>,
) -> Result<BackendAnswer, Problem> {
    let root = object(root, "it")?;
    expect_text(root, "kind", protocol.as_str())?;
    expect_text(root, "apiVersion", api_version)?;
    match protocol {
        Protocol::ImageReview => image_review(root, body),
        Protocol::AdmissionReview => admission_review(root, body, api_version, uid),
    }
}

fn image_review(root: Node<'_>, body: Bytes) -> Result<BackendAnswer, Problem> {
    let status = object(root.member("status").ok_or("it has no status")?, "status")?;
    let allowed = allowed(status, "status")?;
    let reason = text(status, "reason", "status")?;
    Ok(BackendAnswer {
        body,
        allowed,
        message: reason.filter(|reason| !allowed && !reason.is_empty()).map(Cow::into_owned),
        code: None,
        warnings: Vec::new(),
        audit_annotations: audit_annotations(status, "status")?,
        patches: false,
        violations: Vec::new(),
        omitted: 0,
        response: members(status)?,
        envelope: members(root)?,
    })
}

fn admission_review(
    root: Node<'_>,
    body: Bytes,
    api_version: &str,
    uid: Option<&str>,
) -> Result<BackendAnswer, Problem> {
    let response = object(root.member("response").ok_or("it has no response")?, "response")?;
    expect_text(response, "uid", uid.unwrap_or_default()).map_err(|problem| format!("response: {problem}"))?;
    let allowed = allowed(response, "response")?;
    let (message, code) = denial(response)?;
    Ok(BackendAnswer {
        body,
        allowed,
        message: message.filter(|_| !allowed),
        code: code.filter(|_| !allowed),
        warnings: warnings(response)?,
        audit_annotations: audit_annotations(response, "response")?,
        patches: patches(response, api_version)?,
        violations: Vec::new(),
        omitted: 0,
        response: members(response)?,
        envelope: members(root)?,
    })
}

pub(super) fn object<'a>(node: Node<'a>, name: &str) -> Result<Node<'a>, Problem> {
    match node.shape() {
        Shape::Object => Ok(node),
        other => Err(format!("{name} is {}, not an object", other.as_str())),
    }
}

/// A string that is there; the API server reads null as absent.
fn text<'a>(inside: Node<'a>, name: &str, path: &str) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(node) = inside.member(name) else { return Ok(None) };
    let wrong = || format!("{path}.{name} is {}, not a string", node.shape().as_str());
    node.text().map(Some).ok_or_else(wrong)
}

/// One of the fields that may be missing (or empty, as Go writes a missing one), but not say something else.
fn expect_text(inside: Node<'_>, name: &str, expected: &str) -> Result<(), Problem> {
    match inside.member(name) {
        None => Ok(()),
        Some(node) if node.says("") || node.says(expected) => Ok(()),
        Some(node) => match node.text() {
            Some(text) => Err(format!("its {name} is {:?}, not {expected:?}", shortened(&text))),
            None => Err(format!("its {name} is {}, not a string", node.shape().as_str())),
        },
    }
}

fn allowed(inside: Node<'_>, path: &str) -> Result<bool, Problem> {
    match inside.member("allowed").map(Node::shape) {
        Some(Shape::True) => Ok(true),
        Some(Shape::False) => Ok(false),
        Some(other) => Err(format!("{path}.allowed is {}, not true or false", other.as_str())),
        None => Err(format!("{path} has no field allowed, which the API server would take as a denial")),
    }
}

/// The message that the API server would show, and the code.
fn denial(response: Node<'_>) -> Result<(Option<String>, Option<u16>), Problem> {
    let Some(status) = response.member("status") else { return Ok((None, None)) };
    let status = object(status, "response.status")?;
    let message = text(status, "message", "response.status")?.filter(|message| !message.is_empty());
    let reason = text(status, "reason", "response.status")?.filter(|reason| !reason.is_empty());
    if let Some(details) = status.member("details") {
        object(details, "response.status.details")?;
    }
    let code = match status.member("code") {
        None => None,
        Some(node) => {
            let code: i32 = node
                .raw()
                .parse()
                .map_err(|_| format!("response.status.code is {}, not a whole number", shortened(node.raw())))?;
            // Go writes a missing code as 0.
            u16::try_from(code).ok().filter(|code| *code != 0)
        }
    };
    Ok((message.or(reason).map(Cow::into_owned), code))
}

fn warnings(response: Node<'_>) -> Result<Vec<String>, Problem> {
    let Some(list) = response.member("warnings") else { return Ok(Vec::new()) };
    if list.shape() != Shape::List {
        return Err(format!("response.warnings is {}, not a list", list.shape().as_str()));
    }
    list.items().map(|item| text_or_null(item, "response.warnings")).collect()
}

fn audit_annotations(inside: Node<'_>, path: &str) -> Result<BTreeMap<String, String>, Problem> {
    let Some(map) = inside.member("auditAnnotations") else { return Ok(BTreeMap::new()) };
    let path = format!("{path}.auditAnnotations");
    object(map, &path)?
        .members()
        .map(|(key, value)| Ok((key.text().unwrap_or_default().into_owned(), text_or_null(value, &path)?)))
        .collect()
}

/// Go reads null in a list or map of strings as an empty one.
fn text_or_null(node: Node<'_>, path: &str) -> Result<String, Problem> {
    if node.is_null() {
        return Ok(String::new());
    }
    let wrong = || format!("{path} holds {}, not only strings", node.shape().as_str());
    node.text().map(Cow::into_owned).ok_or_else(wrong)
}

/// Whether there is a patch, which is a JSONPatch. In v1 `patch` and `patchType` come together or not at all; in
/// v1beta1 the API server does not look at `patchType`.
fn patches(response: Node<'_>, api_version: &str) -> Result<bool, Problem> {
    let patch = text(response, "patch", "response")?.filter(|patch| !patch.is_empty());
    let kind = text(response, "patchType", "response")?;
    if api_version != "admission.k8s.io/v1beta1" {
        match (&patch, &kind) {
            (Some(_), None) => return Err("response has a patch without a patchType".to_owned()),
            (None, Some(_)) => return Err("response has a patchType without a patch".to_owned()),
            (Some(_), Some(kind)) if kind != "JSONPatch" => {
                return Err(format!("response.patchType is {:?}, not \"JSONPatch\"", shortened(kind)));
            }
            _ => {}
        }
    }
    match patch {
        None => Ok(false),
        Some(patch) => json_patch(&patch).map(|()| true).map_err(|problem| format!("response.patch {problem}")),
    }
}

fn json_patch(base64: &str) -> Result<(), Problem> {
    // Go's decoder passes over line ends.
    let one_line: Cow<'_, str> = match base64.contains(['\r', '\n']) {
        true => Cow::Owned(base64.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(base64),
    };
    let patch = STANDARD.decode(&*one_line).map_err(|error| format!("is not base64: {error}"))?;
    let document = strict::parse(&patch).map_err(|error| format!("holds no JSON: {error}"))?;
    let root = document.root();
    let says = |item: Node<'_>, name| item.member(name).is_some_and(|value| value.text().is_some());
    if root.shape() == Shape::List && root.items().all(|item| says(item, "op") && says(item, "path")) {
        return Ok(());
    }
    Err("is no JSONPatch: a list of objects that have op and path".to_owned())
}

fn members(node: Node<'_>) -> Result<Vec<(String, Box<RawValue>)>, Problem> {
    node.members()
        .map(|(key, value)| {
            let raw =
                RawValue::from_string(value.raw().to_owned()).map_err(|error| format!("it is not JSON: {error}"))?;
            Ok((key.text().unwrap_or_default().into_owned(), raw))
        })
        .collect()
}

/// A foreign text as far as a message quotes it.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
