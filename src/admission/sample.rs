//! Which objects are kept as examples.

use std::ops::Range;

use quick_cache::sync::Cache;

use crate::review::Review;
use crate::review::clock::{DAY, Timestamp};
use crate::review::decision::{Objects, ReviewHash};
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

// === impl Samples ===

impl Samples {
    pub fn new(objects: Objects) -> Self {
        Self { objects, taken: Cache::new(REMEMBERED) }
    }

    /// Where the object of `review` is in its body, unless this day has one of the same cluster, workload and images.
    pub fn take(&self, cluster: &str, review: &Review, at: Timestamp) -> Option<Range<usize>> {
        if self.objects == Objects::None {
            return None;
        }
        let object = review.object.clone()?;
        if self.objects == Objects::Sample {
            let key = (cluster.to_owned(), review.record.hash, at.0.div_euclid(DAY));
            if self.taken.get(&key).is_some() {
                return None;
            }
            self.taken.insert(key, ());
        }
        Some(object)
    }
}

/// `object`, a part of a body that was read, as it is kept: canonical, without its secrets.
pub fn kept(object: &[u8]) -> String {
    let canonical = view::object(object).expect("a part of a review that was read is JSON");
    Redaction::of(object).object(&canonical)
}
