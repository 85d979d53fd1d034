//! A row that changes between the look at it and its change. The server locks nothing here: the
//! worst that a row which is read in an old state could be.

use std::time::Duration;

use event_channels::{
    ErrorKind, EventChannel, EventMessage, EventsConfig, PublishOptions, Result, Settled,
};
use events_testkit::oracle::{Database, Plan, Server};

use crate::support::{config, with_database, with_standin};

const LEASE: Duration = Duration::from_millis(300);
/// How long a claim stands still between its look and its change.
const STILL: Duration = Duration::from_secs(4);

fn leased(database: &Database) -> EventsConfig {
    config(database).lease(LEASE)
}

/// An event in hand whose lease has ended, acknowledged while another claim stands at `statement`,
/// after its look. Answers the channel that holds it, and what that claim then brings.
///
/// Whoever is too late for the moment tries again: on a slow machine the claim may have gone on.
async fn acked_between(
    database: &Database,
    server: &Server,
    other: EventsConfig,
    statement: &str,
) -> Result<(EventChannel, Option<EventMessage>)> {
    let holder = leased(database).open().await?;
    loop {
        holder.publish("orders", 1).await?;
        let mut events = holder.iter_events("orders").await?;
        let held = events_testkit::next(&mut events).await;
        drop(events);
        server.skip_without_locks(true).unwrap();
        let before = server.calls(statement).unwrap();
        server.plan(Plan::at(statement).pause(STILL)).unwrap();
        let rival = other.clone().open().await?;
        let mut theirs = rival.iter_events("orders").await?;
        while server.calls(statement).unwrap() == before {
            assert!(
                tokio::time::timeout(Duration::from_millis(20), theirs.next())
                    .await
                    .is_err()
            );
        }
        let settled = holder.ack(&held).await;
        let brought = tokio::time::timeout(2 * STILL, theirs.next()).await;
        server.forget_plans().unwrap();
        server.skip_without_locks(false).unwrap();
        drop(theirs);
        rival.shutdown().await?;
        match settled {
            Ok(settled) => {
                assert_eq!(settled, Settled::Recorded);
                let brought = brought.ok().flatten().transpose()?;
                return Ok((holder, brought));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::HoldLost, "{error}"),
        }
    }
}

#[test]
fn an_event_acked_after_the_look_is_not_made_ready() {
    with_standin(
        "an_event_acked_after_the_look_is_not_made_ready",
        async |database, server| {
            let other = config(database);
            let (channel, brought) =
                acked_between(database, server, other, "events.table.turn").await?;
            assert!(brought.is_none(), "an acknowledged event came again");
            let stats = channel.stats("orders").await?.total();
            assert_eq!((stats.ready, stats.leased), (0, 0));
            channel.shutdown().await.map(drop)
        },
    );
}

#[test]
fn an_event_acked_after_the_look_is_no_dead_letter() {
    with_standin(
        "an_event_acked_after_the_look_is_no_dead_letter",
        async |database, server| {
            let other = config(database).max_attempts(1);
            let (channel, brought) =
                acked_between(database, server, other, "events.table.hold_ended").await?;
            assert!(brought.is_none());
            assert_eq!(channel.stats("orders").await?.total().dead, 0);
            channel.shutdown().await.map(drop)
        },
    );
}

/// What is due takes nothing with it that is not.
#[test]
fn an_event_that_is_due_brings_no_later_one() {
    with_database(
        "an_event_that_is_due_brings_no_later_one",
        async |database| {
            let channel = config(database).open().await?;
            for (name, delay) in [("soon", 100), ("later", 3_600_000)] {
                let delay = PublishOptions::new().delay(Duration::from_millis(delay));
                channel.publish_with("orders", name, delay).await?;
            }
            let mut events = channel.iter_events("orders").await?;
            let message = events_testkit::next(&mut events).await;
            assert_eq!(message.payload, "soon");
            channel.ack(&message).await?;
            events_testkit::nothing_within(&mut events, Duration::from_millis(200)).await;
            drop(events);
            channel.shutdown().await.map(drop)
        },
    );
}
