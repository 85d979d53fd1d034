//! Consumer groups: each group of a channel is a subscriber of a queue for multiple consumers.
//!
//! A subscriber's rule lets through what is published to its channel, and what its own group put
//! back or gave up: those messages have correlations that name the group, so no other group gets
//! them a second time.

use events_core::{ChannelName, Error, GroupName, Op, Result};
use events_oracle_session::{Columns as _, Session, Value, class_of, oracle};

use crate::queue::{DEAD, Queue, QueueName};
use crate::sql;

/// Between the channel and the group of a correlation; no name has it.
const OF: char = '@';

/// Begins the names of subscribers of this library, and parts the channel from the group.
const PREFIX: &str = "EC$";
const SEPARATOR: char = '$';
/// Precedes what is upper case, because Oracle folds all of a name to that.
const UPPER: char = '#';

/// The most bytes of a channel's or group's name: `!channel@group` is a correlation.
pub(crate) const MAX_NAME_BYTES: usize = 62;

/// A group of a channel; without a name, the default group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) channel: ChannelName,
    pub(crate) name: Option<GroupName>,
}

impl Group {
    pub(crate) fn new(channel: ChannelName, name: Option<GroupName>) -> Self {
        Self { channel, name }
    }

    fn name(&self) -> &str {
        self.name.as_ref().map_or("", GroupName::as_str)
    }

    /// The correlation of what the group put back.
    pub(crate) fn own(&self) -> String {
        format!("{}{OF}{}", self.channel, self.name())
    }

    /// The correlation of its dead letters.
    pub(crate) fn dead(&self) -> String {
        format!("{DEAD}{}", self.own())
    }

    /// Whose a correlation is: of a channel, and of one group if one put it back or gave it up.
    /// `None` is no channel's; true is for a dead letter.
    pub(crate) fn of_correlation(text: &str) -> Option<(ChannelName, Option<Self>, bool)> {
        let (text, dead) = match text.strip_prefix(DEAD) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let Some((channel, group)) = text.split_once(OF) else {
            return Some((ChannelName::new(text).ok()?, None, dead));
        };
        let channel = ChannelName::new(channel).ok()?;
        let group = Self::named(channel.clone(), group)?;
        Some((channel, Some(group), dead))
    }

    fn named(channel: ChannelName, name: &str) -> Option<Self> {
        let name = match name {
            "" => None,
            name => Some(GroupName::new(name).ok()?),
        };
        Some(Self { channel, name })
    }

    /// The name of the subscriber: an identifier, in which Oracle tells no case apart.
    pub(crate) fn subscriber(&self) -> String {
        let mut name = PREFIX.to_owned();
        let mut put = |text: &str| {
            for c in text.chars() {
                if c.is_ascii_uppercase() {
                    name.push(UPPER);
                }
                name.push(c.to_ascii_uppercase());
            }
        };
        put(self.channel.as_str());
        put(&SEPARATOR.to_string());
        put(self.name());
        name
    }

    /// The group of a subscriber; `None` is another program's.
    pub(crate) fn of_subscriber(name: &str) -> Option<Self> {
        let plain = |text: &str| {
            let mut plain = String::new();
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                plain.push(match c {
                    UPPER => chars.next()?,
                    other => other.to_ascii_lowercase(),
                });
            }
            Some(plain)
        };
        let (channel, group) = name.strip_prefix(PREFIX)?.split_once(SEPARATOR)?;
        let channel = ChannelName::new(plain(channel)?).ok()?;
        Self::named(channel, &plain(group)?)
    }

    /// Which messages its consumers ask for.
    pub(crate) fn condition(&self, names: &QueueName) -> String {
        names.correlations("tab.corrid", &[self.channel.as_str(), &self.own()])
    }

    /// Which messages its subscriber gets: what its consumers ask for, and its dead letters. A rule
    /// names the properties of a message as such.
    fn rule(&self, names: &QueueName) -> String {
        let wanted = [self.channel.as_str(), &self.own(), &self.dead()];
        names.correlations("corrid", &wanted)
    }
}

/// The groups that subscribe to a queue.
pub(crate) fn registered(session: &Session, op: Op, queue: &Queue) -> Result<Vec<Group>> {
    let (schema, name) = queue.parts();
    let mut binds = vec![("queue_name", Value::from(name))];
    let text = match schema {
        Some(owner) => {
            binds.push(("owner", Value::from(owner)));
            sql::SUBSCRIBERS_OTHER_SCHEMA
        }
        None => sql::SUBSCRIBERS,
    };
    let read = |row: &oracle::Row| row.text(0);
    let names = session.query(op, text, &binds, usize::MAX, read)?;
    let groups = names.iter().filter_map(|name| Group::of_subscriber(name));
    Ok(groups.collect())
}

/// Registers a group, unless it is; true when it was not. Oracle commits by itself.
pub(crate) fn register(
    session: &Session,
    op: Op,
    queue: &Queue,
    group: &Group,
    names: &QueueName,
) -> Result<bool> {
    if registered(session, op, queue)?.contains(group) {
        return Ok(false);
    }
    let (subscriber, longest) = (group.subscriber(), session.version().max_name_bytes());
    if subscriber.len() > longest {
        return Err(Error::invalid_input(
            op,
            format!(
                "the subscriber {subscriber} of group {:?} has {} bytes; this server allows {longest}, and names are never truncated",
                group.name(),
                subscriber.len()
            ),
        ));
    }
    let rule = group.rule(names);
    change(
        session,
        op,
        sql::SUBSCRIBE,
        queue,
        group,
        &[("rule", Value::from(&*rule))],
    )?;
    Ok(true)
}

/// Takes a group off, with what waits for it; false when it was not registered.
pub(crate) fn unregister(session: &Session, queue: &Queue, group: &Group) -> Result<bool> {
    let op = Op::Admin;
    if !registered(session, op, queue)?.contains(group) {
        return Ok(false);
    }
    change(session, op, sql::UNSUBSCRIBE, queue, group, &[])?;
    Ok(true)
}

fn change(
    session: &Session,
    op: Op,
    text: &str,
    queue: &Queue,
    group: &Group,
    more: &[(&str, Value)],
) -> Result<()> {
    let mut binds = vec![
        ("queue_name", Value::from(&*queue.name)),
        ("subscriber", Value::from(&*group.subscriber())),
    ];
    binds.extend_from_slice(more);
    session.execute(op, text, &binds).map(drop)
}

/// Whether the server found nobody for whom a message is.
pub(crate) fn is_without_recipients(error: &oracle::Error) -> bool {
    class_of(error).1 == Some(24033)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(channel: &str, name: &str) -> Group {
        Group::named(ChannelName::new(channel).unwrap(), name).unwrap()
    }

    #[test]
    fn names_of_subscribers_are_told_apart_without_case() {
        let groups = [
            group("orders", "billing"),
            group("Orders", "billing"),
            group("ORDERS", "billing"),
            group("orders", ""),
            group("_orders", "_Billing"),
        ];
        let names: Vec<_> = groups.iter().map(Group::subscriber).collect();
        assert_eq!(names[0], "EC$ORDERS$BILLING");
        assert_eq!(names[1], "EC$#ORDERS$BILLING");
        assert_eq!(names[3], "EC$ORDERS$");
        for (group, name) in groups.iter().zip(&names) {
            assert_eq!(Group::of_subscriber(name).as_ref(), Some(group));
            assert_eq!(*name, name.to_ascii_uppercase());
        }
        let longest = group(&"c".repeat(MAX_NAME_BYTES), &"g".repeat(MAX_NAME_BYTES));
        assert_eq!(longest.subscriber().len(), 128);
        assert!(longest.dead().len() <= 128);
        for other in ["APP1", "EC$A", "EC$#", "EC$A$1", "EC$$X"] {
            assert_eq!(Group::of_subscriber(other), None, "{other}");
        }
    }

    #[test]
    fn a_rule_lets_the_channel_and_the_groups_own_through() {
        let names = QueueName::parse("Q").unwrap();
        let billing = group("orders", "billing");
        assert_eq!(
            billing.rule(&names),
            "corrid IN ('orders', 'orders@billing', '!orders@billing')"
        );
        assert_eq!(
            group("orders", "").condition(&names),
            "tab.corrid IN ('orders', 'orders@')"
        );
    }

    #[test]
    fn a_correlation_says_whose_it_is() {
        let of = Group::of_correlation;
        let orders = ChannelName::new("orders").unwrap();
        let billing = group("orders", "billing");
        assert_eq!(of("orders"), Some((orders.clone(), None, false)));
        assert_eq!(
            of(&billing.own()),
            Some((orders.clone(), Some(billing.clone()), false))
        );
        assert_eq!(
            of(&billing.dead()),
            Some((orders.clone(), Some(billing), true))
        );
        assert_eq!(
            of("!orders@"),
            Some((orders, Some(group("orders", "")), true))
        );
        assert_eq!(of("a b"), None);
        assert_eq!(of("a@b@c"), None);
    }
}
