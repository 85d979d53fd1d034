//! How much a queue table holds, read from its view, which takes nothing out.

use events_core::{ChannelName, GroupStats, Op, Result, Stats};
use events_oracle_session::{Columns as _, Session, Value, oracle};

use crate::group::{self, Group};
use crate::queue::{self, Queue};
use crate::sql;
use crate::view::{exception_queue, look};

/// Messages of one correlation in one state.
struct Counted {
    correlation: String,
    queue: String,
    state: String,
    messages: u64,
    consumer: String,
}

/// Counts by channel, and by group where there are groups.
pub(crate) fn census(session: &Session, queue: &Queue) -> Result<Vec<Stats>> {
    let (_, name) = queue.parts();
    let binds = [
        ("queue_name", Value::from(name)),
        ("exception_queue", Value::from(&*exception_queue(queue))),
    ];
    let text = if queue.multiple {
        sql::CENSUS_OF_GROUPS
    } else {
        sql::CENSUS
    };
    let read = |row: &oracle::Row| {
        Ok(Counted {
            correlation: row.text(0)?,
            queue: row.text(1)?,
            state: row.text(2)?,
            messages: u64::try_from(row.integer(3)?).unwrap_or_default(),
            consumer: if queue.multiple {
                row.text(4)?
            } else {
                String::new()
            },
        })
    };
    let rows = look(session, queue, text, &binds, usize::MAX, read)?;
    let mut all: Vec<Stats> = Vec::new();
    if queue.multiple {
        // Also those for which nothing waits.
        for group in group::registered(session, Op::Admin, queue)? {
            counts(&mut all, &group);
        }
    }
    for row in rows {
        let moved = row.queue != name;
        let Some((group, dead)) = whose(queue, &row, moved) else {
            continue;
        };
        let counts = counts(&mut all, &group);
        if dead || moved {
            counts.dead += row.messages;
        } else if row.state.starts_with("WAIT") {
            counts.delayed += row.messages;
        } else if row.state == "PROCESSED" {
            counts.acked += row.messages;
        } else {
            counts.ready += row.messages;
        }
    }
    all.sort_by(|one, other| one.channel.as_str().cmp(other.channel.as_str()));
    for stats in &mut all {
        stats
            .groups
            .sort_by(|one, other| one.group.cmp(&other.group));
    }
    Ok(all)
}

/// Whose messages were counted, and whether they are dead letters. What has another correlation, or
/// none, is no channel's; what another program's subscriber gets is no group's.
fn whose(queue: &Queue, row: &Counted, moved: bool) -> Option<(Group, bool)> {
    if !queue.multiple {
        let dead = row.correlation.strip_prefix(queue::DEAD);
        let channel = ChannelName::new(dead.unwrap_or(&row.correlation)).ok()?;
        return Some((Group::new(channel, None), dead.is_some()));
    }
    let (channel, group, dead) = Group::of_correlation(&row.correlation)?;
    let group = if moved {
        // The server has not kept whose it was.
        group.unwrap_or_else(|| Group::new(channel, None))
    } else {
        Group::of_subscriber(&row.consumer).filter(|group| group.channel == channel)?
    };
    Some((group, dead))
}

fn counts<'a>(all: &'a mut Vec<Stats>, group: &Group) -> &'a mut GroupStats {
    let at = all.iter().position(|stats| stats.channel == group.channel);
    let at = at.unwrap_or_else(|| {
        all.push(Stats::new(group.channel.clone()));
        all.len() - 1
    });
    let groups = &mut all[at].groups;
    let at = groups.iter().position(|counts| counts.group == group.name);
    let at = at.unwrap_or_else(|| {
        groups.push(GroupStats {
            group: group.name.clone(),
            ..GroupStats::default()
        });
        groups.len() - 1
    });
    &mut groups[at]
}

/// The counts of a channel in whose queue there is nothing of it, and no group.
pub(crate) fn no_events(queue: &Queue, channel: ChannelName) -> Stats {
    let mut stats = Stats::new(channel);
    if !queue.multiple {
        stats.groups.push(GroupStats::default());
    }
    stats
}
