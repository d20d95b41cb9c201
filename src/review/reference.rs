//! Image references, read exactly as `ParseNormalizedNamed` of Go's distribution/reference reads them.

/// What a reference names. `nginx` is registry `docker.io`, repository `library/nginx`, neither tag nor digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// Host with port, lower-case.
    pub registry: String,
    pub repository: String,
    /// As spelled out; see [`ImageReference::effective_tag`].
    pub tag: Option<String>,
    /// `algorithm:hex`.
    pub digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct ReferenceError(pub &'static str);
