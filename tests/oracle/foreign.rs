//! Rows that another program has put into the tables.

use std::time::{Duration, Instant};

use event_channels::{ChannelName, EventChannel, EventId, Op, Result};
use events_testkit::oracle::{Database, session};

use crate::support::{config, with_database};

/// Changes every event of the table, as a program of somebody else might; `name` is that of a
/// statement which does something like it.
fn change(database: &Database, name: &str, assignments: &str) -> Result<()> {
    let table = database.table().to_ascii_uppercase();
    let sql = format!("/* events.table.{name} */\nUPDATE \"{table}\" SET {assignments}");
    let session = session(database)?;
    session.execute(Op::Admin, &sql, &[])?;
    session.commit(Op::Admin)
}

/// A row of another program: what is odd about it, as assignments of columns, and as what it is
/// buried where it cannot be delivered.
const FOREIGN: &[(&str, &str, Option<&str>)] = &[
    ("a priority beyond the range", "priority = 99999", None),
    ("a priority far below it", "priority = -99999", None),
    ("attempts below zero", "attempts = -5", None),
    ("attempts beyond the range", "attempts = 5000000000", None),
    (
        "attempts that cannot be raised",
        "attempts = 9999999999",
        Some("undecodable"),
    ),
    (
        "a fence that cannot be raised",
        "lease_token = 9999999999",
        Some("undecodable"),
    ),
    (
        "a suspect whose counts cannot be raised",
        "status = 2, attempts = 9999999999, lease_token = 9999999999",
        Some("undecodable"),
    ),
    (
        "an ended lease whose counts cannot be raised",
        "status = 3, attempts = 9999999999, lease_token = 9999999999, due_at = created_at",
        Some("max_attempts"),
    ),
    ("a fence below zero", "lease_token = -9999999999", None),
    ("a suspect", "status = 2, attempts = 3", None),
    (
        "metadata that is no object",
        "metadata = HEXTORAW('5B315D')",
        Some("undecodable"),
    ),
    (
        "metadata that is no text",
        "metadata = HEXTORAW('FF00FE')",
        Some("undecodable"),
    ),
    ("a key that nobody has noted", "keyed = 1", None),
];

/// No row of another program holds up the events behind it; it is acknowledged, or a dead letter
/// that can be listed, put back and thrown away.
#[test]
fn rows_of_other_programs_stop_no_queue() {
    for (what, odd, buried) in FOREIGN {
        with_database("rows_of_other_programs_stop_no_queue", async |database| {
            stops_no_queue(database, what, odd, *buried).await
        });
    }
}

async fn stops_no_queue(
    database: &Database,
    what: &str,
    odd: &str,
    buried: Option<&str>,
) -> Result<()> {
    // Nothing waits for a second look.
    let config = config(database).poll_interval(Duration::from_secs(3600));
    let channel = config.prefetch(1).open().await?;
    channel.publish("orders", "odd").await?;
    change(database, "identify", odd)?;
    let behind = channel.publish("orders", "behind").await?;
    let seen = consumed(&channel, what).await?;
    assert!(seen.contains(&behind), "{what}: {seen:?}");
    let admin = channel.admin().expect("tables have operations");
    let orders = || ChannelName::new("orders");
    let dead = admin.dead_letters(orders()?, 10).await?;
    let reason = dead.first().map(|dead| &*dead.reason);
    assert_eq!(reason, buried, "{what}");
    assert_eq!(seen.len() + dead.len(), 2, "{what}: {seen:?}");
    // What it is when it comes again is the same, but for its counts.
    assert_eq!(admin.requeue(orders()?, None).await?, dead.len() as u64);
    consumed(&channel, what).await?;
    let left = channel.stats("orders").await?.total();
    assert_eq!(left.acked + left.dead, 2, "{what}: {left:?}");
    assert_eq!(admin.purge_dead(orders()?, None).await?, left.dead);
    channel.shutdown().await.map(drop)
}

/// Acknowledges what comes until nothing is left that could.
async fn consumed(channel: &EventChannel, what: &str) -> Result<Vec<EventId>> {
    let mut events = channel.iter_events("orders").await?;
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let left = channel.stats("orders").await?.total();
        if left.ready + left.leased + left.delayed == 0 {
            return Ok(seen);
        }
        assert!(Instant::now() < end, "{what}: {left:?}, {seen:?}");
        let next = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        if let Ok(next) = next {
            let message = next.expect("the stream goes on")?;
            channel.ack(&message).await?;
            seen.push(message.event_id);
        }
    }
}

/// What is odd about it never holds up the events behind it, and it is delivered itself.
#[test]
fn an_id_that_is_too_short_is_filled_up() {
    with_database("an_id_that_is_too_short_is_filled_up", async |database| {
        let channel = config(database).open().await?;
        channel.publish("orders", "theirs").await?;
        change(database, "identify", "event_id = HEXTORAW('0A0B')")?;
        let behind = channel.publish("orders", "behind").await?;
        let mut events = channel.iter_events("orders").await?;
        let first = events_testkit::next(&mut events).await;
        assert_eq!(first.payload, "theirs");
        assert_eq!(
            first.event_id.to_string(),
            "0a0b0000000000000000000000000000"
        );
        channel.ack(&first).await?;
        let second = events_testkit::next(&mut events).await;
        assert_eq!(second.event_id, behind);
        channel.ack(&second).await?;
        let stats = channel.stats("orders").await?.total();
        assert_eq!((stats.ready, stats.leased, stats.dead), (0, 0, 0));
        drop(events);
        channel.shutdown().await.map(drop)
    });
}

#[test]
fn a_dead_letter_with_such_an_id_is_listed_and_put_back() {
    with_database(
        "a_dead_letter_with_such_an_id_is_listed_and_put_back",
        async |database| {
            let channel = config(database).open().await?;
            channel.publish("orders", "theirs").await?;
            let expired = "event_id = HEXTORAW('0A0B'), expires_at = created_at";
            change(database, "identify", expired)?;
            let mut events = channel.iter_events("orders").await?;
            events_testkit::nothing_within(&mut events, Duration::from_millis(500)).await;
            let admin = channel.admin().expect("tables have operations");
            let orders = || ChannelName::new("orders");
            let dead = admin.dead_letters(orders()?, 10).await?;
            assert_eq!((dead.len(), &*dead[0].reason), (1, "expired"));
            assert_eq!(
                admin
                    .requeue(orders()?, Some(vec![dead[0].event_id]))
                    .await?,
                1
            );
            let message = events_testkit::next(&mut events).await;
            assert_eq!(message.event_id, dead[0].event_id);
            channel.ack(&message).await?;
            drop(events);
            channel.shutdown().await.map(drop)
        },
    );
}
