//! One record as it stands in a segment: length, checksum, payload.

use std::ops::Range;

use serde::Serialize;

/// Length and CRC32C, each a little-endian `u32`.
pub(super) const HEADER: usize = 8;

/// A length below 16 MiB has a zero as its last byte, which JSON text never contains: so no payload, whoever wrote
/// it, holds what looks like the beginning of a record. The largest body is 7 MiB, its object sample some more.
pub(super) const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// The payload would be longer than [`MAX_PAYLOAD`].
#[derive(Debug)]
pub(super) struct TooLarge;

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole record with this payload.
    Frame(Range<usize>),
    /// Nothing: the bytes end here.
    End,
    /// Something that is no whole record.
    Bad,
}

/// The frame of `record`.
pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>, TooLarge> {
    // Most decisions fit, so that it seldom grows.
    let mut frame = Vec::with_capacity(1024);
    frame.extend_from_slice(&[0; HEADER]);
    serde_json::to_writer(&mut frame, record).expect("a record has only text as keys, and memory does not fail");
    let payload = frame.len() - HEADER;
    if payload > MAX_PAYLOAD {
        return Err(TooLarge);
    }
    let length = u32::try_from(payload).expect("below 16 MiB").to_le_bytes();
    let checksum = checksum(length, &frame[HEADER..]).to_le_bytes();
    frame[..4].copy_from_slice(&length);
    frame[4..HEADER].copy_from_slice(&checksum);
    Ok(frame)
}

/// The checksum covers the length too, so that a run of zeros is not a record.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// Looks at `bytes` from `at`.
pub(super) fn step(bytes: &[u8], at: usize) -> Step {
    if at == bytes.len() {
        return Step::End;
    }
    let Some(payload) = extent(bytes, at) else { return Step::Bad };
    let length = bytes[at..at + 4].try_into().expect("four bytes");
    let stored = bytes[at + 4..at + HEADER].try_into().expect("four bytes");
    if payload.end <= bytes.len() && checksum(length, &bytes[payload.clone()]) == u32::from_le_bytes(stored) {
        Step::Frame(payload)
    } else {
        Step::Bad
    }
}

/// Where the payload of a record at `at` lies by its header, which may be past the end of `bytes`.
pub(super) fn extent(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let header = bytes.get(at..at + HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
    (1..=MAX_PAYLOAD).contains(&length).then(|| at + HEADER..at + HEADER + length)
}

/// The first whole record at or after `from`.
pub(super) fn resync(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(HEADER)).find(|&at| {
        // The cheap tests first: a checksum at every offset would be quadratic.
        bytes[at + 3] == 0 && bytes[at + HEADER] == b'{' && matches!(step(bytes, at), Step::Frame(_))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_frame_is_seen() {
        let frame = encode(&serde_json::json!({"a": "text"})).unwrap();
        assert_eq!(step(&frame, 0), Step::Frame(HEADER..frame.len()));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(step(&flipped, 0), Step::Bad, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(step(&[0; 64], 0), Step::Bad);
        assert_eq!(resync(&[0; 64], 0), None);
    }

    #[test]
    fn a_frame_written_into_a_text_is_not_found_inside_it() {
        let inner = encode(&serde_json::json!({"a": 1})).unwrap();
        let text: String = inner.iter().map(|&byte| char::from(byte)).collect();
        let mut outer = encode(&serde_json::json!({ "name": text })).unwrap();
        let whole = outer.len();
        outer[0] ^= 1;
        outer.extend(&inner);
        assert_eq!(resync(&outer, 0), Some(whole));
    }

    #[test]
    fn a_payload_of_16_mib_is_refused() {
        assert!(encode(&"x".repeat(MAX_PAYLOAD - 1)).is_err());
        assert!(encode(&"x".repeat(MAX_PAYLOAD - 2)).is_ok());
    }
}
