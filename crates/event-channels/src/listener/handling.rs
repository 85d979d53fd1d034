//! What is done around a handler, in the async and in the blocking listener alike.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::telemetry::{Count, Meter};
use events_core::{
    Error, EventId, EventMessage, GroupName, Receipt, RetryAfter, Settlement, Subscribe, Verdict,
    spans,
};
use tracing::Span;

use super::error::HandlerResult;
use super::options::{HandlingOptions, OnNotice};
use super::renewal::Renewals;
use super::verdicts::Due;
use crate::listener_registry::Control;
use crate::shared::Shared;

/// How long verdicts may still take after the drain deadline.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How a handler came to its end.
pub(crate) enum Outcome {
    Answered(HandlerResult),
    Panicked(String),
    TimedOut(Duration),
}

/// An event whose handler runs; counted until this is dropped.
pub(crate) struct InHand {
    handling: Arc<Handling>,
    key: u64,
    started: Instant,
    /// Where the handler is to run; it ends with this.
    pub(crate) span: Span,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.handling.meter.handling_ended();
    }
}

pub(crate) struct Handling {
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Arc<Control>,
    pub(crate) renewals: Arc<Renewals>,
    pub(crate) timeout: Option<Duration>,
    group: Option<GroupName>,
    meter: Meter,
    auto_ack: bool,
    on_notice: Option<OnNotice>,
}

impl Handling {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        request: &Subscribe,
        options: HandlingOptions,
    ) -> Arc<Self> {
        let meter = shared.meter(&request.channel, request.group.as_ref());
        Arc::new(Self {
            control: Arc::new(Control::new(request.channel.clone())),
            renewals: Arc::new(Renewals::new(Arc::clone(shared), options.timeout)),
            timeout: options.timeout,
            shared: Arc::clone(shared),
            group: request.group.clone(),
            meter,
            auto_ack: options.auto_ack,
            on_notice: options.on_notice,
        })
    }

    /// The listener is live. Answers false when the channel is being shut down.
    pub(crate) fn start_listener(&self) -> bool {
        let added = self.shared.listeners.add(&self.control);
        self.meter.add(Count::ListenerStart, u64::from(added));
        added
    }

    /// The listener has ended; noted once.
    pub(crate) fn end_listener(&self) {
        let note = || self.meter.add(Count::ListenerStop, 1);
        self.shared.listeners.ended(&self.control, note);
    }

    /// Notes a message that is about to be handled. `None` after [`Handling::cut`].
    pub(crate) fn begin(self: &Arc<Self>, message: &EventMessage) -> Option<InHand> {
        let started = Instant::now();
        let key = self.renewals.begin(message, started)?;
        self.shared.held.insert(message);
        self.meter.handling_started();
        Some(InHand {
            handling: Arc::clone(self),
            key,
            started,
            span: spans::handle(self.shared.backend.name(), self.group.as_ref(), message),
        })
    }

    /// Judges how a handler ended. `None` when there is nothing to record.
    pub(crate) fn end(&self, in_hand: InHand, outcome: Outcome) -> Option<Due> {
        self.meter.handler_took(in_hand.started.elapsed());
        let verdict = in_hand.span.in_scope(|| self.judge(&in_hand.span, outcome));
        let (event_id, receipt, until) = self.renewals.end(in_hand.key)?;
        self.control.handler_ended();
        let due = verdict.and_then(|verdict| self.due(event_id, receipt, verdict, until));
        match due {
            Some(due) => Some(Due {
                renewal: Some(in_hand.key),
                ..due
            }),
            None => {
                self.renewals.forget([in_hand.key]);
                None
            }
        }
    }

    /// Handlers that are not waited for any longer: what they hold is given back.
    pub(crate) fn cut(&self) -> Vec<Due> {
        let held = self.renewals.cut();
        self.control.released(held.len());
        if !held.is_empty() {
            tracing::warn!(
                events = held.len(),
                channel = %self.control.channel,
                "handlers did not finish before the drain deadline; their events are given back"
            );
        }
        let until = Instant::now() + GRACE;
        held.into_iter()
            .filter_map(|(id, receipt)| self.due(id, receipt, Verdict::Release, until))
            .collect()
    }

    /// An event that was received and will not be handled.
    pub(crate) fn give_back(&self, message: &EventMessage) -> Option<Due> {
        let until = Instant::now() + GRACE;
        self.due(message.event_id, message.receipt(), Verdict::Release, until)
    }

    fn due(&self, id: EventId, receipt: Receipt, verdict: Verdict, until: Instant) -> Option<Due> {
        let settled = self.shared.settles() && receipt != Receipt::Untracked;
        settled.then_some(Due {
            settlement: Settlement {
                event_id: id,
                receipt,
                verdict,
            },
            until,
            renewal: None,
        })
    }

    fn judge(&self, span: &Span, outcome: Outcome) -> Option<Verdict> {
        let policy = RetryAfter::Policy;
        let (word, retry, reason) = match outcome {
            Outcome::Answered(Ok(())) => {
                spans::handled(span, "ok", None);
                return self.auto_ack.then_some(Verdict::Ack);
            }
            Outcome::Answered(Err(error)) => ("error", error.retry(), error.to_string()),
            Outcome::Panicked(text) => ("panic", policy, format!("handler panicked: {text}")),
            Outcome::TimedOut(after) => {
                let reason = format!("handler timed out after {after:?}");
                ("timeout", policy, reason)
            }
        };
        spans::handled(span, word, Some(&reason));
        self.meter.add(Count::HandlerError, 1);
        tracing::debug!(channel = %self.control.channel, reason, "an event was not handled");
        Some(Verdict::Nack {
            retry,
            reason: Some(reason),
        })
    }

    /// Verdicts that could not be recorded; their events come back when their leases end.
    pub(crate) fn lost(&self, verdicts: usize, error: &Error) {
        self.meter.add(Count::SettleError, verdicts as u64);
        tracing::warn!(%error, verdicts, channel = %self.control.channel, "verdicts were not recorded");
        self.tell(error);
    }

    /// An error that does not end the listener.
    pub(crate) fn notice(&self, error: &Error) {
        tracing::warn!(%error, channel = %self.control.channel, "the listener goes on after an error");
        self.tell(error);
    }

    /// The subscription has ended and is made anew.
    pub(crate) fn reconnecting(&self, error: &Error) {
        self.meter.add(Count::ListenerReconnect, 1);
        self.notice(error);
    }

    fn tell(&self, error: &Error) {
        let Some(on_notice) = &self.on_notice else {
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_notice(error))) {
            tracing::error!(panic = panic_text(&*panic), "on_notice panicked");
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "(no text)".to_owned()
    }
}
