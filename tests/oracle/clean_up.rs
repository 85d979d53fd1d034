//! What clean-up deletes, and what it leaves.

use std::time::{Duration, Instant};

use event_channels::{EventId, PublishOptions, RetryAfter};
use events_testkit::oracle::Server;

use crate::support::{config, with_standin};

/// Waits until a clean-up that began after this call has ended.
async fn cleaned_up(server: &Server) {
    let ran = || server.calls("events.table.purge_expired").unwrap();
    let before = ran();
    while ran() < before + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Acknowledged events stay for the time that is said, and ids of callers for an hour at least.
#[test]
fn what_retention_has_not_passed_stays() {
    with_standin(
        "what_retention_has_not_passed_stays",
        async |database, server| {
            let retention = Duration::from_secs(10);
            let channel = config(database).retention(retention).open().await?;
            let mut events = channel.iter_events("orders").await?;
            let own = || PublishOptions::new().event_id(EventId::from_bytes([7; 16]));
            channel.publish_with("orders", "keyed", own()).await?;
            channel.publish("orders", "plain").await?;
            let acked = Instant::now();
            for _ in 0..2 {
                let message = events_testkit::next(&mut events).await;
                channel.ack(&message).await?;
            }
            cleaned_up(server).await;
            let kept = channel.stats("orders").await?.total().acked;
            // On a machine that is too slow to tell, retention has passed.
            assert!(kept == 2 || acked.elapsed() >= retention, "{kept} are left");
            channel.publish_with("orders", "keyed", own()).await?;
            let total = channel.stats("orders").await?.total();
            assert_eq!(total.ready, 0, "a repeat stores nothing");
            drop(events);
            channel.shutdown().await.map(drop)
        },
    );
}

/// Dead letters wait for a person, but for those that only expired.
#[test]
fn a_rejected_event_outlives_retention_and_an_expired_one_does_not() {
    with_standin(
        "a_rejected_event_outlives_retention_and_an_expired_one_does_not",
        async |database, server| {
            let retention = Duration::from_millis(300);
            let channel = config(database).retention(retention).open().await?;
            channel.publish("orders", "rejected").await?;
            let mut events = channel.iter_events("orders").await?;
            let message = events_testkit::next(&mut events).await;
            channel.nack(&message, RetryAfter::Never).await?;
            let soon = PublishOptions::new().expires_in(Duration::from_millis(1));
            channel.publish_with("orders", "expired", soon).await?;
            let dead = async || {
                channel
                    .stats("orders")
                    .await
                    .map(|stats| stats.total().dead)
            };
            tokio::time::sleep(2 * retention).await; // the retention itself
            cleaned_up(server).await;
            while dead().await? > 1 {
                cleaned_up(server).await;
            }
            cleaned_up(server).await;
            assert_eq!(dead().await?, 1);
            drop(events);
            channel.shutdown().await.map(drop)
        },
    );
}
