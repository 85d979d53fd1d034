//! A consumer's steps, with no clock that runs and nothing in the background.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use event_listener::Listener as _;
use events_core::telemetry::{Count, Telemetry};
use events_core::{ChannelName, Error, ErrorKind, EventMessage, NewEvent, Op, Subscribe};

use crate::consumer::{Consumer, Step};
use crate::engine::{Engine, Queue};
use crate::{MemoryStore, NewRow, Outcome, QueueConfig, QueueStore as _};

const LEASE: Duration = Duration::from_secs(3600);
const POLL: Duration = Duration::from_millis(700);

struct Place {
    store: MemoryStore,
    engine: Arc<Engine<MemoryStore>>,
    queue: Arc<Queue>,
    consumer: Consumer<MemoryStore>,
}

fn place() -> Place {
    let store = MemoryStore::new();
    let config = QueueConfig {
        lease: LEASE,
        poll_interval: POLL,
        telemetry: Telemetry::named(&format!("{:?}", std::thread::current().id())),
        ..QueueConfig::default()
    };
    let engine = Arc::new(Engine::new(store.clone(), config));
    let channel = ChannelName::new("orders").unwrap();
    let registered = store.register(channel.clone(), None).wait().unwrap();
    let queue = engine.queue(registered.queue_id, &channel, None);
    let mut request = Subscribe::new(channel);
    request.prefetch = Some(5);
    let consumer = Consumer::new(Arc::clone(&engine), Arc::clone(&queue), &request);
    Place {
        store,
        engine,
        queue,
        consumer,
    }
}

impl Place {
    fn insert(&self, texts: &[&str]) {
        let row = |text: &&str| NewRow {
            id: events_core::EventId::new(),
            keyed: false,
            parts: NewEvent::from_json("orders", *text)
                .into_parts(1024)
                .unwrap(),
        };
        let rows = texts.iter().map(row).collect();
        self.store.insert(rows).wait().unwrap();
    }

    fn claim(&mut self) {
        assert!(matches!(self.consumer.next_step(), Step::Claim));
        self.consumer.claim();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = self.consumer.poll_claim(&mut cx);
        assert!(matches!(polled, Poll::Ready(Ok(()))));
    }

    fn event(&mut self) -> EventMessage {
        match self.consumer.next_step() {
            Step::Event(message) => message,
            _ => panic!("an event is there"),
        }
    }

    fn wait(&mut self) -> Duration {
        match self.consumer.next_step() {
            Step::Wait(wait) => wait.at_most,
            _ => panic!("there is nothing to do but wait"),
        }
    }

    /// So much of the lease of all that is held is left.
    fn age(&mut self, left: Duration) {
        let [buffer] = &self.engine.buffers()[..] else {
            panic!("there is one consumer");
        };
        for held in buffer.lock().iter_mut() {
            held.until = Instant::now() + left;
        }
    }
}

#[test]
fn an_idle_consumer_waits_for_the_poll_interval() {
    let mut place = place();
    place.claim();
    assert_eq!(place.wait(), POLL);
    place.claim();
}

#[test]
fn what_is_due_sooner_is_waited_for_until_a_millisecond_after_it() {
    let mut place = place();
    let due = Duration::from_millis(300);
    let delayed = events_core::PublishOptions::new().delay(due);
    let event = NewEvent::new("orders", 1).options(delayed);
    let row = NewRow {
        id: events_core::EventId::new(),
        keyed: false,
        parts: event.into_parts(1024).unwrap(),
    };
    let before = Instant::now();
    place.store.insert(vec![row]).wait().unwrap();
    place.claim();
    let wait = place.wait();
    let most = due + Duration::from_millis(1);
    assert!(wait <= most && wait + before.elapsed() >= most, "{wait:?}");
}

/// Held for so long that less than half its lease is left, an event is renewed before it is handed
/// over; after a failure there is a pause first.
#[test]
fn with_less_than_half_its_lease_an_event_is_renewed_first() {
    let mut place = place();
    place.insert(&["1", "2"]);
    place.claim();
    place.age(LEASE * 2 / 3);
    assert_eq!(place.event().payload, 1);
    place.age(LEASE / 2 - Duration::from_secs(60));
    for _ in 0..2 {
        let Step::Renew(token, id) = place.consumer.next_step() else {
            panic!("it is renewed first");
        };
        let asked = Instant::now();
        let failed = Error::new(ErrorKind::Unavailable, Op::Extend);
        let told = place.consumer.renewed(token, asked, Err(failed));
        assert!(told.is_err());
        assert!(place.wait() <= Duration::from_millis(100));
        assert_eq!(token.row, 2);
        let _ = id;
    }
    let Step::Renew(token, id) = place.consumer.next_step() else {
        panic!("after the pause it is renewed");
    };
    let answer = place.consumer.renewal(token, id).wait();
    place
        .consumer
        .renewed(token, Instant::now(), answer)
        .unwrap();
    assert_eq!(place.event().payload, 2);
}

#[test]
fn an_event_whose_renewal_came_too_late_is_dropped() {
    let mut place = place();
    place.insert(&["1"]);
    place.claim();
    place.age(LEASE / 4);
    let Step::Renew(token, _) = place.consumer.next_step() else {
        panic!("it is renewed first");
    };
    let gone = Ok(vec![Outcome::Gone]);
    place.consumer.renewed(token, Instant::now(), gone).unwrap();
    assert!(matches!(place.consumer.next_step(), Step::Claim));
}

#[test]
fn pauses_after_failures_double_up_to_a_second() {
    let mut place = place();
    let mut pauses = Vec::new();
    let hold = events_core::HoldToken {
        queue_id: 1,
        row: 1,
        fence: 1,
        priority: 0,
        attempts: 1,
        keyed: false,
    };
    for _ in 0..7 {
        let failed = Error::new(ErrorKind::Unavailable, Op::Extend);
        let told = place.consumer.renewed(hold, Instant::now(), Err(failed));
        assert!(told.is_err());
        pauses.push(place.wait().as_millis());
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
    let telemetry = &place.engine.config.telemetry;
    assert_eq!(telemetry.get(Count::DequeueError), 7);
    place.claim();
    let failed = Error::new(ErrorKind::Unavailable, Op::Extend);
    let told = place.consumer.renewed(hold, Instant::now(), Err(failed));
    assert!(told.is_err());
    assert_eq!(place.wait().as_millis(), 50, "a claim that worked ends it");
}

/// One wake may stand for several events.
#[test]
fn who_finds_as_much_as_it_asked_for_wakes_the_next() {
    for (texts, wakes) in [(&["1"; 4][..], false), (&["1"; 5], true), (&["1"; 6], true)] {
        let mut place = place();
        place.insert(texts);
        let idle = place.queue.bell.listen();
        place.claim();
        assert_eq!(idle.wait_timeout(Duration::ZERO).is_some(), wakes);
    }
}

#[test]
fn a_closed_consumer_gives_back_and_ends() {
    let mut place = place();
    place.insert(&["1"]);
    place.claim();
    place.consumer.closer.close();
    assert!(matches!(place.consumer.next_step(), Step::Ended));
    let stats = place.store.stats(None).wait().unwrap()[0].total();
    assert_eq!((stats.ready, stats.leased), (1, 0));
}
