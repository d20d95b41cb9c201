//! What objects of a running cluster say of themselves, beside what a policy may see.

use std::collections::{BTreeMap, HashMap};

use crate::review::Review;
use crate::review::image::Role;
use crate::review::json::Node;
use crate::store::inventory::RunningImage;

/// What of them is text.
pub fn labels(namespace: Node<'_>) -> BTreeMap<String, String> {
    let labels = namespace.member("metadata").and_then(|metadata| metadata.member("labels"));
    let texts =
        labels.into_iter().flat_map(Node::members).filter_map(|(key, value)| Some((key.text()?, value.text()?)));
    texts.map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// Whether all of its containers have ended for good.
pub fn is_done(pod: Node<'_>) -> bool {
    let phase = pod.member("status").and_then(|status| status.member("phase"));
    phase.is_some_and(|phase| phase.says("Succeeded") || phase.says("Failed"))
}

/// As its spec writes them, with the digests of what runs as its status gives them.
pub fn images(pod: Node<'_>, review: &Review) -> Vec<RunningImage> {
    let digests = digests(pod);
    let running = |image: &crate::review::image::Image| RunningImage {
        container: image.container.clone(),
        text: image.text.clone(),
        digest: image.container.as_ref().and_then(|name| digests.get(&(image.role, name.clone())).cloned()),
    };
    review.images.iter().map(running).collect()
}

/// By the container's role and name.
fn digests(pod: Node<'_>) -> HashMap<(Role, String), String> {
    let mut digests = HashMap::new();
    let Some(status) = pod.member("status") else { return digests };
    for (list, role) in [("containerStatuses", Role::Container), ("initContainerStatuses", Role::Init)] {
        for container in status.member(list).into_iter().flat_map(Node::items) {
            let text = |name: &str| container.member(name).and_then(Node::text);
            let Some((name, id)) = text("name").zip(text("imageID")) else { continue };
            // `registry/repository@sha256:..`. A runtime that pulled from no registry gives the hash of its own
            // configuration, without a name before it: nobody can pull that.
            if let Some((_, digest)) = id.rsplit_once('@') {
                digests.insert((role, name.into_owned()), digest.to_owned());
            }
        }
    }
    digests
}
