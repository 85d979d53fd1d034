//! The backend crate alone, without listeners and configuration files: publish, claim, settle.
//!
//! `cargo run -p events-queue-sqlite --example alone`

use std::io::Write as _;

use events_core::{Backend as _, ChannelName, NewEvent, Settled, Settlement, Subscribe, Verdict};
use events_queue_sqlite::{SqliteConfig, open};
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = open(SqliteConfig::memory(), &tokio::runtime::Handle::current())?;
    backend
        .publish(vec![
            NewEvent::new("orders", "first"),
            NewEvent::new("orders", "second"),
        ])
        .await?;

    let mut events = backend
        .subscribe(Subscribe::new(ChannelName::new("orders")?))
        .await?;
    for _ in 0..2 {
        let message = events.next().await.ok_or("the subscription is open")??;
        writeln!(std::io::stdout(), "{} {}", message.channel, message.payload)?;
        let ack = Settlement {
            event_id: message.event_id,
            receipt: message.receipt(),
            verdict: Verdict::Ack,
        };
        for answer in backend.settle(vec![ack]).await? {
            assert_eq!(answer?, Settled::Recorded);
        }
    }
    backend.shutdown().await?;
    Ok(())
}
