//! Leases: who holds an event, and what happens when nobody does any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use event_channels::{IterOptions, ListenOptions, Result, Settled};
use tokio::sync::{Notify, mpsc};

use crate::{Harness, Outcome, next, nothing_within, pass};

const LEASE: Duration = Duration::from_millis(300);

/// An event whose consumer says nothing comes back when the lease has ended, and not before.
pub async fn an_ended_lease_brings_the_event_back(harness: Harness) -> Result<Outcome> {
    // The poll interval is long, so it is the end of the lease that the consumer waits for.
    let channel = harness
        .open(|c| c.lease(LEASE).poll_interval(Duration::from_secs(60)))
        .await?;
    let id = channel.publish("orders", 1).await?;
    let mut first = channel.iter_events("orders").await?;
    let held = next(&mut first).await;
    let mut second = channel.iter_events("orders").await?;
    nothing_within(&mut second, LEASE / 3).await;
    let again = next(&mut second).await;
    assert_eq!((again.event_id, again.attempts), (id, 2));
    assert!(Some(again.lease_expires_at) > Some(held.lease_expires_at));
    assert_eq!(channel.ack(&again).await?, Settled::Recorded);
    pass()
}

/// What was claimed ahead and not handed over is released: at once, and the attempt is not counted.
pub async fn dropping_a_stream_counts_no_attempt(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(Duration::from_secs(3600))).await?;
    for n in 0..10 {
        channel.publish("orders", n).await?;
    }
    let mut first = channel
        .iter_events_with("orders", IterOptions::new().prefetch(10))
        .await?;
    let taken = next(&mut first).await;
    assert_eq!(taken.payload, 0);
    drop(first);
    let mut second = channel.iter_events("orders").await?;
    for n in 1..10 {
        let message = next(&mut second).await;
        assert_eq!((message.payload, message.attempts), (n.into(), 1));
    }
    assert_eq!(
        channel.ack(&taken).await?,
        Settled::Recorded,
        "dropping a stream leaves a message alone"
    );
    pass()
}

/// X10: a handler that is slower than the lease runs once.
pub async fn a_slow_handler_runs_once(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    let runs = Arc::new(AtomicU32::new(0));
    let (done, mut finished) = mpsc::unbounded_channel();
    for _ in 0..2 {
        let (runs, done) = (Arc::clone(&runs), done.clone());
        let slow = move |_| {
            let (runs, done) = (Arc::clone(&runs), done.clone());
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(LEASE * 4).await; // the work
                let _ = done.send(());
                Ok(())
            }
        };
        channel.listen("orders", ListenOptions::new(), slow).await?;
    }
    channel.publish("orders", 1).await?;
    finished.recv().await.expect("a handler finishes");
    channel.shutdown().await?;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    pass()
}

/// X7: an event that always fails is tried `max_attempts` times, waits longer each time, and
/// becomes a dead letter with its reason; the events behind it flow meanwhile.
pub async fn a_poison_event_dies_while_others_flow(harness: Harness) -> Result<Outcome> {
    let base = Duration::from_millis(20);
    let channel = harness
        .open(|c| c.max_attempts(4).backoff_base(base).backoff_max(base * 100))
        .await?;
    let poison = channel.publish("orders", "poison").await?;
    for n in 0..50 {
        channel.publish("orders", n).await?;
    }
    let (seen, mut events) = mpsc::unbounded_channel();
    let handler = move |message: event_channels::EventMessage| {
        let seen = seen.clone();
        async move {
            let poisonous = message.payload == "poison";
            let _ = seen.send(message);
            if poisonous {
                Err("cannot digest this".into())
            } else {
                Ok(())
            }
        }
    };
    channel
        .listen("orders", ListenOptions::new(), handler)
        .await?;
    let (mut attempts, mut good, mut good_before_death) = (Vec::new(), 0, 0);
    while attempts.len() < 4 || good < 50 {
        let message = events.recv().await.expect("the listener goes on");
        if message.event_id == poison {
            attempts.push(message.attempts);
            good_before_death = good;
        } else {
            good += 1;
        }
    }
    assert_eq!(attempts, [1, 2, 3, 4]);
    assert!(
        good_before_death > 0,
        "the good events waited for the poison"
    );
    let admin = channel.admin().expect("durable");
    let dead = loop {
        let dead = admin.dead_letters("orders".try_into()?, 10).await?;
        if !dead.is_empty() {
            break dead;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (dead[0].event_id, dead[0].reason.as_str(), dead[0].attempts),
        (poison, "max_attempts", 4)
    );
    assert!(
        dead[0]
            .last_error
            .as_deref()
            .is_some_and(|text| text.contains("cannot digest this"))
    );
    assert_eq!(dead[0].payload, "poison");
    pass()
}

/// After a crash each event that was in flight is claimed alone, and its consumer claims nothing
/// else until it is settled: what kills a process does not use up its neighbours' attempts.
pub async fn an_event_whose_lease_ended_is_claimed_alone(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    for n in 0..5 {
        channel.publish("orders", n).await?;
    }
    let mut crashing = channel
        .iter_events_with("orders", IterOptions::new().prefetch(3))
        .await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut crashing).await);
    }
    drop(crashing);
    // 3 and 4 were never claimed, or claimed ahead and released.
    let mut survivor = channel
        .iter_events_with("orders", IterOptions::new().prefetch(100))
        .await?;
    for n in [3, 4] {
        let message = next(&mut survivor).await;
        assert_eq!(message.payload, n);
        let _ = channel.ack(&message).await?;
    }
    for (n, old) in held.iter().enumerate() {
        let message = next(&mut survivor).await;
        assert_eq!((message.event_id, message.attempts), (old.event_id, 2));
        if n == 0 {
            // Hold it until every other lease has ended too: they must still be left alone.
            assert_eq!(
                channel.extend(&message, LEASE * 4).await?,
                Settled::Recorded
            );
            nothing_within(&mut survivor, LEASE * 2).await;
        }
        assert_eq!(channel.stats("orders").await?.total().leased, 1);
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    }
    pass()
}

/// Events claimed ahead stay held while the first one is handled for longer than a lease.
pub async fn prefetched_events_stay_held(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    for n in 0..4 {
        channel.publish("orders", n).await?;
    }
    let release = Arc::new(Notify::new());
    let (seen, mut events) = mpsc::unbounded_channel();
    let gate = Arc::clone(&release);
    let handler = move |message: event_channels::EventMessage| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            let first = message.payload == 0;
            let _ = seen.send((message.payload, message.attempts));
            if first {
                gate.notified().await;
            }
            Ok(())
        }
    };
    channel
        .listen("orders", ListenOptions::new().prefetch(4), handler)
        .await?;
    assert_eq!(events.recv().await, Some((0.into(), 1)));
    let mut thief = channel.iter_events("orders").await?;
    nothing_within(&mut thief, LEASE * 4).await;
    release.notify_one();
    for n in 1..4 {
        assert_eq!(events.recv().await, Some((n.into(), 1)));
    }
    drop(thief);
    channel.shutdown().await?;
    pass()
}
