//! What operators ask of Oracle's queues.

use std::sync::Arc;

use events_core::{
    Admin, ChannelName, DeadLetter, Error, ErrorKind, EventId, GroupName, Op, Pending, Result,
    Stats, Subscribe,
};
use events_oracle_session::Session;

use crate::AqBackend;
use crate::census;
use crate::dead::{self, Dead};
use crate::group::Group;
use crate::queue::Queue;

impl AqBackend {
    /// Work on the queue of a channel.
    fn on_queue<T: Send + 'static>(
        &self,
        channel: ChannelName,
        work: impl Fn(&Session, &Queue, &ChannelName) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        if let Err(error) = self.check_open(Op::Admin) {
            return Pending::ready(Err(error));
        }
        let context = Arc::clone(&self.context);
        self.workers.submit(Op::Admin, move |session| {
            let found = context.queue(session, Op::Admin, &channel);
            found
                .and_then(|queue| work(session, &queue, &channel))
                .map_err(|error| error.in_backend(context.name))
        })
    }

    /// Takes dead letters out of the queue and does something with them, in one transaction.
    fn on_dead(
        &self,
        channel: ChannelName,
        ids: Option<Vec<EventId>>,
        work: impl Fn(&Session, &Queue, &ChannelName, Vec<Dead>) -> Result<()> + Send + 'static,
    ) -> Pending<u64> {
        self.on_queue(channel, move |session, queue, channel| {
            let dead = dead::list(session, queue, channel, usize::MAX)?;
            let wanted = dead::wanted(dead, ids.as_deref());
            let taken = dead::take(session, queue, wanted)?;
            let count = taken.len() as u64;
            work(session, queue, channel, taken)?;
            session.commit(Op::Admin)?;
            Ok(count)
        })
    }
}

impl AqBackend {
    /// Takes a consumer group off, with every event that waits for it and its dead letters; `None`
    /// is the default group. The answer is false when it was not registered.
    ///
    /// What its consumers hold stays theirs until they settle it; nothing new comes to them.
    ///
    /// # Errors
    /// `Unsupported` without groups, and what the server says.
    pub fn unregister_group(
        &self,
        channel: ChannelName,
        group: Option<GroupName>,
    ) -> Pending<bool> {
        if !self.context.config.groups {
            return Pending::ready(Err(Error::new(ErrorKind::Unsupported, Op::Admin)
                .because("without aq_groups = true there is no consumer group to take off")
                .in_backend(self.context.name)));
        }
        let context = Arc::clone(&self.context);
        let group = Group::new(channel.clone(), group);
        self.on_queue(channel, move |session, _, _| {
            context.unregister(session, &group)
        })
    }
}

impl Admin for AqBackend {
    /// Without groups the queue itself is the default group, which is always there.
    fn subscribe_group(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<bool> {
        let mut request = Subscribe::new(channel);
        request.group = group;
        if let Err(error) = self.check(&request) {
            return Pending::ready(Err(error.in_backend(self.context.name)));
        }
        if !self.context.config.groups {
            return Pending::ready(Ok(false));
        }
        let context = Arc::clone(&self.context);
        let group = Group::new(request.channel, request.group);
        self.workers.submit(Op::Subscribe, move |session| {
            context
                .register(session, Op::Subscribe, &group)
                .map_err(|error| error.in_backend(context.name))
        })
    }

    /// Messages that a session holds count as ready, and no age is known.
    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        let all = channel.is_none();
        // One queue holds every channel, so any of them finds it.
        let Ok(asked) = channel.map_or_else(|| ChannelName::new("any"), Ok) else {
            return Pending::ready(Ok(Vec::new()));
        };
        if all && self.context.queue_name.is_template() {
            return Pending::ready(Err(Error::new(ErrorKind::Unsupported, Op::Admin)
                .because(
                    "with {channel} in aq_queue each channel has a queue of its own; ask for one channel",
                )
                .in_backend(self.context.name)));
        }
        self.on_queue(asked, move |session, queue, channel| {
            let counted = census::census(session, queue)?;
            if all {
                return Ok(counted);
            }
            let found = counted.into_iter().find(|stats| stats.channel == *channel);
            Ok(vec![found.unwrap_or_else(|| {
                census::no_events(queue, channel.clone())
            })])
        })
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        self.on_queue(channel, move |session, queue, channel| {
            let dead = dead::list(session, queue, channel, limit)?;
            let mut letters: Vec<_> = dead.into_iter().map(|dead| dead.letter).collect();
            // Oracle's own times are whole seconds.
            letters.sort_by_key(|letter| std::cmp::Reverse(letter.died_at));
            Ok(letters)
        })
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.on_dead(channel, ids, dead::put_back)
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.on_dead(channel, ids, |_, _, _, _| Ok(()))
    }
}
