//! A review presented in the other protocol, to a webhook that does not speak its own.
//!
//! A Pod is presented as the ImageReview that the ImagePolicyWebhook plugin would have sent, and only where that would have:
//! not what makes pods, whose pods come later. An ImageReview is presented as the Pod that is known of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use uuid::Builder;

use crate::policy::rego::input;
use crate::policy::settings::{Speaks, WebhookSettings};
use crate::review::Review;
use crate::review::decision::{Operation, Presented, Protocol};
use crate::review::decode::{ADMISSION_REVIEW, IMAGE_REVIEW};
use crate::review::image::Role;

/// A review of the other protocol than the one that came in.
#[derive(Debug, Clone)]
pub(super) struct Bridged {
    pub(super) body: Bytes,
    pub(super) protocol: Protocol,
    pub(super) api_version: &'static str,
    pub(super) uid: Option<String>,
}

/// In the order in which Go writes it.
#[derive(Serialize)]
struct ImageReview<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Metadata,
    spec: Spec<'a>,
    status: Status,
}

#[derive(Serialize)]
struct Metadata {
    /// Always null.
    #[serde(rename = "creationTimestamp")]
    created: (),
}

#[derive(Serialize)]
struct Spec<'a> {
    containers: Vec<Container<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

#[derive(Serialize)]
struct Container<'a> {
    image: &'a str,
}

#[derive(Serialize)]
struct Status {
    allowed: bool,
}

// === impl Bridged ===

impl Bridged {
    /// `None` where the other protocol has no review of it.
    pub(super) fn of(review: &Review) -> Option<Self> {
        images(review).next()?;
        match review.protocol {
            Protocol::AdmissionReview => Some(Self {
                body: image_review(review),
                protocol: Protocol::ImageReview,
                api_version: IMAGE_REVIEW,
                uid: None,
            }),
            Protocol::ImageReview => {
                let uid = Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
                let body = input::pod_review(review.view.encoded(), &uid)?.into();
                let api_version = ADMISSION_REVIEW[0];
                Some(Self { body, protocol: Protocol::AdmissionReview, api_version, uid: Some(uid) })
            }
        }
    }
}

/// What a webhook that is asked about a review of `protocol` is shown in place of it.
pub(super) fn shown(webhook: &WebhookSettings, protocol: Protocol) -> Option<Presented> {
    match (webhook.speaks, protocol) {
        (Speaks::ImageReview, Protocol::AdmissionReview) => Some(Presented::ImageReview),
        (Speaks::AdmissionReview, Protocol::ImageReview) => Some(Presented::Pod),
        _ => None,
    }
}

/// The images that it would be of.
fn images(review: &Review) -> impl Iterator<Item = &str> {
    let roles = roles(review);
    review.images.iter().filter(move |image| roles.contains(&image.role)).map(|image| image.text.as_str())
}

/// Which images of a review the plugin sends: those of pods that are made or changed, and since CVE-2023-2727 those of the
/// ephemeral containers that come to a running one.
fn roles(review: &Review) -> &'static [Role] {
    let record = &review.record;
    let is_pod = record.group.as_deref() == Some("") && record.kind.as_deref() == Some("Pod");
    match (review.protocol, record.subresource.as_deref()) {
        (Protocol::ImageReview, _) => &[Role::Unknown],
        _ if !is_pod || !matches!(record.operation, Operation::Create | Operation::Update) => &[],
        (_, None) => &[Role::Container, Role::Init],
        (_, Some("ephemeralcontainers")) => &[Role::Ephemeral],
        _ => &[],
    }
}

fn image_review(review: &Review) -> Bytes {
    let review = ImageReview {
        kind: Protocol::ImageReview.as_str(),
        api_version: IMAGE_REVIEW,
        metadata: Metadata { created: () },
        spec: Spec {
            containers: images(review).map(|image| Container { image }).collect(),
            annotations: &review.record.annotations,
            namespace: review.record.namespace.as_deref(),
        },
        status: Status { allowed: false },
    };
    serde_json::to_vec(&review).expect("texts are JSON").into()
}

#[cfg(test)]
mod tests;
