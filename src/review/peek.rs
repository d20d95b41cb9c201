//! What an answer must echo, read from the beginning of a body.
//!
//! Under overload a review is answered without being judged. Its body need not be held for that: the API server writes
//! `kind`, `apiVersion` and `request.uid` within the first few hundred bytes.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};

use super::decision::Protocol;
use super::decode;

/// Enough of a review to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    pub protocol: Protocol,
    pub api_version: &'static str,
    pub uid: Option<String>,
}

#[derive(Debug, Default)]
struct Seen {
    kind: Option<String>,
    api_version: Option<String>,
    uid: Option<String>,
}

/// Fills `Seen` as it goes, so that a body cut off in the middle still leaves what came before.
struct Top<'a>(&'a mut Seen);
struct Request<'a>(&'a mut Seen);

/// Reads the beginning of a body; `None` when kind, version or uid do not stand in it.
pub fn peek(beginning: &[u8]) -> Option<Peek> {
    let mut seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_slice(beginning);
    // The end of a cut-off body is an error by nature: what was seen before it counts.
    Top(&mut seen).deserialize(&mut reader).ok();
    let (protocol, api_version) = decode::protocol(seen.kind.as_deref()?, seen.api_version.as_deref()?)?;
    match protocol {
        Protocol::ImageReview => Some(Peek { protocol, api_version, uid: None }),
        Protocol::AdmissionReview => Some(Peek { protocol, api_version, uid: Some(seen.uid?) }),
    }
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a review")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Kind => self.0.kind = Some(map.next_value()?),
                Key::ApiVersion => self.0.api_version = Some(map.next_value()?),
                Key::Request => map.next_value_seed(Request(self.0))?,
                Key::Uid | Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Uid => self.0.uid = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Kind,
    ApiVersion,
    Request,
    Uid,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE_POD: &[u8] = include_bytes!("../../tests/fixtures/captures/002-admission-v1-create-pod.json");
    const IMAGE_REVIEW: &[u8] = include_bytes!("../../tests/fixtures/captures/001-image-review.json");

    #[test]
    fn the_first_bytes_of_a_real_review_are_enough() {
        let peek = peek(&CREATE_POD[..300]).expect("kind, version and uid come first");
        assert_eq!(peek.protocol, Protocol::AdmissionReview);
        assert_eq!(peek.api_version, "admission.k8s.io/v1");
        assert_eq!(peek.uid.as_deref(), Some("3d0cef2f-2da2-4fcf-9257-f39145515a60"));

        let peek = super::peek(&IMAGE_REVIEW[..80]).expect("an ImageReview has no uid");
        assert_eq!((peek.protocol, peek.uid), (Protocol::ImageReview, None));
    }

    #[test]
    fn what_cannot_be_answered_is_none() {
        assert_eq!(peek(&CREATE_POD[..60]), None, "cut off before the uid");
        assert_eq!(peek(br#"{"kind":"Pod","apiVersion":"v1"}"#), None);
        assert_eq!(peek(b"nonsense"), None);
    }
}
