//! What each role of the scripts may do, and what it may not.

use std::time::Duration;

use event_channels::{
    ErrorKind, EventChannel, EventsConfig, IterOptions, PublishOptions, Result, RetryAfter, Settled,
};
use events_testkit::postgres::{Server, ServerOptions};
use events_testkit::{Missing, next};
use serde_json::json;

const PUBLISHER: &str = include_str!("../../migrations/postgres/roles/publisher.sql");
const CONSUMER: &str = include_str!("../../migrations/postgres/roles/consumer.sql");
const OWNER: &str = include_str!("../../migrations/postgres/roles/owner.sql");

/// A server whose tables belong to the owner, with a login for each role.
struct Place {
    server: Server,
    database: String,
}

impl Place {
    async fn new() -> Result<Self, Missing> {
        let server = Server::start(&ServerOptions::new())?;
        let admin = server.database();
        let database = admin.rsplit('/').next().unwrap_or_default().to_owned();
        let place = Self { server, database };
        place.query(OWNER);
        place.query(
            "CREATE ROLE events_publisher NOLOGIN; CREATE ROLE events_consumer NOLOGIN;
             CREATE ROLE own LOGIN; CREATE ROLE pub LOGIN; CREATE ROLE con LOGIN; CREATE ROLE other LOGIN;
             GRANT events_owner TO own; GRANT events_publisher TO pub; GRANT events_consumer TO con",
        );
        let ids = place
            .config("own")
            .migrate_up()
            .await
            .expect("the owner migrates");
        assert!(!ids.is_empty());
        place.as_role("own", PUBLISHER);
        place.as_role("own", CONSUMER);
        Ok(place)
    }

    fn query(&self, sql: &str) {
        events_testkit::postgres::query(&self.server.url(&self.database), sql);
    }

    fn url(&self, role: &str) -> String {
        self.server
            .url(&self.database)
            .replace("//postgres@", &format!("//{role}@"))
    }

    fn as_role(&self, role: &str, sql: &str) {
        events_testkit::postgres::query(&self.url(role), sql);
    }

    /// Whether the server forbids a statement to a role.
    fn forbids(&self, role: &str, sql: &str) -> bool {
        let (url, sql) = (self.url(role), format!("BEGIN; {sql}; ROLLBACK"));
        let refused = std::panic::catch_unwind(|| events_testkit::postgres::query(&url, &sql));
        refused.is_err_and(|panic| {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            ["permission denied", "must be owner"]
                .iter()
                .any(|part| text.contains(part))
        })
    }

    fn config(&self, role: &str) -> EventsConfig {
        EventsConfig::new(self.url(role))
            .expect("a URL")
            .backend(event_channels::BackendKind::PollQueue)
            .poll_interval(Duration::from_millis(50))
    }

    async fn open(&self, role: &str) -> Result<EventChannel> {
        self.config(role).open().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_does_its_work_and_nothing_else() -> Result<()> {
    let place = match Place::new().await {
        Ok(place) => place,
        Err(missing) => {
            missing.skip("each_role_does_its_work_and_nothing_else");
            return Ok(());
        }
    };

    let publisher = place.open("pub").await?;
    let id = publisher.publish("orders", json!({"n": 1})).await?;
    let keyed = PublishOptions::new().event_id(id);
    publisher
        .publish_with("orders", json!(2), keyed.clone())
        .await?;
    publisher.publish_with("orders", json!(2), keyed).await?;
    let delayed = PublishOptions::new().delay(Duration::from_millis(1));
    publisher.publish_with("orders", json!(3), delayed).await?;
    place.as_role(
        "pub",
        "SELECT sqlspec_event_queue_publish('orders', '4', delay => '1 ms')",
    );
    let error = publisher.iter_events("orders").await?.next().await;
    let error = error
        .expect("an item")
        .expect_err("a publisher claims nothing");
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    publisher.shutdown().await?;

    let consumer = place.open("con").await?;
    let mut events = consumer
        .iter_events_with("orders", IterOptions::new().prefetch(1))
        .await?;
    assert!(consumer.subscribe_group("orders", "audit").await?);
    assert!(!consumer.subscribe_group("orders", "audit").await?);
    let mut seen = Vec::new();
    for turn in 0..4 {
        let message = next(&mut events).await;
        seen.push(message.payload.to_string());
        let settled = match turn {
            0 => consumer.nack(&message, RetryAfter::Never).await?,
            _ => consumer.ack(&message).await?,
        };
        assert_eq!(settled, Settled::Recorded);
    }
    seen.sort();
    assert_eq!(seen, ["2", "3", "4", "{\"n\":1}"]);
    let admin = consumer.admin().expect("durable");
    assert_eq!(admin.requeue("orders".try_into()?, None).await?, 1);
    consumer.ack(&next(&mut events).await).await?;
    let total = consumer.stats("orders").await?.total();
    assert_eq!((total.acked, total.dead, total.ready), (4, 0, 0));
    consumer.shutdown().await?;

    for (role, sql) in [
        ("pub", "SELECT payload FROM sqlspec_event_queue"),
        ("pub", "SELECT payload FROM sqlspec_event_queue_done"),
        ("pub", "SELECT payload FROM sqlspec_event_queue_dead"),
        ("pub", "UPDATE sqlspec_event_queue SET state = 1"),
        ("pub", "DELETE FROM sqlspec_event_queue"),
        ("pub", "UPDATE sqlspec_event_queue_queue SET paused = true"),
        (
            "pub",
            "UPDATE sqlspec_event_queue_queue SET channel = 'other'",
        ),
        ("pub", "UPDATE sqlspec_event_queue_key SET event_id = NULL"),
        ("pub", "DROP TABLE sqlspec_event_queue"),
        (
            "con",
            "UPDATE sqlspec_event_queue_queue SET channel = 'other'",
        ),
        ("con", "UPDATE sqlspec_event_queue_queue SET paused = true"),
        ("con", "TRUNCATE sqlspec_event_queue"),
        ("con", "DROP TABLE sqlspec_event_queue"),
        ("con", "ALTER TABLE sqlspec_event_queue ADD a integer"),
        ("con", "DELETE FROM event_channels_migrations"),
        ("other", "SELECT FROM sqlspec_event_queue"),
        ("other", "SELECT sqlspec_event_queue_publish('orders', '1')"),
    ] {
        assert!(place.forbids(role, sql), "{role}: {sql}");
    }
    for role in ["pub", "con"] {
        let error = place.config(role).migrate_down().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "{role}: {error}");
    }
    Ok(())
}
