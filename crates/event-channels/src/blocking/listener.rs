//! Listeners on threads of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use events_core::{
    BoxSubscription, ChannelName, Error, ErrorKind, EventMessage, Next, Op, Result, SettlementMode,
    Subscribe, block_on_until,
};
use tokio::task::AbortHandle;

use super::portal::Portal;
use crate::drained::Drained;
use crate::listener::{
    HandlerResult, Handling, ListenOptions, ListenerId, Outcome, Pause, Verdicts, ended,
    longest_pause, panic_text,
};
use crate::listener_registry::{Control, handling_here};
use crate::shared::Shared;

/// At most this many verdicts wait for each other,
const MAX_BATCH: usize = 64;
/// and at most this long, unless the thread waits for the database meanwhile.
const MAX_AGE: Duration = Duration::from_millis(5);

type Handler = Arc<dyn Fn(EventMessage) -> HandlerResult + Send + Sync>;

/// A listener that runs on threads of its own.
///
/// Dropping the handle does not stop it: it belongs to its channel, and runs until it is stopped,
/// or the channel is shut down or dropped.
#[derive(Debug, Clone)]
pub struct Listener {
    control: Arc<Control>,
}

impl Listener {
    /// Its identity, for `stop_listener`.
    #[must_use]
    pub fn id(&self) -> ListenerId {
        self.control.id
    }

    /// The channel that it listens to.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.control.channel
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.control.done.is_closed()
    }

    /// Stops it: no further event is taken, and handlers may finish until the drain deadline of
    /// the configuration (30 s by default). A handler that has not finished then cannot be ended;
    /// its event is given back without counting an attempt, and its verdict will not count.
    ///
    /// Called from inside its own handler it only asks, and returns at once.
    ///
    /// # Errors
    /// `WrongContext` inside an async runtime; it is not stopped then.
    pub fn stop(&self) -> Result<Drained> {
        Portal::check(Op::Listen)?;
        Ok(self.control.stop_and_block())
    }

    /// Blocks until it has ended, without asking it to.
    ///
    /// # Errors
    /// `WrongContext` inside an async runtime.
    pub fn wait(&self) -> Result<()> {
        Portal::check(Op::Listen)?;
        self.control.done.wait_closed();
        Ok(())
    }
}

/// Starts the threads of a listener; all are live when this returns.
pub(super) fn start<F>(
    shared: &Arc<Shared>,
    portal: &Arc<Portal>,
    channel: ChannelName,
    options: ListenOptions,
    handler: F,
) -> Result<Listener>
where
    F: Fn(EventMessage) -> HandlerResult + Send + Sync + 'static,
{
    Portal::check(Op::Listen)?;
    let (mut request, options) = options.resolve(channel, shared)?;
    request.check_supported(&shared.capabilities)?;
    let threads = std::mem::replace(&mut request.concurrency, 1);
    let mut subscriptions = Vec::with_capacity(threads);
    for _ in 0..threads {
        subscriptions.push(portal.wait(Op::Listen, || shared.subscribe(request.clone()))?);
    }
    let handling = Handling::new(shared, &request, options);
    let control = Arc::clone(&handling.control);
    if !handling.start_listener() {
        return Err(shared.closed(Op::Listen));
    }
    let renewal = portal.handle().spawn(Arc::clone(&handling.renewals).run());
    portal.handle().spawn(supervise(Arc::clone(&handling)));
    let crew = Arc::new(Crew {
        live: AtomicUsize::new(threads),
        handling,
        renewal: renewal.abort_handle(),
    });
    let handler: Handler = Arc::new(handler);
    for (number, subscription) in subscriptions.into_iter().enumerate() {
        let worker = Worker {
            on_duty: OnDuty(Arc::clone(&crew)),
            portal: Arc::clone(portal),
            verdicts: Verdicts::new(Arc::clone(&crew.handling)),
            oldest: None,
            handler: Arc::clone(&handler),
            request: request.clone(),
            number,
            pause: Pause::default(),
        };
        let spawned = thread::Builder::new()
            .name("event-listener".to_owned())
            .spawn(move || worker.run(subscription));
        if let Err(e) = spawned {
            // The threads that run already see this and end; the rest never were on duty.
            control.stop();
            crew.leave(threads - number - 1);
            return Err(Error::new(ErrorKind::Busy, Op::Listen)
                .because(format!(
                    "thread {} of {threads} could not be started",
                    number + 1
                ))
                .caused_by(e));
        }
    }
    Ok(Listener { control })
}

/// Ends a listener whose handlers do not finish in time.
async fn supervise(handling: Arc<Handling>) {
    let control = &handling.control;
    control.stop.closed().await;
    let limit = handling.shared.options.drain_deadline;
    if tokio::time::timeout(limit, control.done.closed())
        .await
        .is_ok()
    {
        return;
    }
    let held = handling.cut();
    if !held.is_empty() {
        let mut verdicts = Verdicts::new(Arc::clone(&handling));
        verdicts.push(held);
        if let Some(batch) = verdicts.send() {
            verdicts.answered(batch.await);
        }
        verdicts.give_up();
    }
    handling.end_listener();
}

/// The threads of a listener together.
struct Crew {
    live: AtomicUsize,
    handling: Arc<Handling>,
    renewal: AbortHandle,
}

impl Crew {
    fn leave(&self, threads: usize) {
        if threads > 0 && self.live.fetch_sub(threads, Ordering::SeqCst) == threads {
            self.renewal.abort();
            self.handling.end_listener();
        }
    }
}

/// One thread of a crew, however it ends.
struct OnDuty(Arc<Crew>);

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.0.leave(1);
    }
}

struct Worker {
    portal: Arc<Portal>,
    verdicts: Verdicts,
    /// When the oldest verdict that waits was made.
    oldest: Option<Instant>,
    handler: Handler,
    request: Subscribe,
    number: usize,
    pause: Pause,
    /// The last field, so that everything else is gone when the end is announced.
    on_duty: OnDuty,
}

impl Worker {
    fn handling(&self) -> &Arc<Handling> {
        &self.on_duty.0.handling
    }

    fn stopped(&self) -> bool {
        self.handling().control.stop.is_closed()
    }

    fn run(mut self, subscription: BoxSubscription) {
        handling_here(self.handling().control.id);
        let mut live = Some(subscription);
        while let Some(mut subscription) = live.take() {
            self.handling()
                .control
                .blocks_in(self.number, subscription.closer());
            let error = self.read(&mut subscription);
            drop(subscription);
            self.flush();
            live = error.and_then(|error| self.subscribe_again(error));
        }
    }

    /// Handles events until the subscription ends; `None` when that was wanted.
    fn read(&mut self, subscription: &mut BoxSubscription) -> Option<Error> {
        while !self.stopped() {
            // With verdicts in hand only what is there at once is taken; they go to the database
            // before the thread sleeps.
            let until = (self.verdicts.len() > 0).then(Instant::now);
            let next = {
                let _inside = self.portal.enter();
                subscription.wait_next(until)
            };
            match next {
                Next::Event(Ok(message)) => self.handle(message),
                Next::Event(Err(error)) if error.stream_continues() => {
                    self.flush();
                    self.handling().notice(&error);
                }
                Next::Event(Err(error)) => return Some(error),
                Next::TimedOut => self.flush(),
                Next::Ended => return (!self.stopped()).then(ended),
            }
        }
        None
    }

    fn handle(&mut self, message: EventMessage) {
        self.pause.reset();
        let wanted = !self.stopped();
        let Some(in_hand) = wanted.then(|| self.handling().begin(&message)).flatten() else {
            let back = self.handling().give_back(&message);
            self.verdicts.push(back);
            return;
        };
        // Unwind safe because nothing of the handler is used after a panic.
        let handled = AssertUnwindSafe(|| in_hand.span.in_scope(|| (self.handler)(message)));
        let outcome = match catch_unwind(handled) {
            Ok(answer) => Outcome::Answered(answer),
            Err(panic) => Outcome::Panicked(panic_text(&*panic)),
        };
        let due = self.handling().end(in_hand, outcome);
        self.verdicts.push(due);
        let now = Instant::now();
        let old = now.duration_since(*self.oldest.get_or_insert(now)) >= MAX_AGE;
        // A session holds one event at a time, and holds it until the verdict is recorded.
        let session = self.handling().shared.capabilities.settlement == SettlementMode::Session;
        if session || old || self.verdicts.len() >= MAX_BATCH {
            self.flush();
        }
    }

    /// Has everything recorded; what fails is tried again while its lease lives.
    fn flush(&mut self) {
        self.oldest = None;
        while let Some(batch) = self.verdicts.send() {
            let answer = {
                let _inside = self.portal.enter();
                batch.wait()
            };
            if let Some(pause) = self.verdicts.answered(answer) {
                thread::sleep(pause);
            }
        }
    }

    /// Makes the subscription anew, with growing pauses, until the listener is stopped or the
    /// channel closed.
    fn subscribe_again(&mut self, mut error: Error) -> Option<BoxSubscription> {
        loop {
            if error.kind() == ErrorKind::Closed {
                self.handling().control.stop();
            }
            if self.stopped() {
                return None;
            }
            self.handling().reconnecting(&error);
            let pause = self.pause.next(longest_pause(&self.request));
            let stop = self.handling().control.stop.clone();
            block_on_until(stop.closed(), Some(Instant::now() + pause));
            if self.stopped() {
                return None;
            }
            let request = self.request.clone();
            let shared = Arc::clone(&self.handling().shared);
            match self.portal.wait(Op::Listen, || shared.subscribe(request)) {
                Ok(subscription) => return Some(subscription),
                Err(e) => error = e,
            }
        }
    }
}
