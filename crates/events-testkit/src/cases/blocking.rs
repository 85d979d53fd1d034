//! 9, X1, X31: the blocking face of the same channel.
//!
//! Cases are async like the others, and do their blocking work on a thread of their own.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use event_channels::blocking::EventChannel;
use event_channels::{
    ErrorKind, ListenOptions, PublishOptions, Result, RetryAfter, Settled, SettlementMode,
};
use serde_json::json;

use crate::{Harness, Outcome, fails_with, pass, recorded};

/// Runs blocking code where no runtime is, with a channel on the harness's database.
fn apart(
    harness: Harness,
    change: impl FnOnce(event_channels::EventsConfig) -> event_channels::EventsConfig + Send + 'static,
    work: impl FnOnce(EventChannel) -> Result<()> + Send + 'static,
) -> Result<Outcome> {
    let thread = thread::spawn(move || {
        let channel = EventChannel::open(change(harness.config()?))?;
        work(channel)
    });
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    pass()
}

/// 1, 2, 3, 6 and 10 for blocking callers.
pub async fn the_same_lifecycle(harness: Harness) -> Result<Outcome> {
    apart(
        harness,
        |c| c,
        |channel| {
            channel.publish("other", 0)?;
            let options = PublishOptions::new().metadata(json!({"m": 1}));
            let id = channel.publish_with("orders", json!({"n": 0}), options)?;
            let more = channel.publish_many(
                (1..5).map(|n| event_channels::NewEvent::new("orders", json!({"n": n}))),
            )?;
            let mut events = channel.iter_events("orders")?;
            for n in 0..5 {
                let message = events.next().expect("the channel is open")?;
                assert_eq!(message.payload, json!({"n": n}));
                assert_eq!(message.event_id, if n == 0 { id } else { more[n - 1] });
                assert_eq!(message.metadata.is_some(), n == 0);
                let answer = recorded(channel.capabilities());
                assert_eq!(channel.ack(&message)?, answer);
            }
            assert!(events.next_timeout(Duration::from_millis(100)).is_none());
            if channel.capabilities().settlement == SettlementMode::Lease {
                assert_eq!(channel.stats("orders")?.total().acked, 5);
            }
            Ok(())
        },
    )
}

/// 4, 7, 90 and the outcomes of D13 for blocking callers.
pub async fn the_same_attempts_and_outcomes(harness: Harness) -> Result<Outcome> {
    if !harness.leases() {
        return Ok(Outcome::Skipped("this backend stores nothing"));
    }
    apart(
        harness,
        |c| c,
        |channel| {
            channel.publish("orders", 1)?;
            let mut events = channel.iter_events("orders")?;
            for attempt in 1..4 {
                let message = events.next().expect("the channel is open")?;
                assert_eq!(message.attempts, attempt);
                assert_eq!(
                    channel.nack(&message, RetryAfter::Delay(Duration::ZERO))?,
                    Settled::Recorded
                );
                assert_eq!(channel.ack(&message)?, Settled::AlreadyNacked);
            }
            let message = events.next().expect("the channel is open")?;
            assert_eq!(channel.ack(message.event_id)?, Settled::Recorded);
            assert_eq!(channel.ack(&message)?, Settled::AlreadyAcked);
            fails_with(
                channel.ack(event_channels::EventId::new()),
                ErrorKind::NotHeld,
            );
            fails_with(channel.publish("not a name", 1), ErrorKind::InvalidInput);
            Ok(())
        },
    )
}

/// 5 for blocking callers: after one publish and one ack the snapshot says one and one.
pub async fn the_same_counters(harness: Harness) -> Result<Outcome> {
    apart(
        harness,
        |c| c,
        |channel| {
            channel.publish("orders", 1)?;
            let mut events = channel.iter_events("orders")?;
            let message = events.next().expect("the channel is open")?;
            let _ = channel.ack(&message)?;
            let values = channel.telemetry_snapshot();
            let (published, acked) = match channel.capabilities().settlement {
                SettlementMode::Lease => (".events.publish", 1.0),
                SettlementMode::Session => (".events.publish.native", 1.0),
                SettlementMode::None => (".events.publish.native", 0.0),
            };
            for (name, expected) in [
                (published, 1.0),
                (".events.deliver", 1.0),
                (".events.ack", acked),
            ] {
                let (_, value) = values
                    .iter()
                    .find(|(key, _)| key.ends_with(name))
                    .expect("it is always there");
                assert_eq!(*value, expected, "{name}");
            }
            Ok(())
        },
    )
}

/// X1: a listener thread and a publisher share one database, in memory too.
pub async fn a_listener_thread_shares_the_database(harness: Harness) -> Result<Outcome> {
    apart(
        harness,
        |c| c,
        |channel| {
            let (tell, told) = mpsc::channel();
            let listener = channel.listen("orders", ListenOptions::new(), move |message| {
                tell.send(message.payload)?;
                Ok(())
            })?;
            for n in 0..50 {
                channel.publish("orders", n)?;
                assert_eq!(told.recv(), Ok(n.into()));
            }
            assert!(channel.stop_listener(listener.id())?);
            if channel.capabilities().settlement == SettlementMode::Lease {
                assert_eq!(channel.stats("orders")?.total().acked, 50);
            }
            channel.shutdown()?;
            fails_with(channel.publish("orders", 1), ErrorKind::Closed);
            Ok(())
        },
    )
}

/// X16: a blocked `next` ends when the stream is closed from another thread.
pub async fn close_from_another_thread_ends_a_wait(harness: Harness) -> Result<Outcome> {
    apart(
        harness,
        |c| c.poll_interval(Duration::from_secs(600)),
        |channel| {
            let mut events = channel.iter_events("orders")?;
            let closer = events.closer();
            let started = Instant::now();
            let waiting = thread::spawn(move || events.next().is_none());
            closer.close();
            assert!(waiting.join().expect("the thread does not panic"));
            assert!(started.elapsed() < Duration::from_secs(10));
            Ok(())
        },
    )
}

/// X31: a blocking call inside an async runtime is refused, never a dead-lock; `portal_bridge =
/// false` refuses the whole face.
pub async fn refused_inside_a_runtime(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let blocking = channel.blocking()?;
    let error = fails_with(blocking.publish("orders", 1), ErrorKind::WrongContext);
    assert!(error.to_string().contains("async"), "{error}");
    fails_with(blocking.health(), ErrorKind::WrongContext);
    let guarded = harness.open(|c| c.portal_bridge(false)).await?;
    let error = fails_with(guarded.blocking().map(drop), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("portal_bridge"), "{error}");
    // A thread apart may drop it, as an application's main thread would.
    thread::spawn(move || drop((blocking, guarded)))
        .join()
        .expect("dropping does not panic");
    pass()
}
