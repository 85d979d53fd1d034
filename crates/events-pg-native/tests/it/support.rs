//! A backend on a database of its own, and waits that have an end.

use std::time::Duration;

use events_core::{Backend as _, BoxSubscription, ChannelName, EventMessage, Result, Subscribe};
use events_pg_native::{Endpoint, NotifyBackend, NotifyConfig};
use events_testkit::postgres::{self, Database};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;

/// No single event takes longer on a working server, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(30);

/// A database, or the reason of a skip that is reported already.
pub(crate) fn database(test: &str) -> Option<Database> {
    postgres::database()
        .map_err(|missing| missing.skip(test))
        .ok()
}

pub(crate) fn config(url: &str) -> NotifyConfig {
    NotifyConfig::new(Endpoint::parse(url).unwrap())
}

pub(crate) async fn open(config: NotifyConfig) -> NotifyBackend {
    events_pg_native::open(config, &Handle::current())
        .await
        .unwrap()
}

pub(crate) async fn subscribe(backend: &NotifyBackend, channel: &str) -> BoxSubscription {
    let request = Subscribe::new(ChannelName::new(channel).unwrap());
    within(backend.subscribe(request)).await.unwrap()
}

/// The next item of a stream.
pub(crate) async fn item(events: &mut BoxSubscription) -> Result<EventMessage> {
    within(events.next()).await.expect("the stream goes on")
}

/// The next event.
pub(crate) async fn next(events: &mut BoxSubscription) -> EventMessage {
    item(events).await.unwrap()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("nothing within {LIMIT:?}"),
    }
}
