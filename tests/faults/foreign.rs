//! Rows that another program has put into the tables.

use std::time::Duration;

use rusqlite::Connection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::corrupt::channel;
use crate::peer::PATIENCE;

/// Ten poll intervals.
const REST: Duration = Duration::from_secs(1);

/// A row of another program: what is odd about it, as assignments of columns.
const FOREIGN: &[(&str, &str)] = &[
    ("a priority beyond the range", "priority = 100000"),
    ("a priority far below it", "priority = -9223372036854775808"),
    ("attempts below zero", "attempts = -5"),
    (
        "attempts beyond the range",
        "attempts = 9223372036854775806",
    ),
    (
        "times before all time",
        "available_at = -9223372036854775808, created_at = -9223372036854775808",
    ),
    ("times after all time", "created_at = 9223372036854775807"),
    (
        "an expiry after all time",
        "expires_at = 9223372036854775807",
    ),
    ("a payload that is no JSON", "payload = 'no json'"),
    (
        "a payload that is no text",
        "payload = CAST(x'ff00fe' AS TEXT)",
    ),
    ("metadata that is no object", "metadata = '[1]'"),
    (
        "metadata that is no text",
        "metadata = CAST(x'ff00fe' AS TEXT)",
    ),
    (
        "a payload that is too long",
        "payload = '\"' || hex(zeroblob(11000000)) || '\"'",
    ),
    (
        "delayed since before all time",
        "status = 11, available_at = -9223372036854775808",
    ),
    (
        "leased until before all time",
        "status = 13, lease_expires_at = -9223372036854775808",
    ),
    ("a key that nobody has noted", "keyed = 1"),
    ("a suspect", "status = 12, attempts = 3"),
];

/// No row of another program holds up the events behind it, or is asked for on and on.
#[tokio::test(flavor = "multi_thread")]
async fn g2_rows_of_other_programs_stop_no_queue() {
    let mut oddities = JoinSet::new();
    for (what, odd) in FOREIGN {
        oddities.spawn(stops_no_queue(what, odd));
    }
    while let Some(stopped) = oddities.join_next().await {
        stopped.unwrap();
    }
}

async fn stops_no_queue(what: &str, odd: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let channel = channel(&file).await;
    channel.publish("orders", "odd").await.unwrap();
    let foreign = format!("UPDATE sqlspec_event_queue SET {odd}");
    let other = Connection::open(&file).unwrap();
    let changed = other.execute_batch(&foreign);
    changed.unwrap_or_else(|e| panic!("{what}: {e}"));
    let behind = channel.publish("orders", "behind").await.unwrap();
    let looks = || -> f64 {
        let snapshot = channel.telemetry_snapshot();
        let looks = |key: &&String| key.ends_with("events.poll.query");
        snapshot.keys().filter(looks).map(|key| snapshot[key]).sum()
    };
    // Whatever becomes of the odd one, the other one comes, and then there is rest.
    let mut events = channel.iter_events("orders").await.unwrap();
    let mut seen = Vec::new();
    let after = loop {
        let before = looks();
        match timeout(REST, events.next()).await {
            Ok(next) => {
                let message = next.unwrap().unwrap_or_else(|e| panic!("{what}: {e}"));
                channel.ack(&message).await.unwrap();
                seen.push(message.event_id);
            }
            Err(_) => break looks() - before,
        }
    };
    assert!(
        seen.contains(&behind) && seen.len() <= 2,
        "{what}: {seen:?}"
    );
    // One in each poll interval, and as many again.
    assert!(after <= 20.0, "{what}: {after} looks in {REST:?}");
    let stats = channel.stats("orders").await;
    let left = stats.unwrap_or_else(|e| panic!("{what}: {e}")).total();
    assert_eq!(
        left.ready + left.leased + left.delayed,
        0,
        "{what}: {left:?}"
    );
    // It is acknowledged or a dead letter, and that can be seen and thrown away.
    assert_eq!(left.acked + left.dead, 2, "{what}: {left:?}");
    let admin = channel.admin().unwrap();
    let orders = || "orders".try_into().unwrap();
    let dead = admin.dead_letters(orders(), 10).await;
    let dead = dead.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(dead.len() as u64, left.dead, "{what}");
    assert_eq!(admin.purge_dead(orders(), None).await.unwrap(), left.dead);
    timeout(PATIENCE, channel.shutdown())
        .await
        .expect("no hang")
        .unwrap();
}
