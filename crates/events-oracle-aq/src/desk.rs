//! Where a consumer and its sessions meet: it asks for an event, one of them brings it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};
use events_core::telemetry::Meter;
use events_core::{ChannelName, Error, ErrorKind, EventMessage, Op, Result};
use events_oracle_session::Interrupter;
use parking_lot::{Condvar, Mutex};

use crate::context::{Context, Held, Order};
use crate::message::Wanted;
use crate::seat;

mod closing;

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
    /// Sessions inside a call, with what ends it.
    calls: HashMap<usize, Call>,
    connecting: usize,
    alive: usize,
    /// The consumer is gone.
    left: bool,
    /// The backend is shut down: what is held is given up.
    ended: bool,
    /// A thread panicked, and the consumer is not told yet.
    broken: bool,
    /// The shutdown waits no longer.
    given_up: bool,
}

/// A call under way.
#[derive(Clone)]
struct Call {
    interrupter: Interrupter,
    /// It waits for a message; others end by themselves.
    waits: bool,
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
            meter: match &wanted.group {
                None => context.meters.of(&channel),
                group => Arc::new(context.config.telemetry.channel(
                    context.name,
                    &channel,
                    group.as_ref(),
                )),
            },
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
        if std::mem::take(&mut state.broken) {
            return Taken::Item(Err(self.bug()));
        }
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

    fn bug(&self) -> Error {
        Error::new(ErrorKind::Backend, Op::Receive)
            .because("a bug in this library: the thread of a session panicked; subscribe anew")
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
        struct Connecting<'a>(&'a Desk);
        impl Drop for Connecting<'_> {
            fn drop(&mut self) {
                self.0.state.lock().connecting -= 1;
            }
        }
        self.state.lock().connecting += 1;
        self.arrived.notify(usize::MAX);
        let _connecting = Connecting(self);
        work()
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
            let waits = true;
            state.calls.insert(seat, Call { interrupter, waits });
        }
        Some(self.called(seat, work))
    }

    /// Makes a call that ends by itself, unless the server hangs.
    pub(crate) fn settling<T>(
        &self,
        seat: usize,
        interrupter: Interrupter,
        work: impl FnOnce() -> T,
    ) -> T {
        let waits = false;
        let call = Call { interrupter, waits };
        self.state.lock().calls.insert(seat, call);
        self.called(seat, work)
    }

    fn called<T>(&self, seat: usize, work: impl FnOnce() -> T) -> T {
        let answer = work();
        self.state.lock().calls.remove(&seat);
        self.changed.notify_all();
        answer
    }

    pub(crate) fn is_left(&self) -> bool {
        self.state.lock().left
    }

    /// A pause that the end of the consumer cuts short.
    pub(crate) fn rest(&self, time: Duration) {
        let mut state = self.state.lock();
        let end = Instant::now() + time;
        while !state.left && !self.changed.wait_until(&mut state, end).timed_out() {}
    }

    /// Waits for the verdict about a message; `None` when the backend was shut down before.
    pub(crate) fn verdict(&self, hold: &Held<'_>) -> Option<Order> {
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
        self.changed.notify_all();
    }

    /// The thread of a session panicked: the consumer is told, and nothing more comes.
    pub(crate) fn break_down(self: &Arc<Self>, seat: usize) {
        let mut state = self.state.lock();
        state.calls.remove(&seat);
        state.broken |= !state.left;
        drop(state);
        self.leave();
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
