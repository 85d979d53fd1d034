//! A backend on a database of its own, and waits that have an end.

use std::time::{Duration, Instant};

use events_core::telemetry::Telemetry;
use events_core::{
    Backend as _, BoxSubscription, ChannelName, EventId, EventMessage, NewEvent, Result, Subscribe,
};
use events_pg_native::{Endpoint, NotifyBackend, NotifyConfig};
use events_testkit::postgres::{self, Database, Server, ServerOptions};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;

/// No single event takes longer on a working server, however busy the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How often a listening connection of [`quick`] proves that it lives, and how long that may take.
pub(crate) const HEARTBEAT: (Duration, Duration) =
    (Duration::from_millis(200), Duration::from_millis(100));

/// A database, or the reason of a skip that is reported already.
pub(crate) fn database(test: &str) -> Option<Database> {
    postgres::database()
        .map_err(|missing| missing.skip(test))
        .ok()
}

/// A server of the test's own, or the reason of a skip that is reported already.
pub(crate) fn server(test: &str, options: &ServerOptions) -> Option<Server> {
    Server::start(options)
        .map_err(|missing| missing.skip(test))
        .ok()
}

/// Counters of its own, and defaults for everything else.
pub(crate) fn config(url: &str) -> NotifyConfig {
    let mut config = NotifyConfig::new(Endpoint::parse(url).unwrap());
    config.telemetry = Telemetry::named(&format!("test_{}", EventId::new()));
    config
}

/// As [`config`], with a heart that beats fast.
pub(crate) fn quick(url: &str) -> NotifyConfig {
    let mut config = config(url);
    (config.heartbeat_interval, config.heartbeat_deadline) = HEARTBEAT;
    config
}

pub(crate) async fn open(config: NotifyConfig) -> NotifyBackend {
    events_pg_native::open(config, &Handle::current())
        .await
        .unwrap()
}

pub(crate) fn request(channel: &str) -> Subscribe {
    Subscribe::new(ChannelName::new(channel).unwrap())
}

pub(crate) async fn subscribe(backend: &NotifyBackend, channel: &str) -> BoxSubscription {
    within(backend.subscribe(request(channel))).await.unwrap()
}

/// Publishes one event, again and again while the server is away.
pub(crate) async fn publish(backend: &NotifyBackend, channel: &str, payload: usize) -> EventId {
    let publish = async {
        loop {
            match backend.publish(vec![NewEvent::new(channel, payload)]).await {
                Ok(ids) => return ids[0],
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    within(publish).await
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

/// Looks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
