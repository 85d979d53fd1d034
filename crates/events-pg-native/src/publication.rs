//! One call that publishes: whoever waits for its answer does the work.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use events_core::{EventId, Op, Operation, Result, block_on_until};
use tokio::sync::oneshot;

use crate::backend::closed;
use crate::hub::HubHandle;
use crate::publisher::{Publisher, Serving};

/// Dropped before its answer, it hands the work to a task.
pub(crate) struct Publication {
    publisher: Arc<Publisher>,
    ids: Vec<EventId>,
    answered: oneshot::Receiver<Result<()>>,
    service: Option<Serving>,
    hub: Arc<HubHandle>,
    done: bool,
}

impl Publication {
    pub(crate) fn new(
        publisher: Arc<Publisher>,
        ids: Vec<EventId>,
        answered: oneshot::Receiver<Result<()>>,
        hub: Arc<HubHandle>,
    ) -> Self {
        Self {
            publisher,
            ids,
            answered,
            service: None,
            hub,
            done: false,
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Poll::Ready(answer) = Pin::new(&mut self.answered).poll(cx) {
                return Poll::Ready(answer.unwrap_or_else(|_| Err(closed(Op::Publish))));
            }
            // Without its runtime nothing can be sent.
            if self.hub.is_lost() {
                return Poll::Ready(Err(closed(Op::Publish)));
            }
            if self.service.is_none() {
                self.service = self.publisher.service();
            }
            let Some(service) = &mut self.service else {
                // Somebody has just taken the last jobs, this one with them.
                return Poll::Pending;
            };
            let _inside = self.publisher.enter();
            match Pin::new(service).poll(cx) {
                Poll::Ready(()) => self.service = None,
                Poll::Pending => {
                    // The answer may have come meanwhile.
                    return Pin::new(&mut self.answered)
                        .poll(cx)
                        .map(|answer| answer.unwrap_or_else(|_| Err(closed(Op::Publish))));
                }
            }
        }
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

    fn wait(self: Pin<Box<Self>>) -> Result<Vec<EventId>> {
        block_on_until(self, None).unwrap_or_else(|| Err(closed(Op::Publish)))
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
