//! A backend of your own: events to whoever listens in this process, fire and forget.
//!
//! `cargo run --example own_backend`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use event_channels::{
    Admin, Backend, BoxSubscription, Capabilities, ChannelName, Closer, Error, ErrorKind,
    EventChannel, EventId, EventMessage, FanOut, Health, MAX_NAME_BYTES, NewEvent, Op, Pending,
    Result, Settled, Settlement, SettlementMode, StreamSubscription, Subscribe, Timestamp, Wakes,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, Receiver, error::RecvError};

#[derive(Debug)]
struct InProcess(broadcast::Sender<EventMessage>);

impl Backend for InProcess {
    fn name(&self) -> &'static str {
        "in_process"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            fan_out: FanOut::Broadcast,
            settlement: SettlementMode::None,
            wakes: Wakes::InProcess,
            delay: false,
            priority: false,
            expires: false,
            idempotent: false,
            dead_letters: false,
            atomic_batch: false,
            max_event_bytes: None,
            max_name_bytes: MAX_NAME_BYTES,
        }
    }

    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        Pending::ready(events.into_iter().map(|event| self.send(event)).collect())
    }

    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        let events = stream::unfold((self.0.subscribe(), request.channel), next);
        Pending::ready(Ok(Box::new(StreamSubscription::new(events, Closer::new()))))
    }

    fn settle(&self, all: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        Pending::ready(Ok(all
            .iter()
            .map(|_| Ok(Settled::NothingToRecord))
            .collect()))
    }

    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    fn health(&self) -> Pending<Health> {
        let health = Health::new(self.name(), "this process".to_owned(), Duration::ZERO);
        Pending::ready(Ok(health))
    }

    fn shutdown(&self) -> Pending<()> {
        Pending::ready(Ok(())) // the channel closes its subscriptions before it calls this
    }
}

impl InProcess {
    fn send(&self, event: NewEvent) -> Result<EventId> {
        let parts = event.into_parts(1024 * 1024)?;
        let payload: Value = serde_json::from_str(parts.payload.text())
            .map_err(|e| Error::new(ErrorKind::Codec, Op::Publish).caused_by(e))?;
        let id = EventId::new();
        let message = EventMessage::new(id, parts.channel, payload, Timestamp::now());
        let _nobody_listens = self.0.send(message);
        Ok(id)
    }
}

type State = (Receiver<EventMessage>, ChannelName);

async fn next((mut receiver, channel): State) -> Option<(Result<EventMessage>, State)> {
    loop {
        let item = match receiver.recv().await {
            Ok(message) if message.channel != channel => continue,
            Ok(message) => Ok(message),
            Err(RecvError::Lagged(missed)) => Err(Error::lagged(missed)),
            Err(RecvError::Closed) => return None,
        };
        return Some((item, (receiver, channel)));
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let channel = EventChannel::new(Arc::new(InProcess(broadcast::channel(1024).0)));
    let mut events = channel.iter_events("notifications").await?;
    let id = channel
        .publish("notifications", json!({"type": "refresh"}))
        .await?;
    let message = events.next().await.expect("the channel is open")?;
    assert_eq!(
        (message.event_id, channel.ack(&message).await?),
        (id, Settled::NothingToRecord)
    );
    println!("{} brought {}", channel.backend_name(), message.payload);
    channel.shutdown().await?;
    assert!(events.next().await.is_none());
    Ok(())
}
