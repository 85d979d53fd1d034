//! Ending: streams, channels.

use std::time::{Duration, Instant};

use event_channels::{ErrorKind, ListenOptions, Result};

use crate::{Harness, Outcome, fails_with, pass};

/// Far less than the poll interval, far more than a busy machine needs.
const AT_ONCE: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_secs(600);

/// X16: closing a stream ends a wait that is under way.
pub async fn a_closed_stream_ends_at_once(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.poll_interval(NEVER)).await?;
    let mut events = channel.iter_events("orders").await?;
    let closer = events.closer();
    let started = Instant::now();
    let waiting = tokio::spawn(async move { events.next().await.is_none() });
    tokio::task::yield_now().await;
    closer.close();
    assert!(waiting.await.expect("the task does not panic"));
    assert!(started.elapsed() < AT_ONCE);
    pass()
}

/// X30: shutdown ends whatever waits, and later calls answer `Closed`.
pub async fn shutdown_ends_waits_and_refuses_calls(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.poll_interval(NEVER)).await?;
    let mut events = channel.iter_events("orders").await?;
    let listener = channel
        .listen("orders", ListenOptions::new(), |_| async { Ok(()) })
        .await?;
    let waiting = tokio::spawn(async move { events.next().await.is_none() });
    let started = Instant::now();
    channel.shutdown().await?;
    assert!(waiting.await.expect("the task does not panic"));
    assert!(!listener.is_running());
    assert!(started.elapsed() < AT_ONCE);
    fails_with(channel.publish("orders", 1).await, ErrorKind::Closed);
    fails_with(
        channel.iter_events("orders").await.map(drop),
        ErrorKind::Closed,
    );
    fails_with(channel.health().await, ErrorKind::Closed);
    let late = channel
        .listen("orders", ListenOptions::new(), |_| async { Ok(()) })
        .await;
    fails_with(late.map(drop), ErrorKind::Closed);
    pass()
}

/// 25: shutting down twice, or without ever having been used, is no error.
pub async fn shutdown_is_idempotent(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.shutdown().await?;
    channel.shutdown().await?;
    pass()
}

/// What was claimed ahead for a stream that is still alive is given back by shutdown, uncounted.
pub async fn shutdown_gives_back_what_was_not_handed_over(harness: Harness) -> Result<Outcome> {
    if !harness.leases() {
        return Ok(Outcome::Skipped("this backend stores nothing"));
    }
    if !harness.several_channels() {
        return Ok(Outcome::Skipped(
            "a second channel cannot see this database",
        ));
    }
    let channel = harness.open(|c| c.lease(NEVER).prefetch(8)).await?;
    for n in 0..30 {
        channel.publish("orders", n).await?;
    }
    let mut events = channel.iter_events("orders").await?;
    let mut held = Vec::new();
    // Past half a batch, so that the next one is being claimed.
    for _ in 0..6 {
        held.push(crate::next(&mut events).await);
    }
    channel.health().await?; // the claim that was started is through by now
    channel.shutdown().await?;
    let other = harness.open(|c| c.lease(NEVER)).await?;
    let stats = other.stats("orders").await?.total();
    assert_eq!((stats.ready, stats.leased), (24, 6), "{stats:?}");
    let mut rest = other.iter_events("orders").await?;
    assert_eq!(crate::next(&mut rest).await.attempts, 1);
    drop(events);
    pass()
}
