//! What is begun for somebody and brought to its end without him.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Polled by whoever waits for it, at no cost of a task of its own; dropped before its end, it goes on as one.
pub(super) struct Staying<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

// === impl Staying ===

impl<F: Future<Output: Send> + Send + 'static> Staying<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Staying<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: one that panics is not polled again.
        let mut future = self.0.take().expect("it has not ended");
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Staying<F> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_stays_gets_it_and_who_leaves_does_not_end_it() {
        assert_eq!(Staying::new(async { 7 }).await, 7);

        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (going, told) = (Arc::clone(&go), Arc::clone(&done));
        let left = Staying::new(async move {
            going.notified().await;
            told.notify_one();
        });
        assert!(timeout(Duration::ZERO, left).await.is_err(), "it waits");
        go.notify_one();
        done.notified().await;
    }
}
