//! The key of a decision's row: its place in the order by (at, id) as one integer.
//!
//! The time in milliseconds, shifted left, and the first random bits of the UUIDv7. 21 bits beside 42 bits of time
//! (up to the year 2109) and a sign. Decisions that agree in both take the next free key, at most [`PROBES`] further on.

use std::ops::Range;

use uuid::Uuid;

use crate::review::clock::{DecisionId, Timestamp};

/// As in the generated column `decisions.at`.
const RANDOM_BITS: u32 = 21;
/// Bytes of half an id.
const HALF: usize = 8;
const LATEST: i64 = (1 << 42) - 1;

/// A thousand decisions in one millisecond collide once in four; ten at one key never happens.
const PROBES: i64 = 64;

/// The first key of a millisecond.
pub(super) fn start(at: Timestamp) -> i64 {
    at.0.clamp(-LATEST, LATEST) << RANDOM_BITS
}

/// The time of a key.
pub(super) fn at(key: i64) -> Timestamp {
    Timestamp(key >> RANDOM_BITS)
}

/// Where a decision's row goes, if that key is free.
pub(super) fn of(at: Timestamp, id: DecisionId) -> i64 {
    start(at) | random_bits(id)
}

/// All the keys at which a decision's row can be.
pub(super) fn candidates(at: Timestamp, id: DecisionId) -> Range<i64> {
    let first = of(at, id);
    first..first + PROBES
}

/// The time that an id holds. `None`: it is no UUIDv7.
pub(super) fn time_of(id: DecisionId) -> Option<Timestamp> {
    let millis = i64::try_from(id.0.as_u128() >> 80).expect("48 bits");
    (id.0.get_version_num() == 7).then_some(Timestamp(millis))
}

/// An id as the row at `key` holds it: what the key does not say already, half of it. All of it where the two disagree,
/// as they do where its own key was taken, or its time is another.
pub(super) fn shortened(key: i64, id: DecisionId) -> Vec<u8> {
    let bytes = id.0.as_bytes();
    let (first, last) = bytes.split_at(HALF);
    if first == first_half(key) { last.to_vec() } else { bytes.to_vec() }
}

/// The id that the row at `key` holds; `None` where those are no bytes of one.
pub(super) fn whole(key: i64, held: &[u8]) -> Option<DecisionId> {
    let bytes = if held.len() == HALF { [&first_half(key), held].concat() } else { held.to_vec() };
    Uuid::from_slice(&bytes).ok().map(DecisionId)
}

/// Of a UUIDv7 that has this key: the time, the version, the random bits before the variant.
fn first_half(key: i64) -> [u8; HALF] {
    (at(key).0 << 16 | 7 << 12 | (key >> 9) & 0xfff).to_be_bytes()
}

/// 12 bits before the variant, and the 9 after it.
fn random_bits(DecisionId(id): DecisionId) -> i64 {
    let bits = id.as_u128();
    i64::try_from(((bits >> 64) & 0xfff) << 9 | ((bits >> 53) & 0x1ff)).expect("21 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_the_order_of_time_and_id() {
        let mut ids: Vec<(Timestamp, DecisionId)> =
            (0..2_000_i64).map(|n| Timestamp(1_790_000_000_000 + n / 40)).map(|at| (at, DecisionId::at(at))).collect();
        let mut by_key = ids.clone();
        ids.sort();
        by_key.sort_by_key(|&(at, id)| of(at, id));
        let prefix = |list: &[(Timestamp, DecisionId)]| list.iter().map(|&(at, id)| of(at, id)).collect::<Vec<_>>();
        assert_eq!(prefix(&ids), prefix(&by_key));
        for (time, id) in ids {
            assert_eq!(at(of(time, id)), time);
            assert_eq!(time_of(id), Some(time));
        }
    }

    #[test]
    fn half_an_id_is_enough_beside_its_key() {
        for (time, id_time, step, bytes) in [
            (1_790_000_000_000, 1_790_000_000_000, 0, 8),
            (1_790_000_000_000, 1_790_000_000_000, 512, 16),
            (1_790_000_000_000, 1_789_000_000_000, 0, 16),
            (-5, 1_790_000_000_000, 0, 16),
        ] {
            let id = DecisionId::at(Timestamp(id_time));
            let key = of(Timestamp(time), id) + step;
            let held = shortened(key, id);
            assert_eq!((held.len(), whole(key, &held)), (bytes, Some(id)));
        }
        let other = DecisionId(Uuid::from_u128(u128::MAX));
        assert_eq!(whole(0, &shortened(of(Timestamp(0), other), other)), Some(other));
        assert_eq!(whole(0, &[1, 2, 3]), None);
    }

    #[test]
    fn times_before_1970_and_beyond_the_range_keep_their_order() {
        let id = DecisionId::at(Timestamp(0));
        assert!(of(Timestamp(-2), id) < of(Timestamp(-1), id));
        assert_eq!(at(of(Timestamp(-2), id)), Timestamp(-2));
        assert!(of(Timestamp(i64::MAX), id) > of(Timestamp(LATEST - 1), id));
        assert_eq!(time_of(DecisionId(Uuid::from_u128(7))), None);
    }
}
