//! The answer to a verdict: a session's thread leaves it, and anybody waits for it.

use std::sync::Arc;

use event_listener::Event;
use events_core::{Error, ErrorKind, Op, Result, Settled};
use parking_lot::Mutex;

/// Where the answer comes.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Inner>);

/// Who owes the answer; dropped, it answers that there is none.
#[derive(Debug)]
pub(crate) struct Promise(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    value: Mutex<Option<Result<Settled>>>,
    given: Event,
}

/// An answer that will come, and who owes it.
pub(crate) fn promised() -> (Promise, Answer) {
    let inner = Arc::new(Inner {
        value: Mutex::new(None),
        given: Event::new(),
    });
    (Promise(Some(Arc::clone(&inner))), Answer(inner))
}

impl Promise {
    pub(crate) fn give(mut self, value: Result<Settled>) {
        if let Some(inner) = self.0.take() {
            inner.give(value);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let lost = Error::new(ErrorKind::Backend, Op::Ack).because(
                "a bug in this library: the thread of the session panicked; the event comes again",
            );
            inner.give(Err(lost));
        }
    }
}

impl Inner {
    fn give(&self, value: Result<Settled>) {
        *self.value.lock() = Some(value);
        self.given.notify(usize::MAX);
    }
}

impl Answer {
    pub(crate) async fn taken(self) -> Result<Settled> {
        loop {
            let listener = self.0.given.listen();
            if let Some(value) = self.0.value.lock().take() {
                return value;
            }
            listener.await;
        }
    }
}
