//! Where images stand in the objects of Kubernetes.

use std::borrow::Cow;

use super::decode::ShapeError;
use super::image::Role;
use super::json::Node;

/// How an object of one group and kind holds the spec of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A Pod: `.spec`.
    Pod,
    /// `.spec.template`.
    Workload,
    /// A CronJob: `.spec.jobTemplate.spec.template`.
    CronJob,
    /// A PodTemplate: `.template`.
    PodTemplate,
    /// What `pods/ephemeralcontainers` carried before Kubernetes 1.22: `.ephemeralContainers`.
    EphemeralContainers,
    /// No images.
    Other,
}

/// An image as an object names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) role: Role,
    pub(super) container: Option<Cow<'a, str>>,
    pub(super) text: Cow<'a, str>,
}

/// The lists of a pod's spec whose elements have a `name` and an `image`.
const CONTAINERS: [(&str, Role); 3] =
    [("containers", Role::Container), ("initContainers", Role::Init), ("ephemeralContainers", Role::Ephemeral)];

// === impl Carrier ===

impl Carrier {
    pub(super) fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Pod") => Self::Pod,
            ("", "PodTemplate") => Self::PodTemplate,
            ("", "EphemeralContainers") => Self::EphemeralContainers,
            ("", "ReplicationController")
            // `extensions` served these three until Kubernetes 1.16.
            | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet")
            | ("apps", "StatefulSet")
            | ("batch", "Job") => Self::Workload,
            ("batch", "CronJob") => Self::CronJob,
            _ => Self::Other,
        }
    }

    /// What an UPDATE must change to be more than one of labels, annotations, finalizers or status.
    pub(super) fn spec(self, object: Node<'_>) -> Option<Node<'_>> {
        match self {
            Self::PodTemplate => object.member("template"),
            Self::EphemeralContainers => object.member("ephemeralContainers"),
            _ => object.member("spec"),
        }
    }

    /// The part that has a pod's `metadata` and `spec`.
    pub(super) fn template(self, object: Node<'_>) -> Option<Node<'_>> {
        let inside = |steps: &[&str]| steps.iter().try_fold(object, |node, step| node.member(step));
        match self {
            Self::Pod | Self::EphemeralContainers | Self::Other => Some(object),
            Self::Workload => inside(&["spec", "template"]),
            Self::CronJob => inside(&["spec", "jobTemplate", "spec", "template"]),
            Self::PodTemplate => inside(&["template"]),
        }
    }

    /// Every image of an object, in the order of the object. A container without an image, or with an empty one, names
    /// none: Kubernetes allows that in a template, for somebody else to fill in.
    pub(super) fn images(self, object: Node<'_>) -> Result<Vec<Named<'_>>, ShapeError> {
        let mut images = Vec::new();
        let spec = match self {
            Self::Other => None,
            Self::EphemeralContainers => Some(object),
            _ => self.template(object).and_then(|template| template.member("spec")),
        };
        let Some(spec) = spec else { return Ok(images) };
        for (list, role) in CONTAINERS {
            for container in elements(spec, list)? {
                collect(container, container, "image", role, &mut images)?;
            }
        }
        for volume in elements(spec, "volumes")? {
            if let Some(source) = volume.member("image") {
                collect(volume, source, "reference", Role::Volume, &mut images)?;
            }
        }
        Ok(images)
    }
}

/// The objects of a list; one that is absent or null is empty.
pub(super) fn elements<'a>(of: Node<'a>, list: &str) -> Result<Vec<Node<'a>>, ShapeError> {
    let Some(list) = of.member(list) else { return Ok(Vec::new()) };
    ShapeError::unless_list(list)?;
    list.items().map(|item| ShapeError::unless_object(item).map(|()| item)).collect()
}

/// A string member; one that is absent, null or empty is none.
pub(super) fn text<'a>(of: Node<'a>, name: &str) -> Result<Option<Cow<'a, str>>, ShapeError> {
    let Some(value) = of.member(name) else { return Ok(None) };
    let text = value.text().ok_or_else(|| ShapeError::expected("a string", value))?;
    Ok((!text.is_empty()).then_some(text))
}

fn collect<'a>(
    named: Node<'a>,
    source: Node<'a>,
    field: &str,
    role: Role,
    into: &mut Vec<Named<'a>>,
) -> Result<(), ShapeError> {
    if let Some(image) = text(source, field)? {
        into.push(Named { role, container: text(named, "name")?, text: image });
    }
    Ok(())
}
