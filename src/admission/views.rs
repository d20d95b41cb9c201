//! The views of one review that policies are evaluated on, each encoded once for all of them.

use std::sync::Arc;

use crate::policy::rego::input::{Form, View};
use crate::policy::revision::{Policy, Source};
use crate::policy::settings::{Speaks, WebhookSettings};
use crate::review::Review;
use crate::review::decision::Protocol;
use crate::review::json::Document;
use crate::review::view::{ObjectView, object_hash};

use super::bridge;
use super::evaluation::Encoded;

/// Those that a policy of the revision asks for.
#[derive(Debug)]
pub struct Views {
    image: Encoded,
    /// Costs more than the way through the proxy.
    object: Option<Encoded>,
}

// === impl Views ===

impl Views {
    /// `document` is what the body of `review` says; `None` where no policy is given a view.
    pub fn of(review: &Review, policies: &[Policy], document: &Document<'_>) -> Option<Self> {
        let has_object = has_object(review);
        let mut wanted = policies.iter().filter_map(form).map(|form| form.view(has_object)).peekable();
        wanted.peek()?;
        let image = Encoded { view: View::Image, text: review.view.encoded().into(), hash: *review.view.hash() };
        let object = wanted.any(|view| view == View::Object).then(|| {
            let text: Arc<str> = ObjectView::of(review, document).encode().into();
            Encoded { view: View::Object, hash: object_hash(&text), text }
        });
        Some(Self { image, object })
    }

    /// Of a policy of that form.
    pub fn view(&self, form: Form) -> &Encoded {
        match form.view(self.object.is_some()) {
            View::Object => self.object.as_ref().unwrap_or(&self.image),
            View::Image => &self.image,
        }
    }
}

/// That a policy judged another document than the one that came, and what that leaves out.
pub fn presented(policy: &Policy, review: &Review) -> Option<String> {
    let form = match &policy.source {
        Source::Rules(_) => None,
        Source::Rego(rego) => Some(rego.form()),
        Source::Webhook(webhook) => bridged(webhook).filter(|_| bridge::is_presentable(review)),
    };
    Some(match form.filter(|form| form.is_presented(has_object(review)))? {
        Form::ImageReview => format!("policy {} judged the images of this object as an ImageReview", policy.name),
        Form::AdmissionReview | Form::Object => {
            format!("policy {} judged this ImageReview as a Pod without user, labels and names", policy.name)
        }
    })
}

/// What a webhook with a bridge is shown.
fn bridged(webhook: &WebhookSettings) -> Option<Form> {
    match webhook.speaks {
        Speaks::ImageReview if webhook.bridge => Some(Form::ImageReview),
        Speaks::AdmissionReview if webhook.bridge => Some(Form::AdmissionReview),
        Speaks::ImageReview | Speaks::AdmissionReview | Speaks::Opa => None,
    }
}

fn form(policy: &Policy) -> Option<Form> {
    match &policy.source {
        Source::Rego(rego) => Some(rego.form()),
        Source::Rules(_) | Source::Webhook(_) => None,
    }
}

fn has_object(review: &Review) -> bool {
    review.protocol == Protocol::AdmissionReview
}
