//! Ends: of a stream, of a consumer that is dropped, of the backend.

use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, Next, Verdict};
use events_queue::QueueConfig;

use crate::*;

/// What was claimed and not handed over is there for the next consumer, as if nothing had been.
#[tokio::test]
async fn dropping_a_stream_gives_back_what_it_did_not_yield() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..3).await;
    let mut stream = subscribe(&backend, 3).await;
    let held = next(&mut stream).await;
    drop(stream);
    let stats = stats(&backend).await;
    assert_eq!((stats.leased, stats.ready), (1, 2));
    let mut stream = subscribe(&backend, 3).await;
    for n in 1..3 {
        let message = next(&mut stream).await;
        assert_eq!((message.payload, message.attempts), (n.into(), 1));
    }
    let answer = settle(&backend, &held, Verdict::Ack).await;
    assert_eq!(answer.unwrap(), events_core::Settled::Recorded);
}

/// A shutdown gives back what a claim brought for a stream that is not polled, answered or not.
#[tokio::test]
async fn a_shutdown_gives_back_what_no_stream_fetched() {
    for answered in [false, true] {
        let store = ScriptedStore::still();
        let backend = start(&store, calm());
        publish(&backend, 0..2).await;
        let mut stream = subscribe(&backend, 2).await;
        store.hold_claims(true);
        idle(&mut stream).await;
        assert_eq!(stats(&backend).await.leased, 2);
        store.hold_claims(!answered);
        backend.shutdown().await.unwrap();
        assert_eq!(stats(&backend).await.ready, 2, "answered: {answered}");
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn after_a_shutdown_calls_are_refused_and_streams_end() {
    let store = ScriptedStore::still();
    let config = calm();
    let backend = start(&store, config.clone());
    publish(&backend, 0..3).await;
    let mut stream = subscribe(&backend, 3).await;
    let mut idle_one = subscribe(&backend, 3).await;
    let held = next(&mut stream).await;
    idle(&mut idle_one).await;
    assert!(backend.health().await.is_ok());
    for _ in 0..2 {
        backend.shutdown().await.unwrap();
    }
    assert_eq!(count(&config, Count::Shutdown), 1);
    assert!(store.is_closed());
    assert!(stream.next().await.is_none() && stream.next().await.is_none());
    assert!(idle_one.next().await.is_none());
    let stats = stats(&backend).await;
    assert_eq!((stats.leased, stats.ready), (1, 2));
    let event = vec![NewEvent::new("orders", 1)];
    let refused = [
        backend.publish(event).await.map(drop),
        backend.subscribe(Subscribe::new(channel())).await.map(drop),
        backend
            .settle(vec![settlement(&held, Verdict::Ack)])
            .await
            .map(drop),
        backend.health().await.map(drop),
    ];
    let kinds = refused.map(|answer| answer.unwrap_err().kind());
    assert_eq!(kinds, [ErrorKind::Closed; 4]);
}

/// A wait ends at once, in async code and on a thread, by the switch of its subscription.
#[tokio::test(flavor = "multi_thread")]
async fn a_closer_ends_a_wait() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    let mut stream = subscribe(&backend, 1).await;
    let closer = stream.closer();
    let waiting = tokio::spawn(async move { stream.next().await.is_none() });
    let mut blocking = subscribe(&backend, 1).await;
    let blocked = blocking.closer();
    let thread = std::thread::spawn(move || {
        let first = blocking.wait_next(None);
        matches!(
            (first, blocking.wait_next(None)),
            (Next::Ended, Next::Ended)
        )
    });
    store
        .until("both have looked", |store| store.claims().len() == 2)
        .await;
    closer.close();
    blocked.close();
    assert!(waiting.await.unwrap());
    assert!(
        tokio::task::spawn(async move { thread.join().unwrap() })
            .await
            .unwrap()
    );
}

/// Nor is a close slept over that comes after the last look for it and before the wait.
#[test]
fn a_close_right_before_a_wait_is_not_slept_over() {
    let (tell, ended) = std::sync::mpsc::channel();
    for blocking in [false, true] {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let _inside = runtime.enter();
            let store = ScriptedStore::still();
            let backend = start(&store, calm());
            let mut request = Subscribe::new(channel());
            // A stream of a listener leaves a claim for the time of its wait.
            request.listening = true;
            let mut stream = backend.subscribe(request).wait().unwrap();
            store.close_before_wait(stream.closer());
            let ends = if blocking {
                matches!(stream.wait_next(None), Next::Ended)
            } else {
                runtime.block_on(stream.next()).is_none()
            };
            tell.send((blocking, ends))
        });
    }
    for _ in 0..2 {
        let (blocking, ends) = ended.recv_timeout(PATIENCE).expect("it ends");
        assert!(ends, "blocking: {blocking}");
    }
}

/// A stream that is closed while its claim is under way ends at once: it does not wait for the
/// answer, for which its own thread may be needed.
#[test]
fn a_closer_ends_a_stream_whose_claim_is_under_way() {
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let ends = runtime.unwrap().block_on(async {
            let store = ScriptedStore::still();
            let backend = start(&store, calm());
            let mut stream = subscribe(&backend, 1).await;
            let closer = stream.closer();
            store.hold_claims(true);
            idle(&mut stream).await;
            closer.close();
            stream.next().await.is_none()
        });
        tell.send(ends)
    });
    let ends = ended.recv_timeout(Duration::from_secs(30));
    assert_eq!(ends, Ok(true), "it does not end");
}

/// A claim that meets a shutdown is told that the channel is closed: that is the end, and no
/// failure. While the channel is open the same error is one.
#[tokio::test]
async fn an_error_that_tells_of_the_shutdown_is_the_end() {
    for open in [true, false] {
        for blocking in [false, true] {
            let store = ScriptedStore::still();
            let backend = start(&store, calm());
            let mut stream = subscribe(&backend, 1).await;
            store.fail_claims(&[ErrorKind::Closed]);
            store.hold_claims(true);
            let closer = stream.closer();
            let ends = std::thread::spawn(move || {
                if blocking {
                    matches!(stream.wait_next(None), Next::Ended)
                } else {
                    events_core::block_on_until(stream.next(), None)
                        .unwrap()
                        .is_none()
                }
            });
            store
                .until("a claim", |store| store.claims().len() == 1)
                .await;
            if !open {
                closer.close();
            }
            store.hold_claims(false);
            let ended = tokio::task::spawn(async move { ends.join().unwrap() });
            assert_eq!(ended.await.unwrap(), !open, "blocking: {blocking}");
        }
    }
}

/// Dropping the backend ends its consumers and what it does in the background.
#[tokio::test]
async fn a_dropped_backend_ends_its_streams() {
    let store = ScriptedStore::still();
    let config = QueueConfig {
        retention: Duration::from_secs(1),
        ..calm()
    };
    let backend = start(&store, config);
    publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    next(&mut stream).await;
    store
        .until("a clean-up", |store| store.clean_ups() > 0)
        .await;
    drop(backend);
    assert!(stream.next().await.is_none());
    let other = start(&store, calm());
    assert_eq!(stats(&other).await.ready, 1);
}
