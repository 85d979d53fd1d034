//! One consumer's items, with spilled events put in their places.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use events_core::NotifyEnvelope;
use tokio::sync::oneshot;

use crate::buffer::{Buffer, Item};
use crate::spill::{Fetcher, Found};

/// So many items are looked at for spilled events that one statement fetches.
const LOOK_AHEAD: usize = 16;

/// Items taken from the buffer to fetch what some of them leave in the table.
pub(crate) struct Spilled {
    fetcher: Arc<Fetcher>,
    ahead: VecDeque<Item>,
    fetching: Option<oneshot::Receiver<Found>>,
}

impl Spilled {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self {
            fetcher,
            ahead: VecDeque::new(),
            fetching: None,
        }
    }

    /// The next item; `None` when it has ended and everything was handed over.
    pub(crate) fn poll_next(
        &mut self,
        buffer: &Buffer,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Item>> {
        loop {
            if let Some(fetching) = &mut self.fetching {
                // A task that is gone found nothing.
                let found = ready!(Pin::new(fetching).poll(cx)).unwrap_or_default();
                self.fetching = None;
                self.put(&found);
            }
            if let Some(item) = self.ahead.pop_front() {
                return Poll::Ready(Some(item));
            }
            let Some(item) = ready!(buffer.poll_next(cx)) else {
                return Poll::Ready(None);
            };
            let Some(id) = item.spilled() else {
                return Poll::Ready(Some(item));
            };
            let mut ids = vec![id];
            self.ahead.push_back(item);
            while self.ahead.len() < LOOK_AHEAD
                && let Poll::Ready(Some(item)) = buffer.poll_next(cx)
            {
                ids.extend(item.spilled());
                self.ahead.push_back(item);
            }
            self.fetching = Some(self.fetcher.fetch(ids));
        }
    }

    /// Puts events in the places of their marks; one that is gone is told as missed.
    fn put(&mut self, found: &Found) {
        for item in &mut self.ahead {
            if let Some(id) = item.spilled() {
                *item = found
                    .get(&id)
                    .map_or(Item::Lagged(1), |envelope| Item::Text(Arc::clone(envelope)));
            }
        }
    }
}

impl Item {
    /// The event that it leaves in the table.
    fn spilled(&self) -> Option<events_core::EventId> {
        match self {
            Self::Text(text) => NotifyEnvelope::spilled(text),
            _ => None,
        }
    }
}
