//! What was seen of each cluster since the process began: by which protocols it asks, and who proved nothing.
//!
//! The history keeps it with the replica's heartbeats, so that the page of any replica can tell it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::review::decision::Protocol;
use crate::review::said::SeenOfCluster;

use super::sender::Sender;

#[derive(Debug, Default)]
pub struct Seen(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    clusters: BTreeMap<String, Counts>,
    /// How many of them are there because an undeclared sender named them.
    claimed: usize,
}

#[derive(Debug, Default)]
struct Counts {
    image_reviews: AtomicU64,
    admission_reviews: AtomicU64,
    unproven: AtomicU64,
}

/// A sender chooses the cluster in its path: past this many nothing is noted of another, where none is declared.
const MAX_CLUSTERS: usize = 200;
/// Of those that undeclared senders name: room that they take from no other.
const MAX_CLAIMED: usize = 100;

// === impl Seen ===

impl Seen {
    pub fn note(&self, sender: &Sender, protocol: Protocol) {
        let cluster = sender.judged_as();
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.clusters.get(cluster) {
            return counts.note(sender, protocol);
        }
        // Whoever makes names up is not to have every review wait for the other kind of lock.
        if !known.has_room(sender) {
            return;
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.clusters.contains_key(cluster) {
            if !known.has_room(sender) {
                return;
            }
            known.claimed += usize::from(sender.claimed.is_some());
        }
        known.clusters.entry(cluster.to_owned()).or_default().note(sender, protocol);
    }

    /// By cluster.
    pub fn told(&self) -> BTreeMap<String, SeenOfCluster> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.clusters.iter().map(|(cluster, counts)| (cluster.clone(), counts.told())).collect()
    }
}

// === impl Known ===

impl Known {
    fn has_room(&self, sender: &Sender) -> bool {
        match sender.claimed {
            Some(_) => self.claimed < MAX_CLAIMED,
            None => self.clusters.len() - self.claimed < MAX_CLUSTERS,
        }
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

    fn told(&self) -> SeenOfCluster {
        let seen = [(Protocol::ImageReview, &self.image_reviews), (Protocol::AdmissionReview, &self.admission_reviews)];
        let seen = seen.into_iter().filter(|(_, number)| number.load(Ordering::Relaxed) > 0);
        SeenOfCluster {
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
        let of = |cluster: &str, protocols: &[Protocol], unproven| {
            (cluster.to_owned(), SeenOfCluster { protocols: protocols.to_vec(), unproven })
        };
        let both = [Protocol::ImageReview, Protocol::AdmissionReview];
        assert_eq!(seen.told(), [of("lab", &both[..1], 1), of("prod", &both, 1)].into());
    }

    #[test]
    fn past_two_hundred_clusters_nothing_is_noted() {
        let seen = Seen::default();
        for n in 0..MAX_CLUSTERS + 50 {
            seen.note(&sender(&format!("c{n}"), None, None), Protocol::ImageReview);
        }
        seen.note(&sender("c0", None, None), Protocol::ImageReview);
        let told = seen.told();
        assert_eq!((told.len(), told["c0"].unproven), (MAX_CLUSTERS, 2));
    }

    #[test]
    fn names_that_undeclared_senders_make_up_take_no_room_from_a_cluster_that_proves_itself() {
        let seen = Seen::default();
        for n in 0..250 {
            seen.note(&sender("undeclared", Some(&format!("made-up-{n}")), None), Protocol::ImageReview);
        }
        assert_eq!(seen.told().len(), MAX_CLAIMED);
        seen.note(&sender("prod", None, Some("CN=api")), Protocol::AdmissionReview);
        let prod = SeenOfCluster { protocols: vec![Protocol::AdmissionReview], unproven: 0 };
        assert_eq!(seen.told().get("prod"), Some(&prod));
        for n in 0..MAX_CLUSTERS {
            seen.note(&sender(&format!("c{n}"), None, None), Protocol::ImageReview);
        }
        assert_eq!(seen.told().len(), MAX_CLAIMED + MAX_CLUSTERS);
    }
}
