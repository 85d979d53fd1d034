//! How listeners end: stopped, shut down, dropped.

use std::sync::Arc;

use event_channels::{ErrorKind, ListenOptions, NewEvent};
use tokio::sync::{Notify, mpsc};

use crate::support::{channel, collector, soon};

#[tokio::test]
async fn a_handler_may_stop_its_own_listener() {
    for concurrency in [1, 2] {
        let channel = channel();
        let (sender, mut stopped) = mpsc::unbounded_channel();
        let own = channel.clone();
        let id = Arc::new(std::sync::OnceLock::new());
        let known = Arc::clone(&id);
        let handler = move |_| {
            let (own, known, sender) = (own.clone(), Arc::clone(&known), sender.clone());
            async move {
                let _ = sender.send(own.stop_listener(*known.get().unwrap()).await.unwrap());
                Ok(())
            }
        };
        let options = ListenOptions::new().concurrency(concurrency);
        let listener = channel.listen("orders", options, handler).await.unwrap();
        id.set(listener.id()).unwrap();
        channel.publish("orders", 1).await.unwrap();
        assert!(soon("the stop", stopped.recv()).await.unwrap());
        soon("the end", listener.ended()).await;
        // Its own verdict was still recorded.
        assert_eq!(channel.stats("orders").await.unwrap().total().acked, 1);
    }
}

#[tokio::test]
async fn shutdown_lets_handlers_finish_and_answers_the_same_again() {
    let channel = channel();
    let (sender, mut started) = mpsc::unbounded_channel();
    let finish = Arc::new(Notify::new());
    let may_finish = Arc::clone(&finish);
    let publisher = channel.clone();
    let handler = move |_| {
        let (sender, may_finish) = (sender.clone(), Arc::clone(&may_finish));
        let publisher = publisher.clone();
        async move {
            let _ = sender.send(());
            may_finish.notified().await;
            publisher.publish("mail", 1).await?;
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).await.unwrap();
    soon("the handler", started.recv()).await.unwrap();
    let closing = tokio::spawn({
        let channel = channel.clone();
        async move { channel.shutdown().await }
    });
    // The shutdown has begun when a new stream is refused.
    soon("the refusal", async {
        while channel.iter_events("other").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(listener.is_running());
    finish.notify_one();
    let drained = soon("the shutdown", closing).await.unwrap().unwrap();
    assert_eq!(
        (drained.listeners, drained.finished, drained.released),
        (1, 1, 0)
    );
    assert_eq!(channel.shutdown().await.unwrap(), drained);
    assert!(!listener.is_running());
    let error = channel.publish("orders", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn dropping_the_channel_ends_its_listeners_and_dropping_the_handle_does_not() {
    let channel = channel();
    let (handler, mut seen) = collector();
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    let watched = listener.clone();
    drop(listener);
    channel.publish("orders", 1).await.unwrap();
    soon("the event", seen.recv()).await.unwrap();
    drop(channel);
    soon("the end", watched.ended()).await;
    // The handler is gone with its listener.
    assert!(soon("the sender's end", seen.recv()).await.is_none());
}
