//! Bells: how consumers of this process learn of something claimable.
//!
//! A consumer takes its listener before it looks at the table, so that an event which is
//! committed between the look and the wait is not slept over.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use event_listener::{Event, EventListener};
use events_core::ChannelName;

use crate::bell::Bell;

/// One bell for each queue that has, or had, a consumer in this process.
#[derive(Default)]
pub struct Wakes {
    bells: RwLock<Bells>,
    /// Told when an idle consumer was rung.
    heard: Arc<Event>,
    on_consumer: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug, Default)]
struct Bells {
    by_queue: HashMap<i64, (ChannelName, Arc<Bell>)>,
    by_channel: HashMap<ChannelName, Vec<Arc<Bell>>>,
}

impl Wakes {
    /// No bells yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Wakes::new`]; `on_consumer` is called before a queue gets its first consumer, so that
    /// a store begins to listen for the commits of others. It must not block.
    #[must_use]
    pub fn for_consumers(on_consumer: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            on_consumer: Some(Box::new(on_consumer)),
            ..Self::default()
        }
    }

    /// The bell of a queue.
    pub(crate) fn bell(&self, queue_id: i64, channel: &ChannelName) -> Arc<Bell> {
        let mut bells = self.bells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bell)) = bells.by_queue.get(&queue_id) {
            return Arc::clone(bell);
        }
        let bell = Arc::new(Bell::new(Arc::clone(&self.heard)));
        bells
            .by_queue
            .insert(queue_id, (channel.clone(), Arc::clone(&bell)));
        bells
            .by_channel
            .entry(channel.clone())
            .or_default()
            .push(Arc::clone(&bell));
        drop(bells);
        if let Some(on_consumer) = &self.on_consumer {
            on_consumer();
        }
        bell
    }

    /// Up to `events` idle consumers of each group of a channel look at the table.
    pub fn ring_channel(&self, channel: &ChannelName, events: usize) {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        for bell in bells.by_channel.get(channel).into_iter().flatten() {
            bell.ring(events);
        }
    }

    /// Up to `events` idle consumers of one queue look at the table.
    pub fn ring_queue(&self, queue_id: i64, events: usize) {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bell)) = bells.by_queue.get(&queue_id) {
            bell.ring(events);
        }
    }

    /// An idle consumer of each queue that `wanted` picks looks at the table; if there is more
    /// than it can take, it wakes the next one.
    pub fn ring_where(&self, wanted: impl Fn(i64, &ChannelName) -> bool) {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        for (queue_id, (channel, bell)) in &bells.by_queue {
            if wanted(*queue_id, channel) {
                bell.ring(1);
            }
        }
    }

    /// Every idle consumer looks at the table.
    pub fn ring_all(&self) {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        bells
            .by_queue
            .values()
            .for_each(|(_, bell)| bell.ring(usize::MAX));
    }

    /// A listener for the next ring that an idle consumer is told of.
    pub(crate) fn heard(&self) -> EventListener {
        self.heard.listen()
    }

    /// Whoever waits for [`Wakes::heard`] looks around.
    pub(crate) fn stir(&self) {
        self.heard.notify(usize::MAX);
    }

    /// Rings the next idle consumer of each queue whose last ring made nobody look; whether there
    /// was one.
    pub(crate) fn ring_again(&self) -> bool {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        let again = bells
            .by_queue
            .values()
            .filter(|(_, bell)| bell.ring_again());
        again.count() > 0
    }

    /// The queues that a consumer of this process waits for.
    #[must_use]
    pub fn waiting_queues(&self) -> Vec<i64> {
        let bells = self.bells.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = bells
            .by_queue
            .iter()
            .filter(|(_, (_, bell))| bell.is_waited_for());
        waiting.map(|(queue_id, _)| *queue_id).collect()
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}

/// A listener for the next ring.
pub(crate) type Mark = EventListener;

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn a_ring_after_the_mark_and_before_the_wait_is_not_lost() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let bell = wakes.bell(1, &channel);
        let mark = bell.look();
        wakes.ring_channel(&channel, 1);
        assert!(mark.wait_timeout(Duration::ZERO).is_some());
    }

    #[test]
    fn each_group_of_the_channel_is_rung_and_no_other_channel() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let marks = [1, 2].map(|queue| wakes.bell(queue, &channel).look());
        let other = wakes.bell(3, &ChannelName::new("mail").unwrap()).look();
        wakes.ring_channel(&channel, 1);
        for mark in marks {
            assert!(mark.wait_timeout(Duration::ZERO).is_some());
        }
        assert!(other.wait_timeout(Duration::ZERO).is_none());
    }

    #[test]
    fn a_store_hears_of_the_first_consumer_of_each_queue() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let wakes = Wakes::for_consumers(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let channel = ChannelName::new("orders").unwrap();
        for queue in [1, 1, 2] {
            let _ = wakes.bell(queue, &channel);
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn one_waiting_consumer_of_each_chosen_queue_is_rung() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let marks: Vec<_> = [1, 1, 2]
            .map(|queue| wakes.bell(queue, &channel).look())
            .into();
        let mut waiting = wakes.waiting_queues();
        waiting.sort_unstable();
        assert_eq!(waiting, [1, 2]);
        wakes.ring_where(|queue, _| queue == 1);
        let rung: Vec<_> = marks
            .into_iter()
            .map(|mark| mark.wait_timeout(Duration::ZERO).is_some())
            .collect();
        assert_eq!(rung, [true, false, false]);
        assert!(wakes.waiting_queues().is_empty());
    }

    #[test]
    fn of_one_queue_as_many_are_rung_as_there_are_events_and_of_all_everybody() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let listen = |queue| wakes.bell(queue, &channel).look();
        let rung = |marks: Vec<EventListener>| -> Vec<_> {
            let told = |mark: EventListener| mark.wait_timeout(Duration::ZERO).is_some();
            marks.into_iter().map(told).collect()
        };
        let marks: Vec<_> = [1, 1, 1, 2].map(listen).into();
        wakes.ring_queue(1, 2);
        wakes.ring_queue(3, 2);
        assert_eq!(rung(marks), [true, true, false, false]);
        let marks: Vec<_> = [1, 1, 2].map(listen).into();
        wakes.ring_all();
        assert_eq!(rung(marks), [true; 3]);
    }

    #[test]
    fn only_a_ring_that_nobody_followed_rings_again() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let marks = [1, 1, 2].map(|queue| wakes.bell(queue, &channel).look());
        assert!(!wakes.ring_again());
        wakes.ring_queue(1, 1);
        assert!(wakes.ring_again());
        assert!(!wakes.ring_again(), "nobody is left");
        let told = marks.map(|mark| mark.wait_timeout(Duration::ZERO).is_some());
        assert_eq!(told, [true, true, false]);
    }

    #[test]
    fn the_watch_over_rings_ends_with_the_backend() {
        let wakes = Arc::new(Wakes::new());
        let closer = events_core::Closer::new();
        let mut watch = Box::pin(crate::bell::watch(Arc::clone(&wakes), closer.clone()));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(watch.as_mut().poll(&mut cx).is_pending());
        closer.close();
        wakes.stir();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let ended = async { tokio::time::timeout(Duration::from_secs(30), watch).await };
        runtime.block_on(ended).unwrap();
        assert_eq!(format!("{wakes:?}"), "Wakes { .. }");
    }
}
