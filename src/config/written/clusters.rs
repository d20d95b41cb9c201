//! The clusters that send reviews, as a person writes them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::tls::Subject;

use super::super::form::{Label, Written};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// In figures and the history: a DNS label, any but `undeclared`.
    #[schemars(required)]
    pub name: Option<Written<Label>>,
    /// The subject of its API server's client certificate, such as `CN=kube-apiserver,O=acme`. Needs
    /// `webhook.tls.client_ca`.
    pub client_subject: Option<Written<Subject>>,
    /// A file that holds the token of its path, `POST /review/NAME/TOKEN`: 16 or more letters, digits, `-`, `.`, `_` and
    /// `~`. Two of them, a line each, while one takes the place of the other.
    pub path_token_file: Option<Written<PathBuf>>,
}
