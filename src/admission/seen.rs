//! What was seen of each cluster since the process began: by which protocols it asks, and who proved nothing.
//!
//! The history keeps it with the replica's heartbeats, so that the page of any replica can tell it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::review::decision::Protocol;

use super::sender::Sender;

#[derive(Debug, Default)]
pub struct Seen(RwLock<BTreeMap<String, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    image_reviews: AtomicU64,
    admission_reviews: AtomicU64,
    unproven: AtomicU64,
}

/// Of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenOfCluster {
    pub cluster: String,
    pub protocols: Vec<Protocol>,
    /// Reviews that named it and came with neither a certificate nor a token of it.
    pub unproven: u64,
}

/// A sender chooses the cluster in its path: past this many nothing is noted of another.
const MAX_CLUSTERS: usize = 200;

// === impl Seen ===

impl Seen {
    pub fn note(&self, sender: &Sender, protocol: Protocol) {
        let cluster = sender.judged_as();
        if let Some(counts) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(cluster) {
            return counts.note(sender, protocol);
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_CLUSTERS || known.contains_key(cluster) {
            known.entry(cluster.to_owned()).or_default().note(sender, protocol);
        }
    }

    /// In alphabetical order.
    pub fn told(&self) -> Vec<SeenOfCluster> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(cluster, counts)| counts.told(cluster)).collect()
    }
}

// === impl Counts ===

impl Counts {
    fn note(&self, sender: &Sender, protocol: Protocol) {
        let is_declared = sender.claimed.is_none();
        if is_declared {
            let of_protocol = match protocol {
                Protocol::ImageReview => &self.image_reviews,
                Protocol::AdmissionReview => &self.admission_reviews,
            };
            of_protocol.fetch_add(1, Ordering::Relaxed);
        }
        if !is_declared || sender.caller.is_none() {
            self.unproven.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn told(&self, cluster: &str) -> SeenOfCluster {
        let seen = [(Protocol::ImageReview, &self.image_reviews), (Protocol::AdmissionReview, &self.admission_reviews)];
        let seen = seen.into_iter().filter(|(_, number)| number.load(Ordering::Relaxed) > 0);
        SeenOfCluster {
            cluster: cluster.to_owned(),
            protocols: seen.map(|(protocol, _)| protocol).collect(),
            unproven: self.unproven.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(cluster: &str, claimed: Option<&str>, caller: Option<&str>) -> Sender {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Sender { cluster: cluster.to_owned(), claimed: own(claimed), caller: own(caller) }
    }

    #[test]
    fn whoever_proves_nothing_is_counted_for_the_cluster_that_it_names() {
        let seen = Seen::default();
        seen.note(&sender("prod", None, Some("CN=api")), Protocol::AdmissionReview);
        seen.note(&sender("prod", None, Some("CN=api")), Protocol::ImageReview);
        seen.note(&sender("undeclared", Some("prod"), Some("CN=other")), Protocol::ImageReview);
        seen.note(&sender("lab", None, None), Protocol::ImageReview);
        let of = |cluster: &str, protocols: &[Protocol], unproven| SeenOfCluster {
            cluster: cluster.to_owned(),
            protocols: protocols.to_vec(),
            unproven,
        };
        let both = [Protocol::ImageReview, Protocol::AdmissionReview];
        assert_eq!(seen.told(), [of("lab", &both[..1], 1), of("prod", &both, 1)]);
    }

    #[test]
    fn past_two_hundred_clusters_nothing_is_noted() {
        let seen = Seen::default();
        for n in 0..MAX_CLUSTERS + 50 {
            seen.note(&sender(&format!("c{n}"), None, None), Protocol::ImageReview);
        }
        seen.note(&sender("c0", None, None), Protocol::ImageReview);
        let told = seen.told();
        assert_eq!((told.len(), told[0].unproven), (MAX_CLUSTERS, 2));
    }
}
