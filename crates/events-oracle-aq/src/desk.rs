//! Where a consumer and its sessions meet: it asks for an event, one of them brings it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use event_listener::{Event, EventListener};
use events_core::telemetry::Meter;
use events_core::{ChannelName, Error, ErrorKind, EventMessage, Op, Result, Settlement, Verdict};
use events_oracle_session::Interrupter;
use parking_lot::{Condvar, Mutex};

use crate::context::{Context, Hold, Order};
use crate::message::Wanted;
use crate::seat;

/// How often a call that is to end is broken, until it has.
const AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Desk {
    pub(crate) context: Arc<Context>,
    pub(crate) channel: ChannelName,
    pub(crate) wanted: Wanted,
    /// The pause between two looks that do not wait inside the database.
    pub(crate) between: Duration,
    pub(crate) meter: Arc<Meter>,
    seats: usize,
    /// Whether it waits for verdicts when every session holds an event, instead of refusing.
    patient: bool,
    state: Mutex<State>,
    changed: Condvar,
    arrived: Event,
}

#[derive(Default)]
struct State {
    /// The consumer wants an event, and no session is at it.
    asked: bool,
    /// A session is at it.
    served: bool,
    ready: VecDeque<Ready>,
    holding: usize,
    /// Sessions inside a dequeue, with what ends it.
    calling: HashMap<usize, Interrupter>,
    connecting: usize,
    alive: usize,
    /// The consumer is gone.
    left: bool,
    /// The backend is shut down: what is held is given up.
    ended: bool,
}

struct Ready {
    hold: Option<i64>,
    item: Result<EventMessage>,
}

/// What a consumer that asks is told.
pub(crate) enum Taken {
    Item(Result<EventMessage>),
    NotYet,
    Ended,
}

impl Desk {
    /// Begins a thread for each of `seats` sessions, which connect when they are first needed.
    pub(crate) fn open(
        context: Arc<Context>,
        channel: ChannelName,
        wanted: Wanted,
        between: Duration,
        seats: usize,
        patient: bool,
    ) -> Result<Arc<Self>> {
        let desk = Arc::new(Self {
            meter: context.meters.of(&channel),
            context,
            channel,
            wanted,
            between,
            seats,
            patient,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            arrived: Event::new(),
        });
        for number in 0..seats {
            let own = Arc::clone(&desk);
            desk.state.lock().alive += 1;
            let spawned = thread::Builder::new()
                .name(format!("events-aq-{number}"))
                .spawn(move || seat::run(&own, number));
            if let Err(error) = spawned {
                desk.state.lock().alive -= 1;
                desk.leave();
                return Err(Error::new(ErrorKind::Busy, Op::Subscribe)
                    .because("no thread could be begun for a session")
                    .caused_by(error)
                    .in_backend(desk.context.name));
            }
        }
        Ok(desk)
    }

    /// Told when an item may have come or a hold was settled.
    pub(crate) fn listen(&self) -> EventListener {
        self.arrived.listen()
    }

    /// The next item, or a request for one.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.state.lock();
        if state.left {
            return Taken::Ended;
        }
        if let Some(ready) = state.ready.pop_front() {
            return Taken::Item(ready.item);
        }
        if state.holding >= self.seats {
            if self.patient {
                return Taken::NotYet;
            }
            return Taken::Item(Err(self.unsettled()));
        }
        if !state.asked && !state.served {
            state.asked = true;
            drop(state);
            self.changed.notify_all();
        }
        Taken::NotYet
    }

    fn unsettled(&self) -> Error {
        let seats = self.seats;
        Error::new(ErrorKind::Unsettled, Op::Receive)
            .because(format!(
                "each of the {seats} sessions of this consumer holds an event that is not settled; ack or nack it before asking for the next"
            ))
            .in_backend(self.context.name)
    }

    pub(crate) fn wake(&self) {
        drop(self.state.lock());
        self.changed.notify_all();
    }

    /// Waits until the consumer asks; false when there will be no more to do.
    pub(crate) fn sit(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.left {
                return false;
            }
            if state.asked {
                state.asked = false;
                state.served = true;
                return true;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The session is at it no longer, and brought nothing: the request stands.
    pub(crate) fn empty_handed(&self) {
        let mut state = self.state.lock();
        state.served = false;
        state.asked = state.ready.is_empty();
        drop(state);
        self.changed.notify_all();
    }

    /// Brings an item.
    pub(crate) fn bring(&self, hold: Option<i64>, item: Result<EventMessage>) {
        let mut state = self.state.lock();
        state.served = false;
        state.holding += usize::from(hold.is_some());
        state.ready.push_back(Ready { hold, item });
        let left = state.left;
        drop(state);
        if left {
            self.give_back();
        }
        self.arrived.notify(usize::MAX);
    }

    /// A hold has ended.
    pub(crate) fn settled(&self) {
        self.state.lock().holding -= 1;
        self.arrived.notify(usize::MAX);
        self.changed.notify_all();
    }

    /// Connects; not waited for by a shutdown, since nothing can end it.
    pub(crate) fn connecting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state.lock().connecting += 1;
        self.arrived.notify(usize::MAX);
        let answer = work();
        self.state.lock().connecting -= 1;
        answer
    }

    /// Makes a call that may wait; `None` when the consumer is gone.
    pub(crate) fn calling<T>(
        &self,
        seat: usize,
        interrupter: Interrupter,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        {
            let mut state = self.state.lock();
            if state.left {
                return None;
            }
            state.calling.insert(seat, interrupter);
        }
        let answer = work();
        self.state.lock().calling.remove(&seat);
        self.changed.notify_all();
        Some(answer)
    }

    pub(crate) fn is_left(&self) -> bool {
        self.state.lock().left
    }

    /// A pause that the end of the consumer cuts short.
    pub(crate) fn rest(&self, time: Duration) {
        let mut state = self.state.lock();
        let end = std::time::Instant::now() + time;
        while !state.left && !self.changed.wait_until(&mut state, end).timed_out() {}
    }

    /// Waits for the verdict about a message; `None` when the backend was shut down before.
    pub(crate) fn verdict(&self, hold: &Hold) -> Option<Order> {
        let mut state = self.state.lock();
        loop {
            if let Some(order) = hold.order() {
                return Some(order);
            }
            if state.ended {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The thread of a session ends.
    pub(crate) fn stand_up(&self) {
        self.state.lock().alive -= 1;
        self.arrived.notify(usize::MAX);
    }

    /// The consumer is gone: waiting calls end, what it was not given goes back.
    pub(crate) fn leave(self: &Arc<Self>) {
        let calling = {
            let mut state = self.state.lock();
            state.left = true;
            !state.calling.is_empty()
        };
        self.changed.notify_all();
        self.arrived.notify(usize::MAX);
        self.give_back();
        if calling {
            let desk = Arc::clone(self);
            // A break that comes between two calls ends neither, so it is given until they have ended.
            let spawned = thread::Builder::new()
                .name("events-aq-stop".to_owned())
                .spawn(move || desk.break_calls());
            if let Err(error) = spawned {
                tracing::debug!(%error, "waiting dequeues end by themselves");
            }
        }
    }

    fn break_calls(&self) {
        let mut state = self.state.lock();
        while !state.calling.is_empty() {
            let calling: Vec<_> = state.calling.values().cloned().collect();
            drop(state);
            calling.iter().for_each(Interrupter::interrupt);
            state = self.state.lock();
            if !state.calling.is_empty() {
                self.changed.wait_for(&mut state, AGAIN);
            }
        }
    }

    fn give_back(&self) {
        let ready = std::mem::take(&mut self.state.lock().ready);
        for Ready { item, hold } in ready {
            if let (Some(_), Ok(message)) = (hold, item) {
                let _ = self.context.settle(Settlement {
                    event_id: message.event_id,
                    receipt: message.receipt(),
                    verdict: Verdict::Release,
                });
            }
        }
    }

    /// The backend is shut down.
    pub(crate) fn end(self: &Arc<Self>) {
        self.leave();
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Resolves when no session is left but such as are still connecting.
    pub(crate) async fn ended(&self) {
        loop {
            let listener = self.listen();
            {
                let state = self.state.lock();
                if state.alive == state.connecting {
                    return;
                }
            }
            listener.await;
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("channel", &self.channel)
            .field("seats", &self.seats)
            .finish_non_exhaustive()
    }
}
