//! Events through an Oracle database: its queue if there is one, else the queue table.
//!
//! `EVENTS_URL=oracle://app:secret@localhost/FREEPDB1 cargo run -p event-channels --features oracle-aq --example oracle`
//!
//! It needs Oracle Instant Client on `LD_LIBRARY_PATH`, and the grants that `docs/src/oracle.md` lists.

use event_channels::{BackendKind, EventMessage, EventsConfig, ListenOptions, NewEvent};
use serde_json::json;

#[expect(clippy::print_stdout, reason = "an example")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = EventsConfig::new(std::env::var("EVENTS_URL")?)?
        .backend(BackendKind::Aq)
        // Makes the queue and the tables; a DBA would rather run `events migrate up --dry-run`.
        .auto_migrate(true)
        .open()
        .await?;
    println!("backend {}", channel.backend_name());

    let orders = (1..=3).map(|order| NewEvent::new("orders", json!({"order": order})));
    channel.publish_many(orders).await?;

    // Each handler has a session of its own, whose transaction holds the event.
    let (done, mut handled) = tokio::sync::mpsc::channel(3);
    let handler = move |message: EventMessage| {
        let done = done.clone();
        async move {
            if message.attempts == 1 && message.payload["order"] == 2 {
                return Err("the stock is being counted".into());
            }
            done.send(message.payload).await?;
            Ok(())
        }
    };
    let options = ListenOptions::new().concurrency(2);
    let listener = channel.listen("orders", options, handler).await?;
    for _ in 0..3 {
        println!("{}", handled.recv().await.ok_or("the listener ended")?);
    }
    listener.stop().await;
    println!(
        "dead letters {}",
        channel.stats("orders").await?.total().dead
    );
    channel.shutdown().await?;
    Ok(())
}
