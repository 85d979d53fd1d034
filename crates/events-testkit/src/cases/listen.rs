//! Listeners: handlers, verdicts, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_channels::{
    EventChannel, EventMessage, ListenOptions, NewEvent, Result, RetryAfter, SettlementMode,
};
use serde_json::Value;
use tokio::sync::{Barrier, Notify, mpsc};

use crate::{Harness, Outcome, pass, recorded};

/// What a handler was given.
pub(super) type Seen = mpsc::UnboundedReceiver<EventMessage>;

/// A listener that notes each event and does what `act` says with its payload.
pub(super) async fn listen(
    channel: &EventChannel,
    options: ListenOptions,
    act: impl Fn(&Value) -> event_channels::HandlerResult + Clone + Send + Sync + 'static,
) -> Result<(event_channels::Listener, Seen)> {
    let (seen, events) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        let (seen, act) = (seen.clone(), act.clone());
        async move {
            let payload = message.payload.clone();
            let _ = seen.send(message);
            act(&payload)
        }
    };
    Ok((channel.listen("orders", options, handler).await?, events))
}

/// Waits until so many events were handled and, where they are stored, acknowledged.
pub(super) async fn handled(channel: &EventChannel, count: u32) -> Result<()> {
    loop {
        let counted = |name| counted(channel, name);
        let handled = match channel.capabilities().settlement {
            SettlementMode::Lease => {
                channel.stats("orders").await?.total().acked >= u64::from(count)
            }
            SettlementMode::Session => counted(".events.ack") >= Some(f64::from(count)),
            SettlementMode::None => {
                counted(".events.deliver") >= Some(f64::from(count))
                    && counted(".events.in_flight") == Some(0.0)
            }
        };
        if handled {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// A counter or gauge of the channel.
pub(super) fn counted(channel: &EventChannel, name: &str) -> Option<f64> {
    let values = channel.telemetry_snapshot();
    let found = values.iter().find(|(key, _)| key.ends_with(name));
    found.map(|(_, value)| *value)
}

/// 95, 99: handled, acked, stopped, and gone from the channel. X3: what is published right after
/// `listen` returns is received.
pub async fn handled_acked_stopped(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let (listener, mut events) = listen(&channel, ListenOptions::new(), |_| Ok(())).await?;
    for n in 0..100 {
        channel.publish("orders", n).await?;
        assert_eq!(events.recv().await.map(|m| m.payload), Some(n.into()));
    }
    assert!(listener.is_running());
    assert!(channel.stop_listener(listener.id()).await?);
    assert!(!listener.is_running());
    assert!(
        !channel.stop_listener(listener.id()).await?,
        "an unknown id is no error"
    );
    if harness.leases() {
        let acked = channel.stats("orders").await?.total().acked;
        assert_eq!(acked, 100, "every verdict is recorded by then");
    }
    channel.publish("orders", "unheard").await?;
    assert!(events.recv().await.is_none());
    pass()
}

/// A panicking handler fails only its event.
pub async fn a_panic_fails_only_its_event(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.max_attempts(1)).await?;
    let act = |payload: &Value| {
        assert!(payload != "bomb", "the handler explodes");
        Ok(())
    };
    for concurrency in [1, 3] {
        let options = ListenOptions::new().concurrency(concurrency);
        let (listener, mut events) = listen(&channel, options, act).await?;
        for payload in ["before", "bomb", "after"] {
            channel.publish("orders", payload).await?;
        }
        for _ in 0..3 {
            assert!(events.recv().await.is_some());
        }
        listener.stop().await;
    }
    assert_eq!(counted(&channel, ".events.handler.error"), Some(2.0));
    if !harness.leases() {
        return pass();
    }
    let stats = channel.stats("orders").await?.total();
    assert_eq!((stats.acked, stats.dead), (4, 2));
    let dead = channel
        .admin()
        .expect("durable")
        .dead_letters("orders".try_into()?, 9)
        .await?;
    assert!(
        dead[0]
            .last_error
            .as_deref()
            .is_some_and(|text| text.contains("explodes")),
        "{:?}",
        dead[0]
    );
    pass()
}

/// `concurrency` handlers run at the same time, and no more.
pub async fn concurrency_is_used(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let together = Arc::new(Barrier::new(4));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let handler = move |_| {
        let (together, running, most) = (
            Arc::clone(&together),
            Arc::clone(&running),
            Arc::clone(&most),
        );
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            together.wait().await; // ends only if four are there at once
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new().concurrency(4), handler)
        .await?;
    for n in 0..12 {
        channel.publish("orders", n).await?;
    }
    handled(&channel, 12).await?;
    listener.stop().await;
    assert_eq!(peak.load(Ordering::SeqCst), 4);
    pass()
}

/// X15: stopping lets the handler in hand finish, and records its ack.
pub async fn stop_lets_the_handler_finish(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entered, gate) = (Arc::clone(&started), Arc::clone(&go_on));
    let handler = move |_| {
        let (entered, gate) = (Arc::clone(&entered), Arc::clone(&gate));
        async move {
            entered.notify_one();
            gate.notified().await;
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await?;
    channel
        .publish_many((0..3).map(|n| NewEvent::new("orders", n)))
        .await?;
    started.notified().await;
    let release = async {
        tokio::task::yield_now().await;
        go_on.notify_one();
    };
    let (drained, ()) = tokio::join!(listener.stop(), release);
    assert_eq!((drained.finished, drained.released), (1, 0));
    while harness.leases() {
        let stats = channel.stats("orders").await?.total();
        assert_eq!(stats.acked, 1, "the verdict is recorded by then");
        // What was claimed ahead is given back by the writer in its own time.
        if (stats.ready, stats.leased) == (2, 0) {
            break;
        }
        tokio::task::yield_now().await;
    }
    pass()
}

/// X15: a handler may stop its own listener.
pub async fn stop_from_inside_the_handler(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let ids = Arc::new(std::sync::Mutex::new(None));
    let (own, known) = (channel.clone(), Arc::clone(&ids));
    let handler = move |_| {
        let (channel, known, tell) = (own.clone(), Arc::clone(&known), tell.clone());
        async move {
            let id = known
                .lock()
                .ok()
                .and_then(|id| *id)
                .ok_or("the id is set before the publish")?;
            let stopped = channel.stop_listener(id).await?;
            let _ = tell.send(stopped);
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await?;
    *ids.lock().expect("nobody panicked") = Some(listener.id());
    channel.publish("orders", 1).await?;
    assert_eq!(told.recv().await, Some(true));
    listener.ended().await;
    if harness.leases() {
        assert_eq!(channel.stats("orders").await?.total().acked, 1);
    }
    pass()
}

/// Without `auto_ack` nothing is settled for the handler.
pub async fn without_auto_ack_the_handler_decides(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let own = channel.clone();
    let (done, mut finished) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        let (channel, done) = (own.clone(), done.clone());
        async move {
            let answer = match message.payload.as_str() {
                Some("ack") => channel.ack(&message).await?,
                _ => channel.nack(message.event_id, RetryAfter::Never).await?,
            };
            let _ = done.send(answer);
            Ok(())
        }
    };
    channel
        .listen("orders", ListenOptions::new().auto_ack(false), handler)
        .await?;
    for payload in ["ack", "other"] {
        channel.publish("orders", payload).await?;
        let answer = recorded(channel.capabilities());
        assert_eq!(finished.recv().await, Some(answer));
    }
    if !harness.leases() {
        return pass();
    }
    let stats = channel.stats("orders").await?.total();
    assert_eq!((stats.acked, stats.dead), (1, 1));
    pass()
}

/// X26: counters are exact under eight listeners, and deliveries to listeners count.
pub async fn counters_are_exact_under_eight_listeners(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    for _ in 0..8 {
        let _ = listen(&channel, ListenOptions::new(), |_| Ok(())).await?;
    }
    let publish = |n| NewEvent::new("orders", n);
    for start in (0..400).step_by(50) {
        channel
            .publish_many((start..start + 50).map(publish))
            .await?;
    }
    // Where nothing is stored every listener gets every event.
    let (published, delivered, acked) = if harness.leases() {
        (".events.publish", 400, 400.0)
    } else if harness.durable() {
        (".events.publish.native", 400, 400.0)
    } else {
        (".events.publish.native", 8 * 400, 0.0)
    };
    handled(&channel, delivered).await?;
    channel.shutdown().await?;
    for (name, expected) in [
        (published, 400.0),
        (".events.deliver", f64::from(delivered)),
        (".events.ack", acked),
        (".events.nack", 0.0),
        (".events.listener.start", 8.0),
        (".events.listener.stop", 8.0),
        (".events.in_flight", 0.0),
        (".events.listener.queue.depth", 0.0),
    ] {
        assert_eq!(counted(&channel, name), Some(expected), "{name}");
    }
    pass()
}

/// 91, 97: an idle listener with a long poll interval stops at once.
pub async fn stop_ends_a_wait_at_once(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(60)))
        .await?;
    let (listener, _events) = listen(&channel, ListenOptions::new(), |_| Ok(())).await?;
    let started = Instant::now();
    listener.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "it waited for the poll interval"
    );
    pass()
}
