//! One call that publishes: whoever waits for its answer does the work.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use events_core::{EventId, Op, Operation, Result, block_on_until};

use crate::backend::closed;
use crate::hub::HubHandle;
use crate::job::Ticket;
use crate::publisher::{Driving, Publisher};

/// Dropped before its answer, it hands the work to a task.
pub(crate) struct Publication {
    publisher: Arc<Publisher>,
    ids: Vec<EventId>,
    ticket: Arc<Ticket>,
    driving: Driving,
    hub: Arc<HubHandle>,
    done: bool,
}

impl Publication {
    pub(crate) fn new(
        publisher: Arc<Publisher>,
        ids: Vec<EventId>,
        ticket: Arc<Ticket>,
        hub: Arc<HubHandle>,
    ) -> Self {
        Self {
            publisher,
            ids,
            ticket,
            driving: Driving::Task,
            hub,
            done: false,
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(answer) = self.ticket.answered() {
            return Poll::Ready(answer);
        }
        // Without its runtime nothing can be sent.
        if self.hub.is_lost() {
            return Poll::Ready(Err(closed(Op::Publish)));
        }
        self.publisher.poll(self.driving, &self.ticket, cx)
    }
}

impl Future for Publication {
    type Output = Result<Vec<EventId>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_answer(cx).map(|answer| {
            self.done = true;
            let ids = std::mem::take(&mut self.ids);
            answer
                .map(|()| ids)
                .map_err(|error| error.during(Op::Publish))
        })
    }
}

impl Operation<Vec<EventId>> for Publication {
    fn start(self: Pin<&mut Self>) {
        self.publisher.start();
    }

    fn wait(mut self: Pin<Box<Self>>) -> Result<Vec<EventId>> {
        let publisher = Arc::clone(&self.publisher);
        match publisher.runtime_of_threads() {
            Some(runtime) => {
                self.driving = Driving::Thread;
                runtime.block_on(self)
            }
            None => block_on_until(self, None).unwrap_or_else(|| Err(closed(Op::Publish))),
        }
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        // Others that wait are woken, and go on with what is left.
        if !self.done {
            self.publisher.start();
        }
    }
}
