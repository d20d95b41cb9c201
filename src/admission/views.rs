//! The views of one review that policies are evaluated on, each encoded once for all of them.

use std::sync::Arc;

use crate::policy::rego::input::{Form, View};
use crate::policy::revision::Policy;
use crate::review::Review;
use crate::review::decision::{Presented, Protocol};
use crate::review::json::Document;
use crate::review::view::{ObjectView, object_hash};

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
    pub fn of<'a>(
        review: &Review,
        policies: impl IntoIterator<Item = &'a Policy>,
        document: &Document<'_>,
    ) -> Option<Self> {
        let has_object = has_object(review);
        let evaluated = policies.into_iter().filter_map(Policy::evaluated);
        let mut wanted = evaluated.map(|policy| policy.form().view(has_object)).peekable();
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

/// The hash of the view of a policy of that form, as far as it is made already.
pub fn hash(form: Form, review: &Review, views: Option<&Views>) -> Option<[u8; 32]> {
    match form.view(has_object(review)) {
        View::Image => Some(*review.view.hash()),
        View::Object => views.and_then(|views| views.object.as_ref()).map(|object| object.hash),
    }
}

/// What a policy of that form judges in place of `review`, where it does.
pub fn presented(form: Form, review: &Review) -> Option<Presented> {
    form.is_presented(has_object(review)).then_some(match form {
        Form::ImageReview => Presented::ImageReview,
        Form::AdmissionReview | Form::Object => Presented::Pod,
    })
}

fn has_object(review: &Review) -> bool {
    review.protocol == Protocol::AdmissionReview
}
