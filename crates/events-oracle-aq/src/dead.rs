//! What stands in a queue table beside the events that wait: counts, and dead letters.
//!
//! The view `AQ$<queue table>` shows it without taking anything out. Dead letters are of two kinds:
//! messages that a consumer put back under another correlation, with reason and time, and messages
//! that the server itself has moved to the exception queue, about which it says less.

use events_core::{
    ChannelName, DeadLetter, Error, ErrorKind, EventId, GroupStats, Op, Result, Stats, Timestamp,
};
use events_oracle_session::oracle::sql_type::OracleType;
use events_oracle_session::{Columns as _, Session, Value, oracle, oracle_error};
use serde_json::Value as Json;

use crate::envelope::Envelope;
use crate::message::{self, Outgoing};
use crate::queue::{self, PayloadKind, Queue};
use crate::sql;

/// A dead letter, and where it is.
pub(crate) struct Dead {
    pub(crate) letter: DeadLetter,
    envelope: Envelope,
    message: Vec<u8>,
    queue: String,
    priority: i64,
}

/// Counts by channel.
pub(crate) fn census(session: &Session, queue: &Queue) -> Result<Vec<Stats>> {
    let (_, name) = queue.parts();
    let binds = [
        ("queue_name", Value::from(name)),
        ("exception_queue", Value::from(&*exception_queue(queue))),
    ];
    let read = |row: &oracle::Row| {
        let messages = u64::try_from(row.integer(3)?).unwrap_or_default();
        Ok((row.text(0)?, row.text(1)?, row.text(2)?, messages))
    };
    let rows = look(session, queue, sql::CENSUS, &binds, usize::MAX, read)?;
    let mut all: Vec<Stats> = Vec::new();
    for (correlation, place, state, messages) in rows {
        let dead = correlation.strip_prefix(queue::DEAD);
        // What has another correlation, or none, is no channel's.
        let Ok(channel) = ChannelName::new(dead.unwrap_or(&correlation)) else {
            continue;
        };
        let at = all.iter().position(|stats| stats.channel == channel);
        let at = at.unwrap_or_else(|| {
            all.push(no_events(channel));
            all.len() - 1
        });
        let counts = &mut all[at].groups[0];
        if dead.is_some() || place != name {
            counts.dead += messages;
        } else if state.starts_with("WAIT") {
            counts.delayed += messages;
        } else if state == "PROCESSED" {
            counts.acked += messages;
        } else {
            counts.ready += messages;
        }
    }
    all.sort_by(|one, other| one.channel.as_str().cmp(other.channel.as_str()));
    Ok(all)
}

/// The counts of a channel in whose queue there is nothing of it.
pub(crate) fn no_events(channel: ChannelName) -> Stats {
    let mut stats = Stats::new(channel);
    stats.groups.push(GroupStats::default());
    stats
}

/// The newest dead letters of a channel.
pub(crate) fn list(
    session: &Session,
    queue: &Queue,
    channel: &ChannelName,
    limit: usize,
) -> Result<Vec<Dead>> {
    let (_, name) = queue.parts();
    let binds = [
        ("queue_name", Value::from(name)),
        ("dead", Value::from(&*queue::dead(channel))),
        ("exception_queue", Value::from(&*exception_queue(queue))),
        ("channel", Value::from(channel.as_str())),
    ];
    let text = match queue.payload {
        PayloadKind::Json => sql::DEAD_JSON,
        PayloadKind::Raw => sql::DEAD_RAW,
    };
    let read = |row: &oracle::Row| {
        let message = row.bytes(0)?.unwrap_or_default();
        let body = match queue.payload {
            PayloadKind::Json => row.text(4)?.into_bytes(),
            PayloadKind::Raw => row.bytes(4)?.unwrap_or_default(),
        };
        let id = <[u8; 16]>::try_from(&*message).unwrap_or_default();
        let envelope = Envelope::decode(Some(&*body).filter(|body| !body.is_empty()), id);
        let rollbacks = u32::try_from(row.integer(2)?).unwrap_or_default();
        Ok(Dead {
            letter: letter(channel, &envelope, &body, rollbacks),
            envelope,
            message,
            queue: row.text(1)?,
            priority: row.integer(3)?,
        })
    };
    look(session, queue, text, &binds, limit, read)
}

fn letter(channel: &ChannelName, envelope: &Envelope, body: &[u8], rollbacks: u32) -> DeadLetter {
    let body: Json = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Json::as_str);
    // The server says neither why nor when it moved a message.
    let expired = envelope.expires_at.filter(|at| *at <= Timestamp::now());
    let reason = text("reason").unwrap_or(match expired {
        Some(_) => "expired",
        None => "max_attempts",
    });
    let died_at = text("died_at").and_then(|at| at.parse().ok());
    let died_at = died_at.or(expired).unwrap_or(envelope.published_at);
    let mut letter = DeadLetter::new(
        envelope.event_id,
        channel.clone(),
        reason.to_owned(),
        died_at,
    );
    letter.attempts = envelope.attempts.saturating_add(rollbacks);
    letter.created_at = envelope.published_at;
    letter.last_error.clone_from(&envelope.last_error);
    letter.metadata.clone_from(&envelope.metadata);
    letter.payload.clone_from(&envelope.payload);
    letter
}

/// Takes dead letters out of their queues; answers those that were still there.
pub(crate) fn take(session: &Session, queue: &Queue, dead: Vec<Dead>) -> Result<Vec<Dead>> {
    let text = match queue.payload {
        PayloadKind::Json => sql::TAKE_JSON,
        PayloadKind::Raw => sql::TAKE_RAW,
    };
    let mut taken = Vec::with_capacity(dead.len());
    for dead in dead {
        let place = match queue.parts().0 {
            Some(schema) => format!("{schema}.{}", dead.queue),
            None => dead.queue.clone(),
        };
        let run = || {
            let mut statement = session.connection().statement(text).build()?;
            statement.execute_named(&[
                ("wanted", &dead.message),
                ("found", &OracleType::Number(0, 0)),
                ("queue_name", &place),
            ])?;
            statement.bind_value::<_, i64>("found")
        };
        let found = run().map_err(|error| oracle_error(Op::Admin, session.backend(), error));
        match found {
            Ok(0) => {}
            Ok(_) => taken.push(dead),
            Err(error) if error.kind() == ErrorKind::NotConfigured => {
                let detail = format!(
                    "{}; {place} must be started: DBMS_AQADM.START_QUEUE(queue_name => '{place}', enqueue => FALSE, dequeue => TRUE)",
                    error.detail().unwrap_or_default()
                );
                return Err(error.because(detail));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// Puts dead letters that were taken out back for their channel, with a fresh count of attempts.
pub(crate) fn put_back(
    session: &Session,
    queue: &Queue,
    channel: &ChannelName,
    dead: Vec<Dead>,
) -> Result<()> {
    let again = |mut dead: Dead| {
        dead.envelope.attempts = 0;
        dead.envelope.expires_at = None;
        Outgoing {
            queue: queue.clone(),
            body: dead.envelope.encode(channel),
            correlation: channel.as_str().to_owned(),
            priority: dead.priority,
            delay_seconds: 0,
            expiration_seconds: None,
        }
    };
    let messages: Vec<Outgoing> = dead.into_iter().map(again).collect();
    message::enqueue(session, Op::Admin, &messages)
}

/// Those of these events; `None` is all.
pub(crate) fn wanted(dead: Vec<Dead>, ids: Option<&[EventId]>) -> Vec<Dead> {
    let is_wanted = |dead: &Dead| ids.is_none_or(|ids| ids.contains(&dead.letter.event_id));
    dead.into_iter().filter(is_wanted).collect()
}

/// The queue to which the server moves what it gives up.
fn exception_queue(queue: &Queue) -> String {
    format!("AQ$_{}_E", queue.table)
}

/// Runs a query on the view of the queue's table.
fn look<T>(
    session: &Session,
    queue: &Queue,
    text: &str,
    binds: &[(&str, Value)],
    limit: usize,
    read: impl FnMut(&oracle::Row) -> oracle::Result<T>,
) -> Result<Vec<T>> {
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
    };
    if !plain(&queue.table) {
        return Err(Error::new(ErrorKind::Unsupported, Op::Admin).because(format!(
            "the queue {} is in a queue table whose name is not made of letters, digits, _, $ and #",
            queue.name
        )));
    }
    let view = match queue.parts().0 {
        Some(schema) => format!("\"{schema}\".\"AQ${}\"", queue.table),
        None => format!("\"AQ${}\"", queue.table),
    };
    let rows = session.query(
        Op::Admin,
        &text.replace(sql::VIEW, &view),
        binds,
        limit,
        read,
    );
    rows.map_err(|error| match error.kind() {
        ErrorKind::SchemaMissing => Error::new(ErrorKind::Permission, Op::Admin)
            .because(format!(
                "the view {view} is not there for this user; its owner says GRANT SELECT ON {view}"
            ))
            .caused_by(error),
        _ => error,
    })
}
