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
    of_peers: HashMap<Option<IpAddr>, Failures>,
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
/// Names and addresses that are remembered. Beyond that, each address is still held to its own number.
const REMEMBERED: usize = 10_000;

// === impl Attempts ===

impl Attempts {
    /// # Errors
    /// After how long to try again.
    pub fn begin(&self, name: &str, peer: Option<IpAddr>) -> Result<(), Duration> {
        let now = Instant::now();
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
        if let Some(failures) = known.of_peers.get_mut(&peer) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count<K: std::hash::Hash + Eq>(known: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if known.len() >= REMEMBERED {
        known.retain(|_, failures| !failures.is_over(now));
    }
    if known.len() < REMEMBERED || known.contains_key(&key) {
        let failures = known.entry(key).or_insert(Failures { since: now, count: 0 });
        if failures.is_over(now) {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
    }
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
}
