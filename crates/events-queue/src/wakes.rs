//! Bells: how consumers of this process learn of something claimable.
//!
//! A consumer takes its listener before it looks at the table, so that an event which is
//! committed between the look and the wait is not slept over.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use event_listener::{Event, EventListener, IntoNotification as _};
use events_core::ChannelName;

/// One bell for each queue that has, or had, a consumer in this process.
#[derive(Debug, Default)]
pub struct Wakes(RwLock<Bells>);

#[derive(Debug, Default)]
struct Bells {
    by_queue: HashMap<i64, Arc<Event>>,
    by_channel: HashMap<ChannelName, Vec<Arc<Event>>>,
}

impl Wakes {
    /// No bells yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bell of a queue.
    pub(crate) fn bell(&self, queue_id: i64, channel: &ChannelName) -> Arc<Event> {
        let mut bells = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.by_queue.get(&queue_id) {
            return Arc::clone(bell);
        }
        let bell = Arc::new(Event::new());
        bells.by_queue.insert(queue_id, Arc::clone(&bell));
        bells
            .by_channel
            .entry(channel.clone())
            .or_default()
            .push(Arc::clone(&bell));
        bell
    }

    /// Up to `events` idle consumers of each group of a channel look at the table.
    pub fn ring_channel(&self, channel: &ChannelName, events: usize) {
        let bells = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for bell in bells.by_channel.get(channel).into_iter().flatten() {
            bell.notify(events.additional());
        }
    }

    /// Up to `events` idle consumers of one queue look at the table.
    pub fn ring_queue(&self, queue_id: i64, events: usize) {
        let bells = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.by_queue.get(&queue_id) {
            bell.notify(events.additional());
        }
    }

    /// Every idle consumer looks at the table.
    pub fn ring_all(&self) {
        let bells = self.0.read().unwrap_or_else(PoisonError::into_inner);
        bells.by_queue.values().for_each(|bell| {
            bell.notify(usize::MAX);
        });
    }
}

/// A listener for the next ring.
pub(crate) type Mark = EventListener;

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener;
    use std::time::Duration;

    #[test]
    fn a_ring_after_the_mark_and_before_the_wait_is_not_lost() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let bell = wakes.bell(1, &channel);
        let mark = bell.listen();
        wakes.ring_channel(&channel, 1);
        assert!(mark.wait_timeout(Duration::ZERO).is_some());
    }

    #[test]
    fn each_group_of_the_channel_is_rung_and_no_other_channel() {
        let wakes = Wakes::new();
        let channel = ChannelName::new("orders").unwrap();
        let marks = [1, 2].map(|queue| wakes.bell(queue, &channel).listen());
        let other = wakes.bell(3, &ChannelName::new("mail").unwrap()).listen();
        wakes.ring_channel(&channel, 1);
        for mark in marks {
            assert!(mark.wait_timeout(Duration::ZERO).is_some());
        }
        assert!(other.wait_timeout(Duration::ZERO).is_none());
    }
}
