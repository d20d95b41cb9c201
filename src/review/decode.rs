//! A request body becomes a [`Review`].

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::decision::{Operation, Protocol, ReviewRecord};
use super::image::Image;
use super::workload::Workload;

/// One ImageReview or AdmissionReview, read.
#[derive(Debug)]
pub struct Review {
    pub protocol: Protocol,
    /// `imagepolicy.k8s.io/v1alpha1`, `admission.k8s.io/v1` or `admission.k8s.io/v1beta1`, as it came.
    pub api_version: &'static str,
    /// An AdmissionReview's `request.uid`.
    pub uid: Option<String>,
    /// An ImageReview carries none and is judged as a CREATE.
    pub operation: Operation,
    pub subresource: Option<String>,
    pub group: Option<String>,
    pub kind: Option<String>,
    pub namespace: Option<String>,
    /// The object's name; the generated one in the validating phase; `None` while it has none.
    pub name: Option<String>,
    pub workload: Workload,
    pub user: Option<String>,
    pub dry_run: bool,
    pub images: Vec<Image>,
    /// Those whose key contains `.image-policy.k8s.io/`; a workload's are its pod template's.
    pub annotations: BTreeMap<String, String>,
    /// No local policy denies it: it has a `deletionTimestamp`, or is an UPDATE that leaves spec as it was.
    pub exempt_from_denial: bool,
    /// `request.object` as it came, for the object view and for redaction; `None` on an ImageReview and on DELETE.
    pub object: Option<Box<RawValue>>,
    /// What of it is kept in the history.
    pub record: ReviewRecord,
}
