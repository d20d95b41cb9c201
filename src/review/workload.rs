//! What a team calls one deployable.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::image::Image;
use super::reference::ImageReference;
use super::view::digest_hex;

/// The kind and name of what made a pod; its namespace and cluster stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `CronJob`, `Pod`, ...; on an ImageReview, which names none, `Pods`.
    pub kind: String,
    /// On an ImageReview the sorted set of repositories: `running docker.io/library/nginx, ...`.
    pub name: String,
}

/// What an object's metadata says of who made it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) generate_name: Option<&'a str>,
    /// Kind and name of the owner with `controller: true`.
    pub(super) controller: Option<(&'a str, &'a str)>,
    /// The label `pod-template-hash`.
    pub(super) template_hash: Option<&'a str>,
}

/// Bytes of the name of pods that an ImageReview describes: as long as a Kubernetes name may be.
const MAX_NAME: usize = 253;

/// A CronJob names its Jobs by the minute, which has had eight digits since 1989.
const MINUTE_DIGITS: usize = 8;

// === impl Workload ===

impl Workload {
    /// Of an object of a kind.
    pub(super) fn of(kind: &str, origin: Origin<'_>) -> Self {
        let own = origin.generate_name.or(origin.name).unwrap_or_default();
        match kind {
            "Pod" | "EphemeralContainers" => match origin.controller {
                Some((owner, name)) => {
                    made_by(owner, name, origin.template_hash).unwrap_or_else(|| Self::new(owner, name))
                }
                None => Self::new("Pod", own),
            },
            "ReplicaSet" | "Job" => made_by(kind, origin.name.unwrap_or(own), origin.template_hash)
                .or_else(|| origin.controller.map(|(owner, name)| Self::new(owner, name)))
                .unwrap_or_else(|| Self::new(kind, own)),
            // A Deployment that an operator made stays one, since its pods lead no further than to it.
            _ => Self::new(kind, own),
        }
    }

    /// Of the pods that an ImageReview is about, which are known by what they run. Two sets never share a name: one
    /// that is too long to be spelled out ends in its hash.
    pub fn running(images: &[Image]) -> Self {
        let name = |image: &Image| image.reference.as_ref().map_or_else(|_| image.text.clone(), ImageReference::name);
        Self::of_repositories(images.iter().map(name).collect())
    }

    /// The same, of images as written.
    pub fn running_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let name = |text: &str| ImageReference::parse(text).map_or_else(|_| text.to_owned(), |image| image.name());
        Self::of_repositories(texts.map(name).collect())
    }

    fn of_repositories(names: BTreeSet<String>) -> Self {
        if names.is_empty() {
            return Self::new("Pods", "running nothing");
        }
        let names: Vec<String> = names.into_iter().collect();
        let spelled = format!("running {}", names.join(", "));
        if spelled.len() <= MAX_NAME {
            return Self { kind: "Pods".to_owned(), name: spelled };
        }
        let hash = digest_hex(spelled.as_bytes(), 12);
        // Room for the end: ", 1000 more (0123456789ab)".
        let room = MAX_NAME - 40;
        let end = (0..=room).rev().find(|&end| spelled.is_char_boundary(end)).unwrap_or(0);
        let kept = spelled[..end].matches(", ").count();
        let name = match spelled[..end].rfind(", ") {
            Some(last) => format!("{}, {} more ({hash})", &spelled[..last], names.len() - kept),
            None => format!("{}… ({hash})", &spelled[..end]),
        };
        Self { kind: "Pods".to_owned(), name }
    }

    fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

/// What makes the ReplicaSets and Jobs that make pods, as their names tell.
fn made_by(kind: &str, name: &str, template_hash: Option<&str>) -> Option<Workload> {
    let (stem, suffix) = name.rsplit_once('-').filter(|(stem, _)| !stem.is_empty())?;
    match kind {
        "ReplicaSet" if template_hash == Some(suffix) => Some(Workload::new("Deployment", stem)),
        "Job" if suffix.len() >= MINUTE_DIGITS && suffix.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Workload::new("CronJob", stem))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::image::Role;

    fn pod<'a>(controller: Option<(&'a str, &'a str)>, template_hash: Option<&'a str>) -> Workload {
        Workload::of("Pod", Origin { name: Some("p-abcde"), generate_name: Some("p-"), controller, template_hash })
    }

    fn named(workload: Workload) -> (String, String) {
        (workload.kind, workload.name)
    }

    fn pair(kind: &str, name: &str) -> (String, String) {
        (kind.to_owned(), name.to_owned())
    }

    #[test]
    fn pods_are_named_by_what_their_team_calls_them() {
        assert_eq!(named(pod(Some(("ReplicaSet", "web-5d4f8")), Some("5d4f8"))), pair("Deployment", "web"));
        assert_eq!(named(pod(Some(("ReplicaSet", "a-b-5d4f8")), Some("5d4f8"))), pair("Deployment", "a-b"));
        assert_eq!(named(pod(Some(("ReplicaSet", "web-5d4f8")), Some("other"))), pair("ReplicaSet", "web-5d4f8"));
        assert_eq!(named(pod(Some(("ReplicaSet", "web-5d4f8")), None)), pair("ReplicaSet", "web-5d4f8"));
        assert_eq!(named(pod(Some(("ReplicaSet", "-5d4f8")), Some("5d4f8"))), pair("ReplicaSet", "-5d4f8"));
        assert_eq!(named(pod(Some(("Job", "backup-28471234")), None)), pair("CronJob", "backup"));
        assert_eq!(named(pod(Some(("Job", "backup-2847123")), None)), pair("Job", "backup-2847123"));
        assert_eq!(named(pod(Some(("Job", "backup-2847123x")), None)), pair("Job", "backup-2847123x"));
        assert_eq!(named(pod(Some(("StatefulSet", "db")), None)), pair("StatefulSet", "db"));
        assert_eq!(named(pod(None, None)), pair("Pod", "p-"));
        let plain = Origin { name: Some("single"), ..Origin::default() };
        assert_eq!(named(Workload::of("Pod", plain)), pair("Pod", "single"));
    }

    #[test]
    fn what_a_controller_makes_between_is_named_like_its_pods() {
        let set = Origin {
            name: Some("web-5d4f8"),
            controller: Some(("Deployment", "web")),
            template_hash: Some("5d4f8"),
            ..Origin::default()
        };
        assert_eq!(named(Workload::of("ReplicaSet", set)), pair("Deployment", "web"));
        let job = Origin { name: Some("manual"), controller: Some(("CronJob", "backup")), ..Origin::default() };
        assert_eq!(named(Workload::of("Job", job)), pair("CronJob", "backup"));
        let once = Origin { name: Some("once"), ..Origin::default() };
        assert_eq!(named(Workload::of("Job", once)), pair("Job", "once"));
        let owned = Origin { name: Some("web"), controller: Some(("Prometheus", "k8s")), ..Origin::default() };
        assert_eq!(named(Workload::of("Deployment", owned)), pair("Deployment", "web"));
    }

    fn images(texts: &[String]) -> Vec<Image> {
        texts
            .iter()
            .map(|text| Image {
                role: Role::Unknown,
                container: None,
                text: text.clone(),
                reference: ImageReference::parse(text),
                new: true,
            })
            .collect()
    }

    #[test]
    fn an_image_review_is_named_by_the_set_of_its_repositories() {
        let texts = ["nginx:1.25", "registry.acmecorp.com/web", "nginx", "BAD image"].map(str::to_owned);
        let name = "running BAD image, docker.io/library/nginx, registry.acmecorp.com/web";
        assert_eq!(named(Workload::running(&images(&texts))), pair("Pods", name));
        assert_eq!(named(Workload::running(&[])), pair("Pods", "running nothing"));
    }

    #[test]
    fn a_long_set_is_cut_and_stays_distinct() {
        let mut texts: Vec<String> = (0..40).map(|n| format!("registry.acmecorp.com/team/service-{n:02}:1")).collect();
        let one = Workload::running(&images(&texts));
        assert!(one.name.len() <= MAX_NAME, "{}", one.name);
        assert!(one.name.contains("service-00, registry.acmecorp.com/team/service-01") && one.name.contains(" more ("));
        texts.pop();
        let other = Workload::running(&images(&texts));
        assert_ne!(one.name, other.name);
        let huge = Workload::running(&images(&["é".repeat(5_000)]));
        assert!(huge.name.len() <= MAX_NAME && huge.name.contains('…'), "{}", huge.name);
    }
}
