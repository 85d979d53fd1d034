//! An order and its event, stored together or not at all.
//!
//! `EVENTS_URL=postgres://… cargo run -p event-channels --features queue-pg --example outbox_queue`

use event_channels::postgres::{TransactionalPublish as _, tokio_postgres};
use event_channels::{BackendKind, EventsConfig, NewEvent};
use serde_json::json;
use tokio_postgres::NoTls;

#[expect(clippy::print_stdout, reason = "an example")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("EVENTS_URL")?;
    let channel = EventsConfig::new(&url)?
        .backend(BackendKind::NotifyQueue)
        .auto_migrate(true)
        .open()
        .await?;
    let mut events = channel.iter_events("orders").await?;

    // The application's own connection; one of deadpool does as well.
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let table = "CREATE TABLE IF NOT EXISTS outbox_orders (id bigint GENERATED ALWAYS AS IDENTITY, customer text)";
    client.batch_execute(table).await?;

    let tx = client.transaction().await?;
    let insert = "INSERT INTO outbox_orders (customer) VALUES ($1) RETURNING id";
    let order: i64 = tx.query_one(insert, &[&"ann"]).await?.get(0);
    let event = NewEvent::new("orders", json!({"order": order}));
    let (_, wake) = channel.publish_in(&tx, event).await?;
    tx.commit().await?;
    wake.wake();

    // The same from sqlx, diesel, psql or a trigger: one statement in their own transaction.
    let tx = client.transaction().await?;
    let order: i64 = tx.query_one(insert, &[&"bob"]).await?.get(0);
    let publish =
        "SELECT sqlspec_event_queue_publish('orders', json_build_object('order', $1::bigint))";
    tx.query_one(publish, &[&order]).await?;
    tx.commit().await?;

    for _ in 0..2 {
        let message = events.next().await.ok_or("the stream ended")??;
        println!("{}", message.payload);
        channel.ack(&message).await?;
    }
    channel.shutdown().await?;
    Ok(())
}
