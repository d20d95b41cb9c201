//! A request body becomes a [`Review`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::decision::{ImageRecord, Operation, Protocol, ReviewHash, ReviewRecord};
use super::image::{Image, Role};
use super::json::{Document, Node, Shape};
use super::pod::{Carrier, Named, elements, text};
use super::reference::ImageReference;
use super::strict::{self, InvalidJson};
use super::view::{ImageView, canonical};
use super::workload::{Origin, Workload};

/// What is sent and accepted, and the version as the history names it.
pub const IMAGE_REVIEW: &str = "imagepolicy.k8s.io/v1alpha1";
pub const ADMISSION_REVIEW: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// Only annotations with such a key are a policy's business; the API server sends no others on an ImageReview.
pub const POLICY_ANNOTATION: &str = ".image-policy.k8s.io/";

/// One ImageReview or AdmissionReview, read.
#[derive(Debug)]
pub struct Review {
    pub protocol: Protocol,
    /// `imagepolicy.k8s.io/v1alpha1`, `admission.k8s.io/v1` or `admission.k8s.io/v1beta1`, as it came.
    pub api_version: &'static str,
    /// An AdmissionReview's `request.uid`.
    pub uid: Option<String>,
    /// The object's name; the generated one in the validating phase; `None` while it has none.
    pub name: Option<String>,
    pub user: Option<String>,
    /// Where in the body the user's groups stand: few ask for them.
    pub groups: Option<Range<usize>>,
    pub dry_run: bool,
    pub images: Vec<Image>,
    /// No local policy denies it: it has a `deletionTimestamp`, or is an UPDATE that leaves spec as it was.
    pub exempt_from_denial: bool,
    /// Where in the body `request.object` stands; `None` on an ImageReview and on DELETE.
    pub object: Option<Range<usize>>,
    /// What of it an image policy may see.
    pub view: ImageView,
    /// What of it is kept in the history: all else that it says.
    pub record: Arc<ReviewRecord>,
}

/// Why a body is not a review. Each is the sender's fault (400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is not JSON: {0}")]
    Json(#[from] InvalidJson),
    #[error(
        "the body is {}; accepted are ImageReview of {IMAGE_REVIEW} and AdmissionReview of {} or {}",
        found(.kind.as_deref(), .api_version.as_deref()),
        ADMISSION_REVIEW[0],
        ADMISSION_REVIEW[1]
    )]
    Kind { kind: Option<String>, api_version: Option<String> },
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// A field of a review that is missing or of another type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem} at line {line} column {column}")]
pub struct ShapeError {
    /// `request.object.metadata.annotations`; `the body` when it is all of it.
    pub field: String,
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

/// What both protocols say, each in its way.
struct Facts<'a> {
    protocol: Protocol,
    api_version: &'static str,
    uid: Option<Cow<'a, str>>,
    operation: Operation,
    subresource: Option<Cow<'a, str>>,
    group: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    workload: Workload,
    user: Option<Cow<'a, str>>,
    groups: Option<Node<'a>>,
    dry_run: bool,
    images: Vec<Image>,
    annotations: BTreeMap<String, String>,
    exempt_from_denial: bool,
    object: Option<Node<'a>>,
}

/// Reads one request body.
///
/// # Errors
/// It is not JSON that every reader reads alike, of another kind or apiVersion, or of another shape than its kind's.
/// An image that cannot be read is none of these: it is part of the review.
pub fn decode(body: &[u8]) -> Result<Review, DecodeError> {
    read(&strict::parse(body)?)
}

/// Reads a body that is known to be JSON.
///
/// # Errors
/// As [`decode`].
pub fn read(document: &Document<'_>) -> Result<Review, DecodeError> {
    let root = document.root();
    if root.shape() != Shape::Object {
        return Err(DecodeError::Kind { kind: None, api_version: None });
    }
    let (kind, api_version) = (text(root, "kind")?, text(root, "apiVersion")?);
    match protocol(kind.as_deref().unwrap_or_default(), api_version.as_deref().unwrap_or_default()) {
        Some((Protocol::ImageReview, _)) => return Ok(Review::of(image_review(root)?)),
        Some((Protocol::AdmissionReview, version)) => return Ok(Review::of(admission_review(root, version)?)),
        None => {}
    }
    let owned = |text: Option<Cow<'_, str>>| text.map(|text| super::excerpt(&text).into_owned());
    Err(DecodeError::Kind { kind: owned(kind), api_version: owned(api_version) })
}

/// What a body's `kind` and `apiVersion` say that it is, where that is accepted.
pub(super) fn protocol(kind: &str, api_version: &str) -> Option<(Protocol, &'static str)> {
    match kind {
        "ImageReview" => (api_version == IMAGE_REVIEW).then_some((Protocol::ImageReview, IMAGE_REVIEW)),
        "AdmissionReview" => ADMISSION_REVIEW
            .into_iter()
            .find(|&version| version == api_version)
            .map(|version| (Protocol::AdmissionReview, version)),
        _ => None,
    }
}

// === impl Review ===

impl Review {
    fn of(facts: Facts<'_>) -> Self {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let version = facts.api_version.rsplit('/').next().unwrap_or(facts.api_version);
        let mut record = ReviewRecord {
            // Settled below: it is the hash of the rest.
            hash: ReviewHash([0; 32]),
            protocol: facts.protocol,
            api_version: version.to_owned(),
            operation: facts.operation,
            subresource: owned(facts.subresource),
            group: owned(facts.group),
            kind: owned(facts.kind),
            namespace: owned(facts.namespace),
            workload: facts.workload,
            images: facts.images.iter().map(ImageRecord::of).collect(),
            annotations: facts.annotations,
        };
        let view = ImageView::of(&record);
        record.hash = view.review_hash(&record);
        Self {
            protocol: facts.protocol,
            api_version: facts.api_version,
            uid: owned(facts.uid),
            name: owned(facts.name),
            user: owned(facts.user),
            groups: facts.groups.map(Node::range),
            dry_run: facts.dry_run,
            images: facts.images,
            exempt_from_denial: facts.exempt_from_denial,
            object: facts.object.map(Node::range),
            view,
            record: Arc::new(record),
        }
    }

    /// The user's groups, of the body that it was read from. What is no list of texts names none.
    pub fn groups(&self, body: &[u8]) -> Vec<String> {
        let groups = self.groups.clone().and_then(|range| body.get(range));
        groups.and_then(|groups| serde_json::from_slice(groups).ok()).unwrap_or_default()
    }

    /// Whether it is of the workload itself, and not of what a controller made for one.
    pub fn is_own(&self) -> bool {
        let record = &self.record;
        record.subresource.is_none() && record.kind.as_deref() == Some(record.workload.kind.as_str())
    }
}

// === impl ShapeError ===

impl ShapeError {
    fn at(node: Node<'_>, problem: String) -> Self {
        let (line, column) = node.position();
        let path = node.path();
        Self { field: if path.is_empty() { "the body".to_owned() } else { path }, line, column, problem }
    }

    pub(super) fn expected(what: &str, found: Node<'_>) -> Self {
        Self::at(found, format!("expected {what}, found {}", found.shape().as_str()))
    }

    fn missing(of: Node<'_>, name: &str) -> Self {
        let mut error = Self::at(of, "it is missing".to_owned());
        error.field = match of.path() {
            path if path.is_empty() => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        error
    }

    pub(super) fn unless_object(node: Node<'_>) -> Result<(), Self> {
        if node.shape() == Shape::Object { Ok(()) } else { Err(Self::expected("an object", node)) }
    }

    pub(super) fn unless_list(node: Node<'_>) -> Result<(), Self> {
        if node.shape() == Shape::List { Ok(()) } else { Err(Self::expected("a list", node)) }
    }
}

// === impl ImageRecord ===

impl ImageRecord {
    fn of(image: &Image) -> Self {
        let reference = image.reference.as_ref().ok();
        Self {
            text: image.text.clone(),
            registry: reference.map(|reference| reference.registry.clone()),
            repository: reference.map(|reference| reference.repository.clone()),
            tag: reference.and_then(ImageReference::effective_tag).map(str::to_owned),
            digest: reference.and_then(|reference| reference.digest.clone()),
            error: image.reference.as_ref().err().map(ToString::to_string),
            container: image.container.clone(),
            role: image.role,
            new: image.new,
        }
    }
}

// === ImageReview ===

fn image_review(root: Node<'_>) -> Result<Facts<'_>, ShapeError> {
    let spec = object(root, "spec")?.ok_or_else(|| ShapeError::missing(root, "spec"))?;
    let mut images = Vec::new();
    for container in elements(spec, "containers")? {
        if let Some(text) = text(container, "image")? {
            images.push(image(Named { role: Role::Unknown, container: None, text }, None));
        }
    }
    Ok(Facts {
        protocol: Protocol::ImageReview,
        api_version: IMAGE_REVIEW,
        uid: None,
        operation: Operation::Create,
        subresource: None,
        group: None,
        kind: None,
        namespace: text(spec, "namespace")?,
        name: None,
        workload: Workload::running(&images),
        user: None,
        groups: None,
        dry_run: false,
        images,
        annotations: policy_annotations(spec)?,
        exempt_from_denial: false,
        object: None,
    })
}

// === AdmissionReview ===

fn admission_review<'a>(root: Node<'a>, api_version: &'static str) -> Result<Facts<'a>, ShapeError> {
    let request = object(root, "request")?.ok_or_else(|| ShapeError::missing(root, "request"))?;
    let uid = text(request, "uid")?.ok_or_else(|| ShapeError::missing(request, "uid"))?;
    let operation = operation(request)?;
    let (new, old) = (object(request, "object")?, object(request, "oldObject")?);
    let (group, kind) = group_and_kind(request, new.or(old))?;
    let carrier = Carrier::of(&group, &kind);
    let metadata = new.or(old).map(|object| self::object(object, "metadata")).transpose()?.flatten();
    let name = match text(request, "name")? {
        Some(name) => Some(name),
        None => metadata.map(|metadata| text(metadata, "name")).transpose()?.flatten(),
    };
    let annotated = new.and_then(|object| carrier.template(object));
    let annotated = annotated.map(|template| object(template, "metadata")).transpose()?.flatten();
    let user = object(request, "userInfo")?;
    Ok(Facts {
        protocol: Protocol::AdmissionReview,
        api_version,
        uid: Some(uid),
        operation,
        subresource: text(request, "subResource")?,
        namespace: text(request, "namespace")?,
        workload: workload(&kind, name.as_deref(), metadata)?,
        name,
        user: match user {
            Some(user) => text(user, "username")?,
            None => None,
        },
        groups: user.and_then(|user| user.member("groups")),
        dry_run: match request.member("dryRun").map(|value| (value, value.shape())) {
            Some((_, Shape::True)) => true,
            Some((_, Shape::False)) | None => false,
            Some((value, _)) => return Err(ShapeError::expected("a boolean", value)),
        },
        images: images(carrier, operation, new, old)?,
        annotations: annotated.map_or_else(|| Ok(BTreeMap::new()), policy_annotations)?,
        exempt_from_denial: is_exempt(carrier, operation, new, old),
        object: new,
        group: Some(group),
        kind: (!kind.is_empty()).then_some(kind),
    })
}

fn operation(request: Node<'_>) -> Result<Operation, ShapeError> {
    let node = request.member("operation").ok_or_else(|| ShapeError::missing(request, "operation"))?;
    match node.text().as_deref() {
        Some("CREATE") => Ok(Operation::Create),
        Some("UPDATE") => Ok(Operation::Update),
        Some("DELETE") => Ok(Operation::Delete),
        Some("CONNECT") => Ok(Operation::Connect),
        _ => Err(ShapeError::expected("CREATE, UPDATE, DELETE or CONNECT", node)),
    }
}

/// Of `request.kind`, or of the object itself where a sender leaves that out.
fn group_and_kind<'a>(request: Node<'a>, object: Option<Node<'a>>) -> Result<(Cow<'a, str>, Cow<'a, str>), ShapeError> {
    if let Some(kind) = self::object(request, "kind")? {
        return Ok((text(kind, "group")?.unwrap_or_default(), text(kind, "kind")?.unwrap_or_default()));
    }
    let Some(object) = object else { return Ok((Cow::default(), Cow::default())) };
    let api_version = text(object, "apiVersion")?.unwrap_or_default();
    let group = api_version.split_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default();
    Ok((Cow::Owned(group), text(object, "kind")?.unwrap_or_default()))
}

fn workload(kind: &str, name: Option<&str>, metadata: Option<Node<'_>>) -> Result<Workload, ShapeError> {
    let Some(metadata) = metadata else { return Ok(Workload::of(kind, Origin { name, ..Origin::default() })) };
    let generate_name = text(metadata, "generateName")?;
    let template_hash = match object(metadata, "labels")? {
        Some(labels) => text(labels, "pod-template-hash")?,
        None => None,
    };
    let owners = elements(metadata, "ownerReferences")?;
    let controller =
        owners.into_iter().find(|owner| owner.member("controller").is_some_and(|value| value.shape() == Shape::True));
    let controller = match controller {
        Some(owner) => text(owner, "kind")?.zip(text(owner, "name")?),
        None => None,
    };
    Ok(Workload::of(
        kind,
        Origin {
            name,
            generate_name: generate_name.as_deref(),
            controller: controller.as_ref().map(|(kind, name)| (kind.as_ref(), name.as_ref())),
            template_hash: template_hash.as_deref(),
        },
    ))
}

fn images(
    carrier: Carrier,
    operation: Operation,
    new: Option<Node<'_>>,
    old: Option<Node<'_>>,
) -> Result<Vec<Image>, ShapeError> {
    // On DELETE there is no object; should a sender put one there, nothing of it will run.
    let Some(new) = new.filter(|_| operation != Operation::Delete) else { return Ok(Vec::new()) };
    let before = match old.filter(|_| operation == Operation::Update) {
        Some(old) => Some(carrier.images(old)?),
        None => None,
    };
    let before = before.as_ref().map(|before| before.iter().map(identity).collect::<HashSet<_>>());
    Ok(carrier.images(new)?.into_iter().map(|named| image(named, before.as_ref())).collect())
}

/// What makes an image the same one before and after an UPDATE.
fn identity<'n>(named: &'n Named<'_>) -> (Role, Option<&'n str>, &'n str) {
    (named.role, named.container.as_deref(), named.text.as_ref())
}

fn image(named: Named<'_>, before: Option<&HashSet<(Role, Option<&str>, &str)>>) -> Image {
    let new = before.is_none_or(|before| !before.contains(&identity(&named)));
    Image {
        role: named.role,
        reference: ImageReference::parse(&named.text),
        container: named.container.map(Cow::into_owned),
        text: named.text.into_owned(),
        new,
    }
}

fn is_exempt(carrier: Carrier, operation: Operation, new: Option<Node<'_>>, old: Option<Node<'_>>) -> bool {
    let Some(new) = new else { return false };
    if new.member("metadata").and_then(|metadata| metadata.member("deletionTimestamp")).is_some() {
        return true;
    }
    let (Operation::Update, Some(old)) = (operation, old) else { return false };
    match (carrier.spec(new), carrier.spec(old)) {
        (Some(new), Some(old)) => new.raw() == old.raw() || canonical(new) == canonical(old),
        _ => false,
    }
}

// === both ===

/// Of `metadata`, or of an ImageReview's `spec`.
fn policy_annotations(of: Node<'_>) -> Result<BTreeMap<String, String>, ShapeError> {
    let Some(annotations) = object(of, "annotations")? else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for (key, value) in annotations.members() {
        let key = key.text().unwrap_or_default();
        let value = value.text().ok_or_else(|| ShapeError::expected("a string", value))?;
        if key.contains(POLICY_ANNOTATION) {
            found.insert(key.into_owned(), value.into_owned());
        }
    }
    Ok(found)
}

/// An object member; one that is absent or null is none.
fn object<'a>(of: Node<'a>, name: &str) -> Result<Option<Node<'a>>, ShapeError> {
    let Some(value) = of.member(name) else { return Ok(None) };
    ShapeError::unless_object(value).map(|()| Some(value))
}

fn found(kind: Option<&str>, api_version: Option<&str>) -> String {
    let named = |what: Option<&str>, name: &str| match what {
        Some(what) => format!("{name} {what:?}"),
        None => format!("without {name}"),
    };
    format!("{}, {}", named(kind, "kind"), named(api_version, "apiVersion"))
}

#[cfg(test)]
mod tests;
