//! What the webhooks are asked about one review.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use crate::backend::Question;
use crate::policy::rego::helpers::DEFAULT_NAMESPACE;
use crate::policy::rego::results::{NamedImage, Resource};
use crate::policy::settings::{Speaks, WebhookSettings};
use crate::review::Review;
use crate::review::json::{Document, Node};

use super::bridge::{self, Bridged};
use super::service::Arrival;

/// Each made when a webhook is first asked it.
pub(super) struct Questions<'a> {
    arrival: &'a Arrival,
    review: &'a Review,
    document: &'a Document<'a>,
    /// The same for all webhooks with a bridge.
    bridged: OnceCell<Option<Bridged>>,
}

// === impl Questions ===

impl<'a> Questions<'a> {
    /// `document` is what the body of `review` says.
    pub(super) fn about(arrival: &'a Arrival, review: &'a Review, document: &'a Document<'a>) -> Self {
        Self { arrival, review, document, bridged: OnceCell::new() }
    }

    /// `None`: a webhook of these settings is not asked.
    pub(super) fn to(&self, webhook: &WebhookSettings, budget: Duration) -> Option<Question> {
        let as_it_came = self.as_it_came(budget);
        if webhook.speaks == Speaks::Opa {
            return Some(Question { resource: self.resource(), images: self.images(), ..as_it_came });
        }
        if bridge::shown(webhook, self.review.protocol).is_none() {
            return Some(as_it_came);
        }
        if !webhook.bridge {
            return None;
        }
        let Bridged { body, protocol, api_version, uid } =
            self.bridged.get_or_init(|| Bridged::of(self.review)).clone()?;
        Some(Question { body, protocol, api_version, uid, ..as_it_came })
    }

    fn as_it_came(&self, budget: Duration) -> Question {
        Question {
            body: self.arrival.body.clone(),
            protocol: self.review.protocol,
            api_version: self.review.api_version,
            uid: self.review.uid.clone(),
            came_in: self.review.protocol,
            resource: Resource::default(),
            images: Vec::new(),
            traceparent: self.arrival.traceparent.clone(),
            budget,
        }
    }

    /// As kubernetes-policy-controller would name the object. What has no name has a random one there.
    fn resource(&self) -> Resource {
        let Some(request) = self.document.root().member("request") else { return Resource::default() };
        let resource = request.member("resource").and_then(|resource| resource.member("resource"));
        let namespace = self.review.record.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        Resource {
            kind: resource.and_then(Node::text).map(Cow::into_owned),
            namespace: Some(namespace.to_owned()),
            name: self.review.name.clone(),
        }
    }

    fn images(&self) -> Vec<NamedImage> {
        self.review.images.iter().map(|image| (image.text.clone(), image.container.clone())).collect()
    }
}
