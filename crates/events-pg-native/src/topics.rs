//! Who is subscribed to what.

use std::collections::HashMap;
use std::sync::Arc;

use events_core::{ChannelName, Error, Gap, Result};
use tokio::sync::oneshot;

use crate::buffer::Buffer;
use crate::handover::Handover;
use crate::session::{Change, Session};

/// A consumer of a channel.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: u64,
    pub(crate) buffer: Arc<Buffer>,
    /// Answered when it is live; `None` from then on.
    pub(crate) live: Option<oneshot::Sender<Result<()>>>,
}

/// The subscribers of each channel; a channel without any is not here.
#[derive(Debug, Default)]
pub(crate) struct Topics(HashMap<ChannelName, Vec<Subscriber>>);

impl Topics {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<ChannelName> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn add(&mut self, channel: ChannelName, subscriber: Subscriber) {
        self.0.entry(channel).or_default().push(subscriber);
    }

    pub(crate) fn remove(&mut self, channel: &ChannelName, id: u64) {
        if let Some(subscribers) = self.0.get_mut(channel) {
            subscribers.retain(|subscriber| subscriber.id != id);
            if subscribers.is_empty() {
                self.0.remove(channel);
            }
        }
    }

    /// The subscribers of a channel, by the name that the server uses.
    pub(crate) fn of(&self, channel: &str) -> &[Subscriber] {
        self.0.get(channel).map_or(&[], Vec::as_slice)
    }

    /// What a session must change to listen to what is wanted; `None` when nothing.
    pub(crate) fn change(&self, session: &Session) -> Option<Change> {
        let listen = self.0.keys().filter(|channel| !session.listens_to(channel));
        let unlisten = session
            .listening()
            .filter(|channel| !self.0.contains_key(*channel));
        let change = Change {
            listen: listen.cloned().collect(),
            unlisten: unlisten.cloned().collect(),
        };
        let nothing = change.listen.is_empty() && change.unlisten.is_empty();
        (!nothing).then_some(change)
    }

    /// A channel is listened to: those who waited for that are live.
    pub(crate) fn live(&mut self, channel: &ChannelName, handover: &Handover) {
        for subscriber in self.0.get_mut(channel).into_iter().flatten() {
            if let Some(live) = subscriber.live.take() {
                handover.subscribed(channel, &subscriber.buffer);
                // One that does not wait any more is about to be removed.
                let _ = live.send(Ok(()));
            }
        }
    }

    /// Tells those who were live of an interruption.
    pub(crate) fn gap(&self, gap: &Gap) {
        let all = self.0.values().flatten();
        for subscriber in all.filter(|subscriber| subscriber.live.is_none()) {
            subscriber.buffer.gap(gap.clone());
        }
    }

    /// Refuses those who wait to be live.
    pub(crate) fn refuse(&mut self, error: &Error) {
        for subscribers in self.0.values_mut() {
            subscribers.retain_mut(|subscriber| match subscriber.live.take() {
                Some(live) => {
                    let _ = live.send(Err(error.clone()));
                    false
                }
                None => true,
            });
        }
        self.0.retain(|_, subscribers| !subscribers.is_empty());
    }

    /// Ends all, with an error for those who wait to be live.
    pub(crate) fn end(&mut self, error: &Error) {
        self.refuse(error);
        for subscriber in self.0.drain().flat_map(|(_, subscribers)| subscribers) {
            subscriber.buffer.end(None);
        }
    }
}
