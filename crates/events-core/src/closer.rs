//! A switch that ends a subscription from any thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use event_listener::{Event, EventListener, Listener};

/// Ends what it belongs to; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Closer(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    changed: Event,
}

impl Closer {
    /// A closer that is still open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it; a wait that is under way returns at once. Calling it again does nothing.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.changed.notify(usize::MAX);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// A listener that is told of the close; take it before looking at [`Closer::is_closed`].
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.0.changed.listen()
    }

    /// Resolves when it is closed. Dropping the future changes nothing.
    pub async fn closed(&self) {
        loop {
            let listener = self.listen();
            if self.is_closed() {
                return;
            }
            listener.await;
        }
    }

    /// Blocks this thread until it is closed.
    pub fn wait_closed(&self) {
        loop {
            let listener = self.listen();
            if self.is_closed() {
                return;
            }
            listener.wait();
        }
    }

    /// Whether it is closed; if not, the task of `cx` is woken when it will be. `slot` keeps the
    /// registration between polls.
    pub fn poll_closed(&self, slot: &mut Option<EventListener>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let listener = slot.get_or_insert_with(|| self.listen());
            if self.is_closed() {
                return Poll::Ready(());
            }
            match Future::poll(Pin::new(listener), cx) {
                Poll::Ready(()) => *slot = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
