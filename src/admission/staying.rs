//! What is begun for somebody and brought to its end without him.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Polled by whoever waits for it, at no cost of a task of its own; dropped before its end, it goes on as one.
pub(super) struct Staying<F: Future<Output: Send> + Send + 'static> {
    /// `None`: at its end, or while it is polled.
    future: Option<Pin<Box<F>>>,
    /// Nobody waits any more: told to the future before it goes on.
    left: Arc<AtomicBool>,
}

// === impl Staying ===

impl<F: Future<Output: Send> + Send + 'static> Staying<F> {
    /// `begin` makes it, and is given what says whether it goes on for nobody.
    pub(super) fn new(begin: impl FnOnce(Arc<AtomicBool>) -> F) -> Self {
        let left = Arc::default();
        Self { future: Some(Box::pin(begin(Arc::clone(&left)))), left }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Staying<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: one that panics is not polled again.
        let mut future = self.future.take().expect("it has not ended");
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Staying<F> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(future), Ok(runtime)) = (self.future.take(), Handle::try_current()) {
            self.left.store(true, Ordering::Release);
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{Notify, oneshot};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_stays_gets_it_and_who_leaves_does_not_end_it() {
        let stays = Staying::new(|left| async move { left.load(Ordering::Acquire) });
        assert!(!stays.await, "somebody waits");

        let go = Arc::new(Notify::new());
        let (going, (tell, told)) = (Arc::clone(&go), oneshot::channel());
        let leaves = Staying::new(|left| async move {
            going.notified().await;
            tell.send(left.load(Ordering::Acquire)).expect("the test waits");
        });
        assert!(timeout(Duration::ZERO, leaves).await.is_err(), "it waits");
        go.notify_one();
        assert!(told.await.expect("it goes on"), "for nobody");
    }

    #[tokio::test]
    async fn one_that_panics_is_not_polled_again() {
        let panics = tokio::spawn(Staying::new(|_| async { panic!("a fault of ours") }));
        let panicked = panics.await.expect_err("it panics").into_panic();
        assert_eq!(panicked.downcast_ref(), Some(&"a fault of ours"));
    }
}
