//! How many reviews, and how many bytes of them, are held at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::recorder::metrics::gauge;

/// Nobody waits at it: what does not fit is shed.
#[derive(Debug)]
pub struct Gate {
    max_reviews: usize,
    max_bytes: u64,
    reviews: AtomicUsize,
    bytes: AtomicU64,
}

/// What is read when `/metrics` is.
#[derive(Debug)]
struct State(Arc<Gate>);

/// Room for the body of one request, given back when dropped.
#[derive(Debug)]
pub struct Bytes {
    gate: Arc<Gate>,
    held: u64,
}

/// The place of one review whose body is complete, given back when dropped.
#[derive(Debug)]
pub struct Place {
    bytes: Bytes,
}

// === impl Gate ===

impl Gate {
    pub fn new(max_reviews: usize, max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { max_reviews, max_bytes, reviews: AtomicUsize::new(0), bytes: AtomicU64::new(0) })
    }

    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(State(Arc::clone(self))));
    }

    pub fn bytes(self: &Arc<Self>) -> Bytes {
        Bytes { gate: Arc::clone(self), held: 0 }
    }

    /// Reviews in flight now.
    pub fn reviews(&self) -> usize {
        self.reviews.load(Ordering::Relaxed)
    }

    fn take_bytes(&self, more: u64) -> bool {
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(more).filter(|sum| *sum <= self.max_bytes)
            })
            .is_ok()
    }

    fn take_place(&self) -> bool {
        self.reviews
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| (held < self.max_reviews).then_some(held + 1))
            .is_ok()
    }
}

// === impl State ===

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Self(gate) = self;
        let (reviews, bytes) = (gate.reviews(), gate.bytes.load(Ordering::Relaxed));
        gauge(&mut encoder, "rehearsal_in_flight_reviews", "Reviews that are being judged", reviews as f64)?;
        gauge(&mut encoder, "rehearsal_in_flight_bytes", "Bytes of bodies that are held in memory", bytes as f64)
    }
}

// === impl Bytes ===

impl Bytes {
    /// Holds `total` bytes from now on, if there is room.
    pub fn grow_to(&mut self, total: u64) -> bool {
        let more = total.saturating_sub(self.held);
        let room = more == 0 || self.gate.take_bytes(more);
        if room {
            self.held += more;
        }
        room
    }

    /// A place for the review whose body this holds. A slow body takes none before it is complete.
    pub fn enter(self) -> Result<Place, Self> {
        if self.gate.take_place() { Ok(Place { bytes: self }) } else { Err(self) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.gate.bytes.fetch_sub(self.held, Ordering::AcqRel);
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.bytes.gate.reviews.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_leaves_makes_room() {
        let gate = Gate::new(1, 100);
        let mut first = gate.bytes();
        assert!(first.grow_to(60));
        let mut second = gate.bytes();
        assert!(!second.grow_to(41), "60 + 41 is over 100");
        assert!(second.grow_to(40));

        let place = first.enter().expect("the first place is free");
        assert!(second.enter().is_err(), "there is one place");
        drop(place);
        assert_eq!(gate.reviews(), 0);
        assert_eq!(gate.bytes.load(Ordering::Relaxed), 0);
    }
}
