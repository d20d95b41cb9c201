//! Which objects are kept as examples.

use quick_cache::sync::Cache;

use crate::review::Review;
use crate::review::clock::{DAY, DecisionId, Timestamp};
use crate::review::decision::{ObjectSample, Objects, ReviewHash};
use crate::review::redact::Redaction;
use crate::review::view;

/// Samples remembered as taken: a day's worth of a busy cluster. One that is forgotten is taken again, and the store
/// keeps the first.
const REMEMBERED: usize = 50_000;

#[derive(Debug)]
pub struct Samples {
    objects: Objects,
    taken: Cache<(String, ReviewHash, i64), ()>,
}

/// An object that is to be kept, redacted.
#[derive(Debug)]
pub struct Sample {
    review: ReviewHash,
    object: String,
}

// === impl Samples ===

impl Samples {
    pub fn new(objects: Objects) -> Self {
        Self { objects, taken: Cache::new(REMEMBERED) }
    }

    /// The object of `review`, which was read from `body`, unless this day has one of the same cluster, workload and
    /// images.
    pub fn take(&self, cluster: &str, review: &Review, body: &[u8], at: Timestamp) -> Option<Sample> {
        if self.objects == Objects::None {
            return None;
        }
        let object = &body[review.object.clone()?];
        if self.objects == Objects::Sample {
            let key = (cluster.to_owned(), review.record.hash, at.0.div_euclid(DAY));
            if self.taken.get(&key).is_some() {
                return None;
            }
            self.taken.insert(key, ());
        }
        let canonical = view::object(object).expect("a part of a review that was read is JSON");
        Some(Sample { review: review.record.hash, object: Redaction::of(object).object(&canonical) })
    }
}

// === impl Sample ===

impl Sample {
    pub fn of(self, decision: DecisionId, at: Timestamp, cluster: &str) -> ObjectSample {
        ObjectSample { decision, at, cluster: cluster.to_owned(), review: self.review, object: self.object }
    }
}
