//! The statements that send events.

use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

use crate::job::Outgoing;
use crate::line::Prepared;
use crate::spill::SpillTable;
use crate::sql::{Hidden, NOTIFY, NOTIFY_CHANNEL, NOTIFY_MANY};

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Sends events as one statement: all of them or none. It is prepared where that is safe.
pub(crate) async fn notify(
    client: &impl GenericClient,
    prepared: Option<&Prepared>,
    events: &[&Outgoing],
    spill: Option<&SpillTable>,
) -> std::result::Result<(), tokio_postgres::Error> {
    let Some((first, others)) = events.split_first() else {
        return Ok(());
    };
    let spilled = events.iter().any(|event| event.spilled.is_some());
    let texts = || Hidden(events.iter().map(|event| &*event.text).collect::<Vec<_>>());
    if let Some(table) = spill.filter(|_| spilled) {
        let kept = |event: &&&Outgoing| event.spilled.is_some();
        let ids = events.iter().filter(kept).map(|event| event.id.to_string());
        let envelopes = events.iter().filter_map(|event| event.spilled.as_deref());
        let parameters: [Parameter<'_>; 4] = [
            (&channels(events), Type::TEXT_ARRAY),
            (&texts(), Type::TEXT_ARRAY),
            (&Hidden(ids.collect::<Vec<_>>()), Type::TEXT_ARRAY),
            (&Hidden(envelopes.collect::<Vec<_>>()), Type::TEXT_ARRAY),
        ];
        run(client, prepared, &table.notify, &parameters).await
    } else if others.iter().any(|event| event.channel != first.channel) {
        let parameters: [Parameter<'_>; 2] = [
            (&channels(events), Type::TEXT_ARRAY),
            (&texts(), Type::TEXT_ARRAY),
        ];
        run(client, prepared, NOTIFY_MANY, &parameters).await
    } else {
        let channel = Hidden(first.channel.as_str());
        let (text, all);
        let (sql, what): (_, Parameter<'_>) = if others.is_empty() {
            text = Hidden(&*first.text);
            (NOTIFY, (&text, Type::TEXT))
        } else {
            all = texts();
            (NOTIFY_CHANNEL, (&all, Type::TEXT_ARRAY))
        };
        run(client, prepared, sql, &[(&channel, Type::TEXT), what]).await
    }
}

fn channels<'a>(events: &[&'a Outgoing]) -> Hidden<Vec<&'a str>> {
    Hidden(events.iter().map(|event| event.channel.as_str()).collect())
}

async fn run(
    client: &impl GenericClient,
    prepared: Option<&Prepared>,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> std::result::Result<(), tokio_postgres::Error> {
    let Some(prepared) = prepared else {
        return client.execute_typed(sql, parameters).await.map(drop);
    };
    let types = parameters.iter().map(|(_, of)| of.clone());
    let statement = prepared.get(client.client(), sql, types).await?;
    let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
    client.execute(&statement, &values).await.map(drop)
}
