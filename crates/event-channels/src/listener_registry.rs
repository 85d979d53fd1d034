//! The listeners of a channel, and how they are stopped.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events_core::{ChannelName, Closer};

use crate::drained::Drained;
use crate::listener::ListenerId;

tokio::task_local! {
    /// The listener whose handler this task runs, in async code.
    pub(crate) static HANDLING: ListenerId;
}

thread_local! {
    /// The listener whose thread this is, in blocking code.
    static HANDLING_HERE: Cell<Option<ListenerId>> = const { Cell::new(None) };
}

/// Marks this thread as one of a listener's own.
#[cfg(feature = "blocking")]
pub(crate) fn handling_here(id: ListenerId) {
    HANDLING_HERE.set(Some(id));
}

/// Whether the caller runs inside a handler of this listener, and so must not wait for it.
fn is_inside(id: ListenerId) -> bool {
    HANDLING_HERE.get() == Some(id) || HANDLING.try_with(|inside| *inside == id).unwrap_or(false)
}

/// What a listener's handle, its channel and its task or threads share.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) id: ListenerId,
    pub(crate) channel: ChannelName,
    /// Closed when it is to stop.
    pub(crate) stop: Closer,
    /// Closed when it has ended.
    pub(crate) done: Closer,
    finished: AtomicU64,
    released: AtomicU64,
    /// What its threads are blocked in; empty for a listener that is a task.
    subscriptions: Mutex<HashMap<usize, Closer>>,
}

impl Control {
    pub(crate) fn new(channel: ChannelName) -> Self {
        Self {
            id: ListenerId::new(),
            channel,
            stop: Closer::new(),
            done: Closer::new(),
            finished: AtomicU64::new(0),
            released: AtomicU64::new(0),
            subscriptions: Mutex::default(),
        }
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stop.close();
        self.subscriptions().values().for_each(Closer::close);
    }

    /// Asks it to stop and waits until it has, except from inside its own handler.
    pub(crate) async fn stop_and_wait(&self) -> Drained {
        self.stop();
        if !is_inside(self.id) {
            self.done.closed().await;
        }
        self.drained()
    }

    /// As [`Control::stop_and_wait`], on a thread that may block.
    #[cfg(feature = "blocking")]
    pub(crate) fn stop_and_block(&self) -> Drained {
        self.stop();
        if !is_inside(self.id) {
            self.done.wait_closed();
        }
        self.drained()
    }

    pub(crate) fn drained(&self) -> Drained {
        Drained {
            listeners: 1,
            finished: self.finished.load(Ordering::SeqCst),
            released: self.released.load(Ordering::SeqCst),
        }
    }

    /// A handler came to its end; only those after the request to stop are counted.
    pub(crate) fn handler_ended(&self) {
        if self.stop.is_closed() {
            self.finished.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn released(&self, events: usize) {
        self.released.fetch_add(events as u64, Ordering::SeqCst);
    }

    /// Notes what a thread is about to block in. A listener that was stopped meanwhile closes it.
    #[cfg(feature = "blocking")]
    pub(crate) fn blocks_in(&self, thread: usize, closer: Closer) {
        self.subscriptions().insert(thread, closer);
        if self.stop.is_closed() {
            self.stop();
        }
    }

    fn subscriptions(&self) -> MutexGuard<'_, HashMap<usize, Closer>> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The live listeners of a channel, async and blocking ones.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    live: HashMap<ListenerId, Arc<Control>>,
    /// Those that lived when the shutdown began, for a call that takes up a dropped one.
    draining: Option<Vec<Arc<Control>>>,
}

impl Registry {
    /// Adds a listener; false when the channel is being shut down.
    #[must_use]
    pub(crate) fn add(&self, control: &Arc<Control>) -> bool {
        let mut entries = self.lock();
        let open = entries.draining.is_none();
        if open {
            entries.live.insert(control.id, Arc::clone(control));
        }
        open
    }

    /// A listener has ended. `note` is run once, before anybody can see the end.
    pub(crate) fn ended(&self, control: &Control, note: impl FnOnce()) {
        let mut entries = self.lock();
        if entries.live.remove(&control.id).is_some() {
            note();
        }
        drop(entries);
        control.stop.close();
        control.done.close();
    }

    pub(crate) fn get(&self, id: ListenerId) -> Option<Arc<Control>> {
        self.lock().live.get(&id).cloned()
    }

    /// Asks all to stop, and waits for none.
    pub(crate) fn stop_all(&self) {
        self.lock().live.values().for_each(|control| control.stop());
    }

    /// Refuses new listeners, stops all and waits for them. They drain side by side. A call after
    /// one that was dropped reports what that one drained, too.
    pub(crate) async fn drain(&self) -> Drained {
        let all = {
            let mut entries = self.lock();
            let Entries { live, draining } = &mut *entries;
            draining
                .get_or_insert_with(|| live.values().cloned().collect())
                .clone()
        };
        all.iter().for_each(|control| control.stop());
        let mut sum = Drained::default();
        for control in all {
            let drained = control.stop_and_wait().await;
            sum.listeners += drained.listeners;
            sum.finished += drained.finished;
            sum.released += drained.released;
        }
        sum
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
