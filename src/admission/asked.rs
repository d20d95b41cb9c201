//! The webhooks that are asked about one review, all at the same time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::backend::answer::{BackendAnswer, BackendError};

use super::staying::Staying;

/// What a webhook said, and how long it took.
pub(super) type Said = (Result<BackendAnswer, BackendError>, Duration);

/// Whoever waits for one call brings on all of them, in his own task. Dropped before its end, a call goes on by itself,
/// and what is said then is late.
pub(super) struct Asked<C: Future<Output = Said> + Send + 'static> {
    calls: Vec<Call<C>>,
}

struct Call<C: Future<Output = Said> + Send + 'static> {
    /// Its policy's place in the revision.
    policy: usize,
    way: Way<C>,
}

enum Way<C: Future<Output = Said> + Send + 'static> {
    Open(Staying<C>),
    Ended(Said),
}

// === impl Asked ===

impl<C: Future<Output = Said> + Send + 'static> Asked<C> {
    /// Nothing is sent yet.
    pub(super) fn new(calls: impl Iterator<Item = (usize, Staying<C>)>) -> Self {
        Self { calls: calls.map(|(policy, call)| Call { policy, way: Way::Open(call) }).collect() }
    }

    /// Whose policies' webhooks are asked.
    pub(super) fn policies(&self) -> Vec<usize> {
        self.calls.iter().map(|call| call.policy).collect()
    }

    /// Sends every request as far as that needs no wait.
    pub(super) async fn begin(&mut self) {
        poll_fn(|context| {
            self.bring_on(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until the webhook of the policy at `policy` has answered, or until `until`. Without that its call has a
    /// bound of its own.
    pub(super) async fn wait(&mut self, policy: usize, until: Option<Instant>) {
        let ended = poll_fn(|context| {
            self.bring_on(context);
            if self.is_open(policy) { Poll::Pending } else { Poll::Ready(()) }
        });
        match until {
            None => ended.await,
            // What has not come by then is late.
            Some(until) => drop(timeout_at(until.into(), ended).await),
        }
    }

    /// What the webhook of the policy at `policy` has said by now.
    pub(super) fn take(&mut self, policy: usize) -> Option<Said> {
        let ended = |call: &Call<C>| call.policy == policy && matches!(call.way, Way::Ended(_));
        let place = self.calls.iter().position(ended)?;
        match self.calls.swap_remove(place).way {
            Way::Ended(said) => Some(said),
            Way::Open(_) => None,
        }
    }

    fn is_open(&self, policy: usize) -> bool {
        self.calls.iter().any(|call| call.policy == policy && matches!(call.way, Way::Open(_)))
    }

    fn bring_on(&mut self, context: &mut Context<'_>) {
        for call in &mut self.calls {
            if let Way::Open(open) = &mut call.way
                && let Poll::Ready(said) = Pin::new(open).poll(context)
            {
                call.way = Way::Ended(said);
            }
        }
    }
}
