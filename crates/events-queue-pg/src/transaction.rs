//! Publishing in a transaction of the caller's own: the event is stored if and only if whatever
//! else the transaction does is.
//!
//! What the events survive is decided by the `synchronous_commit` of that transaction. Consumers of
//! `notify_queue` that waited when the events were published are woken by the commit itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use events_core::{ChannelName, Error, EventId, NewEvent, Op, Result};
use events_pg_native::{OpenTransaction, Wake};
use events_queue::QueueBackend;
use tokio_postgres::types::{ToSql, Type};

use crate::PostgresStore;
use crate::error::postgres;
use crate::insert::{Columns, any};
use crate::register::{Queues, register_default};

/// Publishes events in a transaction of the caller's own, in order, all of them or none; the ids
/// come in the same order. `event_channels::postgres::TransactionalPublish` is the same for a
/// channel.
///
/// # Errors
/// `InvalidInput` for an event that breaks a rule, before anything is sent; `SchemaMissing` when
/// the transaction's database has no queue table; `Busy` while another transaction registers the
/// channel, and then this one can go on; otherwise what the server says, which ends the transaction
/// as any failed statement does.
///
/// A channel that nobody has registered is registered on a connection of the channel's own, and
/// stays registered if the transaction is rolled back.
pub async fn publish_many_in<T: OpenTransaction>(
    queue: &QueueBackend<PostgresStore>,
    tx: &T,
    events: Vec<NewEvent>,
) -> Result<(Vec<EventId>, Wake)> {
    let db = Arc::clone(queue.store().db());
    let named = |error: Error| error.during(Op::Publish).in_backend(db.name());
    let rows = queue.prepare(events).map_err(named)?;
    let columns = Columns::of(rows.iter());
    let failed = |error| named(postgres(Op::Publish, error));
    let mut told = Queues::default();
    let stored = loop {
        // How far the commit is flushed is the caller's business.
        let values = columns.all_values(&false, &told);
        let answer = tx.driver().query_typed(&db.sql.insert_any, &values).await;
        match any(&columns, &answer.map_err(failed)?).map_err(failed)? {
            Ok(stored) => break stored,
            Err(missing) => {
                // Not in this transaction: whoever publishes there would wait for its end.
                for channel in missing {
                    let registered = register_default(&db, &channel, &mut told).await;
                    registered.map_err(named)?;
                }
            }
        }
    };
    if let Some(notify) = &db.notify {
        let (queues, lowest): (Vec<i32>, Vec<Option<i64>>) = stored.hints().unzip();
        // Whoever waits in this process is woken too, in case the wake is dropped.
        let nobody = uuid::Uuid::nil();
        let values: [(&(dyn ToSql + Sync), Type); 4] = [
            (&notify.channel.as_str(), Type::TEXT),
            (&queues, Type::INT4_ARRAY),
            (&lowest, Type::INT8_ARRAY),
            (&nobody, Type::UUID),
        ];
        let told = tx.driver().query_typed(&db.sql.wake, &values).await;
        told.map_err(failed)?;
    }
    let mut channels: BTreeMap<ChannelName, usize> = BTreeMap::new();
    for row in &rows {
        *channels.entry(row.parts.channel.clone()).or_default() += 1;
    }
    let ids = rows.iter().map(|row| row.id).collect();
    let count = queue.counted(&rows, stored.events);
    let wake = Wake::new(move || {
        count();
        stored.tell(&db);
        for (channel, events) in channels {
            db.wakes.ring_channel(&channel, events);
        }
    });
    Ok((ids, wake))
}
