//! What was published to a channel that nobody here has subscribed to yet.
//!
//! PostgreSQL keeps no notification for a later listener, so a channel object remembers its own:
//! publishing first and subscribing then works, as with a queue. The first subscription of a
//! channel takes what is remembered; from then on notifications alone bring events. Where the two
//! overlap, each event is recognised by its id and delivered once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use events_core::{ChannelName, EventId};
use parking_lot::Mutex;

use crate::buffer::Buffer;
use crate::job::Outgoing;

/// More events than this are not remembered; the oldest is forgotten first.
const CAPACITY: usize = 1_000;
/// How long one is.
const LIFE: Duration = Duration::from_secs(60);

/// The memory of one channel object.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    state: Mutex<State>,
    /// How many events of subscribed channels may still arrive by both ways.
    doubtful: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Channels that have had their first subscription.
    subscribed: HashSet<ChannelName>,
    events: HashMap<EventId, Event, BuildHasherDefault<IdHasher>>,
    /// By age.
    order: VecDeque<(Instant, EventId)>,
}

/// Takes the random end of an id for its hash. The ids here are our own, so nobody can choose them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(end) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*end);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct Event {
    channel: ChannelName,
    text: Arc<str>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It is being sent, and nobody has subscribed yet.
    Sending,
    /// It was sent, and nobody has subscribed yet.
    Sent,
    /// It was being sent when the first subscription went live; if no notification brings it, it
    /// goes there once it is known to be sent.
    SendingTo(Arc<Buffer>),
    /// The first subscription has it by hand; a notification of it is passed over.
    Delivered,
    /// The first subscription has it by a notification, and it is not yet known to be sent.
    Notified,
}

impl Handover {
    /// Notes events that are about to be sent.
    pub(crate) fn sending<'a>(&self, events: impl IntoIterator<Item = &'a Outgoing>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        for Outgoing {
            channel, id, text, ..
        } in events
        {
            if state.subscribed.contains(channel) {
                continue;
            }
            self.forget_old(&mut state, now, CAPACITY - 1);
            let event = Event {
                channel: channel.clone(),
                text: Arc::clone(text),
                stage: Stage::Sending,
            };
            state.events.insert(*id, event);
            state.order.push_back((now, *id));
        }
    }

    /// Notes what became of events that were being sent.
    pub(crate) fn sent(&self, ids: impl IntoIterator<Item = EventId>, sent: bool) {
        let mut state = self.state.lock();
        if state.events.is_empty() {
            return;
        }
        for id in ids {
            let Some(event) = state.events.get_mut(&id) else {
                continue;
            };
            match &event.stage {
                Stage::Sending if sent => event.stage = Stage::Sent,
                Stage::SendingTo(buffer) if sent => {
                    buffer.force(&event.text);
                    event.stage = Stage::Delivered;
                }
                Stage::Delivered if sent => {}
                _ => self.forget(&mut state, id),
            }
        }
    }

    /// A subscription is live: if it is the first of its channel, it takes what is remembered.
    pub(crate) fn subscribed(&self, channel: &ChannelName, buffer: &Arc<Buffer>) {
        let mut state = self.state.lock();
        if !state.subscribed.insert(channel.clone()) {
            return;
        }
        self.forget_old(&mut state, Instant::now(), CAPACITY);
        let State { events, order, .. } = &mut *state;
        let mut doubtful = 0;
        for (_, id) in order.iter() {
            let Some(event) = events.get_mut(id).filter(|event| event.channel == *channel) else {
                continue;
            };
            doubtful += 1;
            event.stage = if matches!(event.stage, Stage::Sent) {
                buffer.force(&event.text);
                Stage::Delivered
            } else {
                Stage::SendingTo(Arc::clone(buffer))
            };
        }
        self.doubtful.fetch_add(doubtful, Ordering::SeqCst);
    }

    /// Whether an event that a notification brings was delivered by hand. Asked for every
    /// notification, so it costs nothing while no event is in doubt.
    pub(crate) fn has_delivered(&self, id: impl FnOnce() -> Option<EventId>) -> bool {
        if self.doubtful.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let Some(id) = id() else {
            return false;
        };
        let mut state = self.state.lock();
        self.forget_old(&mut state, Instant::now(), CAPACITY);
        match state.events.get_mut(&id).map(|event| &mut event.stage) {
            Some(Stage::Delivered) => {
                // It cannot come a third time.
                self.forget(&mut state, id);
                true
            }
            Some(stage @ Stage::SendingTo(_)) => {
                *stage = Stage::Notified;
                false
            }
            _ => false,
        }
    }

    /// Forgets what is too old, and the oldest of more than `keep`.
    fn forget_old(&self, state: &mut State, now: Instant, keep: usize) {
        while let Some(&(at, id)) = state.order.front() {
            if state.order.len() <= keep && now.duration_since(at) < LIFE {
                return;
            }
            state.order.pop_front();
            self.forget(state, id);
        }
    }

    /// Its place in the order goes with age.
    fn forget(&self, state: &mut State, id: EventId) {
        let forgotten = state.events.remove(&id).map(|event| event.stage);
        if matches!(
            forgotten,
            Some(Stage::SendingTo(_) | Stage::Delivered | Stage::Notified)
        ) {
            self.doubtful.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Item;
    use events_core::Overflow;
    use events_core::telemetry::Telemetry;
    use std::task::{Context, Poll, Waker};

    struct Case {
        handover: Handover,
        buffer: Arc<Buffer>,
        channel: ChannelName,
    }

    impl Case {
        fn new() -> Self {
            let meter = Arc::new(Telemetry::named("handover").backend("notify"));
            Self {
                handover: Handover::default(),
                buffer: Arc::new(Buffer::new(100_000, Overflow::DropOldest, meter)),
                channel: ChannelName::new("orders").unwrap(),
            }
        }

        fn sending(&self) -> EventId {
            let id = EventId::new();
            self.handover.sending([&Outgoing {
                channel: self.channel.clone(),
                id,
                text: Arc::from(id.to_string()),
                spilled: None,
            }]);
            id
        }

        fn sent(&self) -> EventId {
            let id = self.sending();
            self.handover.sent([id], true);
            id
        }

        fn subscribe(&self) {
            self.handover.subscribed(&self.channel, &self.buffer);
        }

        /// What a notification would do: deliver unless it was delivered by hand.
        fn notified(&self, id: EventId) {
            if !self.handover.has_delivered(|| Some(id)) {
                self.buffer.put(&Arc::from(id.to_string()));
            }
        }

        fn delivered(&self) -> Vec<String> {
            let mut cx = Context::from_waker(Waker::noop());
            let mut texts = Vec::new();
            while let Poll::Ready(Some(Item::Text(text))) = self.buffer.poll_next(&mut cx) {
                texts.push(text.to_string());
            }
            texts
        }

        fn nothing_is_in_doubt(&self) -> bool {
            self.handover.doubtful.load(Ordering::SeqCst) == 0
        }
    }

    #[test]
    fn the_first_subscription_takes_what_was_sent_and_later_ones_nothing() {
        let case = Case::new();
        let ids = [case.sent(), case.sent()];
        case.subscribe();
        assert_eq!(case.delivered(), ids.map(|id| id.to_string()));
        case.subscribe();
        case.sent();
        assert_eq!(case.delivered(), [""; 0]);
    }

    /// Sent, subscribed and notified in any order: delivered once.
    #[test]
    fn what_comes_by_both_ways_is_delivered_once() {
        for (order, by_notification) in [
            ("sent subscribe", false),
            ("sent subscribe notify", true),
            ("subscribe sent", false),
            ("subscribe sent notify", true),
            ("subscribe notify sent", true),
        ] {
            let case = Case::new();
            let id = case.sending();
            for step in order.split(' ') {
                match step {
                    "sent" => case.handover.sent([id], true),
                    "notify" => case.notified(id),
                    _ => case.subscribe(),
                }
            }
            assert_eq!(case.delivered(), [id.to_string()], "{order}");
            assert_eq!(case.nothing_is_in_doubt(), by_notification, "{order}");
        }
    }

    #[test]
    fn what_could_not_be_sent_is_not_delivered() {
        let case = Case::new();
        let before = case.sending();
        case.handover.sent([before], false);
        let during = case.sending();
        case.subscribe();
        case.handover.sent([during], false);
        assert_eq!(case.delivered(), [""; 0]);
        assert!(case.nothing_is_in_doubt());
    }

    #[test]
    fn count_and_age_are_bounded() {
        let case = Case::new();
        let ids: Vec<_> = (0..CAPACITY + 10).map(|_| case.sent()).collect();
        assert_eq!(case.handover.state.lock().events.len(), CAPACITY);
        let mut state = case.handover.state.lock();
        for (at, _) in state.order.iter_mut().take(500) {
            *at -= LIFE;
        }
        drop(state);
        case.subscribe();
        let taken = case.delivered();
        assert_eq!(taken.len(), CAPACITY - 500);
        assert_eq!(taken.last(), ids.last().map(ToString::to_string).as_ref());
    }

    #[test]
    fn channels_are_apart() {
        let case = Case::new();
        case.sent();
        let other = ChannelName::new("Orders").unwrap();
        case.handover.subscribed(&other, &case.buffer);
        assert_eq!(case.delivered(), [""; 0]);
        case.subscribe();
        assert_eq!(case.delivered().len(), 1);
    }
}
