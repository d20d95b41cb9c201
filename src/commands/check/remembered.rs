//! What the history remembers of break-glass tickets, for what is judged as the next pod.

use std::collections::HashMap;

use crate::policy::break_glass::Remembered;
use crate::review::Review;
use crate::review::clock::Timestamp;
use crate::review::ticket::{Ticket, TicketKey};
use crate::review::workload::Workload;

/// Of one cluster.
#[derive(Debug)]
pub struct Tickets {
    cluster: String,
    known: HashMap<TicketKey, Ticket>,
}

// === impl Tickets ===

impl Tickets {
    pub fn of(cluster: &str, all: Vec<Ticket>, now: Timestamp) -> Self {
        let own = all.into_iter().filter(|ticket| ticket.key.cluster == cluster && !ticket.is_past(now));
        let known = own.map(|ticket| (ticket.key.clone(), ticket)).collect();
        Self { cluster: cluster.to_owned(), known }
    }

    /// By the workload's own name, and by what its pods run: so an ImageReview is known.
    pub fn remembered(&self, review: &Review, ticket: &str) -> Remembered {
        let mut found: Option<Ticket> = None;
        for workload in [review.record.workload.clone(), Workload::running(&review.images)] {
            let namespace = review.record.namespace.clone().unwrap_or_default();
            let key = TicketKey { cluster: self.cluster.clone(), namespace, workload, ticket: ticket.to_owned() };
            match (&mut found, self.known.get(&key)) {
                (Some(found), Some(other)) => found.merge(other),
                (None, Some(other)) => found = Some(other.clone()),
                (_, None) => {}
            }
        }
        found.map_or(Remembered::Unknown, |ticket| Remembered::Known(Box::new(ticket)))
    }
}
