//! What depends on options that only a configuration sets.

use std::sync::Arc;
use std::time::Duration;

use events_queue::{MemoryStore, QueueBackend, QueueConfig};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use crate::shared::ChannelOptions;
use crate::{Drained, EventChannel, ListenOptions};

fn channel(options: ChannelOptions) -> EventChannel {
    let config = QueueConfig::default();
    let backend = QueueBackend::start(MemoryStore::new(), config, &Handle::current()).unwrap();
    EventChannel::with_options(Arc::new(backend), options)
}

fn impatient() -> ChannelOptions {
    ChannelOptions {
        drain_deadline: Duration::from_millis(20),
        ..ChannelOptions::default()
    }
}

#[tokio::test]
async fn what_is_not_finished_at_the_deadline_is_given_back_uncounted() {
    for concurrency in [1, 2] {
        let channel = channel(impatient());
        let (sender, mut started) = mpsc::unbounded_channel();
        let handler = move |_| {
            let _ = sender.send(());
            std::future::pending()
        };
        let options = ListenOptions::new().concurrency(concurrency);
        let listener = channel.listen("orders", options, handler).await.unwrap();
        channel.publish("orders", 1).await.unwrap();
        started.recv().await.unwrap();
        let drained = listener.stop().await;
        let expected = Drained {
            listeners: 1,
            finished: 0,
            released: 1,
        };
        assert_eq!(drained, expected);
        let mut events = channel.iter_events("orders").await.unwrap();
        let again = events.next().await.unwrap().unwrap();
        assert_eq!(again.attempts, 1);
    }
}

#[tokio::test]
async fn a_listener_takes_its_defaults_from_the_configuration() {
    let channel = channel(ChannelOptions {
        auto_ack: false,
        handler_timeout: Some(Duration::from_millis(10)),
        ..ChannelOptions::default()
    });
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: crate::EventMessage| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(message.attempts);
            if message.payload == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    for n in 0..2 {
        channel.publish("orders", n).await.unwrap();
        seen.recv().await.unwrap();
    }
    listener.stop().await;
    let total = channel.stats("orders").await.unwrap().total();
    // One timed out and waits for its retry, or is ready again; one was handled and not settled.
    assert_eq!(
        (total.acked, total.leased, total.ready + total.delayed),
        (0, 1, 1)
    );
}

#[tokio::test]
async fn a_handler_that_outlives_shutdown_does_not_hold_it_up() {
    let channel = channel(ChannelOptions::default());
    let (own, done) = (channel.clone(), Arc::new(Notify::new()));
    let finished = Arc::clone(&done);
    let handler = move |_| {
        let (own, finished) = (own.clone(), Arc::clone(&finished));
        async move {
            own.shutdown().await?;
            finished.notify_one();
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    channel.publish("orders", 1).await.unwrap();
    done.notified().await;
    listener.ended().await;
}

#[cfg(feature = "blocking")]
mod blocking {
    use super::*;
    use crate::ErrorKind;
    use std::sync::mpsc;

    #[tokio::test]
    async fn the_portal_can_be_forbidden() {
        let channel = channel(ChannelOptions {
            portal_bridge: false,
            ..ChannelOptions::default()
        });
        let error = channel.blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("portal_bridge"), "{error}");
    }

    #[test]
    fn a_thread_that_does_not_finish_is_left_behind_and_its_event_given_back() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let channel = runtime.block_on(async { channel(impatient()) });
        let blocking = channel.blocking().unwrap();
        let (sender, started) = mpsc::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let may_finish = std::sync::Mutex::new(may_finish);
        let handler = move |_| {
            let _ = sender.send(());
            let _ = may_finish.lock().unwrap().recv();
            Ok(())
        };
        let listener = blocking
            .listen("orders", ListenOptions::new(), handler)
            .unwrap();
        blocking.publish("orders", 1).unwrap();
        started.recv().unwrap();
        let drained = listener.stop().unwrap();
        assert_eq!((drained.finished, drained.released), (0, 1));
        assert!(!listener.is_running());
        let again = blocking
            .iter_events("orders")
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(again.attempts, 1);
        finish.send(()).unwrap();
        // The late answer of the handler changes nothing.
        assert_eq!(started.recv(), Err(mpsc::RecvError));
        assert_eq!(blocking.ack(&again).unwrap(), crate::Settled::Recorded);
    }
}
