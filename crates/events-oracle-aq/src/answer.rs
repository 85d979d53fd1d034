//! An answer that a thread leaves and anybody waits for.

use std::sync::Arc;

use event_listener::Event;
use parking_lot::Mutex;

/// Given once, taken once.
#[derive(Debug)]
pub(crate) struct Answer<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: Mutex<Option<T>>,
    given: Event,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Answer<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            value: Mutex::new(None),
            given: Event::new(),
        }))
    }

    pub(crate) fn give(&self, value: T) {
        *self.0.value.lock() = Some(value);
        self.0.given.notify(usize::MAX);
    }

    pub(crate) async fn taken(self) -> T {
        loop {
            let listener = self.0.given.listen();
            if let Some(value) = self.0.value.lock().take() {
                return value;
            }
            listener.await;
        }
    }
}
