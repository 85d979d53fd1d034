//! An order and its event in one transaction of PostgreSQL: both happen, or neither does.
//!
//! `EVENTS_URL=postgres://… cargo run -p event-channels --features pg-native --example outbox_postgres`

use std::io::Write as _;

use event_channels::postgres::TransactionalPublish as _;
use event_channels::postgres::tokio_postgres::{self, NoTls};
use event_channels::{EventChannel, NewEvent};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("EVENTS_URL").map_err(|_| "set EVENTS_URL to a postgres:// URL")?;
    let channel = EventChannel::open(&*url).await?;
    let mut events = channel.iter_events("orders").await?;

    // Any connection to the same database will do; this one is not encrypted.
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let create = "CREATE TEMPORARY TABLE orders (id int GENERATED ALWAYS AS IDENTITY, item text)";
    client.batch_execute(create).await?;

    let tx = client.transaction().await?;
    let insert = "INSERT INTO orders (item) VALUES ('book') RETURNING id";
    let row = tx.query_one(insert, &[]).await?;
    let order = json!({"id": row.get::<_, i32>(0), "item": "book"});
    let (id, wake) = channel
        .publish_in(&tx, NewEvent::new("orders", order))
        .await?;
    tx.commit().await?;
    wake.wake();

    if let Some(message) = events.next().await {
        let message = message?;
        assert_eq!(message.event_id, id);
        writeln!(std::io::stdout(), "{}", message.payload)?;
    }
    channel.shutdown().await?;
    Ok(())
}
