//! A started operation: awaited in async code, or waited for on a thread that may block.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tracing::Span;

use crate::{Result, spans};

/// What a backend hands out for an operation that a thread or task of its own carries out.
///
/// Dropping it abandons the answer, never the work.
pub trait Operation<T>: Future<Output = Result<T>> + Send {
    /// Makes sure that the work is done although nobody polls or waits yet.
    fn start(self: Pin<&mut Self>);

    /// Blocks this thread until the answer is there.
    ///
    /// A backend may do the work on this very thread: one whose driver blocks, and one whose
    /// connections then are driven by a runtime of its own.
    fn wait(self: Pin<Box<Self>>) -> Result<T>;
}

/// A started operation of type-erased origin.
#[must_use = "an operation's answer says whether it worked"]
pub struct Pending<T>(Repr<T>);

enum Repr<T> {
    Ready(Option<Result<T>>),
    Started(Pin<Box<dyn Operation<T>>>),
}

// The answer is only ever moved out, never pinned.
impl<T> Unpin for Pending<T> {}

impl<T: Send + 'static> Pending<T> {
    /// An operation that is over already.
    pub fn ready(answer: Result<T>) -> Self {
        Self(Repr::Ready(Some(answer)))
    }

    /// An operation that its backend carries out.
    pub fn started(operation: impl Operation<T> + 'static) -> Self {
        Self(Repr::Started(Box::pin(operation)))
    }

    /// An operation that is this future. It runs only while it is polled, so use it for work that
    /// may be dropped half-way, or that a task of its own carries out.
    pub fn from_future(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self::started(Driven(Box::pin(future)))
    }

    /// Blocks this thread until the answer is there.
    ///
    /// # Errors
    /// Those of the operation.
    ///
    /// # Panics
    /// It may on a thread that runs async tasks, which must not block.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Repr::Ready(answer) => answer.expect("an operation is waited for once"),
            Repr::Started(operation) => operation.wait(),
        }
    }

    /// Makes sure that the work is done although nobody polls or waits yet.
    pub fn start(&mut self) {
        if let Repr::Started(operation) = &mut self.0 {
            operation.as_mut().start();
        }
    }

    /// Has the work done and gives up the answer.
    pub fn detach(mut self) {
        self.start();
    }

    /// The same operation inside a span, which ends with the answer: `note` is told of a good
    /// one, an error is recorded. Costs nothing when the span is not wanted.
    pub fn in_span<N>(self, span: Span, note: N) -> Self
    where
        N: FnOnce(&Span, &T) + Send + 'static,
    {
        if span.is_disabled() {
            return self;
        }
        match self.0 {
            Repr::Ready(answer) => {
                if let Some(answer) = &answer {
                    spans::answered(&span, answer, note);
                }
                Self(Repr::Ready(answer))
            }
            Repr::Started(operation) => Self::started(Spanned {
                operation,
                ending: Some((span, note)),
            }),
        }
    }

    /// The same operation with its answer changed by `change`, which runs where the answer is
    /// received.
    pub fn then<U, F>(self, change: F) -> Pending<U>
    where
        U: Send + 'static,
        F: FnOnce(Result<T>) -> Result<U> + Send + 'static,
    {
        match self.0 {
            Repr::Ready(answer) => {
                Pending::ready(change(answer.expect("an operation is consumed once")))
            }
            Repr::Started(operation) => Pending::started(Then {
                operation,
                change: Some(change),
            }),
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Repr::Ready(answer) => Poll::Ready(answer.take().expect("an answer is taken once")),
            Repr::Started(operation) => operation.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

struct Then<T, F> {
    operation: Pin<Box<dyn Operation<T>>>,
    change: Option<F>,
}

impl<T, F> Unpin for Then<T, F> {}

impl<T, U, F: FnOnce(Result<T>) -> Result<U>> Future for Then<T, F> {
    type Output = Result<U>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.operation.as_mut().poll(cx).map(|answer| {
            let change = this
                .change
                .take()
                .expect("a finished future is not polled again");
            change(answer)
        })
    }
}

impl<T, U, F: FnOnce(Result<T>) -> Result<U> + Send> Operation<U> for Then<T, F> {
    fn start(mut self: Pin<&mut Self>) {
        self.operation.as_mut().start();
    }

    fn wait(mut self: Pin<Box<Self>>) -> Result<U> {
        let change = self.change.take().expect("an operation is waited for once");
        let this = Pin::into_inner(self);
        change(this.operation.wait())
    }
}

struct Spanned<T, N> {
    operation: Pin<Box<dyn Operation<T>>>,
    /// Taken with the answer, which ends the span.
    ending: Option<(Span, N)>,
}

impl<T, N> Unpin for Spanned<T, N> {}

impl<T, N: FnOnce(&Span, &T)> Future for Spanned<T, N> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = {
            let _inside = this.ending.as_ref().map(|(span, _)| span.enter());
            std::task::ready!(this.operation.as_mut().poll(cx))
        };
        if let Some((span, note)) = this.ending.take() {
            spans::answered(&span, &answer, note);
        }
        Poll::Ready(answer)
    }
}

impl<T, N: FnOnce(&Span, &T) + Send> Operation<T> for Spanned<T, N> {
    fn start(mut self: Pin<&mut Self>) {
        self.operation.as_mut().start();
    }

    fn wait(self: Pin<Box<Self>>) -> Result<T> {
        let Self { operation, ending } = *Pin::into_inner(self);
        match ending {
            Some((span, note)) => {
                let answer = span.in_scope(|| operation.wait());
                spans::answered(&span, &answer, note);
                answer
            }
            None => operation.wait(),
        }
    }
}

struct Driven<T>(Pin<Box<dyn Future<Output = Result<T>> + Send>>);

impl<T> Future for Driven<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> Operation<T> for Driven<T> {
    fn start(self: Pin<&mut Self>) {}

    fn wait(self: Pin<Box<Self>>) -> Result<T> {
        block_on_until(self, None).expect("without a deadline the wait ends with the answer")
    }
}

/// Drives a future on this thread; `None` when `deadline` passes first.
pub fn block_on_until<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let parker = Arc::new(Parker {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut cx) {
            return Some(answer);
        }
        while !parker.woken.swap(false, Ordering::Acquire) {
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    }
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ready_and_future_answers_are_waited_for_and_changed() {
        assert_eq!(
            Pending::ready(Ok(2)).then(|n| Ok(n? + 1)).wait().unwrap(),
            3
        );
        assert_eq!(
            Pending::from_future(async { Ok(2) })
                .then(|n| Ok(n? * 5))
                .wait()
                .unwrap(),
            10
        );
    }

    #[test]
    fn waiting_wakes_when_another_thread_completes() {
        let event = Arc::new(event_listener::Event::new());
        let listener = event.listen();
        let ringer = thread::spawn(move || event.notify(1));
        assert!(block_on_until(listener, None).is_some());
        ringer.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let deadline = Instant::now() + Duration::from_millis(5);
        assert!(block_on_until(std::future::pending::<()>(), Some(deadline)).is_none());
        assert!(Instant::now() >= deadline);
    }
}
