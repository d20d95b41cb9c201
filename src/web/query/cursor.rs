//! A place in a list, as an address holds it: opaque, 32 characters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::review::clock::{DecisionId, Timestamp};
use crate::store::read::Cursor;

/// Eight bytes of time, sixteen of id.
const LENGTH: usize = 24;

pub fn encode(cursor: Cursor) -> String {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&cursor.at.0.to_be_bytes());
    bytes[8..].copy_from_slice(cursor.id.0.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Option<Cursor> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some(Cursor { at: Timestamp(i64::from_be_bytes(*at)), id: DecisionId(Uuid::from_slice(id).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        for at in [-1, 0, 1_795_428_903_123, i64::MIN, i64::MAX] {
            let cursor = Cursor { at: Timestamp(at), id: DecisionId::at(Timestamp(1_795_428_903_123)) };
            let text = encode(cursor);
            assert_eq!(text.len(), 32);
            assert_eq!(decode(&text), Some(cursor));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "x", "AAAA", &"A".repeat(31), &"A".repeat(33), &"=".repeat(32), "../../../../../../etc/passwd1234"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
