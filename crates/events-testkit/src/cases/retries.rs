//! Listeners whose handlers fail: the event comes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_channels::{ListenOptions, Result};
use serde_json::Value;

use super::listen::{counted, handled, listen};
use crate::{Harness, Outcome, pass};

/// 101: an error of the handler is kept as the reason, the event comes again, the listener goes on.
pub async fn an_error_brings_it_back_and_the_listener_goes_on(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.backoff_base(Duration::from_millis(1)))
        .await?;
    let fails = Arc::new(AtomicUsize::new(2));
    let act = move |payload: &Value| {
        let failing = payload == "flaky"
            && fails
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok();
        if failing {
            Err("not yet".into())
        } else {
            Ok(())
        }
    };
    let (_listener, mut events) = listen(&channel, ListenOptions::new(), act).await?;
    channel.publish("orders", "flaky").await?;
    channel.publish("orders", "fine").await?;
    let mut attempts = Vec::new();
    for _ in 0..4 {
        let message = events.recv().await.expect("the listener goes on");
        if message.payload == "flaky" {
            attempts.push(message.attempts);
        }
    }
    assert_eq!(attempts, [1, 2, 3]);
    handled(&channel, 2).await?;
    assert_eq!(counted(&channel, ".events.handler.error"), Some(2.0));
    pass()
}

/// `handler_timeout` ends a handler and fails its event.
pub async fn a_timeout_fails_the_event(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.max_attempts(1)).await?;
    let options = ListenOptions::new().handler_timeout(Duration::from_millis(30));
    channel
        .listen("orders", options, |_| std::future::pending())
        .await?;
    channel.publish("orders", 1).await?;
    let admin = channel.admin().expect("durable");
    loop {
        let dead = admin.dead_letters("orders".try_into()?, 1).await?;
        if let Some(letter) = dead.first() {
            assert!(
                letter
                    .last_error
                    .as_deref()
                    .is_some_and(|text| text.contains("timed out")),
                "{letter:?}"
            );
            return pass();
        }
        tokio::task::yield_now().await;
    }
}
