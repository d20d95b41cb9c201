//! An OPA elsewhere that judges: which of its documents a webhook's URL names, and how that is asked for.
//!
//! | path | it is sent | it answers |
//! | --- | --- | --- |
//! | `/` | the review | `data.system.main`, or 404 where that is undefined |
//! | `/v0/data/PATH` | the review | that document, likewise |
//! | `/v1/data/PATH` | `{"input": REVIEW}` | `{"result": DOCUMENT}`, or `{}` where that is undefined |

use percent_encoding::percent_decode_str;

use crate::review::decision::Mode;

use super::rego::results::Entry;
use super::rules::Mistake;
use super::settings::{Speaks, WebhookSettings};

/// A document whose value is the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaDocument {
    pub entry: Entry,
    pub envelope: Envelope,
}

/// What stands around the review and around the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    Bare,
    /// `input` and `result`.
    Wrapped,
}

/// What an OPA is asked for at `/`, unless its own configuration says otherwise (`default_decision`).
const DEFAULT_DOCUMENT: &str = "system/main";

// === impl OpaDocument ===

impl OpaDocument {
    /// The document at the path of a URL; `None` where none can be.
    pub fn at(path: &str) -> Option<Self> {
        let (envelope, document) = match path.trim_end_matches('/') {
            "" => (Envelope::Bare, DEFAULT_DOCUMENT),
            path => match (path.strip_prefix("/v0/data/"), path.strip_prefix("/v1/data/")) {
                (Some(document), _) => (Envelope::Bare, document),
                (_, Some(document)) => (Envelope::Wrapped, document),
                (None, None) => return None,
            },
        };
        let steps = document.split('/').filter(|step| !step.is_empty());
        let steps: Vec<String> = steps.map(|step| percent_decode_str(step).decode_utf8_lossy().into_owned()).collect();
        let name = steps.last()?.clone();
        let entry = Entry { path: format!("data.{}", steps.join(".")), name, kind: None, most: Mode::Enforce };
        Some(Self { entry, envelope })
    }

    /// Of a webhook that is an OPA.
    pub fn of(webhook: &WebhookSettings) -> Option<Self> {
        if webhook.speaks == Speaks::Opa { Self::at(webhook.url.path()) } else { None }
    }
}

/// # Errors
/// The settings of a webhook that is an OPA fit none.
pub(super) fn check(webhook: &WebhookSettings) -> Result<(), Vec<Mistake>> {
    if webhook.speaks != Speaks::Opa {
        return Ok(());
    }
    let mut mistakes = Vec::new();
    let path = webhook.url.path();
    if OpaDocument::at(path).is_none() {
        let problem = format!("`{path}` names no document of an OPA");
        mistakes.push(Mistake::new("webhook.url", problem, "/v1/data/PACKAGE/RULE, /v0/data/PACKAGE/RULE or /"));
    }
    if webhook.bridge {
        let problem = "an OPA is sent reviews of both protocols as they came";
        mistakes.push(Mistake::new("webhook.bridge", problem, "a webhook without it"));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_document_and_how_it_is_asked_for() {
        for (path, document, name, envelope) in [
            ("/", "data.system.main", "main", Envelope::Bare),
            ("", "data.system.main", "main", Envelope::Bare),
            ("/v0/data/admission/deny", "data.admission.deny", "deny", Envelope::Bare),
            ("/v1/data/admission/deny", "data.admission.deny", "deny", Envelope::Wrapped),
            ("/v1/data/p//allow/", "data.p.allow", "allow", Envelope::Wrapped),
            ("/v1/data/a%2Fb/deny", "data.a/b.deny", "deny", Envelope::Wrapped),
        ] {
            let found = OpaDocument::at(path).unwrap_or_else(|| panic!("{path} names one"));
            assert_eq!((found.entry.path.as_str(), found.entry.name.as_str()), (document, name), "{path}");
            assert_eq!((found.entry.kind, found.envelope), (None, envelope), "{path}");
        }
        for path in
            ["/v1/data", "/v1/data/", "/v0/data//", "/v2/data/p/deny", "/v1/policies", "/data/p", "/x/v1/data/p"]
        {
            assert_eq!(OpaDocument::at(path), None, "{path}");
        }
    }

    #[test]
    fn what_an_opa_cannot_be_is_a_mistake_with_its_field() {
        let webhook = |url: &str, speaks| WebhookSettings {
            url: url.parse().expect("a URL"),
            speaks,
            bridge: true,
            timeout: std::time::Duration::from_secs(5),
            ca: None,
            client_identity: None,
            token_file: None,
            max_in_flight: 64,
            overridable: false,
        };
        let mistakes = check(&webhook("http://opa/v1/policies", Speaks::Opa)).expect_err("mistakes");
        let fields: Vec<&str> = mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
        assert_eq!(fields, ["webhook.url", "webhook.bridge"]);
        assert_eq!(mistakes[0].problem, "`/v1/policies` names no document of an OPA");
        assert_eq!(check(&webhook("http://opa/v1/policies", Speaks::ImageReview)), Ok(()));
        let opa = WebhookSettings { bridge: false, ..webhook("http://opa/", Speaks::Opa) };
        assert_eq!(check(&opa), Ok(()));
    }
}
