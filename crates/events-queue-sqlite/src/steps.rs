//! Work without a bound, done in transactions that have one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use events_core::{Operation, Pending, Result};

/// What one transaction did, and where the next one goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) done: u64,
    /// The last row that was looked at.
    pub(crate) reached: i64,
    /// The last row that the work is about.
    pub(crate) last: i64,
    pub(crate) more: bool,
}

type Submit = Box<dyn FnMut(Option<Step>) -> Pending<Step> + Send>;

/// Steps one after the other; answers how much was done. Once it was asked for it runs to its end.
pub(crate) struct Steps(Option<Rest>);

struct Rest {
    submit: Submit,
    step: Pending<Step>,
    done: u64,
    started: bool,
}

impl Steps {
    /// `submit` starts a step, given what the one before it did.
    pub(crate) fn pending(
        mut submit: impl FnMut(Option<Step>) -> Pending<Step> + Send + 'static,
    ) -> Pending<u64> {
        let step = submit(None);
        Pending::started(Self(Some(Rest {
            submit: Box::new(submit),
            step,
            done: 0,
            started: false,
        })))
    }
}

impl Rest {
    /// Takes in a step; answers whether it was the last one.
    fn take(&mut self, step: Step) -> bool {
        self.done += step.done;
        if step.more {
            self.step = (self.submit)(Some(step));
        }
        !step.more
    }

    fn wait(mut self) -> Result<u64> {
        loop {
            let step = std::mem::replace(&mut self.step, Pending::ready(Ok(OVER))).wait()?;
            if self.take(step) {
                return Ok(self.done);
            }
        }
    }
}

const OVER: Step = Step {
    done: 0,
    reached: 0,
    last: 0,
    more: false,
};

impl Future for Steps {
    type Output = Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let rest = self
            .0
            .as_mut()
            .expect("a finished future is not polled again");
        rest.started = true;
        loop {
            let answer = ready!(Pin::new(&mut rest.step).poll(cx));
            let over = answer.map(|step| rest.take(step).then_some(rest.done));
            if let Some(answer) = over.transpose() {
                self.0 = None;
                return Poll::Ready(answer);
            }
        }
    }
}

impl Operation<u64> for Steps {
    fn start(mut self: Pin<&mut Self>) {
        if let Some(rest) = &mut self.0 {
            rest.started = true;
            rest.step.start();
        }
    }

    fn wait(mut self: Pin<Box<Self>>) -> Result<u64> {
        self.0
            .take()
            .expect("an operation is waited for once")
            .wait()
    }
}

impl Drop for Steps {
    /// Nobody waits any more; what was asked for is done all the same.
    fn drop(&mut self) {
        if let Some(rest) = self.0.take().filter(|rest| rest.started) {
            let go_on = move || {
                if let Err(error) = rest.wait() {
                    tracing::warn!(%error, "work that nobody waited for was not finished");
                }
            };
            let _ = std::thread::Builder::new()
                .name("events-sqlite-steps".to_owned())
                .spawn(go_on);
        }
    }
}
