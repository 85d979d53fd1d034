//! The task of an async listener: it reads, runs handlers and sends their verdicts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use event_listener::EventListener;
use events_core::{
    ChannelName, Error, ErrorKind, EventMessage, Op, Pending, Result, Settled, SettlementMode,
};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::error::HandlerResult;
use super::handle::Listener;
use super::handling::{GRACE, Handling};
use super::hands::{Hands, Run, runner};
use super::options::ListenOptions;
use super::source::{Found, Source};
use super::verdicts::Verdicts;
use crate::shared::Shared;

/// With this many verdicts that are not recorded yet no further event is handled.
const MAX_UNRECORDED: usize = 1024;
/// After this many steps other tasks of the thread get their turn.
const STEPS: usize = 128;

/// Starts a listener; it is live when this resolves.
pub(crate) async fn start<F, Fut>(
    shared: &Arc<Shared>,
    channel: ChannelName,
    options: ListenOptions,
    handler: F,
) -> Result<Listener>
where
    F: Fn(EventMessage) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    let runtime = Handle::try_current().map_err(|e| {
        Error::new(ErrorKind::WrongContext, Op::Listen)
            .because("an async listener needs a tokio runtime; blocking::EventChannel needs none")
            .caused_by(e)
    })?;
    let (request, options) = options.resolve(channel, shared)?;
    let subscription = shared.subscribe(request.clone()).await?;
    let handling = Handling::new(shared, &request, options);
    let control = Arc::clone(&handling.control);
    if !handling.start_listener() {
        return Err(shared.closed(Op::Listen));
    }
    let renewal = runtime.spawn(Arc::clone(&handling.renewals).run());
    let guard = Guard {
        handling: Arc::clone(&handling),
        renewal: renewal.abort_handle(),
    };
    let task = Task {
        concurrency: request.concurrency,
        hands: Hands::new(request.concurrency),
        run: runner(control.id, handling.timeout, handler),
        verdicts: Sender::new(Verdicts::new(Arc::clone(&handling))),
        source: Source::new(Arc::clone(&handling), request, subscription),
        handling,
        deadline: None,
        stopping: None,
    };
    // The task is owned by the channel: its registry stops it.
    drop(runtime.spawn(task.run(guard)));
    Ok(Listener::new(control))
}

/// Notes the end of the listener however its task ends, also together with its runtime.
struct Guard {
    handling: Arc<Handling>,
    renewal: AbortHandle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.renewal.abort();
        self.handling.end_listener();
    }
}

struct Task {
    handling: Arc<Handling>,
    source: Source,
    run: Run,
    hands: Hands,
    concurrency: usize,
    verdicts: Sender,
    /// Set when it was asked to stop.
    deadline: Option<Pin<Box<Sleep>>>,
    stopping: Option<EventListener>,
}

impl Task {
    async fn run(mut self, guard: Guard) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
        self.hands.abort();
        self.verdicts.queue.push(self.handling.cut());
        let recorded = std::future::poll_fn(|cx| self.verdicts.poll(cx));
        if tokio::time::timeout(GRACE, recorded).await.is_err() {
            self.verdicts.queue.give_up();
        }
        // The handler and what it holds go before the end is announced.
        drop(self);
        drop(guard);
    }

    /// Ready when it was stopped and nothing is left to wait for, or the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            let mut moved = self.poll_hands(cx);
            let all_recorded = self.verdicts.poll(cx).is_ready();
            if let Some(deadline) = &mut self.deadline {
                let finished = self.hands.len() == 0 && all_recorded;
                if finished || deadline.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if !moved {
                    return Poll::Pending;
                }
                continue;
            }
            if self.handling.control.stop.is_closed() {
                self.begin_stop();
                continue;
            }
            if self.has_room() {
                moved |= self.poll_source(cx);
            }
            // Only a listener that really waits pays for watching its switch.
            let stop = &self.handling.control.stop;
            if !moved && stop.poll_closed(&mut self.stopping, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether one more event can be handled now.
    fn has_room(&self) -> bool {
        let (running, unrecorded) = (self.hands.len(), self.verdicts.queue.len());
        // A session holds one event at a time, and holds it until the verdict is recorded.
        let session = self.handling.shared.capabilities.settlement == SettlementMode::Session;
        let taken = if session {
            running + unrecorded
        } else {
            running
        };
        taken < self.concurrency && unrecorded < MAX_UNRECORDED
    }

    fn poll_hands(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Poll::Ready((in_hand, outcome)) = self.hands.poll_ended(cx) {
            self.verdicts
                .queue
                .push(self.handling.end(in_hand, outcome));
            moved = true;
        }
        moved
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> bool {
        match self.source.poll(cx) {
            Poll::Pending => return false,
            Poll::Ready(Found::Again) => {}
            Poll::Ready(Found::Closed) => self.handling.control.stop(),
            Poll::Ready(Found::Event(message)) => match self.handling.begin(&message) {
                Some(in_hand) => {
                    let handler = (self.run)(message, in_hand.span.clone());
                    self.hands.start(in_hand, handler);
                }
                None => self.verdicts.queue.push(self.handling.give_back(&message)),
            },
        }
        true
    }

    fn begin_stop(&mut self) {
        self.source.drop_subscription();
        let limit = self.handling.shared.options.drain_deadline;
        self.deadline = Some(Box::pin(tokio::time::sleep(limit)));
    }
}

/// Sends verdicts, one batch at a time.
struct Sender {
    queue: Verdicts,
    under_way: Option<Pending<Vec<Result<Settled>>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Sender {
    fn new(queue: Verdicts) -> Self {
        Self {
            queue,
            under_way: None,
            pause: None,
        }
    }

    /// Ready when everything is recorded.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if let Some(under_way) = &mut self.under_way {
                let answer = std::task::ready!(Pin::new(under_way).poll(cx));
                self.under_way = None;
                let pause = self.queue.answered(answer);
                self.pause = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
                continue;
            }
            match self.queue.send() {
                Some(batch) => self.under_way = Some(batch),
                None => return Poll::Ready(()),
            }
        }
    }
}
