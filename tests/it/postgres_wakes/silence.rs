//! Wake-ups where notifications do not arrive: consumers look as often as without them.

use std::time::{Duration, Instant};

use event_channels::{BackendKind, EventsConfig};

use super::place::{Consumer, LIMIT, Place, SOON, run};

/// What is published while nobody can be told is found as soon as somebody can again.
#[test]
fn a_listening_session_that_is_killed_costs_no_event() {
    run(
        "a_listening_session_that_is_killed_costs_no_event",
        async |place| {
            let (publisher, channel) = (place.open().await, place.open().await);
            let mut consumer = Consumer::of(&channel).await;
            for n in 0..10 {
                place.until_waiting().await;
                let killed = place.database.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND (query LIKE '%LISTEN%' OR query LIKE '%pg_listening_channels%')",
                );
                assert!(!killed.is_empty(), "nobody listens");
                publisher.publish("orders", n).await.unwrap();
                let message = consumer.next(&format!("event {n}"), LIMIT).await;
                assert_eq!(message.payload, n);
                place
                    .database
                    .query("DELETE FROM sqlspec_event_queue_waiter");
            }
        },
    );
}

/// Where notifications cannot be sent the table is polled, and nobody says that it waits.
#[test]
fn without_notify_consumers_poll() {
    run("without_notify_consumers_poll", async |place| {
        let owner = place.open().await;
        place.database.query(
            "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC;
             CREATE ROLE plain LOGIN;
             GRANT ALL ON ALL TABLES IN SCHEMA public TO plain;
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO plain",
        );
        let url = place.database.url().replace("//postgres@", "//plain@");
        let config = EventsConfig::new(&url)
            .unwrap()
            .backend(BackendKind::NotifyQueue)
            .poll_interval(Duration::from_millis(50));
        let channel = config.open().await.unwrap();
        let mut consumer = Consumer::of(&channel).await;
        for n in 0..10 {
            owner.publish("orders", n).await.unwrap();
            consumer.next(&format!("event {n}"), SOON).await;
        }
        assert_eq!(place.waiting(), 0);
        consumer.end().await;
        channel.shutdown().await.unwrap();
        owner.shutdown().await.unwrap();
        place.database.query("DROP OWNED BY plain; DROP ROLE plain");
    });
}

/// A server that says how full its queue of notifications is as it is told to.
fn pretend(place: &Place) {
    let name = place.database.query("SELECT current_database()");
    let name = name[0][0].as_deref().unwrap();
    place.database.query(&format!(
        "CREATE SCHEMA pretended;
         CREATE TABLE pretended.usage AS SELECT 0::float8 AS usage;
         CREATE FUNCTION pretended.pg_notification_queue_usage() RETURNS float8 LANGUAGE sql
             AS 'SELECT usage FROM pretended.usage';
         ALTER DATABASE {name} SET search_path = pretended, pg_catalog, public"
    ));
}

/// A queue that is full would fail the commits of publishers, so nobody notifies long before, and
/// consumers know it: they look once per poll interval, and not ten times more rarely.
#[test]
fn when_the_queue_of_notifications_fills_consumers_poll_until_it_is_empty_again() {
    const POLL: Duration = Duration::from_secs(2);
    let test = "when_the_queue_of_notifications_fills_consumers_poll_until_it_is_empty_again";
    run(test, async |place| {
        place.open().await.shutdown().await.unwrap();
        pretend(&place);
        let (publisher, channel) = (place.open().await, {
            // Other channels of this process have counters of another name.
            let config = place.config().poll_interval(POLL).name("full");
            let config = config.heartbeat_interval(Duration::from_millis(200));
            config.open().await.unwrap()
        });
        let mut consumer = Consumer::of(&channel).await;
        place.until_told().await;
        let full = |usage: f64| {
            let sql = format!("UPDATE pretended.usage SET usage = {usage}");
            place.database.query(&sql);
        };
        let reconnects = || {
            let all = channel.telemetry_snapshot();
            let count = all.get("full.events.listener.reconnect");
            count.copied().unwrap_or_default()
        };
        assert_eq!(reconnects(), 0.0);
        full(0.6);
        let begun = Instant::now();
        while reconnects() == 0.0 {
            assert!(begun.elapsed() < LIMIT, "nobody notices");
            tokio::time::sleep(Duration::from_millis(20)).await; // between two looks
        }
        for n in 0..3 {
            publisher.publish("orders", n).await.unwrap();
            let what = "an event while nobody is notified";
            consumer.next(what, POLL + SOON).await;
        }
        assert_eq!(reconnects(), 1.0, "it is noticed once");
        full(0.0);
        place
            .database
            .query("DELETE FROM sqlspec_event_queue_waiter");
        place.until_told().await;
        publisher.publish("orders", "again").await.unwrap();
        consumer.next("an event that is told again", SOON).await;
    });
}
