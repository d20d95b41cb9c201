//! Image references, read exactly as `ParseNormalizedNamed` of Go's distribution/reference reads them.
//!
//! The grammar, in their words: `[domain/]path[:tag][@digest]`. What makes the first component a domain is decided
//! before the grammar is looked at: it is `localhost`, holds a `.`, a `:` or a capital; else the domain is `docker.io`.

use std::borrow::Cow;
use std::fmt;

/// Where an image is when its reference does not say.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The name that Docker Hub had before.
const LEGACY_REGISTRY: &str = "index.docker.io";
/// Where Docker Hub keeps a repository of one component.
const OFFICIAL: &str = "library/";
/// Characters of a repository, its registry left out.
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;
/// The digest algorithms that Kubernetes registers, with their hexadecimal digits.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// What a reference names. `nginx` is registry `docker.io`, repository `library/nginx`, neither tag nor digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// Host with port, lower-case. Empty in the one case where distribution/reference finds none: a first component
    /// with a dot and an underscore (`my_host.example/app`) is no host, but a fine piece of a repository.
    pub registry: String,
    pub repository: String,
    /// As spelled out; see [`ImageReference::effective_tag`].
    pub tag: Option<String>,
    /// `algorithm:hex`.
    pub digest: Option<String>,
}

/// Why a text is not an image reference. What it quotes is cut to a length that a line can hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReferenceError {
    #[error("it is empty")]
    Empty,
    #[error("64 hexadecimal digits alone are an image id, not the name of an image")]
    Identifier,
    #[error("it starts with a scheme; an image is named without http:// or https://")]
    Scheme,
    #[error("{0} is not a host, with or without a port")]
    Registry(Excerpt),
    #[error("the repository {0} has capitals, it must be lower-case")]
    Uppercase(Excerpt),
    #[error("it names no repository")]
    NoRepository,
    #[error("{0} cannot be part of a repository: letters, digits, and between them one `.`, one or two `_`, or `-`")]
    Component(Excerpt),
    #[error("the repository has {0} characters, {MAX_REPOSITORY} are the most")]
    RepositoryTooLong(usize),
    #[error("the tag is empty")]
    EmptyTag,
    #[error("the tag has {0} characters, {MAX_TAG} are the most")]
    TagTooLong(usize),
    #[error("{0} is not a tag: letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`")]
    Tag(Excerpt),
    #[error("{0} is not a digest: it is written algorithm:hexadecimal digits")]
    Digest(Excerpt),
    #[error("{0} is not a digest algorithm that is known here (sha256, sha384, sha512)")]
    Algorithm(Excerpt),
    #[error("the digest has {found} hexadecimal digits, {algorithm} needs {needed}")]
    DigestLength { algorithm: &'static str, found: usize, needed: usize },
    #[error("the digest has capitals, its hexadecimal digits must be lower-case")]
    UppercaseDigest,
}

/// A quoted piece of a reference: at most 60 characters, control and invisible characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Excerpt(String);

// === impl ImageReference ===

impl ImageReference {
    /// Reads `text` in time linear in its length.
    ///
    /// # Errors
    /// Whatever distribution/reference refuses.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if is_identifier(text) {
            return Err(ReferenceError::Identifier);
        }
        let (host, rest) = split_host(text);
        let (path, tag, digest) = split_suffixes(&rest);
        let (registry, repository) = if is_host(host) {
            check_path(path)?;
            (host.to_ascii_lowercase(), path.to_owned())
        } else if check_component(host).is_ok() {
            check_path(path)?;
            (String::new(), format!("{host}/{path}"))
        } else {
            return Err(registry_error(host, &rest));
        };
        let tag = tag.map(check_tag).transpose()?;
        let digest = digest.map(check_digest).transpose()?;
        if repository.len() > MAX_REPOSITORY {
            return Err(ReferenceError::RepositoryTooLong(repository.len()));
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }

    /// The tag that is pulled: the one spelled out, `latest` when neither tag nor digest is, none when only a digest is.
    pub fn effective_tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// `registry/repository`, what the history counts by.
    pub fn name(&self) -> String {
        let mut name = String::with_capacity(self.registry.len() + self.repository.len() + 1);
        self.write_name(&mut name);
        name
    }

    /// `registry/repository[:tag][@digest]`, the implied tag included.
    pub fn normalised(&self) -> String {
        let mut text = String::with_capacity(self.registry.len() + self.repository.len() + 96);
        self.write_name(&mut text);
        if let Some(tag) = self.effective_tag() {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }

    fn write_name(&self, into: &mut String) {
        if !self.registry.is_empty() {
            into.push_str(&self.registry);
            into.push('/');
        }
        into.push_str(&self.repository);
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.normalised())
    }
}

// === impl Excerpt ===

impl Excerpt {
    fn of(text: &str) -> Self {
        Self(format!("{:?}", super::excerpt(text)))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === the grammar ===

fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Host and remainder, as distribution/reference divides them; the host is not checked yet.
fn split_host(text: &str) -> (&str, Cow<'_, str>) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_REGISTRY, Cow::Owned(format!("{OFFICIAL}{text}")));
    };
    let (host, rest) = if first == LEGACY_REGISTRY {
        (DEFAULT_REGISTRY, rest)
    } else if first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase) {
        (first, rest)
    } else {
        (DEFAULT_REGISTRY, text)
    };
    if host == DEFAULT_REGISTRY && !rest.contains('/') {
        return (host, Cow::Owned(format!("{OFFICIAL}{rest}")));
    }
    (host, Cow::Borrowed(rest))
}

/// Path, tag and digest. A path holds neither `:` nor `@`, a tag no `@`.
fn split_suffixes(rest: &str) -> (&str, Option<&str>, Option<&str>) {
    let (name, digest) = match rest.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (rest, None),
    };
    match name.split_once(':') {
        Some((path, tag)) => (path, Some(tag), digest),
        None => (name, None, digest),
    }
}

/// `label[.label...][:port]` or `[ipv6][:port]`.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) => {
            let address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            return address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    name.split('.').all(is_host_label) && port.is_none_or(is_port)
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn registry_error(host: &str, rest: &str) -> ReferenceError {
    if rest.starts_with('/') && host.ends_with(':') {
        ReferenceError::Scheme
    } else {
        ReferenceError::Registry(Excerpt::of(host))
    }
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.is_empty() || path == OFFICIAL {
        return Err(ReferenceError::NoRepository);
    }
    if path.chars().any(char::is_uppercase) {
        return Err(ReferenceError::Uppercase(Excerpt::of(path)));
    }
    path.split('/').try_for_each(check_component)
}

/// Runs of lower-case letters and digits, between them one `.`, one or two `_`, or any number of `-`.
fn check_component(component: &str) -> Result<(), ReferenceError> {
    let wrong = || ReferenceError::Component(Excerpt::of(component));
    let alphanumeric = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let mut rest = component.as_bytes();
    loop {
        let run = rest.iter().take_while(|byte| alphanumeric(byte)).count();
        if run == 0 {
            return Err(wrong());
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return Ok(());
        }
        let separator = rest.iter().take_while(|byte| !alphanumeric(byte)).count();
        match &rest[..separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|&byte| byte == b'-') => {}
            _ => return Err(wrong()),
        }
        rest = &rest[separator..];
    }
}

fn check_tag(tag: &str) -> Result<&str, ReferenceError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let Some(&first) = tag.as_bytes().first() else { return Err(ReferenceError::EmptyTag) };
    if !word(first) || !tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-') {
        return Err(ReferenceError::Tag(Excerpt::of(tag)));
    }
    if tag.len() > MAX_TAG {
        return Err(ReferenceError::TagTooLong(tag.len()));
    }
    Ok(tag)
}

fn check_digest(digest: &str) -> Result<&str, ReferenceError> {
    let malformed = || ReferenceError::Digest(Excerpt::of(digest));
    let (name, hex) = digest.split_once(':').ok_or_else(malformed)?;
    if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    let known = ALGORITHMS.iter().find(|(algorithm, _)| *algorithm == name);
    let &(algorithm, needed) = known.ok_or_else(|| ReferenceError::Algorithm(Excerpt::of(name)))?;
    if hex.len() != needed {
        return Err(ReferenceError::DigestLength { algorithm, found: hex.len(), needed });
    }
    if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::UppercaseDigest);
    }
    Ok(digest)
}

#[cfg(test)]
mod tests;
