//! Dead letters, as the view of the queue table shows them.
//!
//! They are of two kinds: messages that a consumer put back under another correlation, with reason and time, and messages
//! that the server itself has moved to the exception queue, about which it says less.

use events_core::{ChannelName, DeadLetter, ErrorKind, EventId, Op, Result, Timestamp};
use events_oracle_session::oracle::sql_type::OracleType;
use events_oracle_session::{Columns as _, Session, Value, oracle, oracle_error};
use serde_json::Value as Json;

use crate::envelope::Envelope;
use crate::group::Group;
use crate::message::{self, Outgoing};
use crate::queue::{self, PayloadKind, Queue};
use crate::sql;
use crate::view::{exception_queue, look};

/// A dead letter, and where it is.
pub(crate) struct Dead {
    pub(crate) letter: DeadLetter,
    envelope: Envelope,
    /// Whose it is, where there are groups. The server does not keep that of what it put away itself,
    /// unless the group had put it back before.
    group: Option<Group>,
    message: Vec<u8>,
    queue: String,
    priority: i64,
}

/// The newest dead letters of a channel.
pub(crate) fn list(
    session: &Session,
    queue: &Queue,
    channel: &ChannelName,
    limit: usize,
) -> Result<Vec<Dead>> {
    let (_, name) = queue.parts();
    let mut binds = vec![
        ("queue_name", Value::from(name)),
        ("exception_queue", Value::from(&*exception_queue(queue))),
        ("channel", Value::from(channel.as_str())),
    ];
    if queue.multiple {
        // Without the name of a group it is how the correlations of all of them begin.
        let any = Group::new(channel.clone(), None);
        binds.push(("dead", Value::from(&*any.dead())));
        binds.push(("own", Value::from(&*any.own())));
    } else {
        binds.push(("dead", Value::from(&*queue::dead(channel))));
    }
    let text = match (queue.payload, queue.multiple) {
        (PayloadKind::Json, false) => sql::DEAD_JSON,
        (PayloadKind::Raw, false) => sql::DEAD_RAW,
        (PayloadKind::Json, true) => sql::DEAD_OF_GROUPS_JSON,
        (PayloadKind::Raw, true) => sql::DEAD_OF_GROUPS_RAW,
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
        let group = if queue.multiple {
            Group::of_correlation(&row.text(5)?).and_then(|(_, group, _)| group)
        } else {
            None
        };
        let mut letter = letter(channel, &envelope, &body, rollbacks);
        letter.group = group.as_ref().and_then(|group| group.name.clone());
        Ok(Dead {
            letter,
            envelope,
            group,
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
        // What the server has put away is no subscriber's any more.
        let consumer = dead
            .group
            .as_ref()
            .filter(|_| dead.queue == queue.parts().1)
            .map(Group::subscriber);
        let place = match queue.parts().0 {
            Some(schema) => format!("{schema}.{}", dead.queue),
            None => dead.queue.clone(),
        };
        let run = || {
            let mut statement = session.connection().statement(text).build()?;
            statement.execute_named(&[
                ("wanted", &dead.message),
                ("consumer_name", &consumer),
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
            correlation: dead
                .group
                .map_or_else(|| channel.as_str().to_owned(), |group| group.own()),
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
