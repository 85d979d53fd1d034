//! Dropping a future half-way, at a place of choice.

use std::pin::pin;
use std::task::Poll;

/// Polls a future so many times, each time when it has asked for it, and drops it right after the
/// last. Answers its output, if it was ready by then.
///
/// With zero it is dropped unpolled. A sweep from zero until there is an output drops a future at
/// each place at which it can be dropped.
pub async fn cancel_at<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_polled_as_often_as_said_and_not_once_more() {
        let two_waits = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(cancel_at(3, two_waits).await, Some(7));
        for polls in 0..3 {
            let steps = std::cell::Cell::new(0);
            let counting = async {
                loop {
                    steps.set(steps.get() + 1);
                    tokio::task::yield_now().await;
                }
            };
            assert_eq!(cancel_at::<_>(polls, counting).await, None::<()>);
            assert_eq!(steps.get(), polls);
        }
    }
}
