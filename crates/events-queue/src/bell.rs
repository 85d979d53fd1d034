//! The bell of one queue, and the watch over rings that nobody follows.
//!
//! A ring is heard by one idle consumer. A stream that its owner polls no more is idle for ever: it
//! would keep the ring to itself while others wait. So a ring that makes nobody look at the table
//! within [`PATIENCE`] goes to the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_listener::{Event, EventListener, IntoNotification as _};
use events_core::Closer;

use crate::Wakes;

/// So long a consumer that was rung has time to look.
const PATIENCE: Duration = Duration::from_millis(100);

/// The bell of one queue.
#[derive(Debug)]
pub(crate) struct Bell {
    event: Event,
    rings: AtomicU64,
    /// How many rings there had been at the last look at the table.
    looked: AtomicU64,
    heard: Arc<Event>,
}

impl Bell {
    pub(crate) fn new(heard: Arc<Event>) -> Self {
        Self {
            event: Event::new(),
            rings: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            heard,
        }
    }

    /// A consumer is about to look at the table; the mark hears what rings from now on.
    pub(crate) fn look(&self) -> EventListener {
        let mark = self.event.listen();
        self.looked
            .fetch_max(self.rings.load(Ordering::SeqCst), Ordering::SeqCst);
        mark
    }

    /// A mark without a look.
    pub(crate) fn listen(&self) -> EventListener {
        self.event.listen()
    }

    /// Up to `consumers` more idle ones look.
    pub(crate) fn ring(&self, consumers: usize) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        if self.event.notify(consumers.additional()) > 0 {
            self.heard.notify(usize::MAX);
        }
    }

    /// One idle consumer looks, unless one was told already.
    pub(crate) fn pass_on(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.event.notify(1);
        self.heard.notify(usize::MAX);
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.event.total_listeners() > 0
    }

    /// Rings one more idle consumer if nobody looked since the last ring; whether there was one.
    pub(crate) fn ring_again(&self) -> bool {
        self.looked.load(Ordering::SeqCst) < self.rings.load(Ordering::SeqCst)
            && self.event.notify(1.additional()) > 0
    }
}

/// Passes rings on that nobody follows, until the backend is closed. It hears of those from its
/// call on.
pub(crate) fn watch(wakes: Arc<Wakes>, closer: Closer) -> impl Future<Output = ()> {
    let mut heard = wakes.heard();
    async move {
        while !closer.is_closed() {
            heard.await;
            loop {
                tokio::time::sleep(PATIENCE).await;
                heard = wakes.heard();
                if closer.is_closed() || !wakes.ring_again() {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener as _;

    fn told(mark: EventListener) -> bool {
        mark.wait_timeout(Duration::ZERO).is_some()
    }

    #[test]
    fn a_ring_that_nobody_follows_goes_on_to_the_next_idle_consumer() {
        let heard = Arc::new(Event::new());
        let bell = Bell::new(Arc::clone(&heard));
        let marks = [(); 4].map(|()| bell.look());
        assert!(!bell.ring_again(), "nothing rang");
        let hears = heard.listen();
        bell.ring(1);
        assert!(told(hears));
        assert!(bell.ring_again() && bell.ring_again());
        let last = bell.look();
        assert!(!bell.ring_again(), "somebody looked");
        assert_eq!(marks.map(told), [true, true, true, false]);
        assert!(!told(last));
    }

    #[test]
    fn without_an_idle_consumer_there_is_nothing_to_watch() {
        let heard = Arc::new(Event::new());
        let bell = Bell::new(Arc::clone(&heard));
        let hears = heard.listen();
        bell.ring(1);
        assert!(!told(hears) && !bell.ring_again());
    }

    #[test]
    fn what_is_passed_on_wakes_one_unless_one_was_told() {
        let heard = Arc::new(Event::new());
        let bell = Bell::new(Arc::clone(&heard));
        let marks = [(); 2].map(|()| bell.look());
        let hears = heard.listen();
        bell.pass_on();
        bell.pass_on();
        assert_eq!(marks.map(told), [true, false]);
        assert!(told(hears));
    }
}
