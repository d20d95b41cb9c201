//! The canonical part of a review that a policy may see.
//!
//! Encoding: UTF-8, keys sorted by bytes, no spaces, numbers as their literal text, strings escaped as little as JSON
//! allows. Lists keep their order, which means something to Kubernetes. [`FORMAT`] is hashed in.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::decision::{ReviewHash, ReviewRecord};
use super::decode::Review;
use super::json::{Document, Node, Shape, write_string};
use super::strict::{self, InvalidJson};

/// Raised by every change of what a view holds or how it is written, so that no hash means two things.
pub const FORMAT: u32 = 1;

/// Likewise, of the object view alone.
pub const OBJECT_FORMAT: u32 = 2;

/// What an image policy may see: the operation, where, and every image with its place; no user, no name.
///
/// Cluster, uid, time and dryRun are not in it. They belong to the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageView {
    encoded: String,
    hash: [u8; 32],
}

/// What a policy that asks for the whole object may see. Costs more than the way through the proxy: build it only for
/// one that does.
#[derive(Debug)]
pub struct ObjectView<'a> {
    review: &'a Review,
    body: &'a Document<'a>,
}

/// Fields of every `metadata` that differ between two creations of one object.
const FLEETING: [&str; 7] =
    ["uid", "resourceVersion", "managedFields", "generation", "creationTimestamp", "deletionTimestamp", "selfLink"];

/// What kubectl keeps of the object in the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The volume that the API server adds to every pod for its service account; five random characters follow.
const ACCOUNT_VOLUME: &str = "kube-api-access-";

/// How many characters the API server adds to a `generateName` and to [`ACCOUNT_VOLUME`].
const RANDOM: usize = 5;

/// Canonical JSON as it is written.
#[derive(Debug)]
struct Encoder<'a> {
    out: String,
    /// Of all objects that are being written, the innermost last: one list, so that none has to be made for each.
    members: Vec<(Cow<'a, str>, Node<'a>)>,
}

/// Which part of an object is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing in here is left out.
    Plain,
    Object,
    Metadata,
    Annotations,
    Owners,
    /// `volumes` and `volumeMounts`, and what is in them.
    Volumes,
    Within,
}

// === impl ImageView ===

impl ImageView {
    pub fn of(record: &ReviewRecord) -> Self {
        let mut encoded = String::with_capacity(256 + 128 * record.images.len());
        write_image_view(record, &mut encoded);
        let hash = hash(&[b"image view", &FORMAT.to_be_bytes(), encoded.as_bytes()]);
        Self { encoded, hash }
    }

    /// Canonical JSON.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// SHA-256 of the format number and the encoding.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The identity of the record that this is the view of: the view with protocol, version and workload.
    pub(super) fn review_hash(&self, record: &ReviewRecord) -> ReviewHash {
        let mut rest = String::new();
        let parts = [record.protocol.as_str(), &record.api_version, &record.workload.kind, &record.workload.name];
        for part in parts {
            write_string(part, &mut rest);
        }
        ReviewHash(hash(&[b"review", &self.hash, rest.as_bytes()]))
    }
}

// === impl ObjectView ===

impl<'a> ObjectView<'a> {
    /// `body` is what `review` was read from.
    pub fn of(review: &'a Review, body: &'a Document<'a>) -> Self {
        Self { review, body }
    }

    /// Canonical JSON.
    pub fn encode(&self) -> String {
        let request = self.body.root().member("request");
        let part = |name: &str| request.and_then(|request| request.member(name));
        let (object, old) = (part("object"), part("oldObject"));
        let metadata = object.or(old).and_then(|object| object.member("metadata"));
        let mut to = Encoder::with_capacity(self.body.text().len());
        let record = &self.review.record;
        to.out.push_str("{\"annotations\":");
        let annotations = metadata.and_then(|metadata| metadata.member("annotations"));
        to.write_or_null(annotations, Place::Annotations);
        to.out.push_str(",\"group\":");
        write_optional(record.group.as_deref(), &mut to.out);
        to.out.push_str(",\"groups\":");
        let user = part("userInfo");
        to.write_or_null(user.and_then(|user| user.member("groups")), Place::Plain);
        to.out.push_str(",\"image\":");
        to.out.push_str(self.review.view.encoded());
        to.out.push_str(",\"kind\":");
        write_optional(record.kind.as_deref(), &mut to.out);
        to.out.push_str(",\"labels\":");
        to.write_or_null(metadata.and_then(|metadata| metadata.member("labels")), Place::Plain);
        to.out.push_str(",\"name\":");
        let name = metadata.and_then(generated_from).or_else(|| self.review.name.clone());
        write_optional(name.as_deref(), &mut to.out);
        to.out.push_str(",\"object\":");
        to.write_or_null(object, Place::Object);
        to.out.push_str(",\"oldObject\":");
        to.write_or_null(old, Place::Object);
        to.out.push_str(",\"resource\":");
        let resource = part("resource").and_then(|resource| resource.member("resource")).and_then(Node::text);
        write_optional(resource.as_deref(), &mut to.out);
        to.out.push_str(",\"user\":");
        write_optional(self.review.user.as_deref(), &mut to.out);
        to.out.push_str(",\"version\":");
        let version = part("kind").and_then(|kind| kind.member("version")).and_then(Node::text);
        write_optional(version.as_deref(), &mut to.out);
        to.out.push('}');
        to.out
    }
}

/// SHA-256 of the format number and the encoding of an object view.
pub fn object_hash(encoded: &str) -> [u8; 32] {
    hash(&[b"object view", &OBJECT_FORMAT.to_be_bytes(), encoded.as_bytes()])
}

// === the encoding ===

/// A value in canonical form, nothing left out.
pub(super) fn canonical(node: Node<'_>) -> String {
    let mut to = Encoder::with_capacity(node.raw().len());
    to.write(node, Place::Plain);
    to.out
}

/// A Kubernetes object in canonical form, without what differs between two creations of it. Of its own result it
/// leaves nothing out.
///
/// # Errors
/// `object` is not JSON.
pub fn object(object: impl AsRef<[u8]>) -> Result<String, InvalidJson> {
    let document = strict::parse(object.as_ref())?;
    let mut to = Encoder::with_capacity(document.text().len());
    to.write(document.root(), Place::Object);
    Ok(to.out)
}

/// The first `digits` hexadecimal digits of a text's SHA-256.
pub fn digest_hex(text: &[u8], digits: usize) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        write!(hex, "{byte:02x}").expect("a String takes everything");
    }
    hex.truncate(digits);
    hex
}

/// Parts are hashed with their lengths, so that no two lists of parts run together.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn write_image_view(record: &ReviewRecord, out: &mut String) {
    out.push_str("{\"annotations\":{");
    for (at, (key, value)) in record.annotations.iter().enumerate() {
        comma(at, out);
        write_string(key, out);
        out.push(':');
        write_string(value, out);
    }
    out.push_str("},\"group\":");
    write_optional(record.group.as_deref(), out);
    out.push_str(",\"images\":[");
    for (at, image) in record.images.iter().enumerate() {
        comma(at, out);
        out.push_str("{\"container\":");
        write_optional(image.container.as_deref(), out);
        out.push_str(if image.new { ",\"new\":true,\"role\":" } else { ",\"new\":false,\"role\":" });
        write_string(image.role.as_str(), out);
        out.push_str(",\"text\":");
        write_string(&image.text, out);
        out.push('}');
    }
    out.push_str("],\"kind\":");
    write_optional(record.kind.as_deref(), out);
    out.push_str(",\"namespace\":");
    write_optional(record.namespace.as_deref(), out);
    out.push_str(",\"operation\":");
    write_string(record.operation.as_str(), out);
    out.push_str(",\"subresource\":");
    write_optional(record.subresource.as_deref(), out);
    out.push('}');
}

fn write_optional(text: Option<&str>, out: &mut String) {
    match text {
        Some(text) => write_string(text, out),
        None => out.push_str("null"),
    }
}

fn comma(at: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
}

fn is_left_out(place: Place, key: &str) -> bool {
    match place {
        Place::Object => key == "status",
        Place::Metadata => FLEETING.contains(&key),
        Place::Annotations => key == LAST_APPLIED,
        Place::Owners => key == "uid",
        Place::Plain | Place::Volumes | Place::Within => false,
    }
}

/// The `generateName` that an object's name was made from.
fn generated_from(metadata: Node<'_>) -> Option<String> {
    let stem = metadata.member("generateName")?.text()?;
    let name = metadata.member("name")?.text()?;
    (name.strip_prefix(stem.as_ref())?.chars().count() == RANDOM).then(|| stem.into_owned())
}

// === impl Encoder ===

impl<'a> Encoder<'a> {
    fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), members: Vec::with_capacity(64) }
    }

    fn write_or_null(&mut self, node: Option<Node<'a>>, place: Place) {
        match node {
            Some(node) => self.write(node, place),
            None => self.out.push_str("null"),
        }
    }

    fn write(&mut self, node: Node<'a>, place: Place) {
        match node.shape() {
            Shape::Object => self.write_members(node, place),
            Shape::List => {
                self.out.push('[');
                for (at, item) in node.items().enumerate() {
                    comma(at, &mut self.out);
                    self.write(item, place);
                }
                self.out.push(']');
            }
            Shape::EscapedString => write_string(&node.text().unwrap_or_default(), &mut self.out),
            // Without an escape a string is canonical as it stands.
            Shape::String | Shape::Null | Shape::True | Shape::False | Shape::Number => self.out.push_str(node.raw()),
        }
    }

    fn write_members(&mut self, node: Node<'a>, place: Place) {
        let own = self.members.len();
        let members = node.members().map(|(key, value)| (key.text().unwrap_or_default(), value));
        self.members.extend(members.filter(|(key, _)| !is_left_out(place, key)));
        self.members[own..].sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        let generated_from = if place == Place::Metadata { generated_from(node) } else { None };
        self.out.push('{');
        for at in own..self.members.len() {
            comma(at - own, &mut self.out);
            let (key, value) = self.members[at].clone();
            match &key {
                // It stands in the text without an escape.
                Cow::Borrowed(plain) => self.quote(plain),
                Cow::Owned(text) => write_string(text, &mut self.out),
            }
            self.out.push(':');
            match (&generated_from, place, key.as_ref()) {
                (Some(stem), Place::Metadata, "name") => write_string(stem, &mut self.out),
                (_, Place::Volumes, "name") => self.write_volume_name(value),
                _ => self.write(value, place.inside(&key, value)),
            }
        }
        self.out.push('}');
        self.members.truncate(own);
    }

    fn quote(&mut self, plain: &str) {
        self.out.push('"');
        self.out.push_str(plain);
        self.out.push('"');
    }

    fn write_volume_name(&mut self, name: Node<'a>) {
        let Some(text) = name.text() else { return self.write(name, Place::Within) };
        let random = |suffix: &str| suffix.len() == RANDOM && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match text.strip_prefix(ACCOUNT_VOLUME) {
            Some(suffix) if random(suffix) => write_string(ACCOUNT_VOLUME, &mut self.out),
            _ => write_string(&text, &mut self.out),
        }
    }
}

// === impl Place ===

impl Place {
    /// Where the value of a key is.
    fn inside(self, key: &str, value: Node<'_>) -> Self {
        match (self, key) {
            (Self::Plain, _) => Self::Plain,
            (Self::Metadata, "annotations") => Self::Annotations,
            (Self::Metadata, "ownerReferences") => Self::Owners,
            // Templates have a `metadata` of their own.
            (Self::Object | Self::Within, "metadata") if value.shape() == Shape::Object => Self::Metadata,
            (Self::Object | Self::Within, "volumes" | "volumeMounts") => Self::Volumes,
            (Self::Object | Self::Within, _) => Self::Within,
            (Self::Metadata | Self::Annotations | Self::Owners | Self::Volumes, _) => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests;
