//! The blocking face, over the same backend in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use event_channels::blocking::EventChannel;
use event_channels::{
    ErrorKind, EventMessage, HandlerError, IterOptions, ListenOptions, NewEvent, Settled,
    SettlementMode,
};
use events_queue::{MemoryStore, QueueBackend, QueueConfig};
use tokio::runtime::Runtime;

use crate::support::{Faulty, PATIENCE, config};

/// A blocking channel, and the runtime that its backend was started on.
fn channel_with(config: QueueConfig) -> (EventChannel, Runtime) {
    let runtime = Runtime::new().unwrap();
    let backend = QueueBackend::start(MemoryStore::new(), config, runtime.handle()).unwrap();
    (EventChannel::new(Arc::new(backend)).unwrap(), runtime)
}

fn channel() -> (EventChannel, Runtime) {
    channel_with(config())
}

#[test]
fn publish_iterate_ack() {
    let (channel, _runtime) = channel();
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    let ids = channel.publish_many(two).unwrap();
    let mut seen = Vec::new();
    for message in channel.iter_events("orders").unwrap() {
        let message = message.unwrap();
        seen.push(message.event_id);
        assert_eq!(channel.ack(message.event_id).unwrap(), Settled::Recorded);
        assert_eq!(channel.ack(&message).unwrap(), Settled::AlreadyAcked);
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen, ids);
    assert_eq!(channel.stats("orders").unwrap().total().acked, 2);
    assert_eq!(channel.health().unwrap().backend, "memory");
    channel.shutdown().unwrap();
    assert_eq!(
        channel.publish("orders", 1).unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn waiting_ends_by_timeout_by_closer_and_by_shutdown() {
    let (channel, _runtime) = channel();
    let mut events = channel.iter_events("orders").unwrap();
    assert!(events.next_timeout(Duration::from_millis(10)).is_none());
    assert!(!events.has_ended());
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).unwrap();
    assert_eq!(events.timeout_iter(Duration::from_millis(10)).count(), 2);

    let closer = events.closer();
    let reader = thread::spawn(move || (events.next().is_none(), events.has_ended()));
    closer.close();
    assert_eq!(reader.join().unwrap(), (true, true));

    let mut events = channel.iter_events("orders").unwrap();
    let reader = thread::spawn(move || events.next().is_none());
    channel.shutdown().unwrap();
    assert!(reader.join().unwrap());
}

#[test]
fn calls_inside_an_async_runtime_are_refused() {
    let (channel, runtime) = channel();
    let mut events = channel.iter_events("orders").unwrap();
    let listener = channel
        .listen("orders", ListenOptions::new(), |_| Ok(()))
        .unwrap();
    runtime.block_on(async {
        let refused = [
            channel.publish("orders", 1).unwrap_err(),
            channel.publish_many([]).unwrap_err(),
            channel.iter_events("orders").unwrap_err(),
            channel
                .listen("orders", ListenOptions::new(), |_| Ok(()))
                .unwrap_err(),
            channel.stop_listener(listener.id()).unwrap_err(),
            listener.stop().unwrap_err(),
            channel.health().unwrap_err(),
            channel.shutdown().unwrap_err(),
            events.next().unwrap().unwrap_err(),
            EventChannel::open("sqlite::memory:").unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::WrongContext, "{error}");
        }
        assert!(events.next().is_none());
        // The facade itself may be made, cloned and dropped there.
        drop(channel.as_async().blocking().unwrap());
    });
    assert!(listener.is_running());
    channel.publish("orders", 1).unwrap();
}

#[test]
fn async_and_blocking_share_one_backend() {
    let (channel, runtime) = channel();
    let id = runtime
        .block_on(channel.as_async().publish("orders", 1))
        .unwrap();
    let facade = channel.as_async().blocking().unwrap();
    let mut events = facade.iter_events("orders").unwrap();
    assert_eq!(events.next().unwrap().unwrap().event_id, id);
    // What one face was given the other can settle.
    let settled = runtime.block_on(channel.as_async().ack(&id)).unwrap();
    assert_eq!(settled, Settled::Recorded);
}

#[test]
fn a_listener_handles_acknowledges_and_stops() {
    let (channel, _runtime) = channel();
    let (sender, seen) = mpsc::channel();
    let handler =
        move |message: EventMessage| sender.send(message.payload).map_err(HandlerError::new);
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .unwrap();
    let many = (0..300).map(|n| NewEvent::new("orders", n));
    channel.publish_many(many).unwrap();
    for n in 0..300 {
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), n);
    }
    assert!(channel.stop_listener(listener.id()).unwrap());
    assert!(!channel.stop_listener(listener.id()).unwrap());
    assert!(!listener.is_running());
    assert_eq!(channel.stats("orders").unwrap().total().acked, 300);
    assert!(seen.recv().is_err(), "the handler is gone with its threads");
}

#[test]
fn errors_and_panics_fail_only_their_event() {
    let (channel, _runtime) = channel_with(QueueConfig {
        max_attempts: 1,
        ..config()
    });
    let (sender, seen) = mpsc::channel();
    let handler = move |message: EventMessage| {
        let _ = sender.send(message.payload.clone());
        assert!(message.payload != 0, "boom");
        if message.payload == 1 {
            return Err("not today".into());
        }
        Ok(())
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .unwrap();
    let three = (0..3).map(|n| NewEvent::new("orders", n));
    channel.publish_many(three).unwrap();
    (0..3).for_each(|n| assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), n));
    listener.stop().unwrap();
    let letters = channel
        .admin()
        .unwrap()
        .dead_letters("orders".try_into().unwrap(), 10);
    let mut reasons: Vec<_> = letters
        .wait()
        .unwrap()
        .into_iter()
        .map(|l| l.last_error)
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            Some("handler panicked: boom".to_owned()),
            Some("not today".to_owned())
        ]
    );
}

#[test]
fn as_many_threads_handle_as_wanted_and_a_stop_from_inside_does_not_hang() {
    let (channel, _runtime) = channel();
    let together = Arc::new(Barrier::new(3));
    let (own, id) = (channel.clone(), Arc::new(OnceLock::new()));
    let known = Arc::clone(&id);
    let (sender, stopped) = mpsc::channel();
    let handler = move |_| {
        together.wait();
        let _ = sender.send(own.stop_listener(*known.get().unwrap())?);
        Ok(())
    };
    let options = ListenOptions::new().concurrency(3).prefetch(1);
    let listener = channel.listen("orders", options, handler).unwrap();
    id.set(listener.id()).unwrap();
    let three = (0..3).map(|n| NewEvent::new("orders", n));
    channel.publish_many(three).unwrap();
    assert!(stopped.recv_timeout(PATIENCE).is_ok());
    listener.wait().unwrap();
    assert_eq!(channel.stats("orders").unwrap().total().acked, 3);
}

#[test]
fn a_slow_handler_keeps_its_event() {
    let (channel, _runtime) = channel_with(QueueConfig {
        lease: Duration::from_millis(200),
        ..config()
    });
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let (sender, finished) = mpsc::channel();
    let handler = move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        // The passing of three leases is what is tested.
        thread::sleep(Duration::from_millis(600));
        let _ = sender.send(());
        Ok(())
    };
    // The second thread would get the event if its lease ended.
    let options = ListenOptions::new()
        .concurrency(2)
        .poll_interval(Duration::from_millis(20));
    let listener = channel.listen("orders", options, handler).unwrap();
    channel.publish("orders", 1).unwrap();
    finished.recv_timeout(PATIENCE).unwrap();
    listener.stop().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(channel.stats("orders").unwrap().total().acked, 1);
}

#[test]
fn dropping_the_channel_ends_its_listeners() {
    let (channel, _runtime) = channel();
    let listener = channel
        .listen("orders", ListenOptions::new(), |_| Ok(()))
        .unwrap();
    drop(channel);
    listener.wait().unwrap();
}

#[test]
fn a_lost_subscription_is_made_anew_and_verdicts_are_tried_again() {
    let runtime = Runtime::new().unwrap();
    let backend = Arc::new(runtime.block_on(async { Faulty::new() }));
    let channel = EventChannel::new(backend.clone()).unwrap();
    let (notices, noticed) = mpsc::channel();
    let options = ListenOptions::new().on_notice(move |error| {
        let _ = notices.send(error.kind());
    });
    let (sender, seen) = mpsc::channel();
    let handler = move |_| sender.send(()).map_err(HandlerError::new);
    let listener = channel.listen("orders", options, handler).unwrap();
    backend.failing_subscribes.store(1, Ordering::SeqCst);
    backend.live.lock().unwrap().remove(0).close();
    for _ in 0..2 {
        assert_eq!(
            noticed.recv_timeout(PATIENCE).unwrap(),
            ErrorKind::Unavailable
        );
    }
    backend.failing_settles.store(2, Ordering::SeqCst);
    channel.publish("orders", 1).unwrap();
    seen.recv_timeout(PATIENCE).unwrap();
    listener.stop().unwrap();
    assert_eq!(channel.stats("orders").unwrap().total().acked, 1);
}

#[test]
fn groups_and_options_are_checked_alike() {
    let (channel, _runtime) = channel();
    let zero = IterOptions::new().poll_interval(Duration::ZERO);
    let error = channel.iter_events_with("orders", zero).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let none = ListenOptions::new().concurrency(0);
    let error = channel.listen("orders", none, |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(channel.subscribe_group("orders", "billing").unwrap());
}

#[test]
fn a_session_settles_each_event_before_the_next() {
    let runtime = Runtime::new().unwrap();
    for (settlement, batched) in [
        (SettlementMode::Session, false),
        (SettlementMode::Lease, true),
    ] {
        let backend = runtime.block_on(async { Faulty::new() });
        let backend = Arc::new(Faulty {
            settlement,
            ..backend
        });
        let channel = EventChannel::new(backend.clone()).unwrap();
        let many = (0..64).map(|n| NewEvent::new("orders", n));
        channel.publish_many(many).unwrap();
        let (sender, seen) = mpsc::channel();
        let handler = move |_| sender.send(()).map_err(HandlerError::new);
        let listener = channel
            .listen("orders", ListenOptions::new(), handler)
            .unwrap();
        (0..64).for_each(|_| seen.recv_timeout(PATIENCE).unwrap());
        listener.stop().unwrap();
        let calls = backend.settle_calls.load(Ordering::SeqCst);
        assert_eq!(calls < 64, batched, "{calls} calls");
        assert_eq!(channel.stats("orders").unwrap().total().acked, 64);
    }
}

/// Verdicts of quick handlers gather while the next handler runs, and their leases are kept.
#[test]
fn a_handled_event_is_not_repeated_while_the_next_handler_is_slow() {
    let lease = Duration::from_millis(300);
    let (channel, _runtime) = channel_with(QueueConfig { lease, ..config() });
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).unwrap();
    let (done, wait) = mpsc::channel();
    let options = ListenOptions::new().prefetch(2);
    let listener = channel
        .listen("orders", options, move |message: EventMessage| {
            if message.payload == 1 {
                thread::sleep(lease * 3); // the slow work
            }
            done.send(message.payload)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(wait.recv_timeout(PATIENCE).unwrap(), 0);
    let mut others = channel.iter_events("orders").unwrap();
    let repeated = others.next_timeout(lease * 2);
    assert!(repeated.is_none(), "{repeated:?}");
    assert_eq!(wait.recv_timeout(PATIENCE).unwrap(), 1);
    listener.stop().unwrap();
    assert_eq!(channel.stats("orders").unwrap().total().acked, 2);
}
