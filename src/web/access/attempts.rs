//! How often somebody may try to sign in: so many failures of a name, and of an address, in a time.
//!
//! An attempt counts as failed until it is known not to be, so that many at once are no way around it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Attempts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    of_names: HashMap<String, Failures>,
    of_peers: HashMap<Option<Network>, Failures>,
}

/// Where somebody comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

/// After this the failures of a name or an address are forgotten.
const SPAN: Duration = Duration::from_secs(300);
const OF_A_NAME: u32 = 10;
/// Many people may come from one.
const OF_A_PEER: u32 = 50;
/// Names and networks that are remembered. Beyond that, those go that failed least: names that somebody makes up.
const REMEMBERED: usize = 10_000;

// === impl Attempts ===

impl Attempts {
    /// # Errors
    /// After how long to try again.
    pub fn begin(&self, name: &str, peer: Option<IpAddr>) -> Result<(), Duration> {
        let (now, peer) = (Instant::now(), network(peer));
        let mut known = self.known();
        let waits = [
            known.of_names.get(name).and_then(|failures| failures.wait(OF_A_NAME, now)),
            known.of_peers.get(&peer).and_then(|failures| failures.wait(OF_A_PEER, now)),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        count(&mut known.of_names, name.to_owned(), now);
        count(&mut known.of_peers, peer, now);
        Ok(())
    }

    /// The name starts anew; of the address one failure less is known.
    pub fn succeeded(&self, name: &str, peer: Option<IpAddr>) {
        let mut known = self.known();
        known.of_names.remove(name);
        if let Some(failures) = known.of_peers.get_mut(&network(peer)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    /// It was not tried, for want of room: neither the name nor the address failed.
    pub fn withdrawn(&self, name: &str, peer: Option<IpAddr>) {
        let mut known = self.known();
        let Known { of_names, of_peers } = &mut *known;
        for failures in of_names.get_mut(name).into_iter().chain(of_peers.get_mut(&network(peer))) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count<K: std::hash::Hash + Eq>(known: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if !known.contains_key(&key) {
        make_room(known, now);
    }
    let failures = known.entry(key).or_insert(Failures { since: now, count: 0 });
    if failures.is_over(now) {
        *failures = Failures { since: now, count: 0 };
    }
    failures.count += 1;
}

fn make_room<K>(known: &mut HashMap<K, Failures>, now: Instant) {
    if known.len() >= REMEMBERED {
        known.retain(|_, failures| !failures.is_over(now));
    }
    let mut least = 0;
    while known.len() >= REMEMBERED {
        least += 1;
        known.retain(|_, failures| failures.count > least);
    }
}

/// One household or company has 2^64 addresses of IPv6: they count as one.
fn network(peer: Option<IpAddr>) -> Option<Network> {
    Some(match peer? {
        IpAddr::V4(address) => Network::V4(address.octets()),
        IpAddr::V6(address) => Network::V6(address.octets()[..8].try_into().expect("8 of 16 bytes")),
    })
}

// === impl Failures ===

impl Failures {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= SPAN
    }

    fn wait(&self, most: u32, now: Instant) -> Option<Duration> {
        (self.count >= most && !self.is_over(now)).then(|| SPAN.saturating_sub(now.duration_since(self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_an_address_have_their_number_of_failures() {
        let (attempts, peer) = (Attempts::default(), |last| Some(IpAddr::from([10, 0, 0, last])));
        for _ in 0..OF_A_NAME {
            attempts.begin("ana", peer(1)).expect("one more");
        }
        let wait = attempts.begin("ana", peer(2)).expect_err("one too many");
        assert!(wait <= SPAN && wait > SPAN / 2, "{wait:?}");
        attempts.begin("bo", peer(1)).expect("another name");
        attempts.succeeded("bo", peer(1));
        for number in OF_A_NAME..OF_A_PEER {
            attempts.begin(&format!("n{number}"), peer(1)).expect("another name");
        }
        attempts.begin("cy", peer(1)).expect_err("the address has had its number");
        attempts.begin("cy", peer(2)).expect("another address");
    }

    #[test]
    fn what_was_not_tried_for_want_of_room_is_no_failure() {
        let (attempts, peer) = (Attempts::default(), Some(IpAddr::from([10, 0, 0, 1])));
        for _ in 0..=OF_A_PEER {
            attempts.begin("ana", peer).expect("neither failed");
            attempts.withdrawn("ana", peer);
        }
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let (attempts, peer) = (Attempts::default(), |text: &str| Some(text.parse().expect("an address")));
        for number in 0..OF_A_PEER {
            attempts.begin(&format!("n{number}"), peer(&format!("2001:db8::{number:x}"))).expect("one more");
        }
        attempts.begin("cy", peer("2001:db8::ffff:1")).expect_err("the same network");
        attempts.begin("cy", peer("2001:db8:0:1::1")).expect("another");
    }

    #[test]
    fn made_up_names_push_out_none_that_failed_more_often() {
        let attempts = Attempts::default();
        let peer = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        for _ in 0..OF_A_NAME {
            attempts.begin("ana", peer(1)).expect("one more");
        }
        for number in 0..3 * u32::try_from(REMEMBERED).expect("a few") {
            attempts.begin(&format!("made-up-{number}"), peer(1_000 + number)).expect("another name and address");
        }
        attempts.begin("ana", peer(2)).expect_err("still one too many");
        assert!(attempts.known().of_names.len() <= REMEMBERED);
    }
}
