//! Rows that another program has put into the tables.

use std::time::Duration;

use event_channels::{ChannelName, Op, Result};
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
